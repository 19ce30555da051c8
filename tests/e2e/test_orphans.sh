# kill -9 of the master, with a client in DATA, an idle one and a delivery that gets no answer: no
# process is left, the port is free, and a new start takes the spool and the admin socket over.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.1 --no-starttls --delay 60000
WORKERS=2
simple_policy "$SINK_PORT"
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"
cat >"$WORK/open.py" <<'OPEN'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Cut, Session
port = sys.argv[2]
idle, busy, done = (Session(port) for _ in range(3))
for s in (busy, done):
    s.command("EHLO client.example.ch")
assert done.mail("anna@example.ch", ["waits@example.org"], b"Subject: x\r\n\r\nx") == 250
assert busy.command("MAIL FROM:<anna@example.ch>") == 250
assert busy.command("RCPT TO:<half@example.org>") == 250
assert busy.command("DATA") == 354
busy.send(b"Subject: half\r\n\r\nhalf")
print("ready", flush=True)
for s in (idle, busy):
    try:
        print("a line:", s.line(), flush=True)
    except Cut as cut:
        print("cut:", cut, flush=True)
OPEN
spawn open python3 "$WORK/open.py" "$E2E" "$OUT_PORT"
OPEN_PID=$SPAWNED
must "sessions are open" wait_for 10 grep -q ready "$WORK/open.log"
equal "processes" 6 "$(($(pgrep -P "$MGID_PID" | wc -l) + 1))"
mapfile -t pids < <(pgrep -P "$MGID_PID")
first=$MGID_PID
kill_master
# Nor anyone else in the session that the master led.
living()
{
    local pid
    for pid in $(pgrep -s "$first"); do
        alive "$pid" && return 0
    done
    return 1
}
must_not "a process is left in the master's session" living
for pid in "${pids[@]}"; do
    must_not "process $pid is left" alive "$pid"
done
must "the clients are cut off" wait_for 5 gone "$OPEN_PID"
equal "without a word" 2 "$(grep -c '^cut: ' "$WORK/open.log")"
must_not "nobody listens" answers 127.0.0.1 "$OUT_PORT"
must "mgid starts again" start_mgid "$POLICY" "$OUT_PORT"
answered()
{
    "$MGICTL" --socket "$WORK/control" --json queue list >"$WORK/queue"
}
must "the admin socket answers" wait_for 5 answered
must "what was taken is there" grep -q waits@example.org "$WORK/queue"
must_not "what was not is not" grep -q half@example.org "$WORK/queue"
stop "$SINK_PID" # mgid's end need not wait for its answer
