#!/usr/bin/env bash
# Fuzzes every target, or those named, and prints what was run and which part of the code was seen.
#
#   tests/fuzz/run.sh BUILD SECONDS [TARGET…]      after `make fuzz` has built them
#
# Inputs are grown in BUILD/corpus; what is worth keeping goes to tests/fuzz/corpus by hand. An input
# that breaks something is left as BUILD/found/TARGET-…, and the exit status is 1.
set -uo pipefail
build=$1 seconds=$2
shift 2
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$build/found"
failed=0

# The share of lines run, of the project's own sources that the target is linked with.
coverage()
{
    local name=$1 tools
    tools=$(dirname "$(readlink -f "$(command -v clang)")")
    LLVM_PROFILE_FILE=$build/$name.profraw "$build/tests/fuzz_$name" -runs=0 "$build/corpus/$name" \
        "${seeds[@]}" >/dev/null 2>&1
    "$tools/llvm-profdata" merge -o "$build/$name.profdata" "$build/$name.profraw" 2>/dev/null || return
    "$tools/llvm-cov" report "$build/tests/fuzz_$name" -instr-profile="$build/$name.profdata" \
        -ignore-filename-regex='tests/|engine/log|ipc/socket' 2>/dev/null |
        awk '/^TOTAL/ { for (i = 1; i <= NF; i++) if ($i ~ /%$/ && ++n == 3) print $i }'
}

fuzz()
{
    local name=$1 options=() seeds log=$build/$1.log
    mkdir -p "$build/corpus/$name" "$here/corpus/$name"
    mapfile -t seeds < <(find -L "$here/corpus/$name" -type d) # libFuzzer follows no link
    [ ! -e "$here/$name.dict" ] || options+=("-dict=$here/$name.dict")
    LLVM_PROFILE_FILE=/dev/null "$build/tests/fuzz_$name" -max_total_time="$seconds" -timeout=20 \
        -rss_limit_mb=3000 -max_len=8192 -print_final_stats=1 -artifact_prefix="$build/found/$name-" \
        "${options[@]}" "$build/corpus/$name" "${seeds[@]}" >"$log" 2>&1
    local status=$?
    printf '%-14s %12s %10s %8s %10s  %s\n' "$name" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")" \
        "$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")" \
        "$(find "$build/corpus/$name" -type f | wc -l)" "$(coverage "$name")" \
        "$([ "$status" = 0 ] && echo clean || echo "FOUND: see $log")"
    [ "$status" = 0 ] || failed=1
}

if [ $# = 0 ]; then
    for program in "$build"/tests/fuzz_*; do
        set -- "$@" "${program##*/fuzz_}"
    done
fi
printf '%-14s %12s %10s %8s %10s\n' target inputs 'a second' corpus 'lines run'
for name in "$@"; do
    fuzz "$name"
done
exit "$failed"
