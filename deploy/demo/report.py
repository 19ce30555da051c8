#!/usr/bin/env python3
"""report.py WORK MAILS.json: what became of each mail of the demo, as a table.

WORK holds mgid.log, what was sent (sent/NAME.eml), and for each sink a log and the mails that it took.
Waits until every mail is where it belongs, at most 20 seconds. Fails when a row is wrong.

A mail of MAILS.json says by which rule and route it goes and where it arrives, and, as needed:
verdict, mutual (of the TLS connection to the next hop), client (of the one from the sender), sent (the
file that it has to equal), refused (code) and told (the sender's log), waits (part of the reason)
and untold (the sink that may not even hear the envelope).
"""
import glob
import hashlib
import json
import os
import re
import sys
import time

SINKS = ("platform", "exchange", "internet", "impostor")
PATIENCE = 20
COLUMNS = ("mail", "recipient", "rule", "route", "TLS in", "TLS out", "arrived at", "")
RECEIVED = re.compile(rb"\AReceived:[^\n]*\n(?:[ \t][^\n]*\n)*")


def lines(path):
    """The complete JSON lines of a log."""
    with open(path, encoding="utf-8") as log:
        for line in log:
            if line.endswith("\n") and line.startswith("{"):
                yield json.loads(line)


def content(path):
    with open(path, "rb") as file:
        return file.read()


def stored(work, sink):
    """What the sink has written beside each mail."""
    return [json.loads(content(path)) for path in sorted(glob.glob(f"{work}/{sink}/*.json"))]


def short(tls):
    """"TLSv1.3 TLS_AES_128_GCM_SHA256; client certificate verified, CN=…" in a few words."""
    if not tls:
        return "-" if tls is None else "clear"
    version, _, certificate = tls.partition(";")
    words = certificate.replace("client certificate", "").split(",")[0].strip()
    return version.split()[0] + (" client " + words if words.startswith(("verified", "not v")) else "")


class Row:
    """A mail to one recipient: what was wanted, and what is found of it."""

    def __init__(self, work, wanted):
        self.work = work
        self.wanted = wanted
        self.rule = self.route = self.reply = ""
        self.id = self.tls_in = self.delivered = self.reason = None
        self.places = []

    def read(self, log, sinks):
        for line in log:
            if line.get("recipient") != self.wanted["recipient"]:
                continue
            self.id = line.get("id", self.id)
            self.rule = line.get("rule", self.rule)
            self.route = line.get("route", self.route)
            self.reply = line.get("reply", self.reply)
            if line["event"] == "delivered":
                self.delivered = line
            elif line["event"] == "deferred":
                self.reason = line["reason"]
        for line in log:
            if line["event"] == "accepted" and line.get("id") == self.id:
                self.tls_in = line.get("tls")
        self.places = [(sink, mail) for sink in SINKS for mail in sinks[sink]
                       if self.wanted["recipient"] in mail["recipients"]]

    def settled(self):
        if "refused" in self.wanted:
            return bool(self.reply)
        if "waits" in self.wanted:
            return self.reason is not None or self.delivered is not None
        return self.delivered is not None and bool(self.places)

    def faults(self):
        wanted = self.wanted
        if self.rule != wanted["rule"] or self.route != wanted.get("route", ""):
            yield f"rule {wanted['rule']}, route {wanted.get('route', 'none')} expected"
        if [sink for sink, _ in self.places] != [wanted["arrives"]] * (wanted["arrives"] != "nowhere"):
            yield f"{wanted['arrives']} expected"
        if "client" in wanted and f"client certificate {wanted['client']}" not in (self.tls_in or ""):
            yield f"client certificate {wanted['client']} expected"
        for _, mail in self.places:
            yield from self.faults_of_stored(mail)
        if wanted["arrives"] == "nowhere":
            yield from self.faults_of_kept()
        else:
            yield from self.faults_of_delivery()

    def faults_of_delivery(self):
        delivered = self.delivered or {}
        for key in ("verdict", "mutual"):
            if key in self.wanted and delivered.get(key) != self.wanted[key]:
                yield f"{key} {self.wanted[key]} expected, not {delivered.get(key)}"

    def faults_of_stored(self, mail):
        """The sink's own view: envelope, bytes, and how it was reached."""
        bytes_there = content(mail["file"])
        if mail["recipients"] != [self.wanted["recipient"]]:
            yield "another recipient's name in the envelope"
        if hashlib.sha256(bytes_there).hexdigest() != mail["sha256"]:
            yield "the sink's file is not what the sink took"
        if "verdict" in self.wanted and not mail["tls"]:
            yield "it came in clear"
        if "mutual" in self.wanted and not (mail["client"] or {}).get("verified"):
            yield "the platform saw no valid certificate of ours"
        bare = RECEIVED.sub(b"", bytes_there, count=1)
        sent = content(f"{self.work}/sent/{self.wanted['sent']}.eml")
        # swaks ends its data with an empty line of its own.
        if bare == bytes_there or bare not in (sent, sent + b"\r\n"):
            yield "not the bytes that were sent"

    def faults_of_kept(self):
        """What has to arrive nowhere was refused, or waits."""
        wanted = self.wanted
        if self.delivered:
            yield "delivered"
        if "refused" in wanted:
            told = [line["last_reply"] for line in lines(f"{self.work}/{wanted['told']}.log")]
            if not self.reply.startswith(wanted["refused"]) or told != [self.reply]:
                yield f"the sender was not told {wanted['refused']}"
        if "waits" in wanted and wanted["waits"] not in (self.reason or ""):
            yield f"{wanted['waits']} expected as the reason, not {self.reason}"
        if "untold" in wanted:
            sessions = [line for line in lines(f"{self.work}/{wanted['untold']}.log")
                        if line["event"] == "session"]
            if not sessions or any("MAIL" in session["commands"] for session in sessions):
                yield f"{wanted['untold']} was not asked, or heard the envelope"

    def cells(self):
        delivered, wanted = self.delivered or {}, self.wanted
        out = "-"
        if delivered:
            out = " ".join([(delivered["tls"] or "clear").split()[0], delivered.get("verdict", "")])
            out += ", mutual" if delivered.get("mutual") else ""
        places = [f"{sink} {os.path.basename(mail['file'])}" for sink, mail in self.places]
        if not places:
            places = ["refused " + self.reply[:3] if self.reply.startswith("5") else
                      "waits" if self.reason else "nowhere"]
        faults = list(self.faults())
        return (wanted["mail"], wanted["recipient"], self.rule, self.route or "-", short(self.tls_in),
                out.strip(), ", ".join(places), "WRONG: " + "; ".join(faults) if faults else "OK")


def gather(work, wanted):
    """Rows as of now."""
    log = list(lines(f"{work}/mgid.log"))
    sinks = {sink: stored(work, sink) for sink in SINKS}
    rows = [Row(work, one) for one in wanted]
    for row in rows:
        row.read(log, sinks)
    return rows


def main(work, mails):
    with open(mails, encoding="utf-8") as text:
        wanted = json.load(text)
    deadline = time.monotonic() + PATIENCE
    rows = gather(work, wanted)
    while not all(row.settled() for row in rows) and time.monotonic() < deadline:
        time.sleep(0.1)
        rows = gather(work, wanted)
    table = [COLUMNS] + [row.cells() for row in rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(COLUMNS) - 1)]
    table.insert(1, tuple("-" * width for width in widths) + ("-----",))
    for row in table:
        print("  ".join([cell.ljust(width) for cell, width in zip(row, widths)] + [row[-1]]).rstrip())
    wrong = sum(1 for row in rows if any(row.faults()))
    print(f"\n{len(rows) - wrong} of {len(rows)} as they should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
