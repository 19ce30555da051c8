# The master by itself: other roles are played by tests/e2e/fake_role.c, so that each can be made
# to crash, to break its sandbox, to ignore what it is told. The compiler is the real one.
source "$(dirname "$0")/lib.sh"
peers_begin master
trap e2e_end EXIT
make_certificates

FAKE=$BUILD/tests/fake_role
[ -x "$FAKE" ] || make -s -C "$ROOT" BUILD="$BUILD" "$FAKE" >/dev/null
LIBEXEC=$WORK/libexec
mkdir "$LIBEXEC"
for role in connection keeper resolver control; do
    cp "$FAKE" "$LIBEXEC/$role"
done
cp "$BUILD/libexec/mgid/compiler" "$LIBEXEC/compiler"
POLICY=$WORK/policy.json
LOG=$WORK/mgid.log
PORT_A=$(free_port)
PORT_B=$(free_port)

# policy WORKERS PORT [FLOW [SPOOL]]
policy()
{
    cat >"$POLICY.new" <<JSON
{ "version": 1, "hostname": "mx1.example.ch", "spool": "${4:-$WORK/spool}", "uid_base": 61000,
  "control": { "socket": "$WORK/control" },
  "log": { "file": "${LOG_FILE:-}" },
  "resolver": { "servers": ["127.0.0.1@5353"], "dnssec": false },
  "identities": { "server": { "certificate": "$CERTS/server.pem", "key": "$CERTS/server.key" } },
  "trust": { "public": { "file": "$CERTS/ca.pem" } },
  "peers": { "here": { "addresses": ["127.0.0.0/8"] } },
  "routes": { "sink": { "hosts": ["127.0.0.1:${ROUTE_PORT:-2525}"] } },
  "flows": { "${3:-outbound}": {
    "listen": ["127.0.0.1:$2"], "identity": "server", "workers": $1, "accept_from": ["here"],
    "rules": [ { "name": "all", "route": "sink" } ] } } }
JSON
    [ -n "${LOG_FILE:-}" ] || sed -i '/"log":/d' "$POLICY.new"
    mv "$POLICY.new" "$POLICY"
}

start()
{
    spawn mgid "$MGID" -p "$POLICY" -L "$LIBEXEC"
    MGID_PID=$SPAWNED
}

logged() # COUNT CONDITION…: at least so many lines
{
    local count=$1
    shift
    (($(json_lines "$LOG" "$@" --count) >= count))
}

awaits() # WHAT SECONDS COUNT CONDITION…
{
    local what=$1 seconds=$2
    shift 2
    wait_for "$seconds" logged "$@" || fail "$what: $*"
}

ended() # STATUS: mgid ends with it
{
    local status=0
    wait_for "${2:-15}" gone "$MGID_PID" || fail "mgid does not end"
    wait "$MGID_PID" || status=$?
    equal "exit status" "$1" "$status"
}

has_children() # COUNT
{
    [ "$(pgrep -P "$MGID_PID" | wc -l)" = "$1" ]
}

stays() # ROLE: it is there, and still is a little later
{
    local pid
    pid=$(role_pids "$1")
    [ -n "$pid" ] && sleep 0.3 && alive "$pid"
}

behaviour()
{
    printf '%s\n' "$@" >"$LIBEXEC/behaviour"
}

fresh()
{
    : >"$LOG"
    rm -f "$LIBEXEC/behaviour"
}

connects() # PORT: someone listens
{
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

step()
{
    echo "--- $*"
}

step "starts, every role with what it needs"
policy 2 "$PORT_A"
start
awaits "serves" 10 1 event=serving generation=1
awaits "workers" 1 2 event=fake got=start role=connection peers=3 listeners=1 counters=1
awaits "keeper" 1 1 event=fake got=start role=keeper peers=2 identities=1 trusts=1
awaits "control" 1 1 event=fake got=start role=control peers=2 listeners=1 counters=2
awaits "resolver" 1 1 event=fake got=start role=resolver peers=2
must "5 processes" wait_for 5 has_children 5
must "listens" connects "$PORT_A"
equal "spool's lock" "$MGID_PID" "$(cat "$WORK/spool/lock")"
equal "mode of a shard" 700 "$(stat -c %a "$WORK/spool/outbound/1")"
equal "mode of the admin socket" 600 "$(stat -c %a "$WORK/control")"
if [ "$(id -u)" = 0 ]; then
    equal "owner of a shard" 61016 "$(stat -c %u "$WORK/spool/outbound/1")"
    equal "uid of a worker" 61016 "$(stat -c %u "/proc/$(role_pids connection | head -n 1)")"
fi
for pid in $(pgrep -P "$MGID_PID"); do
    equal "environment of a role" 0 "$(stat -c %s "/proc/$pid/environ")"
    equal "seccomp of a role" 2 "$(awk '$1 == "Seccomp:" { print $2 }' "/proc/$pid/status")"
    equal "capabilities of a role" 0000000000000000 "$(awk '$1 == "CapEff:" { print $2 }' "/proc/$pid/status")"
    must "the role's name" grep -q '^mgid: ' "/proc/$pid/cmdline"
done

step "a second one on the same spool is refused"
status=0
"$MGID" -p "$POLICY" -L "$LIBEXEC" 2>"$WORK/second" || status=$?
equal "exit status" 75 "$status"
must "says why" grep -q "another mgid (pid $MGID_PID) has the spool" "$WORK/second"
must "the first still listens" connects "$PORT_A"

step "a second one with a spool of its own does not share the port"
cp "$POLICY" "$WORK/first.json"
policy 1 "$PORT_A" outbound "$WORK/spool2"
status=0
"$MGID" -p "$POLICY" -L "$LIBEXEC" 2>"$WORK/second" || status=$?
equal "exit status" 78 "$status"
must "says why" grep -q "can't listen on 127.0.0.1:$PORT_A" "$WORK/second"
cp "$WORK/first.json" "$POLICY"

step "a role that dies is there again, and its peers know"
kill -KILL "$(role_pids keeper)"
awaits "reported" 5 1 event=exit child=keeper signal=SIGKILL restart_ms=0
awaits "started anew" 5 2 event=fake got=start role=keeper peers=2
awaits "the workers' new channels" 5 2 event=fake got=peer role=connection peer=keeper
kill -KILL "$(role_pids connection | head -n 1)"
awaits "a worker started anew" 5 3 event=fake got=start role=connection
awaits "known to the keeper" 5 1 event=fake got=peer role=keeper peer=connection
awaits "known to control" 5 1 event=fake got=peer role=control peer=connection
must "still listens" connects "$PORT_A"

step "reload: an invalid policy changes nothing"
echo '{ "version": 1, "hostname": 5 }' >"$POLICY"
kill -HUP "$MGID_PID"
awaits "refused" 5 1 event=reload ok=false generation=1
must "the place is told" grep -q 'policy.json:1:' "$LOG"
rm "$POLICY"
kill -HUP "$MGID_PID"
awaits "refused without a file" 5 2 event=reload ok=false generation=1
policy 2 "$PORT_A" other
kill -HUP "$MGID_PID"
awaits "a flow can't vanish" 5 3 event=reload ok=false generation=1
policy 2 "$PORT_A"
sed -i 's/server\.key/nothing.key/' "$POLICY"
kill -HUP "$MGID_PID"
awaits "a key that is not there" 5 4 event=reload ok=false generation=1
must "5 processes" wait_for 5 has_children 5

step "reload: a new policy reaches who runs on"
policy 2 "$PORT_A"
kill -HUP "$MGID_PID"
awaits "accepted" 5 1 event=reload ok=true
awaits "images" 5 2 event=fake got=image role=connection
awaits "the resolver's" 5 1 event=fake got=image role=resolver
awaits "control's" 5 1 event=fake got=image role=control
awaits "keeper's check" 5 1 event=fake got=generation_check role=keeper
logged 1 event=replace && fail "nothing had to be replaced"

step "reload: workers that can't follow are replaced, one after the other, and no client is refused"
(while :; do connects "$PORT_A" || echo refused; done >"$WORK/refused" 2>&1) &
HAMMER=$!
ROUTE_PORT=2626 policy 2 "$PORT_A"
kill -HUP "$MGID_PID"
awaits "replaced" 10 2 event=replace
awaits "started anew" 10 5 event=fake got=start role=connection
kill "$HAMMER"
wait "$HAMMER" || :
equal "refused connections" "" "$(cat "$WORK/refused")"

step "reload: another address, and one worker less whose shard is emptied"
ROUTE_PORT=2626 policy 1 "$PORT_B"
kill -HUP "$MGID_PID"
awaits "accepted" 5 3 event=reload ok=true
awaits "emptied" 10 1 event=fake got=start role=connection drain_only=true
must "the shard is gone" wait_for 5 test ! -e "$WORK/spool/outbound/1"
must "listens on the new address" wait_for 5 connects "$PORT_B"
must_not "listens on the old one" connects "$PORT_A"
must "4 processes" wait_for 5 has_children 4
ROUTE_PORT=2626 policy 3 "$PORT_B"
kill -HUP "$MGID_PID"
awaits "more workers" 10 1 event=fake got=peer role=resolver peer=connection peer_index=2
must "6 processes" wait_for 5 has_children 6

step "SIGTERM drains and stops all"
kill -TERM "$MGID_PID"
ended 0
awaits "drained" 1 3 event=fake got=drain role=connection
awaits "the others too" 1 1 event=fake got=drain role=keeper
must_not "the admin socket is gone" test -e "$WORK/control"

step "fewer workers at the next start: what is left over is emptied"
fresh
policy 1 "$PORT_A"
start
awaits "serves" 10 1 event=serving
awaits "emptied" 10 2 event=fake got=start role=connection drain_only=true
must "the shards are gone" wait_for 5 test ! -e "$WORK/spool/outbound/2"
must "1 worker stays" test -e "$WORK/spool/outbound/0/mail"

step "killed with SIGKILL it leaves nobody"
pids=$(pgrep -P "$MGID_PID")
kill -KILL "$MGID_PID"
for pid in $pids; do
    must "$pid ends" wait_for 5 gone "$pid"
done
wait "$MGID_PID" || :

step "starts again at once, over the stale admin socket"
fresh
start
awaits "serves" 10 1 event=serving
kill -INT "$MGID_PID"
ended 0

step "the mail of a flow that is gone is not forgotten"
fresh
policy 1 "$PORT_A" renamed
start
ended 78
must "it is named" grep -q 'the flow \\"outbound\\" is not in the policy' "$LOG"

step "crashes: the pauses double"
fresh
policy 1 "$PORT_A"
behaviour 'connection crash'
start
for pause in 0 100 200 400; do
    awaits "pause of $pause" 10 1 event=exit child=connection status=1 "restart_ms=$pause"
done
behaviour 'connection fine'
must "recovers" wait_for 10 stays connection

step "a sandbox violation is named"
behaviour 'connection violate'
kill -KILL "$(role_pids connection)"
awaits "violation" 10 1 event=exit child=connection signal=SIGSYS
must "in words" grep -q 'sandbox violation' "$LOG"

step "a message out of place ends who sent it"
behaviour 'connection babble'
awaits "misbehaves" 20 1 event=role\ misbehaves child=connection
behaviour 'connection fine' 'keeper fine'

step "reload: unusable keys, a compiler that says nothing, a keeper that dies"
behaviour 'keeper unusable'
kill -KILL "$(role_pids keeper)"
must "the keeper is there again" wait_for 5 stays keeper
kill -HUP "$MGID_PID"
awaits "refused" 5 1 event=policy "text=a bad key"
awaits "as a whole" 5 1 event=reload ok=false
behaviour 'compiler silent'
cp "$FAKE" "$LIBEXEC/compiler.new"
mv "$LIBEXEC/compiler" "$LIBEXEC/compiler.real"
mv "$LIBEXEC/compiler.new" "$LIBEXEC/compiler"
kill -HUP "$MGID_PID"
awaits "refused" 5 1 event=policy "text=the compiler ended without an answer"
mv "$LIBEXEC/compiler.real" "$LIBEXEC/compiler"

step "who ignores drain is killed; a second SIGTERM does not wait"
behaviour 'connection stay' 'keeper stay'
stop "$MGID_PID" 15
fresh
behaviour 'connection stay' 'keeper stay'
start
awaits "serves" 10 1 event=serving
kill -TERM "$MGID_PID"
awaits "told" 5 1 event=fake got=drain role=connection
alive "$MGID_PID" || fail "it waits for its workers"
kill -TERM "$MGID_PID"
ended 0 4
fresh
behaviour 'connection stay'
start
awaits "serves" 10 1 event=serving
begun=$SECONDS
kill -TERM "$MGID_PID"
ended 0 14
((SECONDS - begun >= 9)) || fail "it did not wait"

step "unusable keys at the start"
fresh
behaviour 'keeper unusable'
start
ended 78
step "check mode"
status=0
"$MGID" -t -p "$POLICY" -L "$LIBEXEC" 2>"$WORK/check" || status=$?
equal "unusable" 78 "$status"
must "says why" grep -qx 'a bad key' "$WORK/check"
fresh
must "valid" "$MGID" -t -p "$POLICY" -L "$LIBEXEC" 2>"$WORK/check"
must "says so" grep -q 'is valid' "$WORK/check"
echo '[' >"$POLICY"
status=0
"$MGID" -t -p "$POLICY" -L "$LIBEXEC" 2>"$WORK/check" || status=$?
equal "not JSON" 65 "$status"
status=0
"$MGID" -t -p "$WORK/none" -L "$LIBEXEC" 2>"$WORK/check" || status=$?
equal "no file" 66 "$status"

step "the log file, rotated"
fresh
LOG_FILE=$WORK/events.log policy 1 "$PORT_A"
start
LOG=$WORK/events.log
must "log file" wait_for 10 test -s "$LOG"
awaits "serves" 10 1 event=serving
mv "$LOG" "$LOG.1"
kill -USR1 "$MGID_PID"
must "a new file" wait_for 5 test -e "$LOG"
kill -HUP "$MGID_PID"
awaits "the master writes there" 5 1 event=reload ok=true
awaits "the roles write there" 5 1 event=fake got=image role=connection
kill -TERM "$MGID_PID"
ended 0

if [ "$(id -u)" = 0 ]; then
    step "as an ordinary user"
    LOG=$WORK/mgid.log
    fresh
    policy 2 "$PORT_A"
    sed -i "s#$CERTS#$WORK/user/certs#g" "$POLICY"
    mkdir -p "$WORK/user"
    cp -r "$CERTS" "$WORK/user/certs"
    rm -rf "$WORK/spool"
    chmod 755 "$WORK"
    chown -R 61900:61900 "$WORK/user" "$POLICY"
    sed -i "s#$WORK/spool#$WORK/user/spool#; s#$WORK/control#$WORK/user/control#" "$POLICY"
    chmod 644 "$POLICY"
    cp "$MGID" "$WORK/mgid"
    chmod -R go+rX "$LIBEXEC" "$WORK/mgid"
    spawn mgid setpriv --reuid 61900 --regid 61900 --clear-groups "$WORK/mgid" -p "$POLICY" -L "$LIBEXEC"
    MGID_PID=$SPAWNED
    awaits "serves" 10 1 event=serving roles=5
    awaits "sandboxes hold" 1 5 event=sandbox uid=61900 chroot=false seccomp=kill
    equal "uid of a worker" 61900 "$(awk '$1 == "Uid:" { print $2 }' "/proc/$(role_pids connection | head -n 1)/status")"
    pids=$(pgrep -P "$MGID_PID")
    kill -KILL "$MGID_PID"
    for pid in $pids; do
        must "$pid ends" wait_for 5 gone "$pid"
    done
fi
