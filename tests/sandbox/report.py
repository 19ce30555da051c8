#!/usr/bin/env python3
"""A page of what each role may do, and what it was seen not to be able to do, from the tables that
the code itself is made of.

    tests/sandbox/report.py [OUTCOMES]     OUTCOMES: what tests/sandbox/run.py printed
"""
import os
import re
import sys

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
ROLES = ["compiler", "connection", "keeper", "resolver", "control"]


def rows(path, macro):
    """The arguments of each MACRO(...) row, split at the commas of the outermost level."""
    text = open(os.path.join(ROOT, path), encoding="utf-8").read()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    for m in re.finditer(rf"^{macro}\((.*)\)\s*$", text, re.M):
        parts, depth, quoted, now = [], 0, False, ""
        for c in m.group(1):
            if c == '"':
                quoted = not quoted
            if not quoted:
                depth += (c == "(") - (c == ")")
                if c == "," and depth == 0:
                    parts.append(now.strip())
                    now = ""
                    continue
            now += c
        yield parts + [now.strip()]


def check(text):
    return "" if text == "ANY" else f" when {text.strip('()')}"


def main():
    print("# What each role of mgid may do\n")
    print("Made by `make sandbox-report` from `include/roles.def`, `engine/sandbox/syscalls.def`,")
    print("`engine/ring/ring_ops.def` and `tests/sandbox/acts.def`. Whatever is not listed kills the process.\n")
    print("| role | does |\n|---|---|")
    for _, name, _, what in rows("include/roles.def", "ROLE"):
        print(f"| {name} | {what.strip(chr(34))} |")
    calls = list(rows("engine/sandbox/syscalls.def", "SYSCALL"))
    for role in ROLES:
        print(f"\n## {role}\n\n| system call | for |\n|---|---|")
        for roles, name, condition, why in calls:
            if roles == "S_ALL" or f"S_{role.upper()}" in roles.split(" | "):
                print(f"| `{name}`{check(condition)} | {why.strip(chr(34))} |")
        if role == "connection":
            print("\n| ring operation | for |\n|---|---|")
            for name, why in rows("engine/ring/ring_ops.def", "RING_OP"):
                print(f"| `{name}` | {why.strip(chr(34))} |")
    if len(sys.argv) > 1:
        print("\n## Tried inside the real processes\n\n```")
        print(open(sys.argv[1], encoding="utf-8").read().rstrip())
        print("```")


if __name__ == "__main__":
    main()
