#!/usr/bin/env bash
# Runs the end-to-end tests: each tests/e2e/test_*.sh by itself, or those named.
#
#   tests/e2e/run.sh [NAME…]     NAME as in test_NAME.sh
#
# BUILD says whose programs are tested, E2E_TIMEOUT how many seconds a test may take, E2E_JOBS how
# many run at a time. A test that fails shows the end of what it said. The last line is
# "N passed, N failed".
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
limit=${E2E_TIMEOUT:-120}
jobs=${E2E_JOBS:-3} # they mostly wait, and share nothing but the processors
passed=0
failed=0
# One set of certificates for all tests.
common=$(mktemp -d "${TMPDIR:-/tmp}/mgid-e2e.XXXXXX")
declare -A running=() # process: name
finish()
{
    local pid
    for pid in "${!running[@]}"; do
        kill -TERM "$pid" 2>/dev/null
    done
    wait
    rm -rf "$common"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

export CERTS=$common/certs
sh "$here/../../deploy/certs.sh" "$CERTS" >/dev/null || exit 1

start()
{
    local name=$1
    date +%s >"$common/$name.start"
    timeout --kill-after=30 "$limit" bash "$here/test_$name.sh" >"$common/$name.out" 2>&1 </dev/null &
    running[$!]=$name
}

# Waits for one of the tests that run, and counts it.
await()
{
    local pid status name seconds
    wait -n -p pid "${!running[@]}"
    status=$?
    name=${running[$pid]}
    unset "running[$pid]"
    seconds=$((EPOCHSECONDS - $(cat "$common/$name.start")))
    if [ "$status" = 0 ]; then
        passed=$((passed + 1))
        printf 'ok %s (%d s)\n' "$name" "$seconds"
        return
    fi
    failed=$((failed + 1))
    printf 'FAIL %s (%d s, exit %d)\n' "$name" "$seconds" "$status"
    tail -n 60 "$common/$name.out" | sed 's/^/    /'
}

if [ $# = 0 ]; then
    for file in "$here"/test_*.sh; do
        name=${file##*/test_}
        set -- "$@" "${name%.sh}"
    done
fi
# Waits until fewer than N tests run.
below()
{
    while [ "${#running[@]}" -ge "$1" ]; do
        await
    done
}

for name in "$@"; do
    case $name in
    master | load) # how long something takes is part of what they look at
        below 1
        start "$name"
        below 1
        ;;
    *)
        below "$jobs"
        start "$name"
        ;;
    esac
done
below 1
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
