# A next attempt that lies further ahead than any wait of the policy, as after a clock that was set
# back (or a policy that waits less than the one before), is not waited for: the longest wait is.
source "$(dirname "$0")/lib.sh"
e2e_begin
SINK_PORT=$(free_port)
RETRY_FIRST=6d
RETRY_MAX=7d
LIFETIME=20d
simple_policy "$SINK_PORT"
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"
must "taken" send_mail anna@example.ch hans@example.org 'a subject'
must "deferred for days" wait_for 10 log_has event=deferred recipient=hans@example.org
stop "$MGID_PID"
RETRY_FIRST=1s
RETRY_MAX=2s
simple_policy "$SINK_PORT"
SINK_PORT_WANTED=$SINK_PORT start_sink sink 127.0.0.1 --no-starttls
must "mgid starts again" start_mgid "$POLICY" "$OUT_PORT"
must "it arrives" wait_for 10 sink_has sink hans@example.org
