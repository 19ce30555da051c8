# Little room on the disk: a mail that says that it is larger than what is left above the watermark
# is put off at MAIL (RFC 1870 6.1), a smaller one is taken; below the watermark none is.
source "$(dirname "$0")/lib.sh"
e2e_begin
unmount()
{
    local status=$?
    stop_all
    umount "$WORK/spool"
    (exit "$status")
    e2e_judge
}
mkdir "$WORK/spool"
mount -t tmpfs -o size=256m,mode=755 none "$WORK/spool"
trap unmount EXIT
start_sink sink 127.0.0.1 --no-starttls
write_policy <<JSON
  "limits": { "message_size": "512M" },
  "routes": { "sink": { "hosts": ["127.0.0.1:$SINK_PORT"] } },
  "flows": { $(outbound_flow '{ "name": "all", "route": "sink" }') }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

# mail_says SIZE: the code of the reply to MAIL.
mail_says()
{
    python3 - "$E2E" "$OUT_PORT" "$1" <<'MAIL'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session
s = Session(sys.argv[2])
s.command("EHLO client.example")
print(s.command(f"MAIL FROM:<a@example.ch> SIZE={sys.argv[3]}"))
MAIL
}

equal "a mail that has room" 250 "$(mail_says 20000000)"
equal "a mail that has none" 452 "$(mail_says 200000000)"
head -c 150000000 /dev/zero >"$WORK/spool/other"
must "the worker sees it" wait_for 5 log_has event="spool low"
equal "any mail, below the watermark" 452 "$(mail_says 1000)"
rm "$WORK/spool/other"
must "the worker sees it" wait_for 5 log_has event="spool has room again"
must "room again" send_mail a@example.ch hans@example.org 'room again'
must "arrives" wait_for 10 sink_has sink hans@example.org
