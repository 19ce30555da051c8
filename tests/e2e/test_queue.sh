# The operator's hand on the queue: filters, hold and release, retry, suspend and resume, redirect,
# bounce, delete; and that hold and suspension outlive a restart.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.1 --no-starttls
DEAD=$(free_port)
RULES='
    { "name": "dead", "when": { "recipient": "*@dead.example" }, "route": "dead" },
    { "name": "gone", "when": { "recipient": "*@gone.example" }, "route": "gone" },
    { "name": "rest", "route": "sink" }'
RETRY_FIRST=10m RETRY_MAX=20m write_policy <<JSON
  "routes": { "sink": { "hosts": ["127.0.0.1:$SINK_PORT"] }, "dead": { "hosts": ["127.0.0.1:$DEAD"] },
              "gone": { "hosts": ["127.0.0.1:$DEAD"] } },
  "flows": { $(outbound_flow "$RULES") }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"
ctl()
{
    "$MGICTL" --socket "$WORK/control" "$@"
}
must "mgictl reaches it" wait_for 5 ctl status

# number KEY FILE: of its last line.
number()
{
    tail -n 1 "$2" | sed -n "s/.*\"$1\":\([0-9]*\).*/\1/p"
}
mails()
{
    ctl --json queue list "$@" >"$WORK/queue"
    number mails "$WORK/queue"
}
has()
{
    local n=$1
    shift
    [ "$(mails "$@")" = "$n" ]
}
id_of()
{
    ctl --json queue list --sender "$1" >"$WORK/queue"
    json_lines "$WORK/queue" type=mail --print queue_id
}
# done_to MAILS RECIPIENTS COMMAND…
done_to()
{
    local mails=$1 recipients=$2
    shift 2
    ctl --json "$@" >"$WORK/done"
    equal "mails of $*" "$mails" "$(number mails "$WORK/done")"
    equal "recipients of $*" "$recipients" "$(number recipients "$WORK/done")"
}
delivered()
{
    json_lines "$WORK/sink.log" event=mail "$@" >/dev/null
}

python3 - "$E2E" "$OUT_PORT" <<'MAILS'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session
s = Session(sys.argv[2])
s.command("EHLO client.example.ch")
for n in range(6):
    to = [f"to{n}@dead.example"] + (["two@dead.example", "other@gone.example"] if n == 5 else [])
    code, lines = s.content(f"from{n}@example.ch", to, b"Subject: x\r\n\r\n" + b"x" * 70 * (n == 4) * 1 + b"\r\n" * (1 + 1000 * (n == 4)))
    assert code == 250, lines
MAILS
must "six mails wait" wait_for 5 has 6 --reason refused

# ---- filters
equal "by sender" 1 "$(mails --sender from3@example.ch)"
equal "by the sender's domain" 6 "$(mails --sender example.ch)"
equal "by recipient" 1 "$(mails --recipient '*@gone.example')"
equal "by a recipient's pattern" 6 "$(mails --recipient 't*@dead.example')"
equal "by route" 1 "$(mails --route gone)"
must_not "only that recipient is shown" grep -q two@dead.example "$WORK/queue"
equal "by reason, all must hold" 0 "$(mails --reason 'no such reason' --sender example.ch)"
equal "by size" 1 "$(mails --size 2K)"
equal "by size, at most" 5 "$(mails --size -2K)"
equal "old ones" 0 "$(mails --age 1h)"
equal "young ones" 6 "$(mails --age -1h)"
equal "at most" 2 "$(mails --limit 2)"
equal "of another flow" 0 "$(mails --flow inbound)"
ID=$(id_of from0@example.ch)
equal "by id" 1 "$(mails "$ID")"
must "one mail in full" ctl queue show "$ID" >"$WORK/text"
must "with its route" grep -q 'route *dead' "$WORK/text"
equal "a mail that is not there" 66 "$(ctl queue show 0000000000000 >"$WORK/text" 2>&1 || echo $?)"
equal "no filter, no mails" 64 "$(ctl queue delete >"$WORK/text" 2>&1 || echo $?)"
done_to 6 8 queue delete --all --dry-run
equal "nothing was done" 6 "$(mails)"

# ---- hold, suspend: over a restart
done_to 1 1 queue hold "$ID"
done_to 0 0 queue hold "$ID"
must "suspend" ctl suspend sink >"$WORK/text"
must "it says so" grep -q 'sink suspended' "$WORK/text"
must "a mail is taken for it" send_mail waits@example.ch to@example.org suspended
equal "a route that is not there" 75 "$(ctl suspend nothing >"$WORK/text" 2>&1 || echo $?)"
stop "$MGID_PID"
must "mgid starts again" start_mgid "$POLICY" "$OUT_PORT"
must "seven mails wait" wait_for 5 has 7
equal "one held" hold "$(ctl --json queue list "$ID" >"$WORK/queue"; json_lines "$WORK/queue" type=mail --print queue_name)"
must "nothing went out by the suspended route" wait_for 5 has 1 --reason suspended
must_not "not to the sink" delivered from=waits@example.ch
must "resume" ctl resume sink >"$WORK/text"
must "it goes out" wait_for 5 delivered from=waits@example.ch

# ---- redirect: to a route, to an address
done_to 1 1 queue redirect --sender from1@example.ch --to sink
must "it goes by the other route" wait_for 5 delivered from=from1@example.ch
equal "a route that is not there" 75 "$(ctl queue redirect --all --to nothing >"$WORK/text" 2>&1 || echo $?)"
done_to 1 1 queue redirect --recipient to2@dead.example --to instead@example.org
must "the route stays with the recipient" wait_for 5 has 1 --recipient instead@example.org --route dead
done_to 1 1 queue redirect --sender from2@example.ch --to sink
must "it goes to the other address" wait_for 5 delivered from=from2@example.ch recipients=instead@example.org

# ---- bounce: one recipient of a mail; the others stay
done_to 1 1 queue bounce --recipient other@gone.example
must "the sender is told" wait_for 5 delivered from= recipients=from5@example.ch
must "the others wait" wait_for 5 has 1 --sender from5@example.ch
done_to 1 2 queue delete --sender from5@example.ch --dry-run

# By id alone: that mail's recipients, whatever was asked for before.
FROM3=$(id_of from3@example.ch)
equal "to nobody" 0 "$(mails --recipient nobody@example.ch)"
done_to 1 1 queue bounce "$FROM3"
must "its sender is told" wait_for 5 delivered from= recipients=from3@example.ch

# ---- a held mail that was redirected is no longer the old route's
HELD=$(id_of from4@example.ch)
done_to 1 1 queue hold "$HELD"
done_to 1 1 queue redirect "$HELD" --to sink
must "it goes by the other route" wait_for 5 has 1 --route sink
done_to 2 3 queue delete --route dead --dry-run

# ---- delete: one of two recipients, a held mail, the rest
done_to 1 1 queue delete --recipient two@dead.example
equal "the other one stays" 1 "$(mails --sender from5@example.ch)"
done_to 1 1 queue release "$ID"
done_to 1 1 queue hold "$ID"
done_to 2 2 queue delete --route dead
done_to 1 1 queue release "$HELD"
must "what was redirected goes out" wait_for 5 delivered from=from4@example.ch
must "the queue is empty" wait_for 5 has 0
must "counted" ctl --json status >"$WORK/status"
equal "recipients" 0 "$(json_lines "$WORK/status" type=counters --print counters.queue_recipients)"

# ---- the next start finds nothing either
stop "$MGID_PID"
must "mgid starts again" start_mgid "$POLICY" "$OUT_PORT"
must "still empty" wait_for 5 has 0

# ---- a mail that can't be read back is not passed over in silence
must "a mail is taken" send_mail torn@example.ch to@dead.example torn
must "it waits" wait_for 5 has 1 --reason refused
python3 - "$WORK/spool" <<'TEAR'
import pathlib, sys
torn = 0
for path in pathlib.Path(sys.argv[1]).rglob("*"):
    if path.is_file() and (at := path.read_bytes().find(b"torn@example.ch")) >= 0:
        with path.open("r+b") as file:
            file.seek(at)
            file.write(b"x")
        torn += 1
assert torn > 0
TEAR
equal "the list is not whole" 75 "$(ctl queue list >"$WORK/text" 2>&1 || echo $?)"
must "and says so" grep -q "1 mail can't be read from the spool" "$WORK/text"
equal "nor is an export" 75 "$(ctl queue export --all "$WORK/export" >"$WORK/text" 2>&1 || echo $?)"
equal "a filter by sender counts it" 75 "$(ctl --json queue delete --sender torn@example.ch >"$WORK/done" 2>&1 || echo $?)"
equal "as one that was left" 1 "$(number busy "$WORK/done")"
done_to 1 1 queue delete --route dead
