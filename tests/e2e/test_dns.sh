# Names: a null MX and a domain that does not exist bounce to the sender; a dead exchanger and a
# dead address fall back to the next; a name server that fails defers, and names the look-up.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.7 --no-starttls
zone example.org <<ZONE
null MX 0 .
dead MX 10 dead-host
     MX 20 good-host
two MX 10 two-hosts
plain A 127.0.0.7
silent A 127.0.0.7
alias CNAME plain
dead-host A 127.0.0.66
good-host A 127.0.0.7
two-hosts A 127.0.0.66
two-hosts A 127.0.0.7
none TXT "neither MX nor address"
ZONE
zone example.ch <<ZONE
@ MX 10 mail
mail A 127.0.0.7
ZONE
must "nsd starts" start_nsd example.org example.ch
write_policy <<JSON
  "routes": { "internet": { "mx": "recipient", "port": $SINK_PORT } },
  "flows": { $(outbound_flow '{ "name": "all", "route": "internet" }') }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

for domain in dead two plain alias; do
    must "$domain is taken" send_mail anna@example.ch "to@$domain.example.org" x
    must "$domain arrives" wait_for 20 sink_has sink "to@$domain.example.org"
done

bounces()
{
    local recipient=$1 sender=$2 status=$3
    must "$recipient is taken" send_mail "$sender" "$recipient" 'will bounce'
    must "$recipient bounces" wait_for 10 log_has event=bounced "recipient=$recipient"
    must "its sender is told" wait_for 10 sink_has sink "$sender"
    local mail
    mail=$(sink_mail sink "$sender")
    must "a delivery status (RFC 3464)" grep -q 'multipart/report; *report-type=delivery-status' \
        <(tr -d '\r\n\t' <"$mail")
    must "it names the recipient" grep -qi "^Final-Recipient: *rfc822; *$recipient" "$mail"
    must "and the status $status" grep -q "^Status: *$status" "$mail"
    equal "the sender of the notice" "" "$(json_lines "$WORK/sink.log" event=mail "recipients=$sender" --print from)"
}
bounces to@null.example.org null@example.ch '5\.1\.10'
bounces to@missing.example.org missing@example.ch '5\.1\.[12]'
bounces to@none.example.org none@example.ch '5\.[14]\.[0-9]*'

# What bounces and has the null sender is given up without a word.
must "taken" send_mail '<>' to@null.example.org 'a notice'
must "dropped" wait_for 10 log_has event=bounced recipient=to@null.example.org sender=
must_not "no mail to nobody" json_lines "$WORK/sink.log" event=mail recipients=

must "taken" send_mail anna@example.ch to@refused.example.net x
must "a failing look-up defers, and is named" wait_for 20 \
    log_has event=deferred recipient=to@refused.example.net 'reason~refused.example.net'

# Nobody answers at all: the mail waits until the name server is back.
stop "$NSD_PID"
must "taken" send_mail anna@example.ch to@silent.example.org x
must "an unreachable name server defers, and the look-up is named" wait_for 30 \
    log_has event=deferred recipient=to@silent.example.org 'reason~silent.example.org'
must_not "and bounces nothing" log_has event=bounced recipient=to@silent.example.org
spawn nsd "$(PATH=$PATH:/usr/sbin command -v nsd)" -d -c "$WORK/nsd.conf"
must "nsd is back" wait_for 10 dns_answers example.org
must "and the mail arrives" wait_for 30 sink_has sink to@silent.example.org
