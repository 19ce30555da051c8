"""Notifications, read as strictly as RFC 3464, 3461, 6522 and 6533 are written.

    notice.py FILE [KEY=VALUE…]     fails unless FILE is a sound notification with these values

Keys: to, subject (decoded), recipients, original, action, status, diagnostic (within), envid,
returned (its type), language, says (within the part for people; may stand several times).
"""
import email
import email.policy
import re
import sys
from email.utils import parsedate_to_datetime

ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
DATE = "date"
TYPED = rf"{ATOM} *; *\S.*"
MTA = rf"(dns|x-[a-z-]+) *; *[A-Za-z0-9.\[\]:-]+"
MESSAGE = {"original-envelope-id": r"\S.*", "reporting-mta": MTA, "dsn-gateway": MTA,
           "received-from-mta": MTA, "arrival-date": DATE, "x-queue-id": r"[A-Za-z0-9]+"}
RECIPIENT = {"original-recipient": TYPED, "final-recipient": TYPED,
             "action": "failed|delayed|delivered|relayed|expanded", "status": r"[245]\.\d{1,3}\.\d{1,3}",
             "remote-mta": MTA, "diagnostic-code": TYPED, "last-attempt-date": DATE,
             "final-log-id": r"\S.*", "will-retry-until": DATE}


def fields(block, known, needed):
    """The fields of one block: each known, of its form, at most once; the needed ones there."""
    found = {}
    for line in re.sub(r"\r\n[ \t]+", " ", block).split("\r\n"):
        name, colon, value = line.partition(":")
        name, value = name.lower(), value.strip()
        assert colon and name in known, f"no field of RFC 3464: {line!r}"
        assert name not in found, f"twice: {line!r}"
        if known[name] == DATE:
            assert parsedate_to_datetime(value).tzinfo, line
        else:
            assert re.fullmatch(known[name], value), f"malformed: {line!r}"
        found[name] = value
    for name in needed:
        assert name in found, f"missing: {name}"
    return found


def report(text):
    """The blocks of message/delivery-status: about the message, and about each recipient."""
    first, *rest = text.rstrip("\r\n").split("\r\n\r\n")
    assert rest, "no recipient"
    about = fields(first, MESSAGE, ["reporting-mta"])
    each = [fields(block, RECIPIENT, ["final-recipient", "action", "status"]) for block in rest]
    for recipient in each:
        classes = {"failed": "45", "delayed": "4", "relayed": "2", "delivered": "2"}[recipient["action"]]
        assert recipient["status"][0] in classes, recipient
        assert recipient["action"] == "delayed" or "will-retry-until" not in recipient
    return about, each


def raw_parts(data, boundary):
    """(header, body) of each part, as bytes; the frame has nothing else."""
    _, *parts, end = re.split(rb"(?:\r\n)--" + re.escape(boundary.encode()), data)
    assert end.startswith(b"--"), "the last boundary"
    pairs = [part.split(b"\r\n\r\n", 1) if not part.startswith(b"\r\n\r\n") else [b"", part[4:]]
             for part in parts]
    return pairs


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    if b"\r\n" not in data:
        data = data.replace(b"\n", b"\r\n")
    assert max(map(len, data.split(b"\r\n"))) <= 998
    mail = email.message_from_bytes(data, policy=email.policy.default)
    assert not any(part.defects for part in mail.walk()), [part.defects for part in mail.walk()]
    assert not any(header.defects for header in mail.values()), [h.defects for h in mail.values()]
    for name in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"):
        assert len(mail.get_all(name, [])) == 1, name
    assert mail["Auto-Submitted"] == "auto-replied" and mail["Date"].datetime
    assert mail.get_content_type() == "multipart/report"
    assert mail.get_param("report-type") == "delivery-status"
    parts = raw_parts(data, mail.get_param("boundary"))
    assert len(parts) == 3, len(parts)
    text, status, original = mail.iter_parts()
    assert text.get_content_type() == "text/plain" and text.get_content_charset() == "utf-8"
    assert status.get_content_type() in ("message/delivery-status", "message/global-delivery-status")
    assert original.get_content_type() in ("text/rfc822-headers", "message/rfc822",
                                           "message/global-headers", "message/global")
    for header, body in parts:
        if b"8bit" not in header:
            assert all(byte < 128 for byte in body), "8 bit in a part that says 7"
    about, each = report(parts[1][1].decode())
    return mail, text, about, each, original, parts[2][1]


def main(path, *wanted):
    mail, text, about, each, original, returned = read(path)
    said = " ".join(text.get_content().split())
    for pair in wanted:
        key, value = pair.split("=", 1)
        if key == "says":
            assert value in said, f"{value!r} is not in: {said}"
        elif key == "says_not":
            assert value not in said, f"{value!r} is in: {said}"
        elif key == "diagnostic":
            assert all(value in r["diagnostic-code"] for r in each), each
        elif key == "content":
            assert value.encode() in returned, returned
        else:
            found = {
                "to": lambda: mail["To"].addresses[0].addr_spec,
                "from": lambda: mail["From"].addresses[0].addr_spec,
                "subject": lambda: str(mail["Subject"]),
                "language": lambda: text["Content-Language"],
                "envid": lambda: about.get("original-envelope-id", ""),
                "returned": original.get_content_type,
                "recipients": lambda: ",".join(sorted(r["final-recipient"].split("; ")[1] for r in each)),
                "original": lambda: ",".join(r.get("original-recipient", "") for r in each),
                "action": lambda: ",".join(sorted({r["action"] for r in each})),
                "status": lambda: ",".join(sorted({r["status"] for r in each})),
            }[key]()
            assert found == value, f"{key}: wanted {value!r}, found {found!r}"


if __name__ == "__main__":
    main(*sys.argv[1:])
