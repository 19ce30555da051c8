# make demo: every mail as it should be; and nothing is left of it, neither after its end nor after
# Ctrl-C or SIGTERM, whenever that comes: no process, no file.
source "$(dirname "$0")/lib.sh"
peers_begin "e2e-$(basename "$0" .sh)"
make_certificates
mkdir "$WORK/tmp"
seen=()

# demo NAME: starts it in a directory of its own; output in $WORK/NAME.log. Sets DEMO_PID.
demo()
{
    local name=$1
    # What runs in a shell's background ignores SIGINT, and its children would too.
    spawn "$name" env --default-signal=INT "TMPDIR=$WORK/tmp" "BUILD=$BUILD" "CERTS=$CERTS" \
        bash "$ROOT/deploy/demo.sh"
    DEMO_PID=$SPAWNED
}

# The processes whose command line names the demo's directory, and the roles, which are children of
# mgid and name nothing.
processes()
{
    local pid
    for pid in $(pgrep -f "$WORK/tmp/mgid-demo" || :); do
        echo "$pid"
        pgrep -P "$pid" || :
    done
}

# Adds to what must be gone in the end.
note_processes()
{
    local pids
    mapfile -t pids < <(processes)
    seen+=("${pids[@]}")
}

roles_run()
{
    local master
    master=$(pgrep -f "sbin/mgid -p $WORK/tmp/mgid-demo") || return 1
    [ "$(pgrep -c -P "$master")" -ge 5 ]
}

nothing_left()
{
    local pid
    equal "processes of the demo" "" "$(processes)"
    for pid in "${seen[@]}"; do
        must_not "process $pid is gone" alive "$pid"
    done
    equal "files of the demo" "" "$(ls -A "$WORK/tmp")"
    seen=()
}

# interrupted SIGNAL STATUS CONDITION…: when the condition holds, as the terminal does it.
interrupted()
{
    local signal=$1 wanted=$2 status=0
    shift 2
    demo "interrupted-$signal-$1"
    must "the demo gets that far: $*" wait_for 30 "$@"
    note_processes
    kill -s "$signal" -- "-$DEMO_PID"
    must "it ends" wait_for 30 gone "$DEMO_PID"
    wait "$DEMO_PID" || status=$?
    equal "exit status after SIG$signal" "$wanted" "$status"
    nothing_left
}

demo whole
must "its roles start" wait_for 30 roles_run
note_processes
[ "${#seen[@]}" -ge 8 ] || fail "only ${#seen[@]} processes seen"
must "it ends" wait_for 60 gone "$DEMO_PID"
wait "$DEMO_PID" || fail "the demo failed: $(tail -n 40 "$WORK/whole.log")"
equal "rows that are OK" 8 "$(grep -c ' OK$' "$WORK/whole.log")"
must "the reason of what waits is shown" grep -q "organization is 'Evil Corp'" "$WORK/whole.log"
must "the Received field is shown" grep -q 'client certificate verified' "$WORK/whole.log"
nothing_left

dns_runs()
{
    pgrep -f "nsd -d -c $WORK/tmp/mgid-demo"
}
impostor_runs()
{
    pgrep -f "$WORK/tmp/mgid-demo[^ ]*/impostor"
}
interrupted INT 130 dns_runs
interrupted INT 130 roles_run
interrupted TERM 143 impostor_runs

# A demo that goes wrong says so, and leaves nothing either.
status=0
TMPDIR=$WORK/tmp CERTS=/nonexistent bash "$ROOT/deploy/demo.sh" >"$WORK/failed.log" 2>&1 || status=$?
must_not "a demo without certificates succeeds" [ "$status" = 0 ]
must "it says why" grep -q 'demo: the platform does not start' "$WORK/failed.log"
nothing_left
