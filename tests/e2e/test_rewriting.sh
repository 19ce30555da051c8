# What rules change: suffixes of recipients, prefixes of subjects, header fields; for some recipients
# of a mail and not for others, for a large mail, and for one that waited in the spool over a restart.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.1 --no-starttls
RETRY_FIRST=1s
RETRY_MAX=1s
RULES='
    { "name": "secret", "when": { "sender": "*@hr.example.ch", "recipient": "*.example" },
      "add_suffix": ".incamail.ch", "prefix_subject": "<im><c> ", "set_header": { "X-Gateway": "Zürich" },
      "remove_header": ["X-Internal", "X-Empty"], "lifetime": "1h", "priority": "high", "route": "sink" },
    { "name": "back", "when": { "recipient": "*.incamail.ch" }, "remove_suffix": ".incamail.ch", "route": "sink" },
    { "name": "late", "when": { "subject": { "contains": "later" } }, "prefix_subject": "<im>", "route": "away" },
    { "name": "rest", "route": "sink" }'
AWAY=$(free_port)
write_policy <<JSON
  "routes": { "sink": { "hosts": ["127.0.0.1:$SINK_PORT"] }, "away": { "hosts": ["127.0.0.1:$AWAY"] } },
  "flows": { $(outbound_flow "$RULES") }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

cat >"$WORK/send.py" <<'SEND'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session
s = Session(sys.argv[2])
s.command("EHLO client.example.ch")
sender, recipients, subject, lines = sys.argv[3], sys.argv[4].split(","), sys.argv[5], int(sys.argv[6])
header = f"From: <{sender}>\r\nX-Internal: secret\r\n more\r\nSubject: {subject}\r\nX-Internal: 2\r\nX-Gateway: forged\r\n"
body = "".join(f"{i} .\r\n.{i}\r\n" for i in range(lines))
code, text = s.content(sender, recipients, (header + "\r\n" + body).encode())
assert code == 250, text
SEND

# shows SINK RECIPIENT SUBJECT GATEWAY INTERNAL LINES: what a client shows of the one mail that came.
cat >"$WORK/shows.py" <<'SHOWS'
import email, email.policy, sys
path, subject, gateway, internal, lines = sys.argv[1:]
raw = open(path, "rb").read()
mail = email.message_from_bytes(raw, policy=email.policy.default)
assert mail.get_all("Subject") == [subject], mail.get_all("Subject")
assert mail.get_all("X-Gateway") == [gateway], mail.get_all("X-Gateway")
assert len(mail.get_all("X-Internal", [])) == int(internal), mail.get_all("X-Internal")
body = "".join(f"{i} .\r\n.{i}\r\n" for i in range(int(lines))).encode()
assert raw.replace(b"\r\n", b"\n").endswith(b"\n\n" + body.replace(b"\r\n", b"\n")), "the body"
assert max(map(len, raw.split(b"\r\n\r\n")[0].split(b"\r\n"))) <= 200
SHOWS
shows()
{
    must "$2 arrives" wait_for 20 sink_has "$1" "$2"
    equal "mails to $2" 1 "$(json_lines "$WORK/$1.log" event=mail "recipients=$2" --count)"
    must "what $2 sees" python3 "$WORK/shows.py" "$(sink_mail "$1" "$2")" "${@:3}"
}
send()
{
    must "mail to $2" python3 "$WORK/send.py" "$E2E" "$OUT_PORT" "$@"
}

# One mail, three recipients, two headers; a subject in encoded words.
send eva@hr.example.ch a@b.example,c@d.example,x@example.org '=?UTF-8?Q?Geh=C3=A4lter?= 2026' 3
shows sink a@b.example.incamail.ch '<im><c> Gehälter 2026' Zürich 0 3
shows sink c@d.example.incamail.ch '<im><c> Gehälter 2026' Zürich 0 3
shows sink x@example.org 'Gehälter 2026' forged 2 3
must "the log knows both addresses" log_has event=routed recipient=a@b.example.incamail.ch original=a@b.example rule=secret
equal "those of one header come in one transaction" a@b.example.incamail.ch \
    "$(json_lines "$WORK/sink.log" event=mail recipients=c@d.example.incamail.ch --print recipients | grep -o 'a@b[^"]*')"

# There already: neither twice.
send eva@hr.example.ch e@f.example.incamail.ch '<im><c> Löhne' 1
shows sink e@f.example '<im><c> Löhne' forged 2 1
send eva@hr.example.ch g@h.example '<im><c> Lohn' 1
shows sink g@h.example.incamail.ch '<im><c> Lohn' Zürich 0 1

# An address that takes no suffix is refused at once.
python3 - "$E2E" "$OUT_PORT" <<'REFUSE'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session
s = Session(sys.argv[2])
s.command("EHLO client.example.ch")
assert s.command("MAIL FROM:<eva@hr.example.ch>") == 250
long = ".".join(c * 60 for c in "abcd")
s.send(f"RCPT TO:<x@{long}.example>\r\n".encode())
assert s.reply()[1][0].startswith("553 5.1.3 "), "a suffix that does not fit"
REFUSE
must "and logged" log_has event="recipient refused" rule=secret

# A large mail, whose body is read from its file.
send eva@hr.example.ch big@b.example 'groß' 40000
shows sink big@b.example.incamail.ch '<im><c> groß' Zürich 0 40000

# What waits in the spool keeps its changes.
send anna@example.ch wait@example.org '=?UTF-8?Q?sp=C3=A4ter_later?=' 2
send anna@example.ch wide@example.org 'later' 40000
must "it is deferred" wait_for 10 log_has event=deferred recipient=wide@example.org
kill_master
SINK_PORT_WANTED=$AWAY start_sink away 127.0.0.1 --no-starttls
must "mgid starts again" start_mgid "$POLICY" "$OUT_PORT"
shows away wait@example.org '<im>später later' forged 2 2
shows away wide@example.org '<im>later' forged 2 40000
