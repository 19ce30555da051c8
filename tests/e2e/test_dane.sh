# DANE (RFC 7672) with a signed zone: usage 3 and 2 met, not met, unusable, of an alias; bogus records
# defer; a zone that is not signed counts for nothing; a partner's demand stands above.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink good 127.0.0.7 --cert "$CERTS/platform-self.pem" --key "$CERTS/platform-self.key"
PORT=$SINK_PORT
SINK_PORT_WANTED=$PORT start_sink clear 127.0.0.8 --no-starttls
SINK_PORT_WANTED=$PORT start_sink chain 127.0.0.9 --cert "$CERTS/platform.pem" --key "$CERTS/platform.key"
spki()
{
    openssl x509 -in "$CERTS/$1.pem" -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum | cut -d' ' -f1
}
EE=$(spki platform-self)
TA=$(spki intermediate)
NO=$(spki server)
records() # of a zone; the zone's name is added by nsd
{
    cat <<ZONE
im.post A 127.0.0.9
$(host met 127.0.0.7 "3 1 1 $EE")
$(host rolled 127.0.0.7 "3 1 1 $NO" "3 1 1 $EE")
$(host unmet 127.0.0.7 "3 1 1 $NO")
$(host unusable 127.0.0.7 "1 1 1 $NO")
$(host clear 127.0.0.8 "3 1 1 $EE")
$(host clear-unusable 127.0.0.8 "0 1 1 $NO")
$(host none 127.0.0.8)
$(host bogus 127.0.0.7 "3 1 1 $EE")
alias MX 10 alias-mx
alias-mx CNAME met-mx
ZONE
}
host() # NAME ADDRESS RECORD…
{
    local name=$1 address=$2 record
    shift 2
    printf '%s MX 10 %s-mx\n%s-mx A %s\n' "$name" "$name" "$name" "$address"
    for record in "$@"; do
        printf '_%s._tcp.%s-mx TLSA %s\n' "$PORT" "$name" "$record"
    done
}
records | zone signed.example
records | zone plain.example
(
    cd "$WORK"
    key=$(ldns-keygen -a ECDSAP256SHA256 -k signed.example)
    ldns-signzone -f signed.example.signed signed.example.zone "$key"
    cp "$key.key" anchor
    # One record is not what was signed.
    sed -E "s/^(_$PORT\._tcp\.bogus-mx\.signed\.example\..*TLSA[[:space:]]+3 1 1 ).{8}/\\100000000/" \
        signed.example.signed >signed.example.zone
) >"$WORK/sign.out" 2>&1 || fail "$(cat "$WORK/sign.out")"
must "nsd starts" start_nsd signed.example plain.example
write_policy <<JSON
  "routes": { "dane": { "mx": "recipient", "port": $PORT, "tls": { "dane": true } },
              "partner": { "mx": "met.signed.example", "port": $PORT, "tls": { "dane": true, "require": true, "trust": "public" } } },
  "flows": { $(outbound_flow '{ "when": { "recipient": "partner@example.org" }, "route": "partner" }, { "name": "all", "route": "dane" }') }
JSON
python3 - "$POLICY" "$WORK/anchor" <<'EDIT'
import json, sys
policy = json.load(open(sys.argv[1]))
policy["resolver"].update(dnssec=True, trust_anchor=sys.argv[2])
json.dump(policy, open(sys.argv[1], "w"))
EDIT
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"
for name in met rolled unmet unusable clear clear-unusable none bogus alias; do
    must "mail for $name" send_mail anna@example.ch "to@$name.signed.example" x
done
must "mail without DNSSEC" send_mail anna@example.ch to@clear.plain.example x
must "mail for the partner" send_mail anna@example.ch partner@example.org x
arrives() # SINK RECIPIENT
{
    must "$2 arrives" wait_for 15 sink_has "$1" "$2"
}
for name in met rolled unusable alias; do
    arrives good "to@$name.signed.example"
done
must "verified by its record" log_has event=delivered recipient=to@met.signed.example verdict=verified
arrives clear to@none.signed.example
arrives clear to@clear.plain.example
waits() # RECIPIENT REASON
{
    must "$1 waits" wait_for 15 log_has event=deferred "recipient=$1" "reason~$2"
}
waits to@unmet.signed.example 'no TLSA record matches'
waits to@clear.signed.example 'does not offer it'
waits to@clear-unusable.signed.example 'does not offer it'
waits to@bogus.signed.example 'bogus'
waits partner@example.org 'self-signed'
must_not "nothing of it in clear" json_lines "$WORK/clear.log" event=mail 'recipients~to@clear.signed.example'
