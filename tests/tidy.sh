#!/bin/sh
# tidy: style as a failing test. Lists what is out of line as FILE:LINE: what, and fails when there
# is anything. Usage: tests/tidy.sh [FOLDER or FILE…]; all of the project's C when none is named.
#
# A line over the width may stay where breaking it would hide something: a row of a .def table.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- include engine policy workers bench tests

files=$(find "$@" -type f \( -name '*.c' -o -name '*.h' -o -name '*.def' \) 2>/dev/null | sort)
[ -n "$files" ] || { echo "tidy: no C files in: $*" >&2; exit 66; }

# shellcheck disable=SC2086 # paths of this project have no spaces
LC_ALL=C.UTF-8 awk '
function say(line, what) { printf "%s:%d: %s\n", FILENAME, line, what; found++ }
function end_file() {
    if (name == "")
        return
    if (lines > 700)
        printf "%s:%d: the file has over 700 lines: one subject a file\n", name, lines
    if (name ~ /\.h$/ && guard < 2)
        printf "%s:1: a header without guard (#ifndef …_H, #define …_H)\n", name
    found += (lines > 700) + (name ~ /\.h$/ && guard < 2)
}
FNR == 1 { end_file(); name = FILENAME; guard = 0; lines = 0; start = 0; in_comment = 0 }
{ lines = FNR }
/\t/ { say(FNR, "a tab") }
/[ \r]$/ { say(FNR, "a space or CR at the end of the line") }
length($0) > 110 && FILENAME !~ /\.def$/ { say(FNR, "over 110 columns (" length($0) ")") }
/(^|[^A-Za-z_])(TODO|FIXME|XXX)([^A-Za-z_X]|$)/ { say(FNR, "unfinished: write it or file an issue") }
FILENAME ~ /\.h$/ && guard == 0 && /^#ifndef [A-Z][A-Z0-9_]*_H$/ { guard = 1; symbol = $2 }
FILENAME ~ /\.h$/ && guard == 1 && $1 == "#define" && $2 == symbol { guard = 2 }
{
    # Comments and string literals say what they like; code may not.
    code = $0
    gsub(/"([^"\\]|\\.)*"/, "\"\"", code)
    if (in_comment && !sub(/^.*\*\//, "", code))
        code = ""
    else
        in_comment = 0
    while (sub(/\/\*([^*]|\*+[^*\/])*\*+\//, "", code))
        continue
    if (sub(/\/\*.*$/, "", code))
        in_comment = 1
    if (match(code, /(^|[^A-Za-z0-9_])(strcpy|strcat|sprintf|vsprintf|gets)[ ]*\(/))
        say(FNR, "a function without bound: " substr(code, RSTART, RLENGTH) ")")
}
# A function begins with a brace of its own line in the first column, and ends with the next.
/^\{$/ { start = FNR }
/^\}/ {
    if (start > 0 && FNR - start - 1 > 90)
        say(start, "a function of " (FNR - start - 1) " lines (at most 90, better 70)")
    start = 0
}
END {
    end_file()
    if (found > 0) { printf "tidy: %d to put right\n", found; exit 1 }
    print "tidy: all in order"
}' $files
