#!/usr/bin/env bash
# make demo: a company with mgid as its gateway, the IncaMail platform (a simulator that demands and
# verifies a client certificate), the internal mail server and a server of the internet, all on
# 127.0.0.0/8 and high ports, with DNS of their own. Sends the mails of deploy/demo/mails.json and
# shows what became of each. Works as an ordinary user and as root; leaves nothing behind.
#
# DEMO_KEEP=1 waits for Enter before it ends, so that one can look around and send more.
set -euo pipefail
# shellcheck source=bench/peers/lib.sh
source "$(dirname "$0")/../bench/peers/lib.sh"

here=$ROOT/deploy/demo
peers_begin demo

step()
{
    printf '== %s\n' "$*"
}

# What the demo is about does not depend on what of it fails: the logs say it.
give_up()
{
    printf 'demo: %s\n' "$*" >&2
    tail -n 15 "$WORK"/*.log >&2
    exit 1
}

# Fills in the policy's template.
policy()
{
    sed -e "s|@WORK@|$WORK|g" -e "s|@CERTS@|$CERTS|g" -e "s|@DNS_PORT@|$DNS_PORT|g" \
        -e "s|@PLATFORM_PORT@|$platform_port|g" -e "s|@EXCHANGE_PORT@|$exchange_port|g" \
        -e "s|@INTERNET_PORT@|$internet_port|g" -e "s|@OUT_PORT@|$out_port|g" \
        -e "s|@IN_PORT@|$in_port|g" "$here/policy.json.in" >"$WORK/policy.json"
}

names()
{
    zone incamail.ch <<<'*.incamail.ch. MX 10 gw1.incamail.com.'
    zone post.ch <<<'im MX 10 gw1.incamail.com.'
    zone incamail.com <<<'gw1 A 127.0.0.2'
    zone example.ch <<<'exchange A 127.0.0.3'
    zone example.org <<<$'@ MX 10 mail\nmail A 127.0.0.4'
    zone example.net <<<$'@ MX 10 mail\nmail A 127.0.0.4'
    start_nsd incamail.ch post.ch incamail.com example.ch example.org example.net ||
        give_up "nsd does not answer"
}

servers()
{
    start_sink platform 127.0.0.2 --cert "$CERTS/platform.pem" --key "$CERTS/platform.key" \
        --client-ca "$CERTS/ca.pem" --require-client-cert --hostname gw1.incamail.com ||
        give_up "the platform does not start"
    platform_port=$SINK_PORT platform_pid=$SINK_PID
    start_sink exchange 127.0.0.3 --cert "$CERTS/internal.pem" --key "$CERTS/internal.key" \
        --require-tls --hostname exchange.example.ch || give_up "the internal server does not start"
    exchange_port=$SINK_PORT
    start_sink internet 127.0.0.4 --cert "$CERTS/sender.pem" --key "$CERTS/sender.key" \
        --hostname mail.example.org || give_up "the internet does not start"
    internet_port=$SINK_PORT
}

# compose NAME RECIPIENTS SUBJECT BODY: from the company's mail server, over TLS. What is sent stays
# in sent/NAME.eml, to be compared with what arrives.
compose()
{
    printf '%s\r\n' "From: Anna <anna@example.ch>" "To: ${2//,/, }" "Subject: $3" \
        "Date: $(date -R)" "Message-ID: <$1@exchange.example.ch>" '' "$4" >"$WORK/sent/$1.eml"
    swaks --server "127.0.0.1:$out_port" --tls --helo exchange.example.ch --from anna@example.ch \
        --to "$2" --data "@$WORK/sent/$1.eml" >"$WORK/swaks.out" 2>&1 ||
        give_up "swaks to $2: $(tail -n 3 "$WORK/swaks.out")"
}

send_all()
{
    local status=0
    mkdir "$WORK/sent"
    # Connection test 8.3 of the integration's documentation.
    compose test hans@example.com.incamail.ch '<im><c> Test-Mail outbound to IncaMail' 'A test.'
    # "<im><c> Offre février", with the tag inside the encoded word.
    compose encoded claire@example.net '=?UTF-8?B?PGltPjxjPiBPZmZyZSBmw6l2cmllcg==?=' 'Voici.'
    compose mixed lena@example.org.incamail.ch,tom@example.org 'To two of you' 'One mail, two ways.'
    compose ordinary sam@example.org 'Lunch' 'At noon?'
    "$MGISIM" send --to-server "127.0.0.1:$in_port" --cert "$CERTS/platform.pem" \
        --key "$CERTS/platform.key" --ca "$CERTS/ca.pem" --name mx1.example.ch --sample registered \
        --rcpt hans@example.ch --keep "$WORK/sent/registered.eml" --json \
        >"$WORK/inbound.log" || give_up "the platform was refused"
    "$MGISIM" send --to-server "127.0.0.1:$in_port" --from swisspost+0bad@im.post.ch \
        --rcpt victim@example.ch --json >"$WORK/pretender.log" || status=$?
    [ "$status" = 69 ] || give_up "the pretender was not refused"
}

# Somebody else answers at the platform's address: a certificate that a trusted CA issued, with the
# platform's names, but for another organisation.
impostor()
{
    local recipient
    for recipient in hans@example.com.incamail.ch claire@example.net lena@example.org.incamail.ch; do
        wait_for 20 sink_has platform "$recipient" || give_up "nothing for $recipient at the platform"
    done
    stop "$platform_pid"
    SINK_PORT_WANTED=$platform_port start_sink impostor 127.0.0.2 --hostname gw1.incamail.com \
        --cert "$CERTS/platform-wrong-org.pem" --key "$CERTS/platform-wrong-org.key" ||
        give_up "the impostor does not start"
    compose intercepted eve@example.com.incamail.ch '<im><c> For your eyes only' 'The secret.'
}

# What the operator sees: the queue with its reason, the processes, some counters.
operator()
{
    local keep='^(ROLE|keeper|resolver|control|connection|COUNTER) |^(mails|queue|deliveries)_|^tls_demand_unmet'
    printf '\n$ mgictl queue list\n'
    "$MGICTL" --socket "$WORK/control" queue list | tee "$WORK/queue.out"
    grep -q eve@example.com.incamail.ch "$WORK/queue.out" || give_up "the queue lacks the mail that waits"
    printf '\n$ mgictl status    (in part)\n'
    "$MGICTL" --socket "$WORK/control" status >"$WORK/status.out" || give_up "mgictl status failed"
    head -n 1 "$WORK/status.out"
    grep -E "$keep" "$WORK/status.out"
}

# The header field that mgid put on top of the registered mail.
received()
{
    printf '\nthe registered mail, as it reached the internal server:\n'
    awk 'NR > 1 && /^[^ \t]/ { exit } { sub(/\r$/, ""); print }' "$(sink_mail exchange hans@example.ch)"
}

begun=$SECONDS
step "certificates, DNS, platform simulator, internal server, a server of the internet"
make_certificates || give_up "no certificates"
servers
names
out_port=$(free_port)
in_port=$(free_port)
policy
step "mgid with $(wc -l <"$WORK/policy.json") lines of policy"
"$MGICTL" policy check "$WORK/policy.json" >"$WORK/check.log" || give_up "the policy is not valid"
start_mgid "$WORK/policy.json" "$out_port" "$in_port" || give_up "mgid does not start"
step "mails, out and in"
send_all
step "the platform's server replaced by an impostor's, a mail for it"
impostor
echo
python3 "$here/report.py" "$WORK" "$here/mails.json" || give_up "not as it should be"
operator
received
! grep -E '"level":"error"|"event":"bug"' "$WORK/mgid.log" >&2 || give_up "mgid met an error"
if [ -n "${DEMO_KEEP:-}" ]; then
    printf '\noutbound 127.0.0.1:%s, inbound 127.0.0.1:%s, everything in %s; Enter ends it\n' \
        "$out_port" "$in_port" "$WORK"
    read -r || :
fi
printf '\nin %d s\n' $((SECONDS - begun))
