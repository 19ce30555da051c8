#!/usr/bin/env bash
# Kills mgid's processes under load, KILLS times (2000): at random, and at every point of
# crash_points.def in a build that has them (`make crash`); then looks for every mail that got its
# 250. With SOAK=SECONDS instead: mixed load for that time, some kills, reloads (`make soak`).
# SHORT=1: nothing that has to wait; POINTS=0: a build without crash points.
# Prints what was accepted, lost, duplicated, killed; fails when a mail is lost or altered.
export MGID_TOOLS=${MGID_TOOLS:-$(cd "$(dirname "$0")/../.." && pwd)/build/tools}
source "$(dirname "$0")/../e2e/lib.sh"
trap - EXIT
e2e_begin
trap e2e_end EXIT # roles are broken on purpose: it is the check of the mails that counts
CRASH=$ROOT/tests/crash
RETRY_FIRST=1s
RETRY_MAX=2s
FLAKY_PORT=$(free_port)
STUCK_PORT=$(free_port)
zone named.example <<<'sink A 127.0.0.1'
must "nsd starts" start_nsd named.example
start_sink sink 127.0.0.1 --cert "$CERTS/platform.pem" --key "$CERTS/platform.key" --dir "$WORK/sink" \
    --reply-rcpt '*@refused.example=550 5.1.1 nobody here'
SINK=$SINK_PORT
start_sink exchange 127.0.0.1 --cert "$CERTS/internal.pem" --key "$CERTS/internal.key"
WORKERS=${WORKERS:-2}
TLS='"tls": { "require": true, "trust": "public", "names": ["im.post.ch"] }'
write_policy <<JSON
  "routes": {
    "sink": { "hosts": ["127.0.0.1:$SINK"], $TLS },
    "flaky": { "hosts": ["127.0.0.1:$FLAKY_PORT"] },
    "exchange": { "hosts": ["127.0.0.1:$SINK_PORT"], "tls": { "require": true, "trust": "corporate" } },
    "stuck": { "hosts": ["127.0.0.1:$STUCK_PORT"] },
    "named": { "hosts": ["sink.named.example:$SINK"], $TLS }
  },
  "flows": {
    $(outbound_flow '
      { "name": "later", "when": { "recipient": "*@later.example" }, "route": "flaky" },
      { "name": "stuck", "when": { "recipient": "*@stuck.example" }, "route": "stuck" },
      { "name": "named", "when": { "recipient": "*@named.example" }, "route": "named" },
      { "name": "all", "route": "sink" }'),
    "inbound": {
      "listen": ["127.0.0.1:$IN_PORT"], "identity": "server", "domains": ["in.example"], "workers": 1,
      "rules": [ { "name": "all", "route": "exchange" } ] }
  }
JSON
sed -i 's/"accept_from": \["exchange"\],/"accept_from": ["exchange"], "bounce_route": "exchange",/' "$POLICY"
must "the policy is right" "$MGICTL" policy check "$POLICY" >/dev/null 2>&1
export MGID_CRASH_PAGE=$WORK/points
python3 "$CRASH/crash.py" --mgid "$MGID" --mgictl "$MGICTL" --policy "$POLICY" --work "$WORK" \
    --ports "$OUT_PORT" "$IN_PORT" --mgisim "$MGISIM" --flaky "$FLAKY_PORT" --stuck "$STUCK_PORT" \
    ${SOAK:+--seconds "$SOAK"} ${SHORT:+--short} $([ "${POINTS:-1}" = 1 ] || echo --no-points) --kills "${KILLS:-2000}" --sessions "${SESSIONS:-8}" --seed "${SEED:-$RANDOM}"
