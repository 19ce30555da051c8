# mgictl drain: the node takes nothing more, hands over what it has by the route that is named, and
# ends.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink second 127.0.0.1 --no-starttls
DEAD=$(free_port)
WORKERS=2 RETRY_FIRST=10m RETRY_MAX=20m write_policy <<JSON
  "routes": { "dead": { "hosts": ["127.0.0.1:$DEAD"] }, "second": { "hosts": ["127.0.0.1:$SINK_PORT"] } },
  "flows": { $(WORKERS=2 outbound_flow '{ "name": "over there", "when": { "recipient": "*@second.example" }, "route": "second" }, { "name": "all", "route": "dead" }') }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"
ctl()
{
    "$MGICTL" --socket "$WORK/control" "$@"
}
must "mgictl reaches it" wait_for 5 ctl status
refuses()
{
    ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}
waits()
{
    ctl --json queue list --reason refused >"$WORK/queue"
    [ "$(json_lines "$WORK/queue" end=true --print mails)" = "$1" ]
}
python3 - "$E2E" "$OUT_PORT" <<'MAILS'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session
for n in range(40):
    s = Session(sys.argv[2])
    s.command("EHLO client.example.ch")
    code, lines = s.content(f"from{n}@example.ch", [f"to{n}@example.org", f"too{n}@example.org"], b"Subject: x\r\n\r\nx\r\n")
    assert code == 250, lines
MAILS
must "forty mails wait" wait_for 10 waits 40
equal "a route that is not there" 65 "$(ctl drain --to nothing >"$WORK/text" 2>&1 || echo $?)"
must "it still takes mail" send_mail more@example.ch to@example.org more
must "and that waits too" wait_for 5 waits 41

must "the node is emptied" timeout 40 "$MGICTL" --socket "$WORK/control" drain --to second >"$WORK/text"
must "it says so" grep -q 'Nothing is left' "$WORK/text"
must "mgid has ended" wait_for 5 gone "$MGID_PID"
equal "mails at the second node" 41 "$(json_lines "$WORK/second.log" event=mail --count)"
must "no more clients" log_has event=emptied

# While a drain waits (for what is held) the metrics stay, and who serves them may die.
METRICS=$(free_port)
python3 - "$POLICY" "127.0.0.1:$METRICS" <<'METRICS'
import json, sys
policy = json.load(open(sys.argv[1]))
policy["metrics"] = {"listen": sys.argv[2]}
json.dump(policy, open(sys.argv[1], "w"))
METRICS
metrics()
{
    curl -sf "http://127.0.0.1:$METRICS/healthz"
}
must "mgid starts with metrics" start_mgid "$POLICY" "$OUT_PORT"
must "a mail is taken" send_mail held@example.ch to@example.org held
must "it waits" wait_for 5 waits 1
must "it is held" ctl queue hold --all >"$WORK/text"
timeout 60 "$MGICTL" --socket "$WORK/control" drain >"$WORK/drain.out" 2>&1 &
must "no more clients" wait_for 5 refuses "$OUT_PORT"
must "metrics are still served" metrics >"$WORK/text"
kill -KILL "$(ctl --json status | json_lines /dev/stdin type=process role=control --print pid)"
must "by the next one too" wait_for 10 metrics
must "the master lives" alive "$MGID_PID"
must "nothing was said to be over" alive "$!"
ctl queue delete --all >"$WORK/text" 2>&1 || : # mgid may end before it has answered
must "mgid has ended" wait_for 15 gone "$MGID_PID"

# What is queued again at the next start? Nothing.
must "mgid starts again" start_mgid "$POLICY" "$OUT_PORT"
must "mgictl reaches it" wait_for 5 ctl status
ctl --json queue list >"$WORK/queue"
equal "mails" 0 "$(json_lines "$WORK/queue" end=true --print mails)"
