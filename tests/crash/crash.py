#!/usr/bin/env python3
"""Load, kills, and the reckoning; started by crash.sh, which has the sinks and the policy ready.

Each mail has a number, which gives its recipient and its content; it is sent once, and counts as
accepted when 250 came for it. Where it must arrive follows from the recipient:

    N@load.example      the sink, over TLS           N@in.example       the company's server
    N@named.example     the same, found by name      N@refused.example  a notice to N@in.example
    N@later.example     a server up and down         N@stuck.example    a server up at the end

A crash point is armed in the file that every process maps (engine/log/crash.c); which process
passes it first dies. Other kills are SIGKILL to a random process, the master too.
"""
import argparse
import collections
import hashlib
import json
import mmap
import os
import random
import re
import signal
import ssl
import struct
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
from smtp import Cut, Session

ROW = struct.Struct("<IIII")
RECEIVED = re.compile(rb"\AReceived:[^\n]*\n(?:[ \t][^\n]*\n)*")
WAITING = ("later", "stuck")
QUIET = 90  # seconds that the queue has to become empty at the end


def content(number):
    """The mail with that number: lines that no other mail has, some with a dot in front."""
    seed = hashlib.sha256(str(number).encode()).hexdigest()
    lines = [f"Subject: load {number}", f"Message-ID: <{number}@load.example>",
             "Date: Tue, 24 Nov 2026 12:00:00 +0000", "From: <from@example.ch>", ""]
    count = 5000 if number % 40 == 0 else 2000 if number % 9 == 0 else 20
    lines += ["." * (n % 3 == 0) + f"{n} {seed}" for n in range(count)]
    return ("\r\n".join(lines) + "\r\n").encode()


def recipient(number, inbound):
    if inbound:
        return f"{number}@in.example"
    kinds = {7: "refused", 3: "later", 13: "later", 11: "named"}
    kind = "stuck" if number % 50 == 49 else kinds.get(number % 20, "load")
    if kind in WAITING and Load.short:
        kind = "load"
    return f"{number}@{kind}.example"


class Load:
    """Sessions that go on whatever happens. short: nothing for servers that are down."""

    short = False

    def __init__(self, ports, sessions, pause):
        self.ports, self.pause = ports, pause
        self.lock = threading.Lock()
        self.next = 1
        self.taken = {}
        self.stop = False
        self.threads = [threading.Thread(target=self.run, args=(i,), daemon=True)
                        for i in range(sessions)]
        for thread in self.threads:
            thread.start()

    def number(self):
        with self.lock:
            self.next += 1
            return self.next - 1

    def session(self, inbound, tls):
        s = Session(self.ports[inbound], timeout=15)
        try:
            s.command("EHLO load.example")
            if tls:
                s.starttls()
                s.command("EHLO load.example")
            for _ in range(20):
                if self.stop:
                    return
                number = self.number()
                to = recipient(number, inbound)
                sender = f"{number}@in.example" if "refused" in to else "from@example.ch"
                if s.content(sender, [to], content(number))[0] == 250:
                    self.taken[to] = time.time()
                time.sleep(self.pause)
        finally:
            s.close()

    def run(self, i):
        while not self.stop:
            try:
                self.session(i % 4 == 3, i % 2 == 1)
            except (Cut, OSError, ssl.SSLError, ValueError):
                time.sleep(0.05)

    def end(self):
        self.stop = True
        for thread in self.threads:
            thread.join()


class Points:
    def __init__(self, path):
        with open(os.path.join(HERE, "..", "..", "include", "crash_points.def"), encoding="ascii") as f:
            self.names = re.findall(r"^CRASH_AT\((\w+),", f.read(), re.M)
        with open(path, "wb") as f:
            f.write(bytes(ROW.size * len(self.names)))
        os.chmod(path, 0o666)
        self.file = open(path, "r+b")
        self.map = mmap.mmap(self.file.fileno(), 0)

    def row(self, i):
        return ROW.unpack_from(self.map, i * ROW.size)[:3]

    def arm(self, i, countdown):
        struct.pack_into("<I", self.map, i * ROW.size, countdown)

    def killed(self):
        return sum(self.row(i)[2] for i in range(len(self.names)))


class Mgid:
    def __init__(self, options):
        self.options = options
        self.log = open(os.path.join(options.work, "mgid.log"), "ab")
        self.process = None
        self.starts = 0

    def start(self):
        """The workers of one that was killed end with it, and hold their ports until then."""
        self.process = subprocess.Popen([self.options.mgid, "-p", self.options.policy],
                                        stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        start_new_session=True)
        self.starts += 1

    def alive(self):
        return self.process.poll() is None

    def children(self):
        found = []
        for entry in os.listdir("/proc"):
            try:
                if entry.isdigit():
                    with open(f"/proc/{entry}/stat", encoding="latin-1") as f:
                        rest = f.read().rsplit(")", 1)[1].split()
                    if int(rest[1]) == self.process.pid and rest[0] != "Z":
                        with open(f"/proc/{entry}/comm", encoding="latin-1") as f:
                            found.append((int(entry), f.read().strip().removeprefix("mgid-")))
            except (OSError, IndexError):
                continue
        return found

    def end(self):
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.log.close()


class Sink:
    """A server in clear that is started and ended."""

    def __init__(self, options, name, port):
        self.options, self.name, self.port = options, name, port
        self.log = open(os.path.join(options.work, name + ".log"), "ab")
        self.runs = 0

    def up(self):
        self.runs += 1
        where = os.path.join(self.options.work, self.name, str(self.runs))
        os.makedirs(where, exist_ok=True)
        self.process = subprocess.Popen(
            [self.options.mgisim, "sink", "--listen", f"127.0.0.1:{self.port}", "--no-starttls",
             "--dir", where], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)

    def down(self):
        self.process.terminate()
        self.process.wait()


class Flaky(Sink):
    """One that is there for some seconds and then not."""

    def __init__(self, options, name, port):
        super().__init__(options, name, port)
        self.stop = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stop:
            self.up()
            time.sleep(random.uniform(1, 4))
            self.down()
            time.sleep(random.uniform(1, 4))

    def stay(self):
        self.stop = True
        self.thread.join()
        self.up()


class Killer:
    def __init__(self, options, mgid, points):
        self.options, self.mgid, self.points = options, mgid, points
        self.roles = collections.Counter()
        self.times = []

    def see_to_master(self):
        if not self.mgid.alive():
            self.mgid.start()
            time.sleep(0.5)

    def at_point(self):
        """Those that killed least so far come first; some are passed rarely, or not at all."""
        choice = min(range(len(self.points.names)),
                     key=lambda i: (self.points.row(i)[2] + self.tried[i], random.random()))
        before = self.points.row(choice)[2]
        self.points.arm(choice, random.choice((1, 1, 2, 3, 10)))
        self.provoke(self.points.names[choice])
        end = time.monotonic() + 1.5
        while time.monotonic() < end and self.points.row(choice)[2] == before:
            self.see_to_master()
            time.sleep(0.01)
        self.points.arm(choice, 0)
        if self.points.row(choice)[2] > before:
            self.times.append(time.time())
        else:
            self.tried[choice] += 3

    def provoke(self, name):
        """Some points are passed when a worker starts, or somebody asks."""
        if name == "CONTROL_ASKED":
            self.ask()
        elif name.startswith(("RECOVER", "MASTER", "RESOLVER", "ROLLED")):
            workers = [pid for pid, role in self.mgid.children() if role == "connection"]
            if workers:
                self.kill(random.choice(workers), "connection")

    def kill(self, pid, role):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            return
        if role == "master":
            self.mgid.process.wait()
        self.roles[role] += 1
        self.times.append(time.time())

    def at_random(self):
        children = self.mgid.children()
        # Connections are where mails are; the master now and then.
        weights = [4 if role == "connection" else 1 for _, role in children]
        if random.random() < 0.05 or not children:
            pid, role = self.mgid.process.pid, "master"
        else:
            pid, role = random.choices(children, weights)[0]
            role = "one that starts" if role == "mgid" else role
        self.kill(pid, role)

    def count(self):
        return sum(self.roles.values()) + self.points.killed()

    def ask(self):
        """The operator's requests, and reloads, which go to control and the master."""
        word = random.choice((["status"], ["queue", "list"], ["reload"]))
        subprocess.run([self.options.mgictl, "--socket", os.path.join(self.options.work, "control")] + word,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=30, check=False)

    def run(self):
        self.tried = collections.Counter()
        end = time.monotonic() + (self.options.seconds or 1e9)
        pause = min(20, self.options.seconds / 6)
        while time.monotonic() < end and (self.options.seconds or self.count() < self.options.kills):
            self.see_to_master()
            if random.random() < 0.1 or self.options.seconds:
                self.ask()
            if random.random() < 0.6 and not self.options.no_points:
                self.at_point()
            else:
                self.at_random()
            time.sleep(random.uniform(0.5, 1.5) * pause if pause else random.uniform(0, 0.3))
        for i in range(len(self.points.names)):
            self.points.arm(i, 0)
        self.see_to_master()


class Arrivals:
    """What came to the sinks: read on as they write."""

    def __init__(self, work):
        self.work = work
        self.offsets = collections.Counter()
        self.times = collections.defaultdict(list)
        self.altered = []
        self.notices = set()

    def look(self, path, body, to, moment):
        if b"multipart/report" in body and b"@refused.example" in body:
            for number in re.findall(rb"(\d+)@refused\.example", body):
                self.notices.add(f"{number.decode()}@refused.example")
            return
        self.times[to].append(moment)
        if RECEIVED.sub(b"", body) != content(int(to.split("@")[0])):
            self.altered.append(to)

    def read(self):
        for name in ("sink", "exchange", "flaky", "stuck"):
            try:
                with open(os.path.join(self.work, name + ".log"), "rb") as log:
                    log.seek(self.offsets[name])
                    for line in log:
                        if not line.endswith(b"\n"):
                            break
                        self.offsets[name] += len(line)
                        if not line.startswith(b"{") or b'"event":"mail"' not in line:
                            continue
                        mail = json.loads(line)
                        with open(mail["file"], "rb") as f:
                            body = f.read()
                        self.look(mail["file"], body, mail["recipients"][0], os.path.getmtime(mail["file"]))
                        os.unlink(mail["file"])
            except FileNotFoundError:
                continue

    def missing(self, taken):
        return [to for to in taken if to not in self.times and to not in self.notices]


def segments(work):
    count = 0
    for _, _, names in os.walk(os.path.join(work, "spool")):
        count += sum(name.startswith("segment-") for name in names)
    return count


def unexplained(arrivals, kills):
    """Duplicates without a kill from shortly before the first to the last arrival."""
    return [to for to, moments in arrivals.times.items() if len(moments) > 1
            and not any(min(moments) - 3 <= kill <= max(moments) + 1 for kill in kills)]


def report(load, arrivals, killer, missing, mgid):
    twice = [to for to, moments in arrivals.times.items() if len(moments) > 1]
    odd = unexplained(arrivals, killer.times)
    never = [name for i, name in enumerate(killer.points.names) if killer.points.row(i)[2] == 0]
    print(f"{len(load.taken)} mails accepted, {len(missing)} lost {missing[:5]}, "
          f"{len(arrivals.altered)} altered {arrivals.altered[:5]}, {len(twice)} duplicated "
          f"({len(odd)} of them with no kill near)")
    print(f"{killer.count()} kills: {killer.points.killed()} at "
          f"{len(killer.points.names) - len(never)} of {len(killer.points.names)} points, "
          + ", ".join(f"{n} {role}" for role, n in sorted(killer.roles.items()))
          + f" at random; {mgid.starts} starts of the master")
    if never:
        print("points where nothing died: " + ", ".join(never))


def main():
    parser = argparse.ArgumentParser()
    for name in ("mgid", "mgictl", "mgisim", "policy", "work"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--ports", nargs=2, type=int, required=True)
    parser.add_argument("--flaky", type=int, required=True)
    parser.add_argument("--stuck", type=int, required=True)
    parser.add_argument("--kills", type=int, default=2000)
    parser.add_argument("--seconds", type=int, default=0)
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--no-points", action="store_true", help="a build without crash points")
    options = parser.parse_args()
    random.seed(options.seed)
    Load.short = options.short
    points = Points(os.environ["MGID_CRASH_PAGE"])
    mgid = Mgid(options)
    mgid.start()
    flaky = Flaky(options, "flaky", options.flaky)
    stuck = Sink(options, "stuck", options.stuck)
    arrivals = Arrivals(options.work)
    load = Load(options.ports, options.sessions, 0.02)
    killer = Killer(options, mgid, points)
    reading = threading.Event()

    def read_on():
        while not reading.wait(1):
            arrivals.read()

    reader = threading.Thread(target=read_on)
    reader.start()
    killer.run()
    load.end()
    stuck.up()
    flaky.stay()
    end = time.monotonic() + QUIET
    while arrivals.missing(load.taken) and time.monotonic() < end:
        killer.see_to_master()
        time.sleep(0.5)
    reading.set()
    reader.join()
    arrivals.read()
    missing = arrivals.missing(load.taken)
    left = segments(options.work)
    mgid.end()
    flaky.down()
    stuck.down()
    report(load, arrivals, killer, missing, mgid)
    print(f"{left} segments at the end (seed {options.seed})")
    return 1 if missing or arrivals.altered or not load.taken else 0


if __name__ == "__main__":
    sys.exit(main())
