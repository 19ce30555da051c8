# Reload: a new policy decides from the next mail on and cuts off no session; one that is not valid
# changes nothing and says where it is wrong; renewed certificates are taken.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink old 127.0.0.1 --no-starttls
OLD=$SINK_PORT
start_sink new 127.0.0.1 --no-starttls
NEW=$SINK_PORT
# Certificates of this test's own, to be renewed.
mkdir "$WORK/own"
cp "$CERTS"/{server,client,ca,corporate-ca}.* "$WORK/own"
CERTS_BEFORE=$CERTS
CERTS=$WORK/own

# routes_to ROUTE RULE [PORT]: "old" or "new"; with a route to PORT besides.
routes_to()
{
    write_policy <<JSON
  "routes": { "old": { "hosts": ["127.0.0.1:$OLD"] }, "new": { "hosts": ["127.0.0.1:$NEW"] },
              "third": { "hosts": ["127.0.0.1:${3:-$NEW}"] } },
  "flows": { $(outbound_flow "{ \"name\": \"$2\", \"route\": \"$1\" }") }
JSON
}
# Lines that mgid has logged of that kind.
count()
{
    json_lines "$WORK/mgid.log" "$@" --count || :
}
ctl()
{
    "$MGICTL" --socket "$WORK/control" "$@"
}
routes_to old before
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"
must "before" send_mail anna@example.ch one@example.org x
must "goes the old way" wait_for 10 sink_has old one@example.org
worker=$(role_pids connection)

# A session and a transaction that live through it.
mkfifo "$WORK/go"
cat >"$WORK/held.py" <<'HELD'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session
port, work = sys.argv[2:]
idle, busy = Session(port), Session(port)
for s in (idle, busy):
    s.command("EHLO client.example.ch")
assert busy.command("MAIL FROM:<anna@example.ch>") == 250
assert busy.command("RCPT TO:<running@example.org>") == 250
print("ready", flush=True)
open(work + "/go").read()
assert busy.command("DATA") == 354
busy.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
assert busy.reply()[0] == 250
assert idle.mail("anna@example.ch", ["idle@example.org"], b"Subject: x\r\n\r\nx") == 250
assert busy.mail("anna@example.ch", ["next@example.org"], b"Subject: x\r\n\r\nx") == 250
print("done", flush=True)
HELD
spawn session python3 "$WORK/held.py" "$E2E" "$OUT_PORT" "$WORK"
must "the sessions are open" wait_for 10 grep -q ready "$WORK/session.log"

routes_to new after
must "the reload" ctl reload >"$WORK/reload"
must "after" send_mail anna@example.ch two@example.org x
must "goes the new way" wait_for 10 sink_has new two@example.org
must "by the new rule" log_has event=routed recipient=two@example.org rule=after
equal "the worker is the same" "$worker" "$(role_pids connection)"
echo >"$WORK/go"
must "the sessions go on" wait_for 10 grep -q done "$WORK/session.log"
must "the running transaction kept its policy" log_has event=routed recipient=running@example.org rule=before
must "the next of that session has the new one" log_has event=routed recipient=next@example.org rule=after
must "so has that of an idle session" log_has event=routed recipient=idle@example.org rule=after

# Not valid, in turn: no JSON, an unknown key, a route that is not there, a file that is not there.
broken()
{
    local what=$1 place=$2 before status=0
    before=$(count event=reload ok=false)
    ctl reload >"$WORK/reload" 2>&1 || status=$?
    equal "$what: exit status" 65 "$status"
    must "$what: says where" grep -q "$place" "$WORK/reload"
    kill -HUP "$MGID_PID"
    must "$what: SIGHUP logs it" wait_for 10 eval '(($(count event=reload ok=false) > '"$before"' + 1))'
    must "$what: still works" send_mail anna@example.ch "$what@example.org" x
    must "$what: as before" wait_for 10 sink_has new "$what@example.org"
}
good=$(cat "$POLICY")
echo '{ "version": 1, ' >"$POLICY"
broken json ':[0-9]*:[0-9]*: error'
echo "${good/\"hostname\"/\"hostnam\"}" >"$POLICY"
broken key '/hostnam'
echo "${good/\"route\": \"new\"/\"route\": \"sunk\"}" >"$POLICY"
broken route '/flows/outbound/rules/0/route'
echo "${good//server.pem/absent.pem}" >"$POLICY"
broken file 'absent.pem'

# The same policy, a renewed certificate.
fingerprint()
{
    "$MGISIM" send --to-server "127.0.0.1:$OUT_PORT" | sed -n 's/^sha256: //p'
}
was=$(fingerprint)
cp "$CERTS_BEFORE/server-rsa.pem" "$CERTS/server.pem"
cp "$CERTS_BEFORE/server-rsa.key" "$CERTS/server.key"
echo "$good" >"$POLICY"
must "the reload" ctl reload >"$WORK/reload"
[ "$was" != "$(fingerprint)" ] || fail "the renewed certificate is not used"

# A good one by SIGHUP.
routes_to old hangup
generations=$(count event=reload ok=true)
kill -HUP "$MGID_PID"
must "SIGHUP reloads" wait_for 10 eval '(($(count event=reload ok=true) > '"$generations"'))'
must "taken" send_mail anna@example.ch hup@example.org x
must "goes the old way again" wait_for 10 sink_has old hup@example.org
must "by the newest rule" log_has event=routed recipient=hup@example.org rule=hangup

# A route to a port that no route had: the worker's sandbox does not know it, and it is replaced.
start_sink third 127.0.0.1 --no-starttls
routes_to third port "$SINK_PORT"
must "the reload" ctl reload >"$WORK/reload"
must "taken" send_mail anna@example.ch three@example.org x
must "arrives at the new port" wait_for 20 sink_has third three@example.org
