# A mail of 100 MB through a worker costs less than 1 MB of its memory, beyond the pools that smaller
# ones have filled before; it arrives as it was sent.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.1 --no-starttls --size 200000000
simple_policy "$SINK_PORT"
sed -i 's/"version": 1,/"version": 1, "limits": { "message_size": "120M" },/' "$POLICY"
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"
cat >"$WORK/send.py" <<'SEND'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session
line = b"a line of a mail that is rather large, of seventy characters or so\r\n"
s = Session(sys.argv[2], timeout=60)
s.command("EHLO client.example.ch")
for command in ("MAIL FROM:<from@example.ch>", f"RCPT TO:<{sys.argv[3]}>", "DATA"):
    s.command(command)
s.send(b"Subject: large\r\nMessage-ID: <1@example.ch>\r\nDate: Tue, 24 Nov 2026 12:00:00 +0000\r\nFrom: <from@example.ch>\r\n\r\n")
for _ in range(int(sys.argv[4]) * 1000000 // (len(line) * 1000)):
    s.send(line * 1000)
s.send(b".\r\n")
sys.exit(0 if s.reply()[0] == 250 else 1)
SEND
send()
{
    python3 "$WORK/send.py" "$E2E" "$OUT_PORT" "$1@example.org" "$2"
}
WORKER=$(role_pids connection)
kilobytes()
{
    sed -n "s/^$1:[^0-9]*\([0-9]*\) kB/\1/p" "/proc/$WORKER/status"
}
for i in 1 2 3; do
    must "a mail of 10 MB" send "warm$i" 10
    must "it arrives" wait_for 20 sink_has sink "warm$i@example.org"
done
echo 5 >"/proc/$WORKER/clear_refs" # the peak counts from here
before=$(kilobytes VmRSS)
must "a mail of 100 MB" send large 100
must "it arrives" wait_for 60 sink_has sink large@example.org
peak=$(kilobytes VmHWM)
printf 'resident: %s kB before, %s kB at most\n' "$before" "$peak"
((peak - before < 1024)) || fail "100 MB cost $((peak - before)) kB"
file=$(sink_mail sink large@example.org)
[ "$(without_received "$file" | wc -c)" -gt 99000000 ] || fail "it is shorter"
equal "lines that are not as sent" 0 "$(without_received "$file" | tail -n +6 | LC_ALL=C sort -u | grep -cv '^a line of a mail that is rather large, of seventy characters or so' || :)"
