#!/usr/bin/env python3
"""Plays dialogs as a client against a running mgid, each twice: as few packets as pipelining
allows, and one byte at a time. Both must give the replies of the file, and none besides.

    inbound.py LISTENERS CERTIFICATES FILE...     LISTENERS as "name=port,name=port"
"""
import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor

import dialog as text

SILENCE = 15  # seconds without a byte from mgid


class Failed(Exception):
    pass


class Client:
    def __init__(self, port, certificates):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=SILENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.certificates = certificates
        self.received = b""

    def send(self, data, bytewise):
        try:
            for at in range(0, len(data), 1 if bytewise else max(len(data), 1)):
                self.socket.sendall(data[at:at + 1] if bytewise else data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # mgid has ended the session: the replies show whether it should have

    def line(self):
        """The next line without its CRLF; None at the end."""
        while b"\r\n" not in self.received:
            try:
                piece = self.socket.recv(65536)
            except TimeoutError as silent:
                raise Failed(f"no reply in {SILENCE} s; {self.received!r} so far") from silent
            except (ConnectionResetError, ssl.SSLError):
                piece = b""
            if not piece:
                if self.received:
                    raise Failed(f"a reply in part: {self.received!r}")
                return None
            self.received += piece
        line, self.received = self.received.split(b"\r\n", 1)
        return line

    def starttls(self, identity):
        if self.received:
            raise Failed(f"in clear behind the reply to STARTTLS: {self.received!r}")
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if identity:
            name = f"{self.certificates}/{identity}"
            context.load_cert_chain(name + ".pem", name + ".key")
        self.socket = context.wrap_socket(self.socket)

    def finish(self):
        """No more to say: what mgid says then is too much."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        extra = self.line()
        if extra is not None:
            raise Failed(f"a reply too many: {extra!r}")


def expect(client, step):
    """One line, or, for "CODE...", the lines of a whole reply."""
    whole = step.text.endswith("...") and len(step.text) == 6
    while True:
        line = client.line()
        pattern = step.text
        if whole and line is not None:
            pattern = step.text[:3] + ("-*" if line[3:4] == b"-" else " *")
        if line is None or not text.matches(pattern, line):
            raise Failed(f"line {step.line}: wanted {step.text!r}, found {line!r}")
        if not whole or line[3:4] != b"-":
            return


def play(dialog, port, certificates, bytewise):
    client = Client(port, certificates)
    steps = list(dialog.steps)
    try:
        # A client waits for the greeting, unless the dialog is about one that does not.
        while steps and steps[0].kind == "S":
            expect(client, steps.pop(0))
        while steps:
            part = []
            while steps and steps[0].kind != "TLS":
                part.append(steps.pop(0))
            client.send(b"".join(text.sent(s) for s in part if s.kind in ("C", "C~")), bytewise)
            for step in part:
                if step.kind == "S":
                    expect(client, step)
                elif step.kind == "S." and client.line() is not None:
                    raise Failed(f"line {step.line}: the connection is not closed")
            if steps:
                client.starttls(steps.pop(0).text)
        client.finish()
    finally:
        client.socket.close()


def judge(path, ports, certificates):
    """The failures of a dialog, as texts."""
    dialog = text.parse(path)
    faults = []
    for bytewise in (False, True) if "play" not in dialog.options else (False,):
        try:
            play(dialog, ports[dialog.options.get("listener", "open")], certificates, bytewise)
        except (Failed, OSError) as fault:
            faults.append(f"{'byte by byte' if bytewise else 'in one packet'}: {fault}")
    return dialog.name, faults


def main():
    ports = {name: int(port) for name, port in (p.split("=") for p in sys.argv[1].split(","))}
    with ThreadPoolExecutor(8) as pool:
        return text.report("inbound", pool.map(lambda path: judge(path, ports, sys.argv[2]), sys.argv[3:]))


if __name__ == "__main__":
    sys.exit(main())
