# What a policy can say of TLS beside trust and names: several identities by SNI, groups, legacy suites;
# fingerprints, pins, revocation, client certificates for servers alone, mutual TLS or no mail.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink exchange 127.0.0.1 --no-starttls
EXCHANGE_PORT=$SINK_PORT
start_sink asks 127.0.0.1 --cert "$CERTS/platform.pem" --key "$CERTS/platform.key" --client-ca "$CERTS/ca.pem" \
    --require-client-cert
ASKS_PORT=$SINK_PORT
start_sink silent 127.0.0.1 --cert "$CERTS/platform.pem" --key "$CERTS/platform.key"
SILENT_PORT=$SINK_PORT
OLD_PORT=$(free_port)
digest() # fingerprint|pin NAME
{
    if [ "$1" = fingerprint ]; then
        openssl x509 -in "$CERTS/$2.pem" -outform DER
    else
        openssl x509 -in "$CERTS/$2.pem" -noout -pubkey | openssl pkey -pubin -outform DER
    fi | sha256sum | cut -d' ' -f1
}
# A list of the intermediate that revokes the certificate "sender".
mkdir "$WORK/crl"
: >"$WORK/crl/index.txt"
printf '[ca]\ndefault_ca=d\n[d]\ndatabase=%s\ndefault_md=sha256\ndefault_crl_days=2\n' "$WORK/crl/index.txt" >"$WORK/crl/ca.cnf"
ISSUER=$CERTS/intermediate
[ -e "$ISSUER.key" ] || fail "the tests' intermediate CA has another name"
for step in "-revoke $CERTS/sender.pem" "-gencrl -out $WORK/crl/list.pem"; do
    # shellcheck disable=SC2086
    openssl ca -config "$WORK/crl/ca.cnf" -cert "$ISSUER.pem" -keyfile "$ISSUER.key" $step >"$WORK/crl/out" 2>&1 ||
        fail "$(cat "$WORK/crl/out")"
done
TO='"require": true, "trust": "public", "names": ["im.post.ch"], "identity": "client"'
route() # NAME PORT MORE
{
    printf '"%s": { "hosts": ["127.0.0.1:%s"], "tls": { %s%s } },' "$1" "$2" "$TO" "$3"
}
rule()
{
    printf '{ "when": { "recipient": "%s@example.org" }, "route": "%s" },' "$1" "$1"
}
PLATFORM=$(digest fingerprint platform)
PIN=$(digest pin platform)
WRONG=$(digest pin server)
names="mutual mutual-not fingerprint fingerprint-not pin pin-not"
write_policy <<JSON
  "routes": {
    $(route mutual "$ASKS_PORT" ', "mutual": true')
    $(route mutual-not "$SILENT_PORT" ', "mutual": true')
    $(route fingerprint "$ASKS_PORT" ", \"fingerprints\": \"$PLATFORM\"")
    $(route fingerprint-not "$ASKS_PORT" ", \"fingerprints\": [\"$WRONG\"]")
    $(route pin "$ASKS_PORT" ", \"pins\": [\"$WRONG\", \"$PIN\"]")
    $(route pin-not "$ASKS_PORT" ", \"pins\": \"$WRONG\"")
    "exchange": { "hosts": ["127.0.0.1:$EXCHANGE_PORT"] } },
  "flows": {
    $(outbound_flow "$(for name in $names; do rule "$name"; done) { \"name\": \"rest\", \"route\": \"exchange\" }"),
    "inbound": { "listen": ["127.0.0.1:$IN_PORT"], "identity": ["server", "other"], "domains": ["example.ch"],
      "tls": { "groups": "P-256" },
      "rules": [ { "name": "sender", "when": { "peer": "sender" }, "route": "exchange" },
                 { "name": "servers", "when": { "peer": "servers" }, "route": "exchange" },
                 { "name": "rest", "route": "exchange" } ] },
    "old": { "listen": ["127.0.0.1:$OLD_PORT"], "identity": "rsa", "domains": ["example.ch"], "tls": { "legacy": true },
      "rules": [ { "name": "rest", "route": "exchange" } ] } }
JSON
python3 - "$POLICY" "$CERTS" "$WORK/crl/list.pem" <<'EDIT'
import json, sys
path, certs, crl = sys.argv[1:]
policy = json.load(open(path))
for name, file in (("other", "platform"), ("rsa", "server-rsa")):
    policy["identities"][name] = {"certificate": f"{certs}/{file}.pem", "key": f"{certs}/{file}.key"}
policy["trust"]["listed"] = {"file": f"{certs}/ca.pem", "crl": crl}
policy["peers"]["sender"] = {"tls": {"trust": "listed"}}
policy["peers"]["servers"] = {"tls": {"trust": "public", "organization": "Post CH AG", "allow_server_auth_only": True}}
json.dump(policy, open(path, "w"))
EDIT
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT" "$IN_PORT" "$OLD_PORT"

# connects PORT OPTION…: a handshake by openssl; what it says is in $WORK/s_client.
connects()
{
    local port=$1
    shift
    printf 'QUIT\r\n' | timeout 10 openssl s_client -starttls smtp -connect "127.0.0.1:$port" -no_ign_eof "$@" \
        >"$WORK/s_client" 2>&1
}
subject()
{
    grep -m 1 '^subject=' "$WORK/s_client"
}
for version in -tls1_2 -tls1_3; do
    for case in 'mx1.example.ch:mx1.example.ch' 'IM.post.ch:Post CH AG' 'gw7.incamail.com:Post CH AG' \
        'a.gw7.incamail.com:mx1.example.ch' 'stranger.example:mx1.example.ch'; do
        must "a handshake for ${case%%:*}" connects "$IN_PORT" "$version" -servername "${case%%:*}"
        subject | grep -qF "${case#*:}" || fail "SNI ${case%%:*}: shown $(subject)"
    done
    must "without a name" connects "$IN_PORT" "$version" -noservername
    subject | grep -qF mx1.example.ch || fail "no SNI: shown $(subject)"
    must "the group that is allowed" connects "$IN_PORT" "$version" -groups P-256
    must_not "another group" connects "$IN_PORT" "$version" -groups X25519
done
must "an old suite at the old listener" connects "$OLD_PORT" -tls1_2 -cipher ECDHE-RSA-AES128-SHA
must_not "and nowhere else" connects "$OUT_PORT" -tls1_2 -cipher ECDHE-ECDSA-AES128-SHA
must_not "no key exchange without forward secrecy there either" connects "$OLD_PORT" -tls1_2 -cipher AES128-SHA
must_not "nor TLS 1.1" connects "$OLD_PORT" -tls1_1 -cipher 'ALL:@SECLEVEL=0'

# presents CERTIFICATE RECIPIENT RULE
presents()
{
    python3 - "$E2E" "$IN_PORT" "$CERTS/$1" "$2@example.ch" <<'SEND' || fail "$2 is not taken"
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Session

s = Session(sys.argv[2])
s.command("EHLO client.example.ch")
assert s.starttls(identity=sys.argv[3]) == 220
s.command("EHLO client.example.ch")
code, _ = s.content("bob@partner.example", [sys.argv[4]], b"Subject: x\r\n\r\nx\r\n")
assert code == 250, code
SEND
    must "$2 by rule $3" wait_for 5 log_has event=routed "recipient=$2@example.ch" "rule=$3"
}
presents platform-no-eku for-servers servers
presents sender revoked rest
presents client not-revoked sender
presents internal-client stranger rest

for name in $names; do
    must "mail for $name is taken" send_mail anna@example.ch "$name@example.org" x
done
for name in mutual fingerprint pin; do
    must "$name is met" wait_for 10 sink_has asks "$name@example.org"
done
deferred()
{
    must "$1 waits" wait_for 10 log_has event=deferred "recipient=$1@example.org" "reason~$2"
}
deferred mutual-not 'does not ask for our certificate'
deferred fingerprint-not "fingerprint (SHA-256) is $PLATFORM"
deferred pin-not "pin (SHA-256) is $PIN"
must_not "and the silent server has got nothing" sink_has silent mutual-not@example.org
