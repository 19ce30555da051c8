#!/usr/bin/env bash
# mgid beside a private Postfix: the same load, the same sink, the same disk, one after the other.
#
#   bench/compare.sh [MAILS]      default 5000 mails of 5,120 bytes, 50 sessions; as root
#
# Both answer 250 only after an fdatasync (Postfix one a mail, mgid one a group). Generator and sink
# are Postfix's smtp-source and smtp-sink and share the machine. The rate counts until the last 250;
# the CPU is that of all the server's processes until everything was delivered, ended children
# included. RUNS says how often (3); each run is one line.
set -euo pipefail

mails=${1:-5000}
runs=${RUNS:-3}
# shellcheck source=bench/peers/lib.sh
source "$(dirname "$0")/peers/lib.sh"
[ "$(id -u)" = 0 ] || { echo "compare: Postfix needs root" >&2; exit 77; }
TMPDIR=/var/tmp peers_begin compare # on disk: /tmp may be memory
chmod 755 "$WORK"

listens()
{
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

wait_port()
{
    wait_for 10 listens "$1" || { echo "compare: nothing listens on port $1" >&2; return 1; }
}

# Clock ticks of a process, of its living children and of those it has waited for.
ticks()
{
    awk -v pid="$1" '{ n = index($0, ") "); name = substr($0, n + 2); split(name, f, " ");
        split($0, g, " ");
        if (g[1] == pid) sum += f[12] + f[13] + f[14] + f[15];
        else if (f[2] == pid) sum += f[12] + f[13] }
        END { print sum }' /proc/[0-9]*/stat 2>/dev/null
}

mgid_queue()
{
    "$MGICTL" --socket "$WORK/control" --json queue list | grep -c queue_id || :
}

postfix_queue()
{
    find "$WORK/postfix/queue/incoming" "$WORK/postfix/queue/active" -type f | wc -l
}

# run NAME PID PORT MODE-FLAG MODE-NAME
run()
{
    local name=$1 pid=$2 port=$3 flag=$4 mode=$5 before start end after
    before=$(ticks "$pid")
    start=$EPOCHREALTIME
    "$TOOLS/bin/smtp-source" $flag -s 50 -m "$mails" -l 5120 -f from@example.ch -t to@example.org \
        "127.0.0.1:$port"
    end=$EPOCHREALTIME
    until [ "$("${name}_queue")" = 0 ]; do
        sleep 0.2
    done
    after=$(ticks "$pid")
    awk -v name="$name" -v mode="$mode" -v n="$mails" -v a="$start" -v b="$end" -v hz="$(getconf CLK_TCK)" \
        -v t=$((after - before)) 'BEGIN {
        printf "%-8s %-24s %7.0f mails/s  %7.3f CPU-s per 1,000\n", name, mode, n / (b - a),
               t / hz / n * 1000 }'
}

sink=$(free_port)
spawn sink "$TOOLS/bin/smtp-sink" -u nobody "127.0.0.1:$sink" 200
wait_port "$sink"

printf '%s, %s processors, kernel %s, %s\n' "$(uname -m)" "$(nproc)" "$(uname -r)" "$(date -u +%F)"
for name in postfix mgid; do
    port=$(free_port)
    if [ "$name" = postfix ]; then
        spawn postfix "$ROOT/bench/peers/postfix.sh" "$WORK/postfix" "$port" "127.0.0.1:$sink"
    else
        cat >"$WORK/policy.json" <<JSON
{ "version": 1, "hostname": "mgid.test", "spool": "$WORK/spool",
  "control": { "socket": "$WORK/control" }, "log": { "file": "$WORK/mgid.json" },
  "peers": { "load": { "addresses": ["127.0.0.1/32"], "trusted": true } },
  "routes": { "sink": { "hosts": ["127.0.0.1:$sink"] } },
  "flows": { "outbound": { "listen": ["127.0.0.1:$port"], "accept_from": ["load"],
             "rules": [ { "name": "all", "route": "sink" } ] } } }
JSON
        spawn mgid "$MGID" -p "$WORK/policy.json"
    fi
    pid=$SPAWNED
    wait_port "$port"
    for i in $(seq "$runs"); do
        run "$name" "$pid" "$port" "" "one mail a connection"
    done
    for i in $(seq "$runs"); do
        run "$name" "$pid" "$port" "-d" "kept connections"
    done
    stop "$pid" 60
done
