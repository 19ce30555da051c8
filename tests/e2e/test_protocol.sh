# The dialogue: offers, order, lengths, parameters, as RFC 5321 wants them.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.1 --no-starttls
simple_policy "$SINK_PORT"
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

python3 - "$E2E" "$OUT_PORT" <<'TALK'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Cut, Session

port = sys.argv[2]
s = Session(port)
assert s.greeting[0] == 220 and "mx1.example.ch" in s.greeting[1][0], s.greeting
assert s.command("MAIL FROM:<a@example.ch>") == 503
s.send(b"EHLO client.example.ch\r\n")
offers = {line[4:].split()[0] for line in s.reply()[1][1:]}
assert {"PIPELINING", "SIZE", "8BITMIME", "STARTTLS", "ENHANCEDSTATUSCODES"} <= offers, offers
for command, code in (("RCPT TO:<b@example.org>", 503), ("DATA", 503), ("FROB", 500), ("NOOP", 250),
                      ("RSET", 250), ("MAIL FROM:a@example.ch", 501), ("MAIL FROM:<a@example.ch> FOO=1", 555),
                      ("MAIL FROM:<a@example.ch> SIZE=99999999999", 552),
                      ("MAIL FROM:<a@example.ch> SIZE=abc", 501),
                      ("MAIL FROM:<a@example.ch>", 250), ("MAIL FROM:<a@example.ch>", 503),
                      ("DATA", 503), ("RCPT TO:<>", 501), ("RCPT TO:<b@example.org>", 250)):
    got = s.command(command)
    assert got == code or (command == "DATA" and got == 554), (command, got)
assert s.command("NOOP " + "x" * 5000) == 500
assert s.command("QUIT") == 221 and s.ended()

# All in one piece (RFC 2920).
s = Session(port)
s.command("EHLO client.example.ch")
s.send(b"MAIL FROM:<a@example.ch>\r\nRCPT TO:<one@example.org>\r\nRCPT TO:<two@example.org>\r\nDATA\r\n")
assert [s.reply()[0] for _ in range(4)] == [250, 250, 250, 354]
s.send(b"Subject: pipelined\r\n\r\nx\r\n.\r\nMAIL FROM:<a@example.ch>\r\nRSET\r\nQUIT\r\n")
assert [s.reply()[0] for _ in range(4)] == [250, 250, 250, 221]

# A command byte by byte.
s = Session(port)
for byte in b"EHLO client.example.ch\r\n":
    s.send(bytes([byte]))
assert s.reply()[0] == 250
# An endless line ends the session or is refused, and costs no memory.
s.send(b"x" * 100000)
try:
    s.send(b"\r\n")
    assert s.reply()[0] >= 500
except Cut:
    pass
TALK
must "the pipelined mail arrives" wait_for 10 sink_has sink one@example.org
