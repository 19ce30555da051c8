# Notifications: what senders asked for (NOTIFY, RET, ENVID, ORCPT) and what the policy says
# (languages, return, double bounces). They come home through a Postfix that is strict about MIME
# where one may run (as root), are read by python's parser and by a strict one of RFC 3464, and pass
# mgid's own inbound checks.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink home 127.0.0.1 --no-starttls
HOME_PORT=$SINK_PORT
start_sink strict 127.0.0.1 --no-starttls --reply-rcpt 'unknown*@*=550 5.1.1 no such user'
STRICT_PORT=$SINK_PORT
start_sink vault 127.0.0.1 --cert "$CERTS/platform.pem" --key "$CERTS/platform.key" \
    --reply-rcpt 'secret@*=550 5.2.2 mailbox full'
VAULT_PORT=$SINK_PORT
BACK_PORT=$HOME_PORT
if [ "$(id -u)" = 0 ]; then
    chmod 711 "$WORK" # for its own user
    BACK_PORT=$(free_port)
    export POSTFIX_SETTINGS='strict_7bit_headers = yes
strict_8bitmime = yes
strict_8bitmime_body = yes
strict_mime_encoding_domain = yes
strict_rfc821_envelopes = yes
message_size_limit = 1000000'
    spawn postfix "$ROOT/bench/peers/postfix.sh" "$WORK/postfix" "$BACK_PORT" "127.0.0.1:$HOME_PORT"
    must "Postfix starts" wait_for 20 answers 127.0.0.1 "$BACK_PORT"
fi
RULES='
    { "name": "secret", "when": { "recipient": "secret@example.org" }, "route": "secret" },
    { "name": "never", "when": { "recipient": "never@example.org", "subject": { "contains": "<im>" } }, "reject": "550 5.7.1 not so" },
    { "name": "rest", "route": "strict" }'
write_policy <<JSON
  "notifications": { "languages": ["de", "en"], "from": "gate@example.ch", "postmaster": "master@example.ch",
                     "double_bounce": "postmaster", "return": "full" },
  "routes": {
    "strict": { "hosts": ["127.0.0.1:$STRICT_PORT"] },
    "secret": { "hosts": ["127.0.0.1:$VAULT_PORT"], "tls": { "require": true } },
    "home": { "hosts": ["127.0.0.1:$BACK_PORT"] }
  },
  "flows": {
    $(outbound_flow "$RULES" | sed 's/"identity": "server",/& "bounce_route": "home",/'),
    "inbound": { "listen": ["127.0.0.1:$IN_PORT"], "identity": "server", "domains": ["example.ch"],
                 "rules": [ { "name": "all", "route": "strict" } ] }
  }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT" "$IN_PORT"

cat >"$WORK/send.py" <<'SEND'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session

s = Session(sys.argv[2])
s.command("EHLO client.example.ch")


def mail(sender, parameters, recipients, subject="=?utf-8?q?Gr=C3=BCezi?=", body=b"Sali z\xc3\xa4me\r\n"):
    lines = [f"MAIL FROM:<{sender}> BODY=8BITMIME {parameters}".rstrip()]
    lines += [f"RCPT TO:<{r.split(' ')[0]}> {' '.join(r.split(' ')[1:])}".rstrip() for r in recipients]
    for line in lines + ["DATA"]:
        code = s.command(line)
        assert code < 400, (line, code)
    head = f"From: <anna@example.ch>\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
    head += "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    s.send(head.encode() + body + b".\r\n")
    code, lines = s.reply()
    assert code == 250, lines


mail("full@example.ch", "RET=FULL ENVID=QQ+2B7", ["unknown@example.org ORCPT=rfc822;Un+2BKnown@example.org"])
mail("heads@example.ch", "RET=HDRS", ["unknown@example.org NOTIFY=FAILURE,DELAY"])
mail("default@example.ch", "", ["unknown@a.example", "good@a.example", "unknown@b.example"])
mail("large@example.ch", "RET=FULL", ["unknown@example.org"], body=b"x" * 70 + b"\r\n" + b"line\r\n" * 20000)
mail("never@example.ch", "", ["unknown@example.org NOTIFY=NEVER", "unknown@a.example NOTIFY=SUCCESS"])
mail("yes@example.ch", "RET=FULL", ["good@example.org NOTIFY=SUCCESS", "fine@example.org NOTIFY=FAILURE"])
mail("both@example.ch", "", ["good@example.org NOTIFY=SUCCESS,FAILURE", "unknown@example.org"])
mail("rule@example.ch", "", ["never@example.org", "good@example.org"], subject="=?utf-8?q?=3Cim=3E?=")
mail("crowd@example.ch", "", [f"unknown{i}@example.org NOTIFY=FAILURE" for i in range(40)])
mail("vault@example.ch", "RET=FULL", ["secret@example.org"])
mail("", "", ["unknown@lost.example"])
SEND
must "the dialogue" python3 "$WORK/send.py" "$E2E" "$OUT_PORT"

# notice TO KEY=VALUE…: the one notification that came to that address.
notice()
{
    local to=$1 file
    shift
    must "$to is told" wait_for 15 sink_has home "$to"
    file=$(sink_mail home "$to")
    equal "notices to $to, from" "" "$(json_lines "$WORK/home.log" event=mail "recipients=$to" --print from)"
    must "the notice to $to" python3 "$E2E/notice.py" "$file" "to=$to" from=gate@example.ch "language=de, en" "$@"
}
FAILED='Ihre Nachricht konnte nicht zugestellt werden'
notice full@example.ch "subject=$FAILED" "envid=QQ+7" action=failed status=5.1.1 \
    'original=rfc822; Un+Known@example.org' recipients=unknown@example.org 'diagnostic=smtp; 550 5.1.1 no such user' \
    returned=message/rfc822 'content=Sali zäme' 'says=Betreff: Grüezi' 'says=<Un+Known@example.org> Es gibt kein Postfach' \
    'says=There is no mailbox with this address.' 'says=Ihre Nachricht liegt bei.'
notice heads@example.ch returned=text/rfc822-headers 'says=Der Kopf Ihrer Nachricht liegt bei.' original=
notice default@example.ch returned=message/rfc822 recipients=unknown@a.example,unknown@b.example action=failed
notice large@example.ch returned=text/rfc822-headers status=5.1.1
notice yes@example.ch action=relayed status=2.0.0 recipients=good@example.org returned=text/rfc822-headers \
    'subject=Ihre Nachricht wurde weitergeleitet' 'diagnostic=250' 'says=Dieser bestätigt keine Zustellungen'
notice both@example.ch "subject=$FAILED" action=failed,relayed recipients=good@example.org,unknown@example.org
notice rule@example.ch status=5.7.1 recipients=never@example.org 'diagnostic=not so' \
    'says=Die Nachricht wurde durch eine Regel eines Mailservers abgelehnt.'
# More recipients than one notification names.
must "three notices" wait_for 15 sink_has home crowd@example.ch 3
for file in $(json_lines "$WORK/home.log" event=mail recipients=crowd@example.ch --print file); do
    must "a notice to crowd" python3 "$E2E/notice.py" "$file" action=failed status=5.1.1
    grep -h '^Final-Recipient:' "$file" >>"$WORK/crowd"
done
equal "recipients named, each once" 40/40 "$(sort -u "$WORK/crowd" | wc -l)/$(wc -l <"$WORK/crowd")"
# What demanded TLS does not come back whole over a way that does not.
notice vault@example.ch status=5.2.2 returned=text/rfc822-headers 'says=Das Postfach des Empfängers ist voll.'
notice master@example.ch action=failed recipients=unknown@lost.example
must "who said NEVER is not told" wait_for 5 log_has event=bounced sender=never@example.ch \
    recipient=unknown@example.org notification=
must "nor who asked for success only" wait_for 5 log_has event=bounced sender=never@example.ch \
    recipient=unknown@a.example notification=
equal "notices to the one who said NEVER" 0 \
    "$(json_lines "$WORK/home.log" event=mail recipients=never@example.ch --count || :)"

# The notices themselves pass the checks for mail from outside.
cat >"$WORK/again.py" <<'AGAIN'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session

s = Session(sys.argv[2])
s.command("EHLO client.example.ch")
for path in sys.argv[3:]:
    data = open(path, "rb").read()
    code, lines = s.content("", ["back@example.ch"], data if b"\r\n" in data else data.replace(b"\n", b"\r\n"))
    assert code == 250, (path, lines)
AGAIN
must "notices come in from outside" python3 "$WORK/again.py" "$E2E" "$IN_PORT" "$WORK"/home/*.eml

queue_empty()
{
    "$MGICTL" --socket "$WORK/control" --json queue list >"$WORK/queue"
    ! grep -q '"queue_id"' "$WORK/queue"
}
must "nothing stays in the queue" wait_for 15 queue_empty
equal "all that came home" 12 "$(json_lines "$WORK/home.log" event=mail --count)"
