# shellcheck shell=bash
# peers: how the processes of a test, a demo or a measurement are started, awaited and ended.
# To be sourced by bash after `set -euo pipefail`; begin with `peers_begin NAME`.
#
# Every process is started by `spawn` in a session of its own, and only what was started so is
# ever signalled. All waiting is polling with a bound.

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$ROOT/build}
[[ $BUILD = /* ]] || BUILD=$ROOT/$BUILD
TOOLS=${MGID_TOOLS:-$ROOT/build/tools}
MGISIM=$BUILD/bench/mgisim
MGID=$BUILD/sbin/mgid
MGICTL=$BUILD/bin/mgictl

peers_pids=()

# Makes the directory $WORK, and sees to its end and that of all processes.
peers_begin()
{
    WORK=$(mktemp -d "${TMPDIR:-/tmp}/mgid-$1.XXXXXX")
    trap peers_end EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 141' PIPE
    trap 'exit 143' TERM
}

peers_end()
{
    peers_finish $?
}

# peers_finish STATUS: what an EXIT trap of a script's own ends with.
peers_finish()
{
    trap - EXIT
    trap '' HUP INT PIPE TERM
    stop_all
    rm -rf "$WORK"
    exit "$1"
}

# spawn NAME COMMAND…: in the background, output in $WORK/NAME.log, pid in $SPAWNED. Appends when
# the log is there.
spawn()
{
    local name=$1
    shift
    setsid "$@" </dev/null >>"$WORK/$name.log" 2>&1 &
    SPAWNED=$!
    peers_pids+=("$SPAWNED")
}

# alive PID: runs, and is no zombie.
alive()
{
    local state
    state=$(sed -n 's/^State:[[:space:]]*//p' "/proc/$1/status" 2>/dev/null) || return 1
    [[ -n $state && $state != Z* ]]
}

# wait_for SECONDS COMMAND…: until the command succeeds; fails when the time is over.
wait_for()
{
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < end)) || return 1
        sleep 0.1
    done
}

gone()
{
    ! alive "$1"
}

# stop PID [SECONDS]: SIGTERM and, when that time (15) was not enough, SIGKILL to its group.
stop()
{
    local pid=$1
    if alive "$pid"; then
        kill -TERM "$pid" 2>/dev/null || :
        wait_for "${2:-15}" gone "$pid" || :
    fi
    # What it may have left: members of the group that it leads.
    kill -KILL -- "-$pid" 2>/dev/null || :
    wait "$pid" 2>/dev/null || :
    forget "$pid"
}

# forget PID: it has ended; its number may soon be another's, which must not be signalled.
forget()
{
    local pid kept=()
    for pid in "${peers_pids[@]}"; do
        [ "$pid" = "$1" ] || kept+=("$pid")
    done
    peers_pids=("${kept[@]}")
}

stop_all()
{
    local pid i
    # The newest first: a server is stopped after those that use it.
    for ((i = ${#peers_pids[@]} - 1; i >= 0; i--)); do
        pid=${peers_pids[i]}
        stop "$pid"
    done
    peers_pids=()
}

# A TCP and UDP port of 127.0.0.1 that is free now, below the range of outgoing connections.
free_port()
{
    python3 - <<'PORT'
import random, socket
while True:
    port = random.randrange(10240, 32000)
    try:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with socket.socket(socket.AF_INET, kind) as s:
                s.bind(("0.0.0.0", port))
        break
    except OSError:
        continue
print(port)
PORT
}

# answers HOST PORT: a server greets there with 220.
answers()
{
    local line=
    { exec 9<>"/dev/tcp/$1/$2"; } 2>/dev/null || return 1
    read -r -t 5 line <&9 || :
    exec 9>&-
    [[ $line = 220* ]]
}

# json_lines FILE KEY=VALUE… [--print KEY] [--count]: see jsonl.py.
json_lines()
{
    python3 "$ROOT/bench/peers/jsonl.py" "$@"
}

# Sets CERTS to a directory with certificates (deploy/certs.sh); one that is exported serves all
# tests of a run.
make_certificates()
{
    [ -z "${CERTS:-}" ] || return 0
    CERTS=$WORK/certs
    sh "$ROOT/deploy/certs.sh" "$CERTS" >/dev/null
}

# start_sink NAME ADDR OPTION…: mgisim sink on a free port of ADDR, mails in $WORK/NAME. Sets
# SINK_PORT, SINK_PID.
start_sink()
{
    local name=$1 address=$2
    shift 2
    mkdir -p "$WORK/$name"
    spawn "$name" "$MGISIM" sink --listen "$address:${SINK_PORT_WANTED:-0}" --dir "$WORK/$name" "$@"
    SINK_PID=$SPAWNED
    wait_for 10 grep -q '"event":"listening"' "$WORK/$name.log"
    SINK_PORT=$(json_lines "$WORK/$name.log" event=listening --print port | tail -n 1)
}

# sink_has NAME RECIPIENT [COUNT]: that many mails (at least 1) for the recipient have arrived.
sink_has()
{
    local n
    n=$(json_lines "$WORK/$1.log" event=mail "recipients=$2" --count)
    ((n >= ${3:-1}))
}

# The file of the first mail for the recipient.
sink_mail()
{
    json_lines "$WORK/$1.log" event=mail "recipients=$2" --print file | head -n 1
}

# start_nsd ZONE…: authoritative for each zone, from the file $WORK/ZONE.zone. Sets DNS_PORT.
start_nsd()
{
    local zone
    DNS_PORT=$(free_port)
    mkdir -p "$WORK/nsd"
    {
        printf 'server:\n  ip-address: 127.0.0.1@%s\n  server-count: 1\n  username: ""\n' "$DNS_PORT"
        printf '  zonesdir: "%s"\n  pidfile: ""\n  database: ""\n' "$WORK"
        printf '  xfrdfile: "%s/xfrd.state"\n  zonelistfile: "%s/zone.list"\n' "$WORK/nsd" "$WORK/nsd"
        printf '  xfrdir: "%s"\n  verbosity: 1\nremote-control:\n  control-enable: no\n' "$WORK/nsd"
        for zone in "$@"; do
            printf 'zone:\n  name: "%s"\n  zonefile: "%s.zone"\n' "$zone" "$zone"
        done
    } >"$WORK/nsd.conf"
    spawn nsd "$(PATH=$PATH:/usr/sbin command -v nsd)" -d -c "$WORK/nsd.conf"
    NSD_PID=$SPAWNED
    wait_for 10 dns_answers "$1"
}

# dns_answers ZONE: nsd answers for the zone (its SOA), asked with a packet made here, so that no
# DNS client is needed.
dns_answers()
{
    python3 - "$DNS_PORT" "$1" <<'ASK'
import socket, struct, sys
port, zone = int(sys.argv[1]), sys.argv[2]
name = b"".join(bytes([len(l)]) + l.encode() for l in zone.split(".") if l) + b"\0"
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.settimeout(1)
    s.sendto(struct.pack(">6H", 7, 0, 1, 0, 0, 0) + name + struct.pack(">2H", 6, 1), ("127.0.0.1", port))
    answer = s.recv(4096)
sys.exit(0 if answer[3] & 15 == 0 and struct.unpack(">H", answer[6:8])[0] > 0 else 1)
ASK
}

# zone NAME <<records: writes $WORK/NAME.zone with a SOA and NS before the records.
zone()
{
    {
        printf "\$ORIGIN %s.\n\$TTL 60\n" "$1"
        printf '@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n'
        cat
    } >"$WORK/$1.zone"
}

# start_mgid POLICY PORT…: mgid with that policy file; awaits a greeting on each port. Its log is
# $WORK/mgid.log. Sets MGID_PID.
start_mgid()
{
    local policy=$1 port
    shift
    spawn mgid "$MGID" -p "$policy"
    MGID_PID=$SPAWNED
    for port in "$@"; do
        wait_for 20 mgid_answers "$port" || return 1
        alive "$MGID_PID" || return 1
    done
}

# The greeting, or the end of mgid: then there is nothing to wait for.
mgid_answers()
{
    gone "$MGID_PID" || answers 127.0.0.1 "$1"
}
