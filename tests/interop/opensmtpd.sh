#!/usr/bin/env bash
# An OpenSMTPD that takes mail on a loopback port and relays everything to one next hop.
#
#   tests/interop/opensmtpd.sh DIRECTORY PORT NEXTPORT clear|tls CERTS     runs it in the foreground
set -euo pipefail
# shellcheck source=tests/interop/private.sh
source "$(dirname "$0")/private.sh"
private "$@"
dir=$1 port=$2 next=$3 mode=$4 certs=$5

mkdir -p "$dir"
private_etc "$dir" opensmtpd opensmtpq
private_keys "$dir/tls" "$certs" root 600
private_folder /var/spool
private_folder /var/lib/opensmtpd
private_folder /run
private_folder /usr/libexec/opensmtpd
cp -a "$root/usr/libexec/opensmtpd/." /usr/libexec/opensmtpd
mkdir -p /var/lib/opensmtpd/empty
if [ "$mode" = tls ]; then
    cat >"$dir/smtpd.conf" <<CONF
pki server cert "$dir/tls/internal.pem"
pki server key "$dir/tls/internal.key"
pki client cert "$dir/tls/internal-client.pem"
pki client key "$dir/tls/internal-client.key"
ca demo cert "$dir/tls/ca.pem"
listen on 127.0.0.1 port $port tls-require verify pki server ca demo hostname opensmtpd.test
# Its resolver asks no hosts file, so the name of mgid's certificate can't be verified from here;
# mgid verifies this server's certificate in both directions.
action next relay host "smtp+tls://127.0.0.1:$next" pki client tls no-verify
CONF
else
    cat >"$dir/smtpd.conf" <<CONF
listen on 127.0.0.1 port $port hostname opensmtpd.test
action next relay host "smtp+notls://127.0.0.1:$next"
CONF
fi
echo 'match from any for any action next' >>"$dir/smtpd.conf"
chmod 600 "$dir/smtpd.conf"
exec "$root/usr/sbin/smtpd" -dv -f "$dir/smtpd.conf"
