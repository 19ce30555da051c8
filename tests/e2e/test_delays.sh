# A mail that waits: its sender hears of it at the policy's time, once, also when mgid is killed in
# between; who asked for other notifications does not. When its time is over he hears that too.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink home 127.0.0.1 --no-starttls
HOME_PORT=$SINK_PORT
start_sink busy 127.0.0.1 --no-starttls --reply-rcpt '*@busy.example=450 4.2.2 mailbox full'
RETRY_FIRST=1s RETRY_MAX=1s LIFETIME=14s
write_policy <<JSON
  "notifications": { "languages": "fr", "delay_after": ["1s", "1h"] },
  "routes": { "busy": { "hosts": ["127.0.0.1:$SINK_PORT"] },
              "vault": { "hosts": ["127.0.0.1:$SINK_PORT"], "tls": { "require": true } }, "home": { "hosts": ["127.0.0.1:$HOME_PORT"] } },
  "flows": { $(outbound_flow '{ "name": "vault", "when": { "recipient": "*@vault.example" }, "route": "vault" },
    { "name": "all", "route": "busy" }' |
    sed 's/"identity": "server",/& "bounce_route": "home",/') }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

cat >"$WORK/send.py" <<'SEND'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session

s = Session(sys.argv[2])
s.command("EHLO client.example.ch")
assert s.content("secret@example.ch", ["one@vault.example"], b"Subject: x\r\n\r\nx\r\n")[0] == 250
for sender, notify in (("waits@example.ch", ""), ("other@example.ch", " NOTIFY=FAILURE"), ("", "")):
    for line in (f"MAIL FROM:<{sender}>", f"RCPT TO:<one@busy.example>{notify}",
                 f"RCPT TO:<two@busy.example>{notify}", "RCPT TO:<three@free.example>", "DATA"):
        assert s.command(line) < 400, line
    s.send(b"From: <anna@example.ch>\r\nSubject: x\r\n\r\nx\r\n.\r\n")
    assert s.reply()[0] == 250
SEND
must "the dialogue" python3 "$WORK/send.py" "$E2E" "$OUT_PORT"

# notice SENDER N KEY=VALUE…: the Nth mail that came to the sender.
notice()
{
    local sender=$1 n=$2
    shift 2
    must "notice $n to $sender" wait_for 25 sink_has home "$sender" "$n"
    must "what it says" python3 "$E2E/notice.py" \
        "$(json_lines "$WORK/home.log" event=mail "recipients=$sender" --print file | sed -n "${n}p")" "$@"
}
notice waits@example.ch 1 to=waits@example.ch from=MAILER-DAEMON@mx1.example.ch 'subject=Votre message est retardé' \
    action=delayed status=4.2.2 recipients=one@busy.example,two@busy.example returned=text/rfc822-headers \
    'says=Vous n’avez rien à faire' 'says=La boîte aux lettres du destinataire est pleine.' \
    'says=Les tentatives continuent jusqu’au' language=fr
notice secret@example.ch 1 action=delayed status=4.7.5 'diagnostic=TLS is required and not to be had' \
    'says=Le message n’a pas été envoyé sans protection.'
told()
{
    [ "$(json_lines "$WORK/mgid.log" "event=delay told" --count || :)" = 3 ]
}
must "that is noted" wait_for 5 told

kill_master
attempts=$(json_lines "$WORK/busy.log" event=session --count)
must "mgid starts again" start_mgid "$POLICY" "$OUT_PORT"
tried_again()
{
    (($(json_lines "$WORK/busy.log" event=session --count) > attempts + 1))
}
must "attempts go on" wait_for 10 tried_again

notice waits@example.ch 2 action=failed status=4.4.7 recipients=one@busy.example,two@busy.example \
    'subject=Votre message n’a pas pu être remis' 'says=Le délai de remise est écoulé. La boîte aux lettres'
notice secret@example.ch 2 action=failed status=4.4.7 'says=Le délai de remise est écoulé. Le message ne peut'
notice other@example.ch 1 action=failed status=4.4.7
must "the null sender's is given up" wait_for 10 log_has event=bounced sender= recipient=two@busy.example
queue_empty()
{
    "$MGICTL" --socket "$WORK/control" --json queue list >"$WORK/queue"
    ! grep -q '"queue_id"' "$WORK/queue"
}
must "nothing stays in the queue" wait_for 10 queue_empty
equal "all that came" 5 "$(json_lines "$WORK/home.log" event=mail --count)"
