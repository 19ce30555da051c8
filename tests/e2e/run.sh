#!/usr/bin/env bash
# Runs the end-to-end tests: each tests/e2e/test_*.sh by itself, or those named.
#
#   tests/e2e/run.sh [NAME…]     NAME as in test_NAME.sh
#
# BUILD says whose programs are tested, E2E_TIMEOUT how many seconds a test may take. A test that
# fails shows the end of what it said. The last line is "N passed, N failed".
set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
limit=${E2E_TIMEOUT:-120}
passed=0
failed=0
# One set of certificates for all tests.
common=$(mktemp -d "${TMPDIR:-/tmp}/mgid-e2e.XXXXXX")
current=
finish()
{
    [ -z "$current" ] || kill -TERM "$current" 2>/dev/null
    [ -z "$current" ] || wait "$current"
    rm -rf "$common"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

export CERTS=$common/certs
sh "$here/../../deploy/certs.sh" "$CERTS" >/dev/null || exit 1

run()
{
    local name=$1 start=$EPOCHSECONDS status
    timeout --kill-after=30 "$limit" bash "$here/test_$name.sh" >"$common/out" 2>&1 </dev/null &
    current=$!
    wait "$current"
    status=$?
    current=
    if [ "$status" = 0 ]; then
        passed=$((passed + 1))
        printf 'ok %s (%d s)\n' "$name" $((EPOCHSECONDS - start))
        return
    fi
    if [ "$status" = 77 ]; then
        printf 'skipped %s: %s\n' "$name" "$(tail -n 1 "$common/out")"
        return
    fi
    failed=$((failed + 1))
    printf 'FAIL %s (%d s, exit %d)\n' "$name" $((EPOCHSECONDS - start)) "$status"
    tail -n 60 "$common/out" | sed 's/^/    /'
}

if [ $# = 0 ]; then
    for file in "$here"/test_*.sh; do
        name=${file##*/test_}
        set -- "$@" "${name%.sh}"
    done
fi
for name in "$@"; do
    run "$name"
done
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ]
