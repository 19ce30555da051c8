# shellcheck shell=bash
# Mail clients that people and programs use, each as a function:
#
#   client_NAME PORT clear|tls FILE RECIPIENT [CERTIFICATE]
#
# sends the message in FILE (CRLF line ends) to the server on 127.0.0.1, in clear or by STARTTLS with
# the server's certificate verified for mx1.example.ch, and with a client certificate when one is
# named (a path without .pem). Needs $CERTS and $WORK.

SENDER=anna@example.org

client_swaks()
{
    local tls=()
    # It verifies the chain, not the name, and sends the first certificate of a file alone.
    [ "$2" = clear ] || tls=(--tls --tls-verify --tls-ca-path "$CERTS/ca.pem")
    [ -z "${5:-}" ] || tls+=(--tls-cert "$5.pem" --tls-key "$5.key")
    swaks --timeout 20 --server "127.0.0.1:$1" --helo swaks.example --from "$SENDER" --to "$4" "${tls[@]}" \
        --data - < <(head -c -2 "$3") # it ends the last line itself
}

client_curl()
{
    local tls=()
    [ "$2" = clear ] || tls=(--ssl-reqd --cacert "$CERTS/ca.pem")
    [ -z "${5:-}" ] || tls+=(--cert "$5.pem" --key "$5.key")
    curl --silent --show-error --max-time 20 --resolve "mx1.example.ch:$1:127.0.0.1" "${tls[@]}" \
        --mail-from "$SENDER" --mail-rcpt "$4" --upload-file "$3" "smtp://mx1.example.ch:$1/curl.example"
}

client_msmtp()
{
    local tls=(--tls=off)
    [ "$2" = clear ] || tls=(--tls=on --tls-starttls=on --tls-trust-file="$CERTS/ca.pem" --tls-host-override=mx1.example.ch)
    [ -z "${5:-}" ] || tls+=(--tls-cert-file="$5.pem" --tls-key-file="$5.key")
    # It reads text with LF and sends it with CRLF.
    tr -d '\r' <"$3" | msmtp --file=/dev/null --host=127.0.0.1 --port="$1" --domain=msmtp.example --timeout=20 \
        --from="$SENDER" "${tls[@]}" -- "$4"
}

client_python()
{
    python3 - "$@" <<'SEND'
import os, smtplib, ssl, sys
port, mode, path, recipient, certificate = (sys.argv[1:] + [""])[:5]
with smtplib.SMTP("127.0.0.1", int(port), local_hostname="python.example", timeout=20) as s:
    s._host = "mx1.example.ch"  # whose certificate is expected
    if mode == "tls":
        context = ssl.create_default_context(cafile=os.environ["CERTS"] + "/ca.pem")
        if certificate:
            context.load_cert_chain(certificate + ".pem", certificate + ".key")
        s.starttls(context=context)
    s.sendmail(os.environ["SENDER"], [recipient], open(path, "rb").read(), mail_options=["BODY=8BITMIME"])
SEND
}

client_perl()
{
    timeout 30 perl - "$@" <<'SEND'
use strict; use warnings; use Net::SMTP;
my ($port, $mode, $path, $recipient, $certificate) = @ARGV;
my $s = Net::SMTP->new("127.0.0.1", Port => $port, Hello => "perl.example", Timeout => 20) or die "connect: $@";
if ($mode eq "tls") {
    my %tls = (SSL_ca_file => "$ENV{CERTS}/ca.pem", SSL_verifycn_name => "mx1.example.ch", SSL_verifycn_scheme => "smtp", Timeout => 20);
    %tls = (%tls, SSL_use_cert => 1, SSL_cert_file => "$certificate.pem", SSL_key_file => "$certificate.key") if $certificate;
    $s->starttls(%tls) or die "starttls: " . $s->message;
}
open my $file, "<:raw", $path or die;
my $text = do { local $/; <$file> }; # here alone: within TLS Net::SMTP reads replies up to $/, too
$s->mail($ENV{SENDER}) && $s->to($recipient) && $s->data && $s->datasend($text) && $s->dataend or die $s->message;
$s->quit;
SEND
}

client_nodemailer()
{
    NODE_PATH=$INTEROP/node_modules node - "$@" <<'SEND'
const [port, mode, path, recipient, certificate] = process.argv.slice(2);
const fs = require("fs");
const tls = { ca: fs.readFileSync(process.env.CERTS + "/ca.pem"), servername: "mx1.example.ch" };
if (certificate) Object.assign(tls, { cert: fs.readFileSync(certificate + ".pem"), key: fs.readFileSync(certificate + ".key") });
const transport = require("nodemailer").createTransport({ host: "127.0.0.1", port, name: "nodemailer.example",
    secure: false, requireTLS: mode === "tls", ignoreTLS: mode === "clear", tls });
transport.sendMail({ envelope: { from: process.env.SENDER, to: [recipient], use8BitMime: true }, raw: fs.readFileSync(path) })
    .then(() => transport.close(), (error) => { console.error(error); process.exit(1); });
SEND
}

client_go()
{
    "$INTEROP/gosend" "$@"
}
