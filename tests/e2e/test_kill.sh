# kill -9 of a worker, the keeper, the resolver and the master in the middle of traffic: what got
# its 250 arrives as it was sent, and the survivors go on. Twice is allowed, and counted.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.1 --cert "$CERTS/platform.pem" --key "$CERTS/platform.key"
RETRY_FIRST=1s
RETRY_MAX=2s
WORKERS=2
write_policy <<JSON
  "routes": { "sink": { "hosts": ["127.0.0.1:$SINK_PORT"], "tls": { "require": true, "trust": "public", "names": ["im.post.ch"] } } },
  "flows": { $(outbound_flow '{ "name": "all", "route": "sink" }') }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

spawn load python3 "$E2E/load.py" "$OUT_PORT" 14 12 "$WORK/taken"
LOAD_PID=$SPAWNED

# One more mail for the load arrives: it works again.
goes_on()
{
    local now
    now=$(grep -c '"event":"mail"' "$WORK/sink.log" || :)
    ((now > BEFORE + 20))
}
works_again()
{
    BEFORE=$(grep -c '"event":"mail"' "$WORK/sink.log" || :)
    must "mails arrive $1" wait_for 20 goes_on
}
kill_role()
{
    local pids
    mapfile -t pids < <(role_pids "$1")
    [ -n "${pids[0]:-}" ] || fail "no $1 to kill"
    kill -KILL "${pids[0]}"
    must "$1 is started again" wait_for 10 log_has event=exit "child=$1" "child_pid=${pids[0]}"
    works_again "after the $1's end"
}
works_again "at first"
kill_role connection
kill_role keeper
kill_role resolver
kill_role control
kill_role connection

kill_master
must "mgid starts again" start_mgid "$POLICY" "$OUT_PORT"
works_again "after the master's end"

must "the load ends" wait_for 60 gone "$LOAD_PID"
all_arrived()
{
    python3 "$E2E/load.py" --check "$WORK/taken" "$WORK/sink.log" >"$WORK/check"
}
cat "$WORK/load.log"
[ "$(wc -l <"$WORK/taken")" -gt 100 ] || fail "too little load to tell"
wait_for 40 all_arrived || fail "$(cat "$WORK/check")"
cat "$WORK/check"
