#!/usr/bin/env python3
"""Starts mgid with a build whose roles try forbidden acts (tests/sandbox/acts.def), one act a start,
and says of each how it failed.

    tests/sandbox/run.py BUILD [ACT...]     BUILD made with PROBE=1; see `make test-sandbox`

The exit status is 0 when every act came to what the table says, and the master served on.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROLES = ["connection", "keeper", "resolver", "control", "compiler"]
WAIT = 30.0
NOTHING = "nothing came of it"


def table():
    rows = []
    text = open(os.path.join(HERE, "acts.def"), encoding="utf-8").read()
    for m in re.finditer(r'^ACT\(([^"]*),\s*"([^"]*)"\)', text, re.M):
        words = [w.strip() for w in m.group(1).split(",")]
        rows.append((words[0], dict(zip(ROLES, words[1:])), m.group(2)))
    return rows


def free_ports(n):
    sockets = [socket.socket() for _ in range(n)]
    for s in sockets:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def policy(work, certs):
    out, inbound, dns = free_ports(3)
    flow = {"listen": [f"127.0.0.1:{out}"], "identity": "server", "rules": [{"name": "all", "route": "sink"}]}
    return {
        "version": 1,
        "hostname": "mx1.example.ch",
        "spool": f"{work}/spool",
        "uid_base": 61000,
        "control": {"socket": f"{work}/control"},
        "resolver": {"servers": [f"127.0.0.1@{dns}"], "dnssec": False},
        "identities": {"server": {"certificate": f"{certs}/server.pem", "key": f"{certs}/server.key"}},
        "routes": {"sink": {"hosts": ["127.0.0.1:25"]}},
        "flows": {
            "outbound": flow,
            "inbound": dict(flow, listen=[f"127.0.0.1:{inbound}"], domains=["example.ch"]),
        },
    }


class Run:
    """One start of mgid, in which one role tries one act."""

    def __init__(self, build, work, act, role, port, key):
        self.build, self.work, self.act, self.role = build, work, act, role
        with open(f"{build}/probe", "w", encoding="utf-8") as f:
            f.write(f"{role} {act} {port} {key} {work}/spool/inbound/0\n")
        self.log = f"{work}/log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [f"{build}/sbin/mgid", "-p", f"{work}/policy.json"], stdout=log, stderr=log, cwd="/"
            )

    def lines(self):
        for line in open(self.log, encoding="utf-8", errors="replace"):
            try:
                yield json.loads(line)
            except ValueError:
                continue

    def outcome(self):
        """How the act ended, or None when that is not known yet."""
        for line in self.lines():
            if line.get("event") == "probe":
                result = line["result"]
                if result == "closed":
                    return "REFUSED"
                if result == "done" and self.serves():
                    return "SERVED"
                return "DENIED" if result in ("EACCES", "EPERM", "ENOENT") else result
            if line.get("event") == "exit" and line.get("child") == self.role:
                how = line.get("signal", line.get("status"))
                if how == "SIGKILL" and self.offended():
                    return "REFUSED"
                return "KILLED" if how == "SIGSYS" else str(how)
        return None

    def offended(self):
        return any(l.get("event") == "role misbehaves" and l.get("child") == self.role for l in self.lines())

    def serves(self):
        """Every other role and the master answer the operator, and no one but the liar has ended."""
        if self.role == "control":  # it is the one that lies: the socket is answered by the next one
            time.sleep(1)
        status = subprocess.run(
            [f"{self.build}/bin/mgictl", "--socket", f"{self.work}/control", "--json", "status"],
            capture_output=True, text=True, check=False,
        )  # mgictl has a time-out of its own
        others = [
            l
            for l in self.lines()
            if l.get("event") == "exit" and l.get("level") == "error" and l.get("child") != self.role
        ]
        return status.returncode == 0 and not others and self.process.poll() is None

    def finish(self):
        end = time.monotonic() + WAIT
        found = None
        try:
            while found is None and time.monotonic() < end and self.process.poll() is None:
                time.sleep(0.01)
                found = self.outcome()
            found = found or self.outcome() or NOTHING
            alive = self.process.poll() is None
        finally:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGKILL)
            self.process.wait()
        # A start that lacks its keeper or compiler ends with a reason; nothing may break the master.
        if not alive and self.process.returncode < 0:
            found += f", and signal {-self.process.returncode} ended the master"
        return found


def main():
    build = os.path.abspath(sys.argv[1])
    wanted = set(sys.argv[2:])
    work = tempfile.mkdtemp(prefix="mgid-sandbox.")
    os.chmod(work, 0o755)
    listener = socket.create_server(("127.0.0.1", 0))
    passed = failed = 0
    try:
        certs = f"{work}/certs"
        subprocess.run(["sh", f"{HERE}/../../deploy/certs.sh", certs], check=True, stdout=subprocess.DEVNULL)
        def attempt(act, role):
            with open(f"{work}/policy.json", "w", encoding="utf-8") as f:
                json.dump(policy(work, certs), f)
            return Run(build, work, act, role, listener.getsockname()[1], f"{certs}/server.key").finish()

        print(f"{'act':<26}{'role':<12}{'outcome':<10}what it would give")
        for act, expected, what in table():
            if wanted and act not in wanted:
                continue
            for role in ROLES:
                if expected[role] == "ABSENT":
                    continue
                found = attempt(act, role)
                if found == NOTHING:  # another program may have taken a port that was free
                    found = attempt(act, role)
                good = found == expected[role]
                passed, failed = passed + good, failed + (not good)
                note = "" if good else f"   FAIL: expected {expected[role]}"
                print(f"{act:<26}{role:<12}{found:<10}{what}{note}", flush=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)
        if os.path.exists(f"{build}/probe"):
            os.unlink(f"{build}/probe")
    print(f"{passed} passed, {failed} failed")
    return 0 if failed == 0 and passed > 0 else 1


if __name__ == "__main__":
    sys.exit(main())
