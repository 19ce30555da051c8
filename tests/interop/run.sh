#!/usr/bin/env bash
# Real programs and mgid, in both directions, in clear and with mutual TLS: a table of what arrived.
#
#   BUILD=build tests/interop/run.sh       `make interop` installs and unpacks what is needed first
#
# Clients send to mgid, which delivers to a sink. Servers are both at once: mgid delivers to them,
# and they relay to another flow of mgid, which delivers to the sink. What arrives has to be what was
# sent, byte for byte, but for the Received fields on top. A server with which OpenSSL's own client
# gets no TLS session either can't show anything about mgid's: "n/a". Fails when anything else than
# "ok" or that is in the table.
source "$(dirname "$0")/../e2e/lib.sh"
here=$ROOT/tests/interop
source "$here/clients.sh"
export INTEROP=$TOOLS/interop SENDER CERTS
clients=(swaks curl msmtp python perl nodemailer go)
servers=(postfix exim opensmtpd)
e2e_begin
export CERTS
chmod 711 "$WORK" # the servers drop their privileges
MUTUAL_PORT=$(free_port)
start_sink sink 127.0.0.1 --no-starttls

# --- a message with what programs stumble over -------------------------------------------------
python3 - "$WORK/message" <<'MESSAGE'
import sys
lines = ["From: Anna Muster <anna@example.org>", "To: Hans <hans@example.ch>", "Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=",
         "Date: Tue, 24 Nov 2026 12:00:00 +0100", "Message-ID: <interop@example.org>", "MIME-Version: 1.0",
         "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: 8bit", "X-Folded: one", "\ttwo", "",
         "Gr\u00fc\u00dfe", ".", "..", ".dot", "...", "From the top", "trailing blanks  \t", "", "x" * 990, "", "", "end"]
open(sys.argv[1], "wb").write("".join(line + "\r\n" for line in lines).encode())
MESSAGE

# --- mgid, and the servers ------------------------------------------------------------------------
routes='"sink": { "hosts": ["127.0.0.1:'$SINK_PORT'"] }'
rules=
declare -A port
for server in "${servers[@]}"; do
    for mode in clear tls; do
        port[$server-$mode]=$(free_port)
        demand=
        [ $mode = clear ] || demand=', "tls": { "require": true, "trust": "corporate", "identity": "client" }'
        routes+=", \"$server-$mode\": { \"hosts\": [\"127.0.0.1:${port[$server-$mode]}\"]$demand }"
        rules+="{ \"when\": { \"recipient\": \"*@$server-$mode.example\" }, \"route\": \"$server-$mode\" }, "
    done
done
# The flows that the servers relay to are others than the one that sends to them.
write_policy <<JSON
  "routes": { $routes },
  "flows": {
    $(outbound_flow "$rules { \"route\": \"sink\" }"),
    "inbound": { "listen": ["127.0.0.1:$IN_PORT"], "identity": "server", "accept_from": ["exchange"],
                 "rules": [ { "route": "sink" } ] },
    "mutual": { "listen": ["127.0.0.1:$MUTUAL_PORT"], "identity": "server", "client_certificate": "require",
                "accept_from": ["partner", "corporate"], "rules": [ { "route": "sink" } ] }
  }
JSON
python3 - "$POLICY" <<'PEERS'
import json, sys
policy = json.load(open(sys.argv[1]))
policy["peers"]["partner"] = {"tls": {"trust": "public", "names": ["mail.partner.example"]}}
policy["peers"]["corporate"] = {"tls": {"trust": "corporate", "names": ["exchange.example.ch"]}}
json.dump(policy, open(sys.argv[1], "w"))
PEERS
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT" "$IN_PORT" "$MUTUAL_PORT"
for server in "${servers[@]}"; do
    for mode in clear tls; do
        next=$IN_PORT
        [ $mode = clear ] || next=$MUTUAL_PORT
        spawn "$server-$mode" "$here/$server.sh" "$WORK/$server-$mode" "${port[$server-$mode]}" "$next" $mode "$CERTS"
    done
done
for name in "${!port[@]}"; do
    wait_for 30 answers 127.0.0.1 "${port[$name]}" || { tail -n 5 "$WORK/$name.log" "$WORK/$name"/log* >&2; fail "$name does not answer"; }
done

# --- the table ------------------------------------------------------------------------------------
failed=0
# arrived RECIPIENT HOPS: "ok", or what is wrong with what the sink has for the recipient: mail that
# went HOPS times through a server has so many Received fields on top of what was sent.
arrived()
{
    wait_for 30 sink_has sink "$1" || { echo "nothing arrived"; return; }
    python3 - "$WORK/message" "$(sink_mail sink "$1")" "$2" <<'COMPARE'
import re, sys
sent, mail = (open(path, "rb").read() for path in sys.argv[1:3])
hops = 0
while (field := re.match(rb"Received:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", mail)):
    mail = mail[field.end():]
    hops += 1
differs = next((i for i, (a, b) in enumerate(zip(sent, mail)) if a != b), min(len(sent), len(mail)))
if mail != sent:
    print(f"differs at {differs}: sent {sent[differs:differs + 20]!r}, arrived {mail[differs:differs + 20]!r}")
elif hops != int(sys.argv[3]):
    print(f"{hops} Received fields")
else:
    print("ok")
COMPARE
}

# handshakes PORT: can OpenSSL's client begin TLS there?
handshakes()
{
    timeout 10 openssl s_client -starttls smtp -connect "127.0.0.1:$1" -cert "$CERTS/client.pem" \
        -key "$CERTS/client.key" </dev/null >"$WORK/handshake.out" 2>&1
}

# row WHAT MODE RESULT
row()
{
    printf '%-12s %-34s %s\n' "$1" "$2" "$3"
    [ "$3" = ok ] || [[ $3 = n/a:* ]] || failed=$((failed + 1))
}

printf '%-12s %-34s %s\n' program way result
for client in "${clients[@]}"; do
    for way in clear tls mutual; do
        recipient=$client.$way@sink.example mode=tls to=$OUT_PORT certificate=()
        [ $way != clear ] || mode=clear
        [ $way != mutual ] || { certificate=("$CERTS/sender") to=$MUTUAL_PORT; }
        # swaks sends one certificate of a file: one whose issuer is the root itself.
        [ $client.$way != swaks.mutual ] || certificate=("$CERTS/internal-client")
        if "client_$client" "$to" $mode "$WORK/message" "$recipient" "${certificate[@]}" >"$WORK/client.out" 2>&1; then
            row "$client" "client, $way" "$(arrived "$recipient" 1)"
        else
            row "$client" "client, $way" "failed: $(tail -n 1 "$WORK/client.out" | cut -c 1-200)"
        fi
    done
done
for server in "${servers[@]}"; do
    for mode in clear tls; do
        if [ $mode = tls ] && ! handshakes "${port[$server-$mode]}"; then
            row "$server" "next hop and sender, mutual TLS" "n/a: it fails the handshake with OpenSSL's s_client, too"
            continue
        fi
        recipient=user@$server-$mode.example
        client_python "$OUT_PORT" clear "$WORK/message" "$recipient" >"$WORK/client.out" 2>&1 || :
        row "$server" "next hop and sender, ${mode/tls/mutual TLS}" "$(arrived "$recipient" 3)"
    done
done
echo "$failed failed"
[ "$failed" = 0 ]
