#!/usr/bin/env bash
# A Postfix that takes mail on a loopback port and relays everything to one next hop.
#
#   tests/interop/postfix.sh DIRECTORY PORT NEXTPORT clear|tls CERTS     runs it in the foreground
set -euo pipefail
dir=$1 port=$2 next=$3 mode=$4 certs=$5
here=$(cd "$(dirname "$0")/../.." && pwd)

mkdir -p "$dir"
export POSTFIX_SETTINGS="smtputf8_enable = yes
smtp_tls_security_level = none
smtpd_tls_security_level = none"
if [ "$mode" = tls ]; then
    install -d -m 755 "$dir/tls"
    cp "$certs"/internal.* "$certs"/internal-client.* "$certs/ca.pem" "$dir/tls"
    export POSTFIX_SETTINGS="smtpd_tls_security_level = encrypt
smtpd_tls_chain_files = $dir/tls/internal.key, $dir/tls/internal.pem
smtpd_tls_CAfile = $dir/tls/ca.pem
smtpd_tls_req_ccert = yes
smtp_tls_security_level = secure
smtp_tls_secure_cert_match = mx1.example.ch
smtp_tls_CAfile = $dir/tls/ca.pem
smtp_tls_chain_files = $dir/tls/internal-client.key, $dir/tls/internal-client.pem"
fi
exec "$here/bench/peers/postfix.sh" "$dir" "$port" "127.0.0.1:$next"
