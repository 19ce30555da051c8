#!/usr/bin/env bash
# A queue that is long: what a deferred mail costs, and whether mgid minds.
#
#   bench/queue.sh [MAILS]      default 100,000 mails of 1,024 bytes, 50 sessions; as root
#
# Every mail goes to a host that refuses connections, so that it is deferred. Prints the memory of
# the worker a mail (growth of its anonymous pages), the rate of accepting with an empty and with a
# full queue, and of delivering to another host beside it, how long a start takes, and how long it
# takes to show, to hold and to delete what a filter selects. The log is thrown away. Every count
# must be that of the mails accepted: else it says so and ends with 1.
set -euo pipefail

mails=${1:-100000}
# shellcheck source=bench/peers/lib.sh
source "$(dirname "$0")/peers/lib.sh"
[ "$(id -u)" = 0 ] || { echo "queue: smtp-sink needs root" >&2; exit 77; }
TMPDIR=/var/tmp peers_begin queue # on disk: /tmp may be memory
chmod 755 "$WORK"

since()
{
    awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.2f", b - a }'
}

ctl()
{
    "$MGICTL" --socket "$WORK/control" "$@"
}

# memory: anonymous KiB of the worker.
memory()
{
    local pid
    pid=$(ctl --json status | python3 -c 'import json, sys
for line in sys.stdin:
    one = json.loads(line)
    if one.get("type") == "process" and one["role"] == "connection":
        print(one["pid"])')
    awk '/^RssAnon/ { print $2 }' "/proc/$pid/status"
}

counter()
{
    ctl --json status | python3 -c 'import json, sys
for line in sys.stdin:
    one = json.loads(line)
    if one.get("type") == "counters":
        print(one["counters"][sys.argv[1]])' "$1"
}

# send COUNT RECIPIENT: prints mails a second.
send()
{
    local start=$EPOCHREALTIME
    nice "$TOOLS/bin/smtp-source" -d -s 50 -m "$1" -l 1024 -f from@example.ch -t "$2" "127.0.0.1:$port"
    awk -v n="$1" -v t="$(since "$start")" 'BEGIN { printf "%.0f", n / t }'
}

start()
{
    spawn mgid "$MGID" -p "$WORK/policy.json"
    MGID_PID=$SPAWNED
    wait_for 120 answers 127.0.0.1 "$port" ||
        { echo "queue: nothing answers on port $port" >&2; return 1; }
}

sink=$(free_port)
spawn sink "$TOOLS/bin/smtp-sink" -u nobody "127.0.0.1:$sink" 200
dead=$(free_port)
port=$(free_port)
cat >"$WORK/policy.json" <<JSON
{ "version": 1, "hostname": "mgid.test", "spool": "$WORK/spool",
  "control": { "socket": "$WORK/control" }, "log": { "file": "/dev/null" },
  "retry": { "first": "1h", "max": "4h" },
  "peers": { "load": { "addresses": ["127.0.0.1/32"] } },
  "routes": { "sink": { "hosts": ["127.0.0.1:$sink"] }, "dead": { "hosts": ["127.0.0.1:$dead"] } },
  "flows": { "outbound": { "listen": ["127.0.0.1:$port"], "accept_from": ["load"],
             "rules": [ { "name": "dead", "when": { "recipient": "*@dead.example" }, "route": "dead" },
                        { "name": "all", "route": "sink" } ] } } }
JSON
printf '%s, %s processors, kernel %s, %s\n' "$(uname -m)" "$(nproc)" "$(uname -r)" "$(date -u +%F)"
start
few=$((mails < 20000 ? mails : 20000))
send 2000 to@dead.example >/dev/null # pools, batches and chunks get their first pages
send 2000 to@example.org >/dev/null
first=$(memory)
printf 'accept and deliver, queue empty:  %s mails/s\n' "$(send "$few" to@example.org)"
printf 'accept and defer:                 %s mails/s\n' "$(send "$mails" to@dead.example)"
second=$(memory)
printf 'queued:                           %s mails, worker at %s KiB\n' "$(counter queue_mails)" "$second"
awk -v a="$first" -v b="$second" -v n="$mails" \
    'BEGIN { printf "memory a deferred mail:           %.0f bytes\n", (b - a) * 1024 / n }'
printf 'accept and deliver, queue full:   %s mails/s\n' "$(send "$few" to@example.org)"
begun=$EPOCHREALTIME
stop "$MGID_PID" 120
printf 'stop:                             %s s\n' "$(since "$begun")"
begun=$EPOCHREALTIME
start
printf 'start to greeting:                %s s, worker at %s KiB\n' "$(since "$begun")" "$(memory)"
begun=$EPOCHREALTIME
ctl --json queue list >"$WORK/list"
wrong=0
# counted TEXT MAILS EXPECTED
counted()
{
    [ "$2" = "$3" ] && return
    printf '%s: %s mails, not %s\n' "$1" "$2" "$3" >&2
    wrong=1
}
queued=$((mails + 2000))
listed=$(grep -c queue_id "$WORK/list" || :)
printf 'queue list, all:                  %s s, %s mails\n' "$(since "$begun")" "$listed"
counted 'queue list' "$listed" "$queued"
# timed EXPECTED TEXT COMMAND…: a mgictl command that counts.
timed()
{
    local expected=$1 text=$2 done_to
    shift 2
    begun=$EPOCHREALTIME
    ctl --json "$@" >"$WORK/done" || :
    done_to=$(tail -1 "$WORK/done" | sed 's/.*"mails": *\([0-9]*\).*/\1/')
    printf '%-33s %s s, %s mails, %s busy\n' "$text" "$(since "$begun")" "$done_to" \
        "$(tail -1 "$WORK/done" | sed 's/.*"busy": *\([0-9]*\).*/\1/')"
    counted "$text" "$done_to" "$expected"
}
timed 10 'queue list --limit 10:' queue list --limit 10
timed 0 'count, by a sender that none has:' queue retry --sender nobody@example.ch --dry-run
timed "$queued" 'queue hold --route:' queue hold --route dead
timed "$queued" 'queue release --route:' queue release --route dead
timed "$queued" 'queue delete --route:' queue delete --route dead
left=$(counter queue_mails)
printf 'left:                             %s mails, worker at %s KiB\n' "$left" "$(memory)"
counted 'left' "$left" 0
exit "$wrong"
