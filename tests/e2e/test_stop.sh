# SIGTERM finishes what is open: a client in the middle of DATA gets its 250, who comes then is
# refused, mgid ends with 0, and the mail is on disk for the next start. SIGUSR1: a new log file.
source "$(dirname "$0")/lib.sh"
e2e_begin
SINK_PORT_WANTED=$(free_port)
simple_policy "$SINK_PORT_WANTED"
LOG=$WORK/mgid-events.log
sed -i "s|\"version\": 1,|\"version\": 1, \"log\": { \"file\": \"$LOG\" },|" "$POLICY"
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

# --- the log is rotated
must "before" send_mail anna@example.ch before@example.org x
must "is logged" wait_for 5 json_lines "$LOG" event=accepted sender=anna@example.ch
mv "$LOG" "$WORK/mgid-events.1"
kill -USR1 "$MGID_PID"
must "a new file" wait_for 5 test -e "$LOG"
must "after" send_mail berta@example.ch after@example.org x
must "is logged there" wait_for 5 json_lines "$LOG" event=accepted sender=berta@example.ch
must_not "and not in the old one" grep -q berta@example.ch "$WORK/mgid-events.1"
must_not "which keeps what it has" grep -q anna@example.ch "$LOG"

# --- the end
mkfifo "$WORK/go"
cat >"$WORK/held.py" <<'HELD'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Cut, Session
port, work = sys.argv[2:]
idle, busy, large = (Session(port) for _ in range(3))
for s in (idle, busy, large):
    s.command("EHLO client.example.ch")
for s, name in ((busy, "busy"), (large, "large")):
    assert s.command("MAIL FROM:<anna@example.ch>") == 250
    assert s.command(f"RCPT TO:<{name}@example.org>") == 250
    assert s.command("DATA") == 354
busy.send(b"Subject: half\r\n\r\nfirst ")
large.send(b"Subject: half\r\n\r\n" + b"0123456789\r\n" * 40000)
print("ready", flush=True)
open(work + "/go").read()
try:
    code = idle.command("MAIL FROM:<late@example.ch>")
    assert code == 421, f"the idle session: {code}"
except Cut:
    pass
busy.send(b"and last\r\n.\r\n")
assert busy.reply()[0] == 250
large.send(b"0123456789\r\n" * 40000 + b".\r\n")
assert large.reply()[0] == 250
for s in (busy, large):
    try:
        code = s.command("MAIL FROM:<late@example.ch>")
        assert code == 421, f"a next mail: {code}"
    except Cut:
        pass
print("done", flush=True)
HELD
spawn session python3 "$WORK/held.py" "$E2E" "$OUT_PORT" "$WORK"
must "two clients are in the middle of DATA" wait_for 10 grep -q ready "$WORK/session.log"
kill -TERM "$MGID_PID"
must "it is stopping" wait_for 5 json_lines "$LOG" event=draining
must_not "who comes now is refused" answers 127.0.0.1 "$OUT_PORT"
must "it waits for the clients" alive "$MGID_PID"
echo >"$WORK/go"
wait_for 10 grep -q done "$WORK/session.log" || fail "the clients: $(cat "$WORK/session.log")"
must "then it ends" wait_for 10 gone "$MGID_PID"
status=0
wait "$MGID_PID" || status=$?
equal "exit status" 0 "$status"

# --- the next start
start_sink sink 127.0.0.1 --no-starttls
must "mgid starts again" start_mgid "$POLICY" "$OUT_PORT"
for name in before after busy large; do
    must "$name arrives" wait_for 20 sink_has sink "$name@example.org"
    equal "copies for $name" 1 "$(json_lines "$WORK/sink.log" event=mail "recipients=$name@example.org" --count)"
done
printf 'Subject: half\r\n\r\nfirst and last\r\n' >"$WORK/busy"
{
    printf 'Subject: half\r\n\r\n'
    for ((i = 0; i < 80000; i++)); do printf '0123456789\r\n'; done
} >"$WORK/large"
for name in busy large; do
    must "$name is whole" cmp "$WORK/$name" <(without_received "$(sink_mail sink "$name@example.org")")
done
