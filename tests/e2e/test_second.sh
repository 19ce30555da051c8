# A second mgid on the same spool is refused, and does not disturb the first.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.1 --no-starttls
simple_policy "$SINK_PORT"
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"
sed -e "s|127.0.0.1:$OUT_PORT|127.0.0.1:$IN_PORT|" -e "s|$WORK/control|$WORK/control2|" "$POLICY" >"$WORK/second.json"
status=0
timeout 20 "$MGID" -p "$WORK/second.json" >"$WORK/second.log" 2>&1 || status=$?
equal "the second one's exit status" 75 "$status"
must "it says why" grep -q "pid $MGID_PID" "$WORK/second.log"
must_not "it does not listen" answers 127.0.0.1 "$IN_PORT"
must "the first goes on" send_mail anna@example.ch one@example.org x
must "as before" wait_for 10 sink_has sink one@example.org

# Told to stop, it leaves nobody and nothing but its spool.
mapfile -t pids < <(pgrep -P "$MGID_PID")
stop "$MGID_PID"
for pid in "${pids[@]}"; do
    must "process $pid has ended" gone "$pid"
done
must_not "the admin socket is gone" test -e "$WORK/control"
