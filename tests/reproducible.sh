#!/usr/bin/env bash
# Builds the committed sources in two folders of different names, one job and two at a time, and
# compares every program. Takes a minute or two.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d "${TMPDIR:-/tmp}/mgid-reproducible.XXXXXX")
trap 'rm -rf "$work"' EXIT

for n in 1 2; do
    mkdir -p "$work/a-place-of-its-own-$n$n"
    git -C "$here" archive HEAD | tar -x -C "$work/a-place-of-its-own-$n$n"
    make -s -j"$n" -C "$work/a-place-of-its-own-$n$n" BUILD="out$n" all >/dev/null
    (cd "$work/a-place-of-its-own-$n$n/out$n" && sha256sum sbin/* bin/* libexec/mgid/*) >"$work/sums$n"
done
diff "$work/sums1" "$work/sums2" || { echo "the two builds differ" >&2; exit 1; }
echo "$(wc -l <"$work/sums1") programs, the same bytes in both builds"
