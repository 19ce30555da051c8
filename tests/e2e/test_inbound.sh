# From the internet: the platform is known by its certificate, others are served without one, no
# one relays, and a pretender is refused.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink exchange 127.0.0.1 --cert "$CERTS/internal.pem" --key "$CERTS/internal.key" --require-tls
write_policy <<JSON
  "routes": { "exchange": { "hosts": ["127.0.0.1:$SINK_PORT"], "tls": { "require": true, "trust": "corporate" } } },
  "flows": { "inbound": {
    "listen": ["127.0.0.1:$IN_PORT"], "identity": "server", "domains": ["example.ch", "*.example.ch"],
    "client_certificate": "ask",
    "rules": [
      { "name": "platform", "when": { "peer": "incamail" }, "route": "exchange" },
      { "name": "pretends", "when": { "from_domain": "im.post.ch" }, "reject": "550 5.7.1 not from the platform" },
      { "name": "rest", "route": "exchange" }
    ] } }
JSON
must "mgid starts" start_mgid "$POLICY" "$IN_PORT"

# platform RECIPIENT CERTIFICATE OPTION…: with that certificate; its exit status.
platform()
{
    local recipient=$1 certificate=$2
    shift 2
    "$MGISIM" send --to-server "127.0.0.1:$IN_PORT" --ca "$CERTS/ca.pem" --name mx1.example.ch \
        --cert "$CERTS/$certificate.pem" --key "$CERTS/$certificate.key" --rcpt "$recipient" \
        --json "$@" >"$WORK/sent"
}

for version in 1.2 1.3; do
    must "the platform over TLS $version" platform "tls$version@example.ch" platform --tls-max "$version"
    must "our server asked for its certificate" grep -q '"certificate_asked":true' "$WORK/sent"
    must "it is known" wait_for 10 log_has event=routed "recipient=tls$version@example.ch" rule=platform
    must "it arrives" wait_for 10 sink_has exchange "tls$version@example.ch"
    must "the verdict is in the Received header" grep -qi 'verified' \
        "$(sink_mail exchange "tls$version@example.ch")"
done

# A registered mail of some megabytes passes untouched, its S/MIME signature with it.
python3 - "$WORK/registered" <<'MAIL'
import base64, random, sys
random.seed(7)
safe = b"<form method=post action=https://www.incamail.com/x><input name=secmail value=MIAG" + random.randbytes(3_000_000).hex().encode()
body = "\r\n".join(base64.encodebytes(safe).decode().split("\n"))
with open(sys.argv[1], "wb") as out:
    out.write(("From: swisspost@im.post.ch\r\nSubject: Contract (Secured by IncaMail)\r\nMIME-Version: 1.0\r\n"
               "Content-Type: text/html; name=IncaMail.html\r\nContent-Transfer-Encoding: base64\r\n\r\n" + body).encode())
MAIL
must "a large one" platform large@example.ch platform --file "$WORK/registered"
must "it arrives" wait_for 20 sink_has exchange large@example.ch
must "byte for byte" cmp "$WORK/registered" <(without_received "$(sink_mail exchange large@example.ch)")

# The same claim with other certificates, or none.
for certificate in platform-rogue platform-wrong-org platform-expired platform-self platform-wrong-name; do
    must_not "$certificate is refused" platform "$certificate@example.ch" "$certificate"
    must "by the rule" grep -q '550 5.7.1 not from the platform' "$WORK/sent"
    must_not "and does not arrive" sink_has exchange "$certificate@example.ch"
done
# Ordinary senders: a certificate that is nobody's, none, and in clear.
printf 'From: bob@partner.example\nSubject: hello\n\nx\n' >"$WORK/hello"
must "some other company's certificate" platform other@example.ch sender --file "$WORK/hello"
must "arrives" wait_for 10 sink_has exchange other@example.ch
must "is no peer" log_has event=routed recipient=other@example.ch rule=rest
must "in clear" swaks --server "127.0.0.1:$IN_PORT" --from bob@partner.example --to clear@example.ch >"$WORK/swaks.out" 2>&1
must "arrives, over TLS" wait_for 10 sink_has exchange clear@example.ch

python3 - "$E2E" "$IN_PORT" <<'RELAY'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session
s = Session(sys.argv[2])
s.command("EHLO partner.example")
assert s.command("MAIL FROM:<bob@partner.example>") == 250
for recipient in ("x@example.org", "x@notexample.ch", "x%example.org@example.net", "@example.ch:x@example.org",
                  "x@example.ch.evil.example"):
    code = s.command(f"RCPT TO:<{recipient}>")
    assert 500 <= code < 600, (recipient, code)
assert s.command("RCPT TO:<x@sub.example.ch>") == 250
assert s.command("RCPT TO:<postmaster>") == 250
RELAY
