# A rule keeps a mail back: it waits, over a restart too, until an operator lets it go; others pass.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.1 --no-starttls
RULES='
    { "name": "quarantine", "when": { "subject": { "contains": "[spam]" } }, "hold": true, "route": "sink" },
    { "name": "rest", "route": "sink" }'
write_policy <<JSON
  "routes": { "sink": { "hosts": ["127.0.0.1:$SINK_PORT"] } },
  "flows": { $(outbound_flow "$RULES") }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"
must "one that is held" send_mail anna@example.ch held@example.org '[spam] x'
must "one that is not" send_mail anna@example.ch free@example.org 'x'
must "which arrives" wait_for 10 sink_has sink free@example.org
held()
{
    "$MGICTL" --socket "$WORK/control" --json queue list >"$WORK/queue"
    [ "$(json_lines "$WORK/queue" type=mail --print queue_name)" = hold ]
}
must "the other is held" wait_for 10 held
kill_master
must "mgid starts again" start_mgid "$POLICY" "$OUT_PORT"
must "it still is held" wait_for 10 held
must_not "and was not delivered" sink_has sink held@example.org
must "released" "$MGICTL" --socket "$WORK/control" queue release --all >"$WORK/released"
must "it arrives" wait_for 10 sink_has sink held@example.org
