# What a flow mends: a mail of an own program gets the Message-ID and the Date that it lacks, once,
# and bare LFs become CRLF; neither opens a way for a second mail.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.1 --no-starttls
write_policy <<JSON
  "routes": { "sink": { "hosts": ["127.0.0.1:$SINK_PORT"] } },
  "flows": {
    "outbound": { "listen": ["127.0.0.1:$OUT_PORT"], "accept_from": ["exchange"],
      "complete": ["message-id", "date"], "bare_lf": "normalise",
      "rules": [
        { "name": "own", "when": { "recipient": "rule@sink.example" }, "route": "sink",
          "set_header": { "Message-ID": "<rule@example.ch>" }, "prefix_subject": "<x> " },
        { "name": "rest", "route": "sink" } ] }
  }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

python3 - "$E2E" "$OUT_PORT" <<'SEND'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session

def send(recipients, content):
    s = Session(sys.argv[2])
    s.command("EHLO client.example.ch")
    assert s.command("MAIL FROM:<a@example.ch>") == 250
    for r in recipients:
        assert s.command(f"RCPT TO:<{r}@sink.example>") == 250
    assert s.command("DATA") == 354
    s.send(content + b"\r\n.\r\n")
    assert s.reply()[0] == 250
    s.send(b"NOOP\r\n")
    assert s.reply()[0] == 250
    s.send(b"QUIT\r\n")
    assert s.reply()[0] == 221, "a reply too many"
    s.close()

send(["none", "rule"], b"Subject: s\r\n\r\nbody")
send(["both"], b"message-id : <his@example.ch>\r\nSubject: s\r\nDATE: Tue, 24 Nov 2026 12:00:00 +0100\r\n\r\nbody")
send(["id"], b"Message-ID: <his@example.ch>\r\nSubject: s\r\n\r\nbody")
send(["large"], b"Subject: s\r\n\r\n" + (b"x" * 70 + b"\r\n") * 6000)
send(["text"], b"Subject: s\nX: y\n\none\n.\nMAIL FROM:<b@example.ch>\nRCPT TO:<victim@sink.example>\nDATA\n..two\n.\r\nend")
SEND
for name in none rule both id large text; do
    must "$name arrives" wait_for 10 sink_has sink "$name@sink.example"
done
must_not "nothing was smuggled" sink_has sink victim@sink.example
must_not "the next server found no fault" grep -E '"fault":"[^"]' "$WORK/sink.log"

python3 - $(for name in none rule both id large text; do sink_mail sink "$name@sink.example"; done) <<'LOOK'
import re, sys
mails = {}
for name, path in zip("none rule both id large text".split(), sys.argv[1:]):
    head, body = open(path, "rb").read().split(b"\r\n\r\n", 1)
    fields = re.sub(rb"\r\n[ \t]", b" ", head).split(b"\r\n")
    mails[name] = body, {n: [f.split(b":", 1)[1].strip() for f in fields if f.split(b":")[0].strip().lower() == n]
                         for n in (b"message-id", b"date", b"subject", b"received")}

def same(what, wanted, found):
    if wanted != found:
        raise SystemExit(f"{what}: wanted {wanted!r}, found {found!r}")

for name in "none", "large", "text":
    fields = mails[name][1]
    queue_id = re.search(rb" id ([0-9a-z]+)", fields[b"received"][0]).group(1)
    same(name, [b"<" + queue_id + b"@mx1.example.ch>"], fields[b"message-id"])
    same(name, [fields[b"received"][0].rsplit(b";", 1)[1].strip()], fields[b"date"])
same("a rule's own", [b"<rule@example.ch>"], mails["rule"][1][b"message-id"])
same("a rule's subject", [b"<x> s"], mails["rule"][1][b"subject"])
same("the date beside a rule", 1, len(mails["rule"][1][b"date"]))
same("the sender's id", [b"<his@example.ch>"], mails["both"][1][b"message-id"])
same("the sender's date", [b"Tue, 24 Nov 2026 12:00:00 +0100"], mails["both"][1][b"date"])
same("the sender's id, our date", (1, 1), (len(mails["id"][1][b"message-id"]), len(mails["id"][1][b"date"])))
same("the large body", (b"x" * 70 + b"\r\n") * 6000 + b"\r\n", mails["large"][0])
same("the text", b"one\r\n.\r\nMAIL FROM:<b@example.ch>\r\nRCPT TO:<victim@sink.example>\r\nDATA\r\n..two\r\n.\r\nend\r\n",
     mails["text"][0])
LOOK
