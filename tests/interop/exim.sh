#!/usr/bin/env bash
# An Exim that takes mail on a loopback port and relays everything to one next hop.
#
#   tests/interop/exim.sh DIRECTORY PORT NEXTPORT clear|tls CERTS     runs it in the foreground
set -euo pipefail
# shellcheck source=tests/interop/private.sh
source "$(dirname "$0")/private.sh"
private "$@"
dir=$1 port=$2 next=$3 mode=$4 certs=$5

mkdir -p "$dir"
chmod 755 "$dir"
private_etc "$dir" Debian-exim
private_keys "$dir/tls" "$certs" Debian-exim 600
install -d -o Debian-exim -g Debian-exim "$dir/spool" "$dir/log"
if [ "$mode" = tls ]; then
    server="tls_advertise_hosts = *
tls_certificate = $dir/tls/internal.pem
tls_privatekey = $dir/tls/internal.key
tls_verify_certificates = $dir/tls/ca.pem
tls_verify_hosts = *"
    client="hosts_require_tls = *
  tls_certificate = $dir/tls/internal-client.pem
  tls_privatekey = $dir/tls/internal-client.key
  tls_verify_certificates = $dir/tls/ca.pem
  tls_verify_hosts = *"
    next_host=mx1.example.ch
else
    server='tls_advertise_hosts ='
    client='hosts_avoid_tls = *'
    next_host=127.0.0.1
fi
mkdir -p /etc/exim4
cat >/etc/exim4/exim4.conf <<CONF
exim_path = $root/usr/sbin/exim4
spool_directory = $dir/spool
log_file_path = $dir/log/%slog
pid_file_path = $dir/spool/pid
primary_hostname = exim.test
daemon_smtp_ports = $port
local_interfaces = 127.0.0.1
host_lookup =
rfc1413_hosts =
keep_environment =
acl_smtp_rcpt = all
acl_smtp_data = all
message_size_limit = 64M
$server
begin acl
all:
  accept
begin routers
all:
  driver = manualroute
  route_list = * $next_host byname
  self = send
  transport = next
begin transports
next:
  driver = smtp
  port = $next
  message_linelength_limit = 100000
  $client
begin retry
* * F,1h,1s
CONF
exec "$root/usr/sbin/exim4" -bdf -q2s
