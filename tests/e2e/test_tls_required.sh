# A route that requires TLS: a server that can't be trusted gets neither the mail nor its envelope,
# least of all in clear; the mail waits, with the reason.
source "$(dirname "$0")/lib.sh"
e2e_begin
DEMAND='"require": true, "trust": "public", "names": ["*.incamail.com", "im.post.ch"], "organization": "Post CH AG", "identity": "client"'

ROUTES=
RULES=
# server NAME EXPECTED-REASON SINK-OPTION…: a sink, a route to it and a rule for NAME@example.org.
declare -A REASON PORT PID
server()
{
    local name=$1
    REASON[$name]=$2
    shift 2
    start_sink "$name" 127.0.0.1 "$@"
    PORT[$name]=$SINK_PORT
    PID[$name]=$SINK_PID
    ROUTES+="\"$name\": { \"hosts\": [\"127.0.0.1:$SINK_PORT\"], \"tls\": { $DEMAND } }, "
    RULES+="{ \"when\": { \"recipient\": \"$name@example.org\" }, \"route\": \"$name\" }, "
}
identity()
{
    printf '%s\n' --cert "$CERTS/$1.pem" --key "$CERTS/$1.key"
}
mapfile -t good < <(identity platform)
mapfile -t rogue < <(identity platform-rogue)
mapfile -t selfsigned < <(identity platform-self)
mapfile -t name < <(identity platform-wrong-name)
mapfile -t organization < <(identity platform-wrong-org)
mapfile -t expired < <(identity platform-expired)
server no-starttls 'does not offer it' --no-starttls
server rogue-ca 'not in trust store' "${rogue[@]}"
server self-signed 'self-signed' "${selfsigned[@]}"
server wrong-name 'no name of the certificate' "${name[@]}"
server wrong-organization 'Evil Corp' "${organization[@]}"
server expired 'expired' "${expired[@]}"
server good '' "${good[@]}" --client-ca "$CERTS/ca.pem" --require-client-cert
write_policy <<JSON
  "routes": { ${ROUTES%, } },
  "flows": { $(outbound_flow "$RULES{ \"name\": \"rest\", \"route\": \"good\" }") }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

# The last server is the one that all others are to be told from.
names="no-starttls rogue-ca self-signed wrong-name wrong-organization expired good"
for name in $names; do
    must "mail for $name is taken" send_mail anna@example.ch "$name@example.org" secret
done
must "the good server gets its mail" wait_for 10 sink_has good good@example.org
must "with our certificate" json_lines "$WORK/good.log" event=mail client.verified=true \
    'client.subject~gateway.example.ch' >"$WORK/found"
must "and a verdict" log_has event=delivered recipient=good@example.org verdict=verified mutual=true
for name in ${names% good}; do
    must "the mail for $name waits, with the reason" wait_for 10 \
        log_has event=deferred "recipient=$name@example.org" "reason~${REASON[$name]}"
    must_not "$name gets no mail" json_lines "$WORK/$name.log" event=mail
    equal "$name stores nothing" "" "$(ls "$WORK/$name")"
done
"$MGICTL" --socket "$WORK/control" --json queue list >"$WORK/queue"
for name in ${names% good}; do
    must "the queue says why $name waits" grep -q "\"$name@example.org\"" "$WORK/queue"
done
# Nor may the envelope have been said: not one session went beyond EHLO and STARTTLS. (The sinks
# log a session at its end.)
stop "$MGID_PID"
for name in ${names% good}; do
    must "$name saw a session" wait_for 5 json_lines "$WORK/$name.log" event=session
    must_not "$name heard no envelope" json_lines "$WORK/$name.log" event=session 'commands~MAIL'
done

# The servers are put right: what waited, across mgid's end and a new start, arrives.
for name in ${names% good}; do
    stop "${PID[$name]}"
    SINK_PORT_WANTED=${PORT[$name]} start_sink "right-$name" 127.0.0.1 "${good[@]}" \
        --client-ca "$CERTS/ca.pem" --require-client-cert
done
must "mgid starts again" start_mgid "$POLICY" "$OUT_PORT"
for name in ${names% good}; do
    must "$name, put right, gets its mail" wait_for 15 sink_has "right-$name" "$name@example.org"
    must "over TLS, by a verified client" json_lines "$WORK/right-$name.log" event=mail client.verified=true >"$WORK/found"
    equal "mails for $name" 1 "$(json_lines "$WORK/right-$name.log" event=mail --count)"
done
