# BDAT (RFC 3030): whatever the chunks, the next server gets the octets that the client sent, and no
# more; nothing in them is taken for a command or for the end of the message.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.1 --no-starttls
write_policy <<JSON
  "routes": { "sink": { "hosts": ["127.0.0.1:$SINK_PORT"] } },
  "flows": { $(outbound_flow '{ "name": "away", "when": { "recipient": "away@example.org" }, "discard": true },
                              { "name": "all", "route": "sink" }') }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

python3 - "$E2E" "$OUT_PORT" "$WORK" <<'SEND'
import random
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session

port, work = sys.argv[2], sys.argv[3]
random.seed(3030)
head = b"Subject: chunks\r\n\r\n"
mails = {
    "dots": head + b".\r\n..\r\n.x\r\n\r\n.\r\nQUIT\r\n",
    "commands": head + b"RSET\r\nBDAT 5 LAST\r\nDATA\r\n.\r\nMAIL FROM:<x@example.org>\r\n",
    "headless": b"\r\n.",
    "eight": head + bytes(range(0x80, 0x100)) + b"\r\n",
    "inline": head + (b"x" * 76 + b"\r\n") * 3000,
    "whole": head + (b".z" * 38 + b"\r\n") * 10000,
    "large": head + (b".y" * 38 + b"\r\n") * 20000,
}
for name, content in mails.items():
    s = Session(port)
    s.command("EHLO client.example")
    # All in one go: envelope, chunks of any size, empty ones among them, QUIT.
    out = f"MAIL FROM:<a@example.ch> SIZE={len(content)}\r\nRCPT TO:<{name}@example.org>\r\n".encode()
    at, chunks = 0, 0
    while at < len(content):
        n = len(content) if name == "whole" else random.choice([0, 1, 3, 100, 5000, 65536])
        piece = content[at:at + n]
        at += n
        chunks += 1
        out += f"BDAT {len(piece)}\r\n".encode() + piece
    out += b"BDAT 0 LAST\r\nQUIT\r\n"
    s.send(out)
    codes = [s.reply()[0] for _ in range(chunks + 4)]
    assert codes == [250] * (chunks + 3) + [221], (name, codes)
    assert s.ended()
    with open(f"{work}/{name}.sent", "wb") as f:
        f.write(content)

# One chunk at a time, each answered before the next is sent: the end of a chunk may be just where
# the session waits for its file, and nothing more comes to wake it up.
for secured in (False, True):
    s = Session(port)
    s.command("EHLO client.example")
    if secured:
        assert s.starttls() == 220
        s.command("EHLO client.example")
    for lines in range(3500, 9500, 150):
        content = head + (b"w" * 77 + b"\r\n") * lines
        s.send(b"MAIL FROM:<a@example.ch>\r\nRCPT TO:<away@example.org>\r\n")
        assert [s.reply()[0], s.reply()[0]] == [250, 250]
        s.send(f"BDAT {len(content)}\r\n".encode() + content)
        assert s.reply()[0] == 250
        assert s.command("BDAT 0 LAST") == 250
SEND

all_arrived()
{
    [ "$(grep -c '"event":"mail"' "$WORK/sink.log")" = 7 ]
}
must "all arrive" wait_for 20 all_arrived
python3 - "$WORK" <<'COMPARE'
import json
import re
import sys

work, seen = sys.argv[1], set()
for line in open(f"{work}/sink.log", encoding="utf-8"):
    event = json.loads(line)
    if event["event"] != "mail":
        continue
    assert not event.get("fault"), event
    name = event["recipients"][0].partition("@")[0]
    got = open(event["file"], "rb").read()
    sent = open(f"{work}/{name}.sent", "rb").read()
    got, cut = re.subn(rb"\AReceived:[^\n]*\n(?:[ \t][^\n]*\n)*", b"", got)
    # DATA ends the last line where BDAT did not.
    assert cut == 1 and got == sent + (b"" if sent.endswith(b"\r\n") else b"\r\n"), name
    seen.add(name)
assert len(seen) == 7, seen
COMPARE
