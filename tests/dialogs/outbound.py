#!/usr/bin/env python3
"""Plays dialogs as the next hop of a running mgid, each twice: whole replies in one packet, and one
byte at a time. mgid has to say what the file expects, and nothing besides; its log has to tell the
outcome.

    outbound.py policy PORTS-FILE FILE...     writes routes and rules, and remembers the ports
    outbound.py play PORTS-FILE SUBMISSION-PORT CERTIFICATES MGID-LOG FILE...
"""
import json
import re
import socket
import ssl
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import dialog as text

PATIENCE = 15  # seconds for mgid's next word, and for the outcome in its log
HERE = "next.example"  # the recipients' domain in a file; each play has one of its own
STANDARD = "Subject: hello\\r\\n\\r\\nHello\\r\\n"
EVENTS = {"delivered": "delivered", "deferred": "deferred", "failed": "bounced"}


class Failed(Exception):
    pass


class Log:
    """mgid's log, read as it grows: what became of each recipient."""

    def __init__(self, path):
        self.file = open(path, encoding="utf-8")
        self.lock = threading.Lock()
        self.part = ""
        self.found = {}

    def of(self, recipient):
        with self.lock:
            self.part += self.file.read()
            *lines, self.part = self.part.split("\n")
            for line in lines:
                event = json.loads(line)
                if event.get("event") in EVENTS.values() and "recipient" in event:
                    self.found.setdefault(event["recipient"], []).append(event)
            return self.found.get(recipient, [])


class Server:
    """The scripted side: what it reads it gives out line by line, or in pieces of a given length."""

    def __init__(self, listener, certificates, domain, bytewise):
        self.listener, self.certificates = listener, certificates
        self.domain, self.bytewise = domain, bytewise
        self.socket = None

    def accept(self):
        if self.socket:
            self.socket.close()
        try:
            self.socket, _ = self.listener.accept()
        except TimeoutError as silent:
            raise Failed("mgid does not connect") from silent
        self.socket.settimeout(PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def say(self, data):
        step = 1 if self.bytewise else max(len(data), 1)
        try:
            for at in range(0, len(data), step):
                self.socket.sendall(data[at:at + step])
        except (BrokenPipeError, ConnectionResetError):
            pass  # mgid has closed: what follows shows whether it should have

    def more(self):
        try:
            piece = self.socket.recv(65536)
        except TimeoutError as silent:
            raise Failed(f"mgid is silent; {self.received[-200:]!r} so far") from silent
        except (ConnectionResetError, ssl.SSLError):
            piece = b""
        self.received += piece
        return bool(piece)

    def line(self):
        while b"\r\n" not in self.received:
            if not self.more():
                if self.received:
                    raise Failed(f"a line in part: {self.received!r}")
                return None
        line, self.received = self.received.split(b"\r\n", 1)
        return line

    def starttls(self, identity):
        if self.received:
            raise Failed(f"in clear behind STARTTLS: {self.received!r}")
        if identity == "broken":
            self.more()
            self.say(b"HTTP/1.0 400 Bad Request\r\n\r\n")
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        name = f"{self.certificates}/{identity or 'server'}"
        context.load_cert_chain(name + ".pem", name + ".key")
        self.socket = context.wrap_socket(self.socket, server_side=True)

    def expect(self, step):
        wanted = step.text.replace(HERE, self.domain)
        if step.kind == "C~":
            data = text.resolve(wanted)
            while len(self.received) < len(data) and self.more():
                pass
            if not self.received.startswith(data):
                raise Failed(f"line {step.line}: wanted {data!r}, found {self.received[:len(data)]!r}")
            self.received = self.received[len(data):]
            return
        folded = wanted.endswith(":...")
        line = self.line()
        if line is None or not text.matches(wanted[:-3] + " *" if folded else wanted, line):
            raise Failed(f"line {step.line}: wanted {wanted!r}, found {line!r}")
        while folded and (self.received or self.more()) and self.received[:1] in b" \t":
            self.line()


class Play:
    def __init__(self, dialog, port, domain, bytewise, context):
        self.dialog, self.domain = dialog, domain
        self.submission, certificates, self.log = context
        listener = socket.create_server(("127.0.0.1", port))
        listener.settimeout(PATIENCE)
        self.server = Server(listener, certificates, domain, bytewise)

    def option(self, name, default=""):
        return self.dialog.options.get(name, default).replace(HERE, self.domain)

    def submit(self):
        """A mail, as the options say, through mgid's own listener."""
        s = socket.create_connection(("127.0.0.1", self.submission), timeout=PATIENCE)
        f = s.makefile("rwb")

        def reply():
            line = f.readline()
            while line[3:4] == b"-":
                line = f.readline()
            return line.decode()

        reply()
        if "REQUIRETLS" in self.option("mail"):
            f.write(b"EHLO client.example\r\nSTARTTLS\r\n")
            f.flush()
            reply()
            reply()
            context = ssl._create_unverified_context()
            s = context.wrap_socket(s)
            f = s.makefile("rwb")
        body = text.resolve(self.option("body", STANDARD))
        commands = ["EHLO client.example", f"MAIL FROM:<{self.option('from', 'anna@client.example').strip('<>')}>"
                    f" {self.option('mail')}".rstrip()]
        commands += [f"RCPT TO:<{to}> {self.option('rcpt')}".rstrip() for to in self.recipients()]
        for command in commands + ["chunk" if "BINARYMIME" in self.option("mail") else "DATA"]:
            if command == "chunk":
                f.write(b"BDAT %d LAST\r\n" % len(body) + body)
            else:
                f.write(command.encode() + b"\r\n")
            f.flush()
            said = reply()
            if said[0] not in "23":
                raise Failed(f"mgid does not take the mail: {command}: {said}")
        if command == "DATA":
            f.write((b"\r\n" + body).replace(b"\r\n.", b"\r\n..")[2:] + b".\r\n")
            f.flush()
            said = reply()
            if said[0] != "2":
                raise Failed(f"mgid does not take the mail: {said}")
        s.close()

    def recipients(self):
        return self.option("to", f"hans@{HERE}").replace(HERE, self.domain).split()

    def step(self, step):
        if step.kind in ("C", "C~"):
            self.server.expect(step)
        elif step.kind == "C." and self.server.line() is not None:
            raise Failed(f"line {step.line}: mgid does not close")
        elif step.kind == "S.":
            self.server.socket.close()
        elif step.kind == "TLS":
            self.server.starttls(step.text)
        elif step.kind == "CONNECT":
            self.server.accept()
        elif step.kind == "MAIL":
            self.submit()

    def talk(self):
        steps = list(self.dialog.steps)
        self.submit()
        self.server.accept()
        while steps:
            said = b""
            while steps and steps[0].kind in ("S", "S~"):
                said += text.sent(steps.pop(0))
            self.server.say(said.replace(HERE.encode(), self.domain.encode()))
            if steps:
                self.step(steps.pop(0))
        if self.server.received:
            raise Failed(f"mgid says more: {self.server.received!r}")

    def outcome(self):
        """ "@ outcome:" is "delivered", or for several recipients or mails "a delivered, b failed
        5.1.1": a recipient named twice has two of them, in that order. """
        told = {}
        for part in self.option("outcome").split(","):
            words = part.split()
            to = words.pop(0) if "@" in words[0] else self.recipients()[0]
            event, status = EVENTS[words[0]], words[1:]
            told[to] = told.get(to, 0) + 1
            end = time.monotonic() + PATIENCE
            while len(found := self.log.of(to)) < told[to] and time.monotonic() < end:
                time.sleep(0.02)
            found = found[told[to] - 1] if len(found) >= told[to] else {}
            if found.get("event") != event or (status and status[0] != found.get("status")):
                raise Failed(f"{to}: wanted {part.strip()}, found {found or 'nothing'}")

    def run(self):
        try:
            self.talk()
        finally:
            if self.server.socket:
                self.server.socket.close()
            self.server.listener.close()
        self.outcome()


def judge(path, number, ports, context):
    """The failures of a dialog, as texts."""
    dialog = text.parse(path)
    faults = []
    for bytewise in (False, True):
        index = 2 * number + bytewise
        try:
            Play(dialog, ports[index], f"d{index}.example", bytewise, context).run()
        except (Failed, OSError) as fault:
            faults.append(f"{'byte by byte' if bytewise else 'in one packet'}: {fault}")
    return dialog.name, faults


def write_policy(ports_file, paths):
    """Each play has a port, a route to it, and a recipient domain that leads there."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2 * len(paths))]
    ports = [s.getsockname()[1] for s in sockets]
    routes, rules = {}, []
    for index, port in enumerate(ports):
        tls = text.parse(paths[index // 2]).options.get("tls")
        demand = {"require": {"require": True, "trust": "public", "names": ["im.post.ch"]}}
        routes[f"d{index}"] = {"hosts": [f"127.0.0.1:{port}"], **({"tls": demand[tls]} if tls else {})}
        rules.append({"when": {"recipient": f"*@d{index}.example"}, "route": f"d{index}"})
    with open(ports_file, "w", encoding="utf-8") as out:
        json.dump(ports, out)
    print(json.dumps(routes)[1:-1])
    print(json.dumps(rules)[1:-1])
    for s in sockets:
        s.close()


def main():
    if sys.argv[1] == "policy":
        write_policy(sys.argv[2], sys.argv[3:])
        return 0
    ports = json.load(open(sys.argv[2], encoding="utf-8"))
    context = (int(sys.argv[3]), sys.argv[4], Log(sys.argv[5]))
    paths = sys.argv[6:]
    with ThreadPoolExecutor(32) as pool:
        plays = [pool.submit(judge, path, number, ports, context) for number, path in enumerate(paths)]
        return text.report("outbound", (play.result() for play in plays))


if __name__ == "__main__":
    sys.exit(main())
