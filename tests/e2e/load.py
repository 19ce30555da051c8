#!/usr/bin/env python3
"""load.py PORT SECONDS SESSIONS FILE: keeps sending, whatever happens, and writes the recipient of
each mail that was answered with 250 to FILE, one a line. Half of the sessions use STARTTLS.
load.py --check FILE SINKLOG: has each of them arrived, and is whatever arrived as it was sent?

A session that is cut, refused or silent is replaced. Each mail has a recipient (NUMBER@load.example)
and a content of its own, which the number gives; one in 40 is so large that mgid keeps it in a file
of its own. Each session sends at most 20. Prints how many mails were begun and taken; the check
prints how many arrived and how many of them more than once, and fails when one is missing or altered.
"""
import collections
import hashlib
import itertools
import json
import os
import re
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from smtp import Cut, Session

LARGE_EVERY = 40
RECEIVED = re.compile(rb"\AReceived:[^\n]*\n(?:[ \t][^\n]*\n)*")


def content(number):
    """The mail with that number: lines that no other mail has, some with a dot in front."""
    seed = hashlib.sha256(str(number).encode()).hexdigest()
    lines = [f"Subject: load {number}", f"X-Load: {number}", ""]
    for n in range(6000 if number % LARGE_EVERY == 0 else 60):
        lines.append("." * (n % 3 == 0) + f"{n} {seed}")
    return ("\r\n".join(lines) + "\r\n").encode()


class Load:
    def __init__(self, port, seconds):
        self.port = port
        self.end = time.monotonic() + seconds
        self.numbers = itertools.count(1)
        self.begun = 0
        self.taken = []

    def session(self, tls):
        s = Session(self.port, timeout=15)
        try:
            s.command("EHLO load.example")
            if tls:
                s.starttls()
                s.command("EHLO load.example")
            for _ in range(20):
                if time.monotonic() > self.end:
                    break
                number = next(self.numbers)
                recipient = f"{number}@load.example"
                self.begun += 1
                if s.content("from@example.ch", [recipient], content(number))[0] == 250:
                    self.taken.append(recipient)
        finally:
            s.close()

    def run(self, tls):
        while time.monotonic() < self.end:
            try:
                self.session(tls)
            except (Cut, OSError, ssl.SSLError, ValueError):
                time.sleep(0.02)


def check(path, log):
    arrived = collections.Counter()
    altered = []
    with open(log, encoding="ascii") as lines:
        for line in lines:
            if not line.endswith("}\n") or '"event":"mail"' not in line:
                continue
            mail = json.loads(line)
            recipient = mail["recipients"][0]
            with open(mail["file"], "rb") as file:
                found = RECEIVED.sub(b"", file.read())
            arrived[recipient] += 1
            if found != content(int(recipient.split("@")[0])):
                altered.append(recipient)
    with open(path, encoding="ascii") as file:
        missing = [line for line in file.read().split() if not arrived[line]]
    twice = sum(1 for count in arrived.values() if count > 1)
    print(f"{len(arrived)} arrived, {twice} of them more than once, "
          f"{len(missing)} missing {missing[:5]}, {len(altered)} altered {altered[:5]}")
    return 1 if missing or altered or not arrived else 0


def main(port, seconds, sessions, path):
    load = Load(port, float(seconds))
    threads = [threading.Thread(target=load.run, args=(i % 2 == 1,)) for i in range(int(sessions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open(path, "w", encoding="ascii") as out:
        out.writelines(recipient + "\n" for recipient in load.taken)
    print(f"{load.begun} begun, {len(load.taken)} taken")


if __name__ == "__main__":
    sys.exit(check(*sys.argv[2:]) if sys.argv[1] == "--check" else main(*sys.argv[1:]))
