# What a route's keys and a rule's priority do: one connection at a time, what is urgent first, and a
# dead destination that costs one attempt however many mails wait for it.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.1 --no-starttls
DEAD=$(free_port)
RULES='
    { "name": "dead", "when": { "recipient": "*@dead.example" }, "route": "dead" },
    { "name": "high", "when": { "recipient": "*@high.example" }, "priority": "high", "route": "sink" },
    { "name": "low", "when": { "recipient": "*@low.example" }, "priority": "low", "route": "sink" },
    { "name": "rest", "route": "sink" }'
RETRY_FIRST=10m RETRY_MAX=20m write_policy <<JSON
  "routes": { "sink": { "hosts": ["127.0.0.1:$SINK_PORT"], "connections": 1, "mails_per_minute": 100000 },
              "dead": { "hosts": ["127.0.0.1:$DEAD"] } },
  "flows": { $(outbound_flow "$RULES") }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"
ctl()
{
    "$MGICTL" --socket "$WORK/control" "$@"
}
must "mgictl reaches it" wait_for 5 ctl status
must "suspended" ctl suspend sink >"$WORK/text"
python3 - "$E2E" "$OUT_PORT" <<'MAILS'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session
s = Session(sys.argv[2])
s.command("EHLO client.example.ch")
for domain in ["low.example", "example.org", "high.example", "dead.example"]:
    for n in range(5):
        code, lines = s.content("from@example.ch", [f"to{n}@{domain}"], b"Subject: x\r\n\r\nx\r\n")
        assert code == 250, lines
MAILS
deferred()
{
    [ "$(json_lines "$WORK/mgid.log" event=deferred --count)" = "$1" ]
}
must "those for the dead host are deferred" wait_for 5 deferred 5
equal "one attempt told of it" 1 "$(json_lines "$WORK/mgid.log" event='host failed' --count)"
must "resumed" ctl resume sink >"$WORK/text"
arrived()
{
    [ "$(json_lines "$WORK/sink.log" event=mail --count)" = 15 ]
}
must "all arrive" wait_for 10 arrived
equal "over one connection" 1 "$(json_lines "$WORK/sink.log" event=mail --print session | sort -u | wc -l)"
python3 - "$WORK/sink.log" <<'ORDER'
import json, sys
order = []
for line in open(sys.argv[1]):
    one = json.loads(line)
    if one.get("event") == "mail":
        order.append(one["recipients"][0].split("@")[1])
# Every eighth is one of another line.
first, last = order[:5], order[-3:]
assert first == ["high.example"] * 5, order
assert last.count("low.example") >= 2 and order.index("example.org") < 7, order
ORDER
