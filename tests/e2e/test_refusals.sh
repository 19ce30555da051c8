# Refusals: by rule at RCPT, by rule after DATA, for some recipients after DATA only, by the next
# server after DATA. Whoever was promised a delivery hears of its failure, in a form that python's
# parser understands; the null sender never does.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.1 --no-starttls
SINK=$SINK_PORT
start_sink strict 127.0.0.1 --no-starttls --reply-data '554 5.6.0 not this content'
RULES='
    { "name": "never", "when": { "recipient": "never@example.org" }, "reject": "553 5.1.3 never" },
    { "name": "away", "when": { "recipient": "away@example.org" }, "discard": true },
    { "name": "later", "when": { "recipient": "later@example.org" }, "defer": "451 4.7.1 not now" },
    { "name": "spent", "when": { "subject": { "contains": "<spent>" } }, "discard": true },
    { "name": "tagged", "when": { "recipient": "picky@example.org", "subject": { "contains": "<im>" } }, "reject": "550 5.7.2 no tags here" },
    { "name": "busy", "when": { "recipient": "*@example.org", "subject": { "contains": "<wait>" } }, "defer": "450 4.7.1 come again" },
    { "name": "strict", "when": { "recipient": "*@strict.example" }, "route": "strict" },
    { "name": "rest", "route": "sink" }'
write_policy <<JSON
  "routes": { "sink": { "hosts": ["127.0.0.1:$SINK"] }, "strict": { "hosts": ["127.0.0.1:$SINK_PORT"] } },
  "flows": { $(outbound_flow "$RULES") }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

cat >"$WORK/refusals.py" <<'REFUSALS'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session

s = Session(sys.argv[2])
s.command("EHLO client.example.ch")


def ask(line):
    s.send(line.encode() + b"\r\n")
    return s.reply()[1][-1]


def mail(sender, recipients, subject):
    content = f"From: <anna@example.ch>\r\nSubject: {subject}\r\n\r\nx\r\n".encode()
    return s.content(sender, recipients, content)[1][-1]


def said(found, wanted):
    assert found.startswith(wanted), f"wanted {wanted!r}, found {found!r}"


tag = "=?UTF-8?B?PGltPjxjPiBPZmZyZSBmw6l2cmllcg==?="
said(ask("MAIL FROM:<anna@example.ch>"), "250")
said(ask("RCPT TO:<never@example.org>"), "553 5.1.3 never")
said(ask("RCPT TO:<later@example.org>"), "451 4.7.1 not now")
said(ask("DATA"), "5")
said(ask("RSET"), "250")
said(mail("alone@example.ch", ["picky@example.org"], tag), "550 5.7.2 no tags here")
said(mail("alone@example.ch", ["picky@example.org"], "no tag"), "250")
said(mail("alone@example.ch", ["away@example.org"], "x"), "250 2.0.0 Ok: queued as ")
said(mail("alone@example.ch", ["away@example.org", "spent@example.org"], "<spent>"), "250 2.0.0 Ok: queued as ")
said(mail("alone@example.ch", ["away@example.org", "stays@example.org"], "x"), "250 2.0.0 Ok: queued as ")
said(mail("alone@example.ch", ["one@example.org", "two@example.org"], "<wait>"), "450 4.7.1 come again")
said(mail("mixed@example.ch", ["picky@example.org", "good@example.org"], tag), "250")
said(mail("content@example.ch", ["a@strict.example", "b@strict.example"], "for them"), "250")
said(mail("", ["null@strict.example"], "a notice"), "250")
said(mail("", ["picky@example.org", "beside@example.org"], tag), "250")
REFUSALS
must "the dialogue" python3 "$WORK/refusals.py" "$E2E" "$OUT_PORT"

# notice SENDER STATUS DIAGNOSTIC RECIPIENT…: the one mail that the sender got, as RFC 3464 wants it.
cat >"$WORK/notice.py" <<'NOTICE'
import email, email.policy, sys
path, sender, status, diagnostic, *recipients = sys.argv[1:]
mail = email.message_from_binary_file(open(path, "rb"), policy=email.policy.default)
assert mail.get_content_type() == "multipart/report", mail.get_content_type()
assert mail.get_param("report-type") == "delivery-status"
assert mail["To"].addresses[0].addr_spec == sender, mail["To"]
assert mail["Auto-Submitted"] and mail["Date"].datetime and mail["Message-ID"]
assert not any(part.defects for part in mail.walk()), [part.defects for part in mail.walk()]
text, report, original = mail.iter_parts()
assert text.get_content_type() == "text/plain" and all(r in text.get_content() for r in recipients)
assert report.get_content_type() == "message/delivery-status"
about, *each = report.get_payload()
assert about["Reporting-MTA"] == "dns; mx1.example.ch", about["Reporting-MTA"]
found = sorted(block["Final-Recipient"] for block in each)
assert found == sorted(f"rfc822; {r}" for r in recipients), found
for block in each:
    assert block["Action"] == "failed" and block["Status"] == status, block.as_string()
    assert diagnostic in block["Diagnostic-Code"], block["Diagnostic-Code"]
assert original.get_content_type() in ("text/rfc822-headers", "message/rfc822")
assert "anna@example.ch" in original.as_string()
NOTICE
notice()
{
    must "$1 is told" wait_for 10 sink_has sink "$1"
    equal "notices to $1, from" "" "$(json_lines "$WORK/sink.log" event=mail "recipients=$1" --print from)"
    must "the notice to $1" python3 "$WORK/notice.py" "$(sink_mail sink "$1")" "$@"
}
notice mixed@example.ch 5.7.2 'no tags here' picky@example.org
notice content@example.ch 5.6.0 'not this content' a@strict.example b@strict.example
must "the other recipient of the mixed mail" wait_for 10 sink_has sink good@example.org
must "picky gets what has no tag" wait_for 10 sink_has sink picky@example.org
must "a null sender's mail is given up" wait_for 10 log_has event=bounced recipient=null@strict.example sender=
must "so is the refused part of one" wait_for 10 log_has event=bounced recipient=picky@example.org sender=
must "the other part arrives" wait_for 10 sink_has sink beside@example.org

queue_empty()
{
    "$MGICTL" --socket "$WORK/control" --json queue list >"$WORK/queue"
    ! grep -q '"queue_id"' "$WORK/queue"
}
must "who is not thrown away gets it" wait_for 10 sink_has sink stays@example.org
must "a discard is logged" log_has event=discarded recipient=away@example.org rule=away
must "one by content too" log_has event=discarded recipient=spent@example.org rule=spent
must "nothing stays in the queue" wait_for 10 queue_empty
equal "mails to picky" 1 "$(json_lines "$WORK/sink.log" event=mail recipients=picky@example.org --count)"
equal "notices after refusals that the client heard" 0 \
    "$(json_lines "$WORK/sink.log" event=mail recipients=alone@example.ch --count || :)"
equal "all that came" 6 "$(json_lines "$WORK/sink.log" event=mail --count)"
