#!/usr/bin/env python3
"""report.py WORK MAILS.json: what became of each mail of the demo, as a table.

WORK holds mgid.log and a log of each sink (platform, exchange, internet). Waits until every mail
is where it belongs, at most 20 seconds. Fails when a row is wrong.
"""
import json
import os
import sys
import time

SINKS = ("platform", "exchange", "internet")
PATIENCE = 20
COLUMNS = ("mail", "recipient", "rule", "route", "TLS in", "TLS out", "arrived at", "")


def lines(path):
    """The complete JSON lines of a log."""
    with open(path, encoding="utf-8") as log:
        for line in log:
            if line.endswith("\n") and line.startswith("{"):
                yield json.loads(line)


def short(tls):
    """"TLSv1.3 TLS_AES_128_GCM_SHA256; client certificate verified, CN=…" in a few words."""
    if not tls:
        return "-" if tls is None else "clear"
    version, _, certificate = tls.partition(";")
    words = certificate.replace("client certificate", "").split(",")[0].strip()
    return version.split()[0] + (" client " + words if words.startswith(("verified", "not v")) else "")


class Row:
    """A mail to one recipient: what was wanted, and what the logs say of it."""

    def __init__(self, wanted):
        self.wanted = wanted
        self.rule = self.route = self.reply = ""
        self.id = self.tls_in = self.delivered = None
        self.places = []

    def is_about(self, line):
        """A refused mail is logged by its sender alone."""
        if line["event"] == "mail refused":
            return line["sender"] == self.wanted.get("sender")
        return line.get("recipient") == self.wanted["recipient"]

    def read(self, log, sinks):
        for line in log:
            if not self.is_about(line):
                continue
            self.id = line.get("id", self.id)
            self.rule = line.get("rule", self.rule)
            self.route = line.get("route", self.route)
            self.reply = line.get("reply", self.reply)
            if line["event"] == "delivered":
                self.delivered = line
        for line in log:
            if line["event"] == "accepted" and line.get("id") == self.id:
                self.tls_in = line.get("tls")
        self.places = [(sink, mail) for sink in SINKS for mail in sinks[sink]
                       if self.wanted["recipient"] in mail["recipients"]]

    def settled(self):
        if self.wanted["arrives"] == "nowhere":
            return bool(self.reply)
        return self.delivered is not None and bool(self.places)

    def faults(self):
        wanted, delivered = self.wanted, self.delivered or {}
        if self.rule != wanted["rule"] or self.route != wanted.get("route", ""):
            yield f"rule {wanted['rule']}, route {wanted.get('route', 'none')} expected"
        if [sink for sink, _ in self.places] != [wanted["arrives"]] * (wanted["arrives"] != "nowhere"):
            yield f"{wanted['arrives']} expected"
        if "verdict" in wanted and delivered.get("verdict") != wanted["verdict"]:
            yield f"verdict {wanted['verdict']} expected, not {delivered.get('verdict')}"
        if "client" in wanted and f"client certificate {wanted['client']}" not in (self.tls_in or ""):
            yield f"client certificate {wanted['client']} expected"
        for sink, mail in self.places:
            if sink == "platform" and not (mail["client"] or {}).get("verified"):
                yield "the platform saw no valid certificate of ours"

    def cells(self):
        delivered, wanted = self.delivered or {}, self.wanted
        out = "-"
        if delivered:
            out = " ".join([(delivered["tls"] or "clear").split()[0], delivered.get("verdict", "")])
            out += ", mutual" if delivered.get("mutual") else ""
        places = [f"{sink} {os.path.basename(mail['file'])}" for sink, mail in self.places]
        if not places:
            places = ["refused " + self.reply[:3] if self.reply.startswith("5") else "nowhere"]
        faults = list(self.faults())
        return (wanted["mail"], wanted["recipient"], self.rule, self.route or "-", short(self.tls_in),
                out.strip(), ", ".join(places), "WRONG: " + "; ".join(faults) if faults else "OK")


def gather(work, wanted):
    """Rows as of now."""
    log = list(lines(f"{work}/mgid.log"))
    sinks = {sink: [line for line in lines(f"{work}/{sink}.log") if line["event"] == "mail"]
             for sink in SINKS}
    rows = [Row(one) for one in wanted]
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
