# What the next server says decides: 4xx waits and is tried again, 5xx bounces, a cut connection
# is tried again; one refused recipient does not harm the others.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.1 --no-starttls --reply-rcpt 'later@example.org=450 4.2.0 come again' \
    --reply-rcpt 'never@example.org=550 5.1.1 nobody here'
SINK=$SINK_PORT
start_sink cut 127.0.0.1 --no-starttls --drop-after 0
CUT=$SINK_PORT
CUT_PID=$SINK_PID
start_sink busy 127.0.0.1 --no-starttls --greeting '421 4.3.2 too busy'
RULES='
    { "name": "cut", "when": { "recipient": "cut@example.org" }, "route": "cut" },
    { "name": "busy", "when": { "recipient": "busy@example.org" }, "route": "busy" },
    { "name": "rest", "route": "sink" }'
RETRY_FIRST=1s RETRY_MAX=2s write_policy <<JSON
  "routes": { "sink": { "hosts": ["127.0.0.1:$SINK"] }, "cut": { "hosts": ["127.0.0.1:$CUT"] },
    "busy": { "hosts": ["127.0.0.1:$SINK_PORT", "127.0.0.1:$SINK"] } },
  "flows": { $(outbound_flow "$RULES") }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

must "taken" send_mail anna@example.ch good@example.org,later@example.org,never@example.org x
must "the good one arrives" wait_for 10 sink_has sink good@example.org
must "the other is deferred" wait_for 10 log_has event=deferred recipient=later@example.org 'reason~come again'
must "the third bounces" wait_for 10 log_has event=bounced recipient=never@example.org
must "and its sender is told" wait_for 10 sink_has sink anna@example.ch
equal "the good one came once" 1 "$(json_lines "$WORK/sink.log" event=mail recipients=good@example.org --count)"
retried()
{
    (($(json_lines "$WORK/mgid.log" event=deferred recipient=later@example.org --count) >= 2))
}
must "and is tried again" wait_for 15 retried

queue_names()
{
    "$MGICTL" --socket "$WORK/control" --json queue list >"$WORK/queue"
    grep -q "$1" "$WORK/queue"
}
must "the queue shows what waits, and why" queue_names 'later@example.org.*come again'
must_not "and not what is done" queue_names good@example.org

must "taken" send_mail anna@example.ch cut@example.org x
must "a connection that is cut defers" wait_for 10 log_has event=deferred recipient=cut@example.org
stop "$CUT_PID"
SINK_PORT_WANTED=$CUT start_sink whole 127.0.0.1 --no-starttls
must "and leads to another try" wait_for 20 sink_has whole cut@example.org

must "taken" send_mail anna@example.ch busy@example.org x
must "a host that greets with 421 is passed over for the next" wait_for 10 sink_has sink busy@example.org

# A second start finds the queue.
kill_master
must "mgid starts again" start_mgid "$POLICY" "$OUT_PORT"
must "the queue was kept" wait_for 10 queue_names later@example.org
