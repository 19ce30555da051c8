#!/usr/bin/env python3
"""load.py PORT SECONDS SESSIONS FILE: keeps sending, whatever happens, and writes the recipient of
each mail that was answered with 250 to FILE, one a line. Half of the sessions use STARTTLS.

A session that is cut, refused or silent is replaced. Each mail has a recipient of its own
(NUMBER@load.example), each session at most 20 mails. Prints how many mails were begun and taken.
"""
import itertools
import os
import ssl
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from smtp import Cut, Session

TEXT = b"Subject: load\r\n\r\n" + b"0123456789abcdef" * 4 + (b"\r\n" + b"x" * 70) * 60


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
                recipient = f"{next(self.numbers)}@load.example"
                self.begun += 1
                if s.mail("from@example.ch", [recipient], TEXT) == 250:
                    self.taken.append(recipient)
        finally:
            s.close()

    def run(self, tls):
        while time.monotonic() < self.end:
            try:
                self.session(tls)
            except (Cut, OSError, ssl.SSLError, ValueError):
                time.sleep(0.02)


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
    main(*sys.argv[1:])
