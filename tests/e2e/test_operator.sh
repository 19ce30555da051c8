# The operator's view: mgictl status and queue list, for people and as JSON, and what a mail that
# waits looks like there until it is delivered.
source "$(dirname "$0")/lib.sh"
e2e_begin
SINK_PORT_WANTED=$(free_port)
WORKERS=2
RETRY_FIRST=1s RETRY_MAX=2s simple_policy "$SINK_PORT_WANTED"
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"
ctl()
{
    "$MGICTL" --socket "$WORK/control" "$@"
}
# The socket is there a moment after the first greeting.
must "mgictl reaches it" wait_for 5 ctl status

must "status" ctl --json status >"$WORK/status"
for role in keeper resolver control connection; do
    must "$role is serving" json_lines "$WORK/status" type=process "role=$role" state=serving >"$WORK/found"
done
equal "pids" "$(pgrep -P "$MGID_PID" | sort)" "$(json_lines "$WORK/status" type=process --print pid | sort)"
equal "workers" 2 "$(json_lines "$WORK/status" type=worker --count)"
equal "generation" 1 "$(json_lines "$WORK/status" type=daemon --print generation)"
must "for people" ctl status >"$WORK/text"
must "has a line a process" grep -Eq '^connection +outbound +1 +[0-9]+ +serving' "$WORK/text"
must "the empty queue" ctl --json queue list >"$WORK/queue"
equal "mails" 0 "$(json_lines "$WORK/queue" end=true --print mails)"

python3 - "$E2E" "$OUT_PORT" <<'MAILS'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session
for n in range(7):
    s = Session(sys.argv[2])
    s.command("EHLO client.example.ch")
    code, lines = s.content(f"from{n}@example.ch", ["one@example.org", f"to{n}@example.org"], b"Subject: x\r\n\r\nx\r\n")
    assert code == 250, lines
MAILS
waits()
{
    ctl --json queue list >"$WORK/queue"
    [ "$(json_lines "$WORK/queue" type=mail 'queue_name=deferred' --count)" = 7 ]
}
must "seven mails wait" wait_for 5 waits
equal "mails" 7 "$(json_lines "$WORK/queue" end=true --print mails)"
python3 - "$WORK/queue" <<'SHOWN'
import json, sys, time
mails = [json.loads(line) for line in open(sys.argv[1])]
mails = {m["sender"]: m for m in mails if m.get("type") == "mail"}
assert len({m["queue_id"] for m in mails.values()}) == 7
for n in range(7):
    mail = mails[f"from{n}@example.ch"]
    assert abs(mail["arrival_time"] - time.time()) < 60 and mail["message_size"] > 100, mail
    assert mail["flow"] == "outbound" and mail["worker"] in (0, 1), mail
    assert sorted(r["address"] for r in mail["recipients"]) == ["one@example.org", f"to{n}@example.org"]
    for r in mail["recipients"]:
        assert (r["route"], r["rule"], r["state"]) == ("sink", "all", "deferred") and r["attempts"] >= 1, r
        assert "refused" in r["delay_reason"], r
SHOWN
must "for people" ctl queue list >"$WORK/text"
must "says how many" grep -q '^7 mails' "$WORK/text"
must "counted" ctl --json status >"$WORK/status"
equal "mails in the queue" 7 "$(json_lines "$WORK/status" type=counters --print counters.queue_mails)"
equal "mails taken" 7 "$(json_lines "$WORK/status" type=counters --print counters.mails_accepted)"
equal "recipients taken" 14 "$(json_lines "$WORK/status" type=counters --print counters.recipients_accepted)"

start_sink sink 127.0.0.1 --no-starttls
empty()
{
    ctl --json queue list >"$WORK/queue"
    [ "$(json_lines "$WORK/queue" end=true --print mails)" = 0 ]
}
must "the server comes up and the queue gets empty" wait_for 15 empty
must "counted" ctl --json status >"$WORK/status"
equal "delivered" 14 "$(json_lines "$WORK/status" type=counters --print counters.deliveries_ok)"
equal "mails in the queue" 0 "$(json_lines "$WORK/status" type=counters --print counters.queue_mails)"

must "reload" ctl --json reload >"$WORK/reload"
must "the next generation" json_lines "$WORK/reload" end=true ok=true generation=2
equal "a wrong command" 64 "$(ctl frobnicate >"$WORK/text" 2>&1 || echo $?)"
stop "$MGID_PID"
must_not "nobody to ask" ctl status >"$WORK/text" 2>&1
must "says so" grep -q "$WORK/control" "$WORK/text"
