# Certificates renewed under the same names take effect by themselves; a pair that does not belong
# together leaves the old one in service, and says so. A changed name is told. A key may be encrypted.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink exchange 127.0.0.1 --no-starttls
OWN=$WORK/own
mkdir "$OWN"
cp "$CERTS"/server.{pem,key} "$OWN"
printf 'open sesame\nnot this line\n' >"$OWN/phrase"
openssl pkcs8 -topk8 -v2 aes-256-cbc -passout "pass:open sesame" -in "$CERTS/server-rsa.key" -out "$OWN/rsa.key"
cp "$CERTS/server-rsa.pem" "$OWN/rsa.pem"
RSA_PORT=$(free_port)
write_policy <<JSON
  "routes": { "sink": { "hosts": ["127.0.0.1:$SINK_PORT"] } },
  "flows": { $(outbound_flow '{ "name": "all", "route": "sink" }'),
    "rsa": { "listen": ["127.0.0.1:$RSA_PORT"], "identity": "rsa", "rules": [ { "name": "all", "route": "sink" } ] } }
JSON
python3 - "$POLICY" "$OWN" <<'EDIT'
import json, sys
path, own = sys.argv[1:]
policy = json.load(open(path))
policy["identities"]["server"] = {"certificate": own + "/server.pem", "key": own + "/server.key"}
policy["identities"]["rsa"] = {"certificate": own + "/rsa.pem", "key": own + "/rsa.key", "passphrase": own + "/phrase"}
json.dump(policy, open(path, "w"))
EDIT
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT" "$RSA_PORT"

# shown PORT: the fingerprint of the certificate that a client gets to see.
shown()
{
    { sleep 1; echo QUIT; } | timeout 10 openssl s_client -starttls smtp -connect "127.0.0.1:$1" 2>/dev/null |
        openssl x509 -noout -fingerprint -sha256
}
of_file()
{
    openssl x509 -noout -fingerprint -sha256 -in "$1"
}
is_shown()
{
    [ "$(shown "$OUT_PORT")" = "$(of_file "$1")" ]
}
equal "the key behind a passphrase serves" "$(of_file "$OWN/rsa.pem")" "$(shown "$RSA_PORT")"
must "the certificate" is_shown "$CERTS/server.pem"

# A new certificate alone: the key does not fit. What runs stays, with a loud line.
cp "$CERTS/platform.pem" "$OWN/server.pem"
must "the change is seen" wait_for 10 log_has event='files changed'
must "the pair is refused" wait_for 10 log_has event=reload ok=false level=error
must "the reason is told" log_has level=error 'text~the key does not belong'
must "the old one still serves" is_shown "$CERTS/server.pem"
# Its key: now they belong together, and the names are others.
cp "$CERTS/platform.key" "$OWN/server.key"
must "the pair is taken" wait_for 10 log_has event=reload ok=true
must "the new one serves" wait_for 10 is_shown "$CERTS/platform.pem"
must "the change of names is told" log_has event='identity changed' identity=server what=names
must "and of the subject" log_has event='identity changed' identity=server what=subject 'to~Post CH AG'
# A file that is gone for a moment, and back.
mv "$OWN/server.key" "$OWN/away"
must "a missing file is told" wait_for 10 log_has level=error "text~can't open $OWN/server.key"
mv "$OWN/away" "$OWN/server.key"
must "mail is taken" send_mail anna@example.ch to@example.org x --tls
must "and arrives" wait_for 10 sink_has exchange to@example.org
