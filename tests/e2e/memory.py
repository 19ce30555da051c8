#!/usr/bin/env python3
"""memory.py KEY.pem PID...: is the private key in a process's memory?

Looks in every page that is there for the key as PEM, as DER, and for the secret number in both
byte orders (which is how a computing library holds it). Prints a line a process: the forms that
were found, or "no key". Exit status 0: in none; 1: in some; 2: a process could not be read.
"""
import base64
import re
import struct
import subprocess
import sys

PAGE = 4096
# Larger mappings are only address space (ASan's shadow): what is in use would take ages to find.
TOO_LARGE = 1 << 40


def secrets(path):
    with open(path, encoding="ascii") as pem:
        lines = pem.read().split("\n")
    der = base64.b64decode("".join(line for line in lines if not line.startswith("-")))
    text = subprocess.run(["openssl", "pkey", "-in", path, "-noout", "-text"], check=True,
                          capture_output=True, text=True).stdout
    number = re.search(r"(?:priv|prime1):\n((?:\s+[0-9a-f:]+\n)+)", text).group(1)
    number = bytes.fromhex(re.sub(r"[^0-9a-f]", "", number)).lstrip(b"\0")
    return {"PEM": lines[1].encode(), "DER": der, "number": number, "number, reversed": number[::-1]}


def resident(pid, start, end):
    """Runs (start, end) of pages that are in memory or swap."""
    with open(f"/proc/{pid}/pagemap", "rb") as pagemap:
        pagemap.seek(start // PAGE * 8)
        entries = pagemap.read((end - start) // PAGE * 8)
    begin = None
    for index, (entry,) in enumerate(struct.iter_unpack("<Q", entries)):
        here = entry >> 62 != 0
        if here and begin is None:
            begin = index
        if not here and begin is not None:
            yield start + begin * PAGE, start + index * PAGE
            begin = None
    if begin is not None:
        yield start + begin * PAGE, end


def memory(pid):
    """The contents of all readable runs of pages, in pieces of up to 64 MB that overlap."""
    with open(f"/proc/{pid}/maps", encoding="ascii") as maps:
        mappings = [line.split() for line in maps]
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as mem:
        for mapping in mappings:
            start, end = (int(part, 16) for part in mapping[0].split("-"))
            if mapping[1][0] != "r" or end - start > TOO_LARGE or mapping[-1] in ("[vvar]", "[vsyscall]"):
                continue
            for first, last in resident(pid, start, end):
                for at in range(first, last, 64 << 20):
                    mem.seek(at)
                    try:
                        yield mem.read(min(last - at, (64 << 20) + PAGE))
                    except OSError:
                        continue


def main(key, pids):
    wanted, status = secrets(key), 0
    for pid in pids:
        try:
            found = set()
            size = 0
            for piece in memory(pid):
                size += len(piece)
                found |= {form for form, secret in wanted.items() if secret in piece}
        except OSError as error:
            print(f"{pid}: can't be read: {error.strerror}")
            return 2
        if size == 0:
            print(f"{pid}: nothing was read")
            return 2
        print(f"{pid}: {', '.join(sorted(found)) or 'no key'} in {size >> 10} KiB")
        status = status or (1 if found else 0)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
