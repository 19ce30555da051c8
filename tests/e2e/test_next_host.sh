# A host that takes connections and then breaks every transaction off must not keep a mail from the
# route's next host.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink cut 127.0.0.1 --no-starttls --drop-after 0
CUT=$SINK_PORT
start_sink good 127.0.0.1 --no-starttls
RETRY_FIRST=1s RETRY_MAX=2s write_policy <<JSON
  "routes": { "pair": { "hosts": ["127.0.0.1:$CUT", "127.0.0.1:$SINK_PORT"] } },
  "flows": { $(outbound_flow '{ "name": "all", "route": "pair" }') }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"
must "taken" send_mail anna@example.ch hans@example.org 'the second host'
must "the break is told" wait_for 10 log_has event=deferred recipient=hans@example.org
must "arrives at the second host" wait_for 10 sink_has good hans@example.org
must "is logged" wait_for 10 log_has event=delivered recipient=hans@example.org
