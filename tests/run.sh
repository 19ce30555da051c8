#!/usr/bin/env bash
# Runs the fast tests of one or more builds and counts them: style, unit tests, dialogs, end-to-end
# tests.
#
#   tests/run.sh BUILD…      as `make test` does, with every program built before
#
# Unit tests run two at a time (some only wait), end-to-end tests one after the other. The last
# line is "N passed, N failed"; the exit status is 0 when nothing failed and something passed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1

passed=0
failed=0
work=$(mktemp -d "${TMPDIR:-/tmp}/mgid-tests.XXXXXX")
trap 'rm -rf "$work"' EXIT

# One unit test: its output to a file, its exit status beside it.
one_unit()
{
    local program=$1 work=$2 name
    name=${program##*/unit_}
    timeout --kill-after=10 300 "$program" >"$work/$name.out" 2>&1 </dev/null
    echo $? >"$work/$name.status"
}
export -f one_unit

# Adds up Check's line "100%: Checks: 14, Failures: 0, Errors: 0"; one that never came is a failure.
count_unit()
{
    local name=$1 status checks failures errors line
    status=$(cat "$work/$name.status" 2>/dev/null || echo 1)
    line=$(grep -E '^[0-9]+%: Checks: ' "$work/$name.out" | tail -n 1)
    if [[ "$line" =~ Checks:\ ([0-9]+),\ Failures:\ ([0-9]+),\ Errors:\ ([0-9]+) ]]; then
        checks=${BASH_REMATCH[1]} failures=${BASH_REMATCH[2]} errors=${BASH_REMATCH[3]}
    else
        checks=0 failures=0 errors=0
    fi
    local bad=$((failures + errors))
    [ "$status" = 0 ] || [ "$bad" -gt 0 ] || bad=1
    [ "$checks" -gt 0 ] || bad=1
    passed=$((passed + checks - failures - errors))
    failed=$((failed + bad))
    if [ "$bad" = 0 ]; then
        printf 'ok unit %s (%d checks)\n' "$name" "$checks"
    else
        printf 'FAIL unit %s (exit %s)\n' "$name" "$status"
        tail -n 40 "$work/$name.out" | sed 's/^/    /'
    fi
}

run_units()
{
    local build=$1 program
    rm -f "$work"/*.out "$work"/*.status
    for program in "$build"/tests/unit_*; do
        printf '%s\0%s\0' "$program" "$work"
    done | xargs -0 -n 2 -P 2 bash -c 'one_unit "$1" "$2"' _
    for program in "$build"/tests/unit_*; do
        count_unit "${program##*/unit_}"
    done
}

# run_counted NAME COMMAND…: a runner of tests that ends with "N passed, N failed".
run_counted()
{
    local name=$1 line
    shift
    "$@" 2>&1 | tee "$work/counted" | grep -v -E '^[0-9]+ passed, [0-9]+ failed$'
    line=$(grep -E '^[0-9]+ passed, [0-9]+ failed$' "$work/counted" | tail -n 1)
    if [[ "$line" =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
    else
        echo "FAIL $name did not end"
        failed=$((failed + 1))
    fi
}

# A check that passes or fails as a whole.
run_check()
{
    local name=$1
    shift
    if "$@" >"$work/check" 2>&1; then
        passed=$((passed + 1))
        echo "ok $name"
    else
        failed=$((failed + 1))
        echo "FAIL $name"
        tail -n 40 "$work/check" | sed 's/^/    /'
    fi
}

# The corpus of every fuzzed target, once: what was found stays found.
run_fuzz()
{
    local build=$1 program name
    for program in "$build"/tests/fuzz_*; do
        name=${program##*/fuzz_}
        run_check "corpus $name" timeout 300 "$program" "tests/fuzz/corpus/$name"
    done
}

run_check tidy tests/tidy.sh
run_check "every dialog is on the page of conformance" tests/dialogs/conformance.py
run_check "schema is true to the compiler" env BUILD="$1" tests/schema.py
# Forbidden acts inside the roles, where that build was made (not with ASan: it needs more calls).
run_sandbox()
{
    local line
    [ -d "$1/probe" ] || return
    echo "--- forbidden acts in $1/probe"
    tests/sandbox/run.py "$1/probe" >"$work/sandbox" 2>&1
    grep FAIL "$work/sandbox"
    line=$(tail -n 1 "$work/sandbox")
    if [[ "$line" =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed$ ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
    else
        echo "FAIL the forbidden acts did not end"
        tail -n 20 "$work/sandbox"
        failed=$((failed + 1))
    fi
}

run_check hardening tests/hardening.sh "$1"
for build in "$@"; do
    echo "--- unit tests of $build"
    run_units "$build"
    run_sandbox "$build"
    echo "--- fuzzed targets' inputs in $build"
    run_fuzz "$build"
    echo "--- dialogs of $build"
    run_counted "dialogs" env BUILD="$build" tests/dialogs/inbound.sh
    run_counted "outbound dialogs" env BUILD="$build" tests/dialogs/outbound.sh
    echo "--- end-to-end tests of $build"
    run_counted "end-to-end tests" env BUILD="$build" tests/e2e/run.sh
done
printf '%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
