"""Dialogs as text: what is in a file of tests/dialogs (README.md has the format)."""
import re
from dataclasses import dataclass, field
from pathlib import Path


class Malformed(Exception):
    """The file is no dialog."""


@dataclass
class Step:
    kind: str  # C S (a line), C~ S~ (bytes as they are), C. S. (closes), TLS, MAIL, CONNECT
    text: str  # as in the file, escapes not yet resolved
    line: int


@dataclass
class Dialog:
    name: str
    rule: str  # the first comment: what is shown, and where it is written
    options: dict = field(default_factory=dict)
    steps: list = field(default_factory=list)


ESCAPE = re.compile(r"\\(x[0-9a-fA-F]{2}|[rnt0\\]|\{\d+:[^{}]*\})")
SIMPLE = {"r": b"\r", "n": b"\n", "t": b"\t", "0": b"\0", "\\": b"\\"}


def resolve(text):
    """The bytes that the text with its escapes stands for."""
    out, at = b"", 0
    for found in ESCAPE.finditer(text):
        out += text[at:found.start()].encode()
        at = found.end()
        what = found.group(1)
        if what[0] == "x":
            out += bytes([int(what[1:], 16)])
        elif what[0] == "{":
            count, piece = what[1:-1].split(":", 1)
            out += resolve(piece) * int(count)
        else:
            out += SIMPLE[what]
    return out + text[at:].encode()


STEP = re.compile(r"(?:([CS])(?:(: ?|~ ?)(.*)|(\.)))$|(TLS|MAIL|CONNECT)(?: (.*))?$")


def parse(path):
    """The dialog in the file."""
    dialog = Dialog(Path(path).stem, "")
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        if line.startswith("#"):
            dialog.rule = dialog.rule or line[1:].strip()
            continue
        option = re.match(r"@ (\w+): (.*)$", line)
        step = STEP.match(line)
        if option and not dialog.steps:
            dialog.options[option.group(1)] = option.group(2)
        elif step and step.group(1):
            side, mark, text, end = step.group(1, 2, 3, 4)
            kind = side + ("." if end else "" if mark.startswith(":") else "~")
            dialog.steps.append(Step(kind, text or "", number))
        elif step:
            dialog.steps.append(Step(step.group(5), step.group(6) or "", number))
        else:
            raise Malformed(f"{path}:{number}: neither comment, option nor step: {line}")
    if not dialog.rule or not dialog.steps:
        raise Malformed(f"{path}: a dialog says in a comment what it shows, and has steps")
    return dialog


def sent(step):
    """What a step that sends puts on the wire."""
    return resolve(step.text) + (b"" if step.kind.endswith("~") else b"\r\n")


def matches(pattern, line):
    """A line without its CRLF against an expected one, in which "*" stands for any bytes."""
    pieces = [re.escape(resolve(piece)) for piece in pattern.split("*")]
    return re.fullmatch(b"(?s:.*)".join(pieces), line) is not None


def report(direction, verdicts):
    """Prints one line a dialog and its faults, then the sum; verdicts are (name, faults). The exit
    status of the run."""
    passed = failed = 0
    for name, faults in verdicts:
        failed += bool(faults)
        passed += not faults
        print(f"{'FAIL' if faults else 'ok'} dialog {direction}/{name}")
        for fault in faults:
            print(f"    {fault}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0
