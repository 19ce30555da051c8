#!/usr/bin/env python3
"""engine/smtp/CONFORMANCE.md and the dialogs: each that is named is there, each that is there is named."""
import fnmatch
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent.parent / "engine/smtp/CONFORMANCE.md"
FOLDERS = {"in": "inbound", "out": "outbound"}

there = {f"{side}/{path.stem}" for side, folder in FOLDERS.items() for path in (HERE / folder).glob("*.txt")}
named = set(re.findall(r"\b(?:in|out)/[a-z0-9_*]+", PAGE.read_text(encoding="utf-8")))
faults = [f"{name}: the page names it, and no dialog is called so" for name in sorted(named)
          if not fnmatch.filter(there, name)]
faults += [f"{name}: no row of the page names it" for name in sorted(there)
           if not any(fnmatch.fnmatchcase(name, pattern) for pattern in named)]
for fault in faults:
    print(fault)
print(f"{len(there)} dialogs, {len(faults)} faults")
sys.exit(1 if faults or not there else 0)
