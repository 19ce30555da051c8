# shellcheck shell=bash
# What the end-to-end tests share, besides bench/peers/lib.sh: a policy to start from, and
# assertions. A test is a script that sources this file; it passes when it ends with 0.

set -euo pipefail
# shellcheck source=bench/peers/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../bench/peers/lib.sh"
E2E=$ROOT/tests/e2e

# fail TEXT…: ends the test.
fail()
{
    printf 'FAILED: %s\n' "$*" >&2
    exit 1
}

# skip WHY…: the test can't be made here; said by run.sh, and no failure.
skip()
{
    printf '%s\n' "$*"
    exit 77
}

# must WHAT COMMAND…: the command has to succeed.
must()
{
    local what=$1
    shift
    "$@" || fail "$what ($*)"
}

# must_not WHAT COMMAND…: the command has to fail.
must_not()
{
    local what=$1
    shift
    ! "$@" || fail "$what ($*)"
}

# equal WHAT WANTED FOUND
equal()
{
    [ "$2" = "$3" ] || fail "$1: wanted \"$2\", found \"$3\""
}

# e2e_begin: the directory, certificates, and free ports for both flows (OUT_PORT, IN_PORT).
e2e_begin()
{
    peers_begin "e2e-$(basename "$0" .sh)"
    trap e2e_judge EXIT
    make_certificates
    OUT_PORT=$(free_port)
    IN_PORT=$(free_port)
    DNS_PORT=$(free_port)
    POLICY=$WORK/policy.json
}

# A role that breaks is started again, and the test may not notice: its log does.
# An exit that the master did not expect is an error; tests themselves send SIGKILL.
UNSOUND='AddressSanitizer|LeakSanitizer|runtime error:|"event":"bug"|"signal":"SIG(SYS|ABRT|SEGV|BUS|ILL|FPE)"'
UNSOUND+='|"level":"error".*"event":"exit".*("status":|"signal":"SIG([^K]|K[^I]))'

# The end of a test: passed only when nothing broke on the way.
e2e_judge()
{
    local status=$?
    stop_all
    if [ "$status" = 0 ] && grep -hE "$UNSOUND" "$WORK"/mgid*.log >&2; then
        status=1
    fi
    e2e_finish "$status"
}

# For an EXIT trap of a test that breaks roles on purpose.
e2e_end()
{
    e2e_finish $?
}

# After a failure: what mgid had to say, before the directory goes.
e2e_finish()
{
    local status=$1
    if [ "$status" != 0 ] && [ -e "$WORK/mgid.log" ]; then
        echo "--- the end of mgid's log ---"
        tail -q -n 25 "$WORK"/mgid*.log | cut -c 1-500
    fi >&2
    peers_finish "$status"
}

# write_policy <<routes-and-flows: the text's members "routes" and "flows" completed to a policy.
# Mail from this machine is from the company ("exchange"); the platform is known by certificate.
write_policy()
{
    {
        cat <<JSON
{
  "version": 1,
  "hostname": "mx1.example.ch",
  "spool": "$WORK/spool",
  "control": { "socket": "$WORK/control" },
  "uid_base": ${UID_BASE:-61000},
  "resolver": { "servers": ["127.0.0.1@$DNS_PORT"], "dnssec": false },
  "retry": { "first": "${RETRY_FIRST:-2s}", "max": "${RETRY_MAX:-4s}", "lifetime": "${LIFETIME:-5d}" },
  "identities": {
    "server": { "certificate": "$CERTS/server.pem", "key": "$CERTS/server.key" },
    "client": { "certificate": "$CERTS/client.pem", "key": "$CERTS/client.key" }
  },
  "trust": { "public": { "file": "$CERTS/ca.pem" }, "corporate": { "file": "$CERTS/corporate-ca.pem" } },
  "peers": {
    "incamail": { "tls": { "trust": "public", "names": ["*.incamail.com", "im.post.ch"], "organization": "Post CH AG" } },
    "exchange": { "addresses": ["127.0.0.0/8"], "trusted": true }
  },
JSON
        cat
        echo '}'
    } >"$POLICY"
}

# outbound_flow RULES: the flow "outbound" with these rules, as a member of "flows".
outbound_flow()
{
    cat <<JSON
    "outbound": {
      "listen": ["127.0.0.1:$OUT_PORT"], "identity": "server", "workers": ${WORKERS:-1},
      "accept_from": ["exchange"], "rules": [ $1 ]
    }
JSON
}

# simple_policy PORT: all mail goes in clear to 127.0.0.1:PORT.
simple_policy()
{
    write_policy <<JSON
  "routes": { "sink": { "hosts": ["127.0.0.1:$1"] } },
  "flows": { $(outbound_flow '{ "name": "all", "route": "sink" }') }
JSON
}

# log_has CONDITION…: mgid's log has such a line (see jsonl.py).
log_has()
{
    json_lines "$WORK/mgid.log" "$@" >/dev/null
}

# send_mail FROM TO SUBJECT [swaks option…]: by swaks to the outbound flow, in clear; the output
# stays in $WORK/swaks.out.
send_mail()
{
    local from=$1 to=$2 subject=$3
    shift 3
    swaks --server "127.0.0.1:$OUT_PORT" --helo client.example.ch --from "$from" --to "$to" \
        --header "Subject: $subject" "$@" >"$WORK/swaks.out" 2>&1
}

# without_received FILE: the mail without the header field that mgid put on top of it.
without_received()
{
    python3 - "$1" <<'CUT'
import re, sys
mail = open(sys.argv[1], "rb").read()
cut = re.sub(rb"\AReceived:[^\n]*\n(?:[ \t][^\n]*\n)*", b"", mail)
if cut == mail:
    sys.exit("no Received header on top")
sys.stdout.buffer.write(cut)
CUT
}

# The processes of mgid's role, by their parent and name: "connection" prints its pids.
role_pids()
{
    local pid name
    for pid in $(pgrep -P "$MGID_PID"); do
        name=$(cat "/proc/$pid/comm" 2>/dev/null) || continue
        [ "$name" != "mgid-$1" ] || echo "$pid"
    done
}

# SIGKILL to the master; each of its children has to end by itself.
kill_master()
{
    local pids pid
    mapfile -t pids < <(pgrep -P "$MGID_PID")
    kill -KILL "$MGID_PID"
    for pid in "${pids[@]}"; do
        must "process $pid ends with the master" wait_for 10 gone "$pid"
    done
}
