#!/usr/bin/env bash
# Are the programs built as the Makefile means them to be? Usage: tests/hardening.sh BUILD
#
# Each must be position independent, have its relocations read-only from the start, no executable
# stack, no text relocations, stack protectors and checked C library calls; no search path but
# BoringSSL's. Objects carry the marks of control-flow enforcement (Debian 12's own start files do
# not, so that the linked programs cannot).
set -uo pipefail
build=$1
failed=0

# demand PROGRAM WHAT COMMAND…
demand()
{
    local program=$1 what=$2
    shift 2
    "$@" >/dev/null 2>&1 && return
    echo "$program: $what"
    failed=1
}

has()
{
    grep -qE "$1" <<<"$2"
}

lacks()
{
    ! has "$1" "$2"
}

programs=("$build"/sbin/* "$build"/bin/* "$build"/libexec/mgid/*)
for program in "${programs[@]}"; do
    header=$(readelf -hW "$program")
    dynamic=$(readelf -dW "$program")
    segments=$(readelf -lW "$program")
    symbols=$(readelf -W --dyn-syms "$program")
    demand "$program" "not position independent" has 'Type: +DYN .*Position-Independent' "$header"
    demand "$program" "symbols are bound late" has 'FLAGS_1\).*NOW' "$dynamic"
    demand "$program" "relocations stay writable" has 'GNU_RELRO' "$segments"
    demand "$program" "an executable stack" has 'GNU_STACK .* RW ' "$segments"
    demand "$program" "a segment that is writable and executable" lacks 'LOAD .* RWE ' "$segments"
    demand "$program" "text relocations" lacks 'TEXTREL' "$dynamic"
    demand "$program" "an RPATH" lacks '\(RPATH\)' "$dynamic"
    demand "$program" "a search path that is not BoringSSL's" \
        lacks 'RUNPATH.*\[(/usr/lib/[a-z0-9_-]+/android.+|.*:.*|[^/].*)\]' "$dynamic"
    demand "$program" "no stack protector" has '__stack_chk_fail' "$symbols"
    demand "$program" "no checked C library calls" has '__[a-z]+_chk' "$symbols"
done
if [ "$(uname -m)" = x86_64 ]; then
    for object in "$build"/obj/engine/*/*.o "$build"/obj/workers/*/*.o; do
        demand "$object" "no mark of control-flow enforcement" has 'IBT, SHSTK' "$(readelf -nW "$object")"
    done
fi
echo "${#programs[@]} programs looked at"
exit "$failed"
