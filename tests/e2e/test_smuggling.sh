# SMTP smuggling: only CRLF ends a line, only CRLF.CRLF a mail. Whatever stands between must not
# make a second mail, neither here nor at the next server, which is strict and would say so.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.1 --no-starttls
simple_policy "$SINK_PORT"
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

python3 - "$E2E" "$OUT_PORT" <<'SMUGGLE'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Cut, Session

port = sys.argv[2]
ends = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\n.\r", b"\r.\n",
        b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\r\r\n.\r\r\n", b"\n\r\n.\n\r\n"]
inner = b"MAIL FROM:<smuggled@example.org>\r\nRCPT TO:<victim@example.org>\r\nDATA\r\nSubject: smuggled\r\n\r\nx"
for number, end in enumerate(ends):
    s = Session(port)
    s.command("EHLO evil.example")
    assert s.command("MAIL FROM:<a@example.ch>") == 250
    assert s.command(f"RCPT TO:<carrier{number}@example.org>") == 250
    assert s.command("DATA") == 354
    s.send(b"Subject: carrier\r\n\r\nbody" + end + inner + b"\r\n.\r\n")
    try:
        code, _ = s.reply()
        # Refused, or taken as one mail: then the next reply is to NOOP, not to the smuggled MAIL.
        if code == 250:
            s.send(b"NOOP\r\n")
            assert s.reply()[0] == 250
            s.socket.settimeout(0.3)
            try:
                raise SystemExit(f"{end!r}: a reply too many: {s.line()}")
            except Cut:
                pass
        else:
            assert 500 <= code < 600, (end, code)
    except Cut:
        pass
    s.close()

# A command line that ends in a bare LF is no command.
s = Session(port)
s.send(b"EHLO x\n")
try:
    assert s.reply()[0] >= 500
except Cut:
    pass
# The server has survived all of it.
s = Session(port)
s.command("EHLO client.example.ch")
assert s.mail("a@example.ch", ["last@example.org"], b"Subject: last\r\n\r\nx") == 250
SMUGGLE
must "an ordinary mail arrives after all that" wait_for 10 sink_has sink last@example.org
must_not "nothing was smuggled" sink_has sink victim@example.org
must_not "nothing was smuggled" json_lines "$WORK/sink.log" event=mail from=smuggled@example.org
must_not "the next server found no fault" grep -E '"fault":"[^"]' "$WORK/sink.log"
