# Client certificates: verified, of an unknown CA, none; the Received field and the log say which.
# A flow that requires one takes mail with a verified one only, and says so at MAIL.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink exchange 127.0.0.1 --no-starttls
STRICT_PORT=$(free_port)
# flow NAME PORT ASKS
flow()
{
    cat <<JSON
    "$1": { "listen": ["127.0.0.1:$2"], "identity": "server", "domains": ["example.ch"], "client_certificate": "$3",
      "rules": [ { "name": "platform", "when": { "peer": "incamail" }, "route": "exchange" },
                 { "name": "rest", "route": "exchange" } ] }
JSON
}
write_policy <<JSON
  "routes": { "exchange": { "hosts": ["127.0.0.1:$SINK_PORT"] } },
  "flows": { $(flow asks "$IN_PORT" ask), $(flow strict "$STRICT_PORT" require), $(flow silent "$OUT_PORT" no) }
JSON
must "mgid starts" start_mgid "$POLICY" "$IN_PORT" "$STRICT_PORT" "$OUT_PORT"

cat >"$WORK/present.py" <<'PRESENT'
import ssl, sys
sys.path.insert(0, sys.argv[1])
from smtp import Cut, Session

port, recipient, version, identity = sys.argv[2:6]
s = Session(port)
s.command("EHLO client.example.ch")
if version != "clear":
    version = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
    assert s.starttls(version, identity or None) == 220
    s.command("EHLO client.example.ch")
s.send(b"MAIL FROM:<bob@partner.example>\r\n")
code, lines = s.reply()
if code == 250:
    s.command("RSET")
    code, lines = s.content("bob@partner.example", [recipient], b"Subject: x\r\n\r\nx\r\n")
print(lines[-1])
PRESENT
# presents PORT RECIPIENT VERSION CERTIFICATE: sends; the last reply is in REPLY.
presents()
{
    REPLY=$(python3 "$WORK/present.py" "$E2E" "$1" "$2" "$3" "${4:+$CERTS/$4}") || fail "$2: the session broke off"
}
# tells RECIPIENT RULE TEXT: it arrives by that rule; the Received field and the log have the text.
tells()
{
    must "$1 arrives" wait_for 10 sink_has exchange "$1"
    must "$1 by rule $2" log_has event=routed "recipient=$1" "rule=$2"
    local id mail
    mail=$(sink_mail exchange "$1")
    tr -d '\r\n' <"$mail" | tr '\t' ' ' | grep -qF "$3" || fail "$1: no \"$3\" in $(head -n 5 "$mail")"
    id=$(json_lines "$WORK/mgid.log" event=routed "recipient=$1" --print id)
    must "$1: logged" log_has event=accepted "id=$id" "tls~$3"
}
for version in 1.2 1.3; do
    presents "$IN_PORT" "verified$version@example.ch" "$version" platform
    equal "verified" 250 "${REPLY:0:3}"
    tells "verified$version@example.ch" platform 'client certificate verified, '
    tells "verified$version@example.ch" platform 'Post CH AG'
    presents "$IN_PORT" "unknown$version@example.ch" "$version" platform-rogue
    equal "of an unknown CA" 250 "${REPLY:0:3}"
    tells "unknown$version@example.ch" rest 'client certificate not verified, '
    presents "$IN_PORT" "none$version@example.ch" "$version" ''
    equal "without one" 250 "${REPLY:0:3}"
    tells "none$version@example.ch" rest 'client certificate none'
    presents "$OUT_PORT" "unasked$version@example.ch" "$version" platform
    equal "not asked" 250 "${REPLY:0:3}"
    tells "unasked$version@example.ch" rest 'client certificate not asked'

    presents "$STRICT_PORT" "strict$version@example.ch" "$version" platform
    equal "required and verified" 250 "${REPLY:0:3}"
    tells "strict$version@example.ch" platform 'client certificate verified, '
    presents "$STRICT_PORT" "never@example.ch" "$version" platform-rogue
    equal "required and of an unknown CA" "550 5.7.1 Client certificate not accepted" "$REPLY"
    presents "$STRICT_PORT" "never@example.ch" "$version" ''
    equal "required and none" "550 5.7.1 Client certificate required" "$REPLY"
done
presents "$STRICT_PORT" "never@example.ch" clear ''
equal "required, but in clear" "530 5.7.0" "${REPLY:0:9}"
must_not "what was refused does not arrive" sink_has exchange never@example.ch
