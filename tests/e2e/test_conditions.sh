# Conditions on header fields, on the size and on the connection's TLS decide.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink platform 127.0.0.1 --no-starttls
PLATFORM=$SINK_PORT
start_sink sink 127.0.0.1 --no-starttls
RULES='
    { "name": "in clear", "when": { "recipient": "tls@example.org", "not": { "tls": { "version": "1.2" } } }, "reject": "550 5.7.10 encryption needed" },
    { "name": "mutual", "when": { "recipient": "mutual@example.org", "tls": { "verified": false } }, "reject": "550 5.7.1 certificate needed" },
    { "name": "big", "when": { "size": { "over": "300K" } }, "reject": "552 5.3.4 too big for us" },
    { "name": "classified", "when": { "header": { "X-Classification": { "starts": "confidential" }, "Subject": { "contains": "Löhne" } } }, "route": "platform" },
    { "name": "rest", "route": "sink" }'
write_policy <<JSON
  "routes": { "platform": { "hosts": ["127.0.0.1:$PLATFORM"] }, "sink": { "hosts": ["127.0.0.1:$SINK_PORT"] } },
  "flows": { $(outbound_flow "$RULES") }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

cat >"$WORK/conditions.py" <<'CONDITIONS'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session
port, certs = sys.argv[2:]


def session(tls=False, identity=None):
    s = Session(port)
    s.command("EHLO client.example.ch")
    if tls:
        assert s.starttls(identity=identity) == 220
        s.command("EHLO client.example.ch")
    return s


def mail(s, recipient, fields, wanted, size=10):
    content = "".join(f"{line}\r\n" for line in fields) + "\r\n" + "x" * 60 + "\r\n"
    content += ("y" * 70 + "\r\n") * (size // 72)
    found = s.content("anna@example.ch", [recipient], content.encode())[1][-1]
    assert found.startswith(wanted), f"{recipient}: wanted {wanted!r}, found {found!r}"


def rcpt(s, recipient, wanted):
    assert s.command("MAIL FROM:<anna@example.ch>") == 250
    assert s.command(f"RCPT TO:<{recipient}>") == wanted, recipient
    s.command("RSET")


rcpt(session(), "tls@example.org", 550)
rcpt(session(True), "tls@example.org", 250)
rcpt(session(True), "mutual@example.org", 550)
rcpt(session(True, certs + "/platform"), "mutual@example.org", 250)
s = session()
coded = "Subject: =?iso-8859-1?q?L=F6hne?= 2026"
mail(s, "both@example.org", ["x-classification:  =?UTF-8?Q?CONFIDENTIAL?=, HR", coded], "250")
mail(s, "second@example.org", ["X-Classification: public", coded, "X-Classification: confidential"], "250")
mail(s, "one@example.org", ["X-Classification: confidential", "Subject: x"], "250")
mail(s, "other@example.org", ["X-Classification: not confidential", coded], "250")
mail(s, "large@example.org", [coded], "552 5.3.4 too big", 400000)
mail(s, "cut@example.org", ["X-Classification: " + "x" * 900 + "\r\n " + "\r\n ".join(["x" * 900] * 5)], "552 5.3.4 A header field")
CONDITIONS
must "the dialogue" python3 "$WORK/conditions.py" "$E2E" "$OUT_PORT" "$CERTS"
for r in both second; do
    must "$r goes to the platform" wait_for 10 sink_has platform "$r@example.org"
done
for r in one other; do
    must "$r does not" wait_for 10 sink_has sink "$r@example.org"
done
equal "mails at the platform" 2 "$(json_lines "$WORK/platform.log" event=mail --count)"
