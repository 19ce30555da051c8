#!/usr/bin/env bash
# A private Postfix for comparison: unpacked (deploy/setup.sh), never installed, with a queue and a
# configuration of its own, listening on a loopback port, relaying everything to one next hop.
# It is as durable as Debian's: it syncs each mail before its 250. As root only.
#
#   bench/peers/postfix.sh DIRECTORY PORT NEXTHOP:PORT     runs it in the foreground
#
# POSTFIX_SETTINGS, when set: lines at the end of main.cf.
#
# POSTFIX_SETTINGS holds further lines of main.cf.
set -euo pipefail

dir=$1 port=$2 next=$3
here=$(cd "$(dirname "$0")/../.." && pwd)
root=${MGID_TOOLS:-$here/build/tools}/root
libraries=$root/usr/lib/postfix:$root/usr/lib/$(gcc -dumpmachine)
owner=mail group=news # users that every Debian has; Postfix asks for two that nobody else uses

mkdir -p "$dir/etc" "$dir/queue" "$dir/data"
cat >"$dir/etc/main.cf" <<CONF
compatibility_level = 3.6
queue_directory = $dir/queue
data_directory = $dir/data
daemon_directory = $root/usr/lib/postfix/sbin
command_directory = $root/usr/sbin
shlib_directory = no
mail_owner = $owner
setgid_group = $group
default_privs = nobody
import_environment = MAIL_CONFIG TZ LANG=C LD_LIBRARY_PATH=$libraries
export_environment = MAIL_CONFIG TZ LANG LD_LIBRARY_PATH=$libraries
myhostname = postfix.test
mydestination =
local_recipient_maps =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [${next%:*}]:${next##*:}
disable_dns_lookups = yes
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
maillog_file = $dir/log
maillog_file_prefixes = $dir
smtputf8_enable = no
${POSTFIX_SETTINGS:-}
CONF
cat >"$dir/etc/master.cf" <<CONF
127.0.0.1:$port inet n - n - - smtpd
pickup   unix  n - n 60 1 pickup
cleanup  unix  n - n - 0 cleanup
qmgr     unix  n - n 300 1 qmgr
rewrite  unix  - - n - - trivial-rewrite
bounce   unix  - - n - 0 bounce
defer    unix  - - n - 0 bounce
trace    unix  - - n - 0 bounce
verify   unix  - - n - 1 verify
flush    unix  n - n 1000? 0 flush
proxymap unix  - - n - - proxymap
smtp     unix  - - n - - smtp
relay    unix  - - n - - smtp
showq    unix  n - n - - showq
error    unix  - - n - - error
retry    unix  - - n - - error
discard  unix  - - n - - discard
anvil    unix  - - n - 1 anvil
scache   unix  - - n - 1 scache
tlsmgr   unix  - - n 1000? 1 tlsmgr
postlog  unix-dgram n - n - 1 postlogd
CONF
for queue in active bounce corrupt defer deferred flush hold incoming private saved trace; do
    install -d -o "$owner" -m 700 "$dir/queue/$queue"
done
install -d -o "$owner" -g "$group" -m 730 "$dir/queue/maildrop"
install -d -o "$owner" -g "$group" -m 710 "$dir/queue/public"
install -d -m 755 "$dir/queue/pid"
chown "$owner" "$dir/data"
chmod 755 "$dir"
export LD_LIBRARY_PATH=$libraries MAIL_CONFIG=$dir/etc
exec "$root/usr/lib/postfix/sbin/master" -c "$dir/etc" -d
