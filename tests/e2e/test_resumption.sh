# Resumed TLS sessions: a client keeps the verdict on its certificate, at any worker of the flow and
# across a reload; not at another flow, not once a trust store or a demand has changed, not after a
# worker's end. Towards a next hop a session is resumed too, and stays verified.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink exchange 127.0.0.1 --no-starttls
start_sink platform 127.0.0.1 --cert "$CERTS/platform.pem" --key "$CERTS/platform.key" \
    --client-ca "$CERTS/ca.pem" --require-client-cert
PLATFORM_PORT=$SINK_PORT
OTHER_PORT=$(free_port)
cp "$CERTS/ca.pem" "$WORK/trust.pem"
# flow NAME PORT WORKERS
flow()
{
    cat <<JSON
    "$1": { "listen": ["127.0.0.1:$2"], "identity": "server", "domains": ["example.ch"], "workers": $3,
      "rules": [ { "name": "platform", "when": { "peer": "partner" }, "route": "exchange" },
                 { "name": "rest", "route": "exchange" } ] }
JSON
}
# policy ORGANIZATION
policy()
{
    write_policy <<JSON
  "routes": { "exchange": { "hosts": ["127.0.0.1:$(sink_port exchange)"] },
              "platform": { "hosts": ["127.0.0.1:$PLATFORM_PORT"], "tls": { "require": true, "trust": "public",
                            "names": ["*.incamail.com"], "identity": "client" } } },
  "flows": { $(flow inbound "$IN_PORT" 2), $(flow other "$OTHER_PORT" 1),
             $(outbound_flow '{ "name": "all", "route": "platform" }') }
JSON
    python3 - "$POLICY" "$1" "$WORK/trust.pem" <<'EDIT'
import json, sys
path, organization, trust = sys.argv[1:]
policy = json.load(open(path))
policy["trust"]["partners"] = {"file": trust}
policy["peers"]["partner"] = {"tls": {"trust": "partners", "organization": organization}}
json.dump(policy, open(path, "w"))
EDIT
}
sink_port()
{
    json_lines "$WORK/$1.log" event=listening --print port | tail -n 1
}
policy 'Post CH AG'
must "mgid starts" start_mgid "$POLICY" "$IN_PORT" "$OTHER_PORT" "$OUT_PORT"

# Keeps its sessions between the steps that it is told on stdin: "VERSION PORT RECIPIENT" says
# "resumed" or "full" and the last reply's code.
cat >"$WORK/client.py" <<'CLIENT'
import ssl, sys
sys.path.insert(0, sys.argv[1])
from smtp import Session

versions = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
contexts = {name: Session.context(v, sys.argv[2]) for name, v in versions.items()}
kept = {}
for line in sys.stdin:
    version, port, recipient = line.split()
    s = Session(port)
    s.command("EHLO client.example.ch")
    s.starttls(context=contexts[version], session=kept.get(version))
    s.command("EHLO client.example.ch")
    code, _ = s.content("bob@partner.example", [recipient], b"Subject: x\r\n\r\nx\r\n")
    print("resumed" if s.socket.session_reused else "full", code, flush=True)
    kept[version] = s.socket.session
    s.command("QUIT")
    s.close()
CLIENT
coproc CLIENT { python3 "$WORK/client.py" "$E2E" "$CERTS/platform"; }
N=0
# visit WHAT VERSION PORT WANTED RULE
visit()
{
    N=$((N + 1))
    echo "$2 $3 r$N@example.ch" >&"${CLIENT[1]}"
    local said
    read -r -t 20 said <&"${CLIENT[0]}" || fail "$1: the session broke off"
    equal "$1, TLS $2" "$4 250" "$said"
    must "$1: routed by rule $5" wait_for 5 log_has event=routed "recipient=r$N@example.ch" "rule=$5"
}
# Every worker uses the policy of the last reload: the answer to `mgictl reload` does not wait for that.
taken()
{
    local generation workers
    generation=$(json_lines "$WORK/mgid.log" event=reload --print generation | tail -n 1)
    workers=$("$MGICTL" --socket "$WORK/control" --json status |
        json_lines /dev/stdin type=process role=connection --count)
    [ "$(json_lines "$WORK/mgid.log" "event=policy in use" "generation=$generation" --count)" = "$workers" ]
}
reload()
{
    must "reload" "$MGICTL" --socket "$WORK/control" reload >"$WORK/reload.out"
    must "every worker has it" wait_for 10 taken
}
for version in 1.2 1.3; do
    visit 'first' "$version" "$IN_PORT" full platform
    for _ in 1 2 3; do
        visit 'again, at whichever worker' "$version" "$IN_PORT" resumed platform
    done
    must "the log says so" log_has event=accepted 'tls~resumed; client certificate verified, '
done
reload
visit 'after a reload that changes nothing' 1.2 "$IN_PORT" resumed platform
visit 'after a reload that changes nothing' 1.3 "$IN_PORT" resumed platform
for version in 1.2 1.3; do
    visit 'at another flow' "$version" "$OTHER_PORT" full platform
    visit 'with a ticket of that' "$version" "$IN_PORT" full platform
done
policy 'Somebody else'
reload
for version in 1.2 1.3; do
    visit 'another demand' "$version" "$IN_PORT" full rest
done
policy 'Post CH AG'
reload
visit 'the first again' 1.3 "$IN_PORT" full platform
cat "$CERTS/corporate-ca.pem" >"$WORK/trust.pem" # the same path
reload
visit 'another trust store' 1.3 "$IN_PORT" full rest
cp "$CERTS/ca.pem" "$WORK/trust.pem"
reload
visit 'full' 1.3 "$IN_PORT" full platform
visit 'and again' 1.3 "$IN_PORT" resumed platform
for pid in $(role_pids connection); do
    kill -KILL "$pid"
    must "the worker is gone" wait_for 5 gone "$pid"
done
must "workers are back" wait_for 10 mgid_answers "$IN_PORT"
visit 'a worker has died' 1.3 "$IN_PORT" full platform
echo "that is all" >/dev/null
eval "exec ${CLIENT[1]}>&-"

# Outbound: one connection after the other, as each mail waits for the idle time of the one before.
for n in 1 2; do
    must "mail $n is taken" send_mail anna@example.ch "out$n@example.org" x
    must "mail $n arrives" wait_for 10 sink_has platform "out$n@example.org"
    [ "$n" = 2 ] || must "its connection ends" wait_for 15 json_lines "$WORK/platform.log" event=session >/dev/null
done
must "the first is whole" log_has event=delivered recipient=out1@example.org verdict=verified mutual=true resumed=false
must "the second is resumed and verified" log_has event=delivered recipient=out2@example.org \
    verdict=verified mutual=true resumed=true
