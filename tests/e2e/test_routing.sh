# Rules: the suffix by label, the decoded subject, recipients of one mail on several routes, a
# refusal at RCPT.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink platform 127.0.0.1 --no-starttls
PLATFORM=$SINK_PORT
start_sink internet 127.0.0.1 --no-starttls
RULES='
    { "name": "refused", "when": { "recipient": "*@refused.example" }, "reject": "550 5.7.1 not to there" },
    { "name": "suffix", "when": { "recipient": "*.incamail.ch" }, "route": "incamail" },
    { "name": "subject", "when": { "subject": { "contains": "<im>" } }, "route": "incamail" },
    { "name": "rest", "route": "internet" }'
write_policy <<JSON
  "routes": {
    "incamail": { "hosts": ["127.0.0.1:$PLATFORM"] },
    "internet": { "hosts": ["127.0.0.1:$SINK_PORT"] }
  },
  "flows": { $(outbound_flow "$RULES") }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

# arrives SINK RECIPIENT RULE: there, nowhere else, by that rule.
arrives()
{
    local other=internet
    [ "$1" = platform ] || other=platform
    must "$2 arrives at $1" wait_for 10 sink_has "$1" "$2"
    must_not "$2 arrives nowhere else" sink_has "$other" "$2"
    must "$2 by rule $3" log_has event=routed "recipient=$2" "rule=$3"
}

must "suffixed" send_mail anna@example.ch hans@example.com.InCaMail.CH 'no tag'
arrives platform hans@example.com.InCaMail.CH suffix
must "looks like it" send_mail anna@example.ch x@evil-incamail.ch 'no tag'
arrives internet x@evil-incamail.ch rest
must "the apex" send_mail anna@example.ch x@incamail.ch 'no tag'
arrives internet x@incamail.ch rest

must "base64" send_mail anna@example.ch b64@example.org '=?UTF-8?B?PGltPjxjPiBPZmZyZSBmw6l2cmllcg==?='
arrives platform b64@example.org subject
must "quoted-printable" send_mail anna@example.ch qp@example.org '=?iso-8859-1?q?=3Cim=3E=3Cr=3E_Vertr=E4ge?='
arrives platform qp@example.org subject
must "split words" send_mail anna@example.ch split@example.org '=?UTF-8?Q?=3Ci?= =?UTF-8?Q?m=3E_x?='
arrives platform split@example.org subject
must "plain" send_mail anna@example.ch plain@example.org '<im><p> x'
arrives platform plain@example.org subject
must "only in the body" send_mail anna@example.ch body@example.org 'about' --body '<im> is a tag'
arrives internet body@example.org rest

must "mixed" send_mail anna@example.ch lena@example.com.incamail.ch,tom@example.org 'mixed'
arrives platform lena@example.com.incamail.ch suffix
arrives internet tom@example.org rest
equal "the same body at both" "$(without_received "$(sink_mail platform lena@example.com.incamail.ch)" | sha256sum)" \
    "$(without_received "$(sink_mail internet tom@example.org)" | sha256sum)"

python3 - "$E2E" "$OUT_PORT" <<'REFUSE'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session
s = Session(sys.argv[2])
s.command("EHLO client.example.ch")
assert s.command("MAIL FROM:<anna@example.ch>") == 250
s.send(b"RCPT TO:<x@refused.example>\r\n")
code, lines = s.reply()
assert (code, lines[0]) == (550, "550 5.7.1 not to there"), lines
assert s.command("RCPT TO:<good@example.org>") == 250
assert s.command("DATA") == 354
s.send(b"Subject: x\r\n\r\nx\r\n.\r\n")
assert s.reply()[0] == 250
REFUSE
arrives internet good@example.org rest
