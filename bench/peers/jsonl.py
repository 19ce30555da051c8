#!/usr/bin/env python3
"""Finds lines in a file of JSON objects, one a line.

    jsonl.py FILE [KEY=VALUE]... [--print KEY[,KEY]] [--count]

A condition holds when the member is that value, or a list that holds it; KEY~VALUE when the
value occurs in it, letters without case. KEY may be a path (client.subject). Lines that are no
JSON are passed over. Prints the lines, or the members asked for (tab between them), or their
number. Fails when no line was found.
"""
import json
import sys


def member(line, path):
    for key in path.split("."):
        line = line.get(key) if isinstance(line, dict) else None
    return line


def text(value):
    return value if isinstance(value, str) else json.dumps(value)


def holds(line, condition):
    """KEY=VALUE or KEY~VALUE, whichever sign comes first."""
    at = min(i for i in (condition.find("="), condition.find("~")) if i > 0)
    key, sign, wanted = condition[:at], condition[at], condition[at + 1 :]
    value = member(line, key)
    values = [text(v) for v in (value if isinstance(value, list) else [value])]
    if sign == "=":
        return wanted in values
    return any(wanted.lower() in v.lower() for v in values)


def select(path, conditions):
    with open(path, encoding="utf-8", errors="replace") as lines:
        for raw in lines:
            try:
                line = json.loads(raw)
            except ValueError:
                continue
            if isinstance(line, dict) and all(holds(line, c) for c in conditions):
                yield line


def main(arguments):
    keys, count, conditions = None, False, []
    path = arguments.pop(0)
    while arguments:
        argument = arguments.pop(0)
        if argument == "--print":
            keys = arguments.pop(0).split(",")
        elif argument == "--count":
            count = True
        else:
            conditions.append(argument)
    found = list(select(path, conditions))
    if count:
        print(len(found))
    elif keys:
        for line in found:
            print("\t".join(text(member(line, key)) for key in keys))
    else:
        for line in found:
            print(json.dumps(line))
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
