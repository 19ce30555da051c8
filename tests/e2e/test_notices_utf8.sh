# Notifications of internationalized mail (RFC 6533): to a sender whose address is not ASCII they go
# with SMTPUTF8, in message/global-* parts; to one whose mail came without SMTPUTF8 they are 7 bit. A
# next hop that offers DSN reports success itself, so we don't.
source "$(dirname "$0")/lib.sh"
e2e_begin
mkdir "$WORK/sink"
spawn utf8_sink python3 "$E2E/utf8_sink.py" "$WORK/sink"
must "the sink is there" wait_for 10 test -e "$WORK/sink/port"
simple_policy "$(cat "$WORK/sink/port")"
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

cat >"$WORK/send.py" <<'SEND'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session

s = Session(sys.argv[2])
s.command("EHLO client.example.ch")


def say(line):
    s.send(line.encode() + b"\r\n")
    code, lines = s.reply()
    assert code < 400, (line, lines)


def mail(sender, parameters, recipients, subject):
    say(f"MAIL FROM:<{sender}>{parameters}")
    for recipient in recipients:
        say(f"RCPT TO:{recipient}")
    say("DATA")
    s.send(f"From: <{sender}>\r\nSubject: {subject}\r\n\r\nx\r\n.\r\n".encode())
    assert s.reply()[0] == 250


mail("zoë@example.ch", " SMTPUTF8", ["<unknown@zürich.example> ORCPT=utf-8;unbek\\x{E4}nnt@example.org"], "Grüezi")
mail("plain@example.ch", "", ["<unknown@example.org> ORCPT=utf-8;unbek\\x{E4}nnt@example.org"], "Hello")
mail("asks@example.ch", "", ["<good@example.org> NOTIFY=SUCCESS"], "Hello")
SEND
must "the dialogue" python3 "$WORK/send.py" "$E2E" "$OUT_PORT"

arrived()
{
    [ "$(find "$WORK/sink" -name '*.eml' | wc -l)" = 3 ]
}
must "two notices and a mail arrive" wait_for 15 arrived
cat >"$WORK/read.py" <<'READ'
import glob, re, sys

mails = {}
for path in glob.glob(sys.argv[1] + "/*.eml"):
    commands = open(path[:-3] + "cmd", "rb").read().decode().split("\r\n")
    mails[re.search("<([^>]*)>", commands[1])[1]] = commands, open(path, "rb").read()


def has(text, *wanted):
    for one in wanted:
        assert one.encode() in text, f"missing {one!r} in {text.decode()}"


commands, text = mails["zoë@example.ch"]
assert commands[0].startswith("MAIL FROM:<>") and " SMTPUTF8" in commands[0], commands
assert "NOTIFY=NEVER" in commands[1], commands
has(text, "\r\nTo: <zoë@example.ch>\r\n", "\r\nContent-Type: message/global-delivery-status\r\n",
    "\r\nOriginal-Recipient: utf-8; unbekännt@example.org\r\n", "\r\nAction: failed\r\n",
    "\r\nContent-Type: message/global-headers\r\n", "\r\nSubject: Grüezi\r\n", "\r\n    <unbekännt@example.org>\r\n")
assert re.search(rb"\r\nFinal-Recipient: (rfc822; unknown@xn--zrich-kva|utf-8; unknown@z\xc3\xbcrich).example\r\n", text)
commands, text = mails["plain@example.ch"]
assert " SMTPUTF8" not in commands[0], commands
assert all(byte < 128 for byte in text), "8 bit"
has(text, "\r\nContent-Type: message/delivery-status\r\n", "\r\nContent-Type: text/rfc822-headers\r\n",
    "\r\nOriginal-Recipient: utf-8; unbek\\x{E4}nnt@example.org\r\n", "\r\n    <unbek=C3=A4nnt@example.org>\r\n")
commands, text = mails["good@example.org"]
assert "NOTIFY=SUCCESS" in commands[1], commands
READ
must "what they say" python3 "$WORK/read.py" "$WORK/sink"
queue_empty()
{
    "$MGICTL" --socket "$WORK/control" --json queue list >"$WORK/queue"
    ! grep -q '"queue_id"' "$WORK/queue"
}
must "nothing stays in the queue" wait_for 15 queue_empty
equal "mails in all" 3 "$(find "$WORK/sink" -name '*.eml' | wc -l)"
