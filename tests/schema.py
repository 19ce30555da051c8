#!/usr/bin/python3
"""The schema against the compiler: each policy of a table is judged by both.

    tests/schema.py          BUILD says whose mgictl is asked (default: build)

A policy that the compiler takes and the schema refuses is always an error: an editor would mark
what is right. One that only the compiler refuses must say below why a schema can't know; and
where both refuse, no reason may stand, so that the list stays true. Needs python3-jsonschema.
"""
import copy
import glob
import json
import os
import subprocess
import sys
import tempfile

from jsonschema import Draft202012Validator

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MGICTL = os.path.join(ROOT, os.environ.get("BUILD", "build"), "bin", "mgictl")

BASE = {
    "version": 1,
    "hostname": "mx.example.ch",
    "spool": "/s",
    "identities": {"server": {"certificate": "/s.pem", "key": "/s.key"}},
    "trust": {"public": {"system": True}},
    "peers": {"exchange": {"addresses": "10.1.0.0/24"}},
    "routes": {"r": {"mx": "im.post.ch", "tls": {"require": True, "trust": "public"}}},
    "flows": {"out": {"listen": "127.0.0.1:2500", "accept_from": "exchange",
                      "rules": [{"name": "first", "when": {"recipient": "a.ch"}, "route": "r"},
                                {"route": "r"}]}},
}
GONE = object()

# Why the compiler alone refuses.
REFERENCE = "what is named elsewhere"
ELSEWHERE = "what other members say"
DOMAIN = "the inner form of domains and patterns"
ADDRESS = "the inner form of addresses and ports"
RANGE = "the range of a number with a unit"
BYTES = "lengths in bytes, and control characters"
INTEGER = "1.0 is an integer to a schema"

FLOW = "/flows/out"
RULE = FLOW + "/rules/0"
WHEN = RULE + "/when"
TLS = "/routes/r/tls"
DIGEST = "0123456789abcdef" * 4
COLONS = ":".join(["Ab"] * 32)

# (place, value…): taken by both.
TAKEN = [
    ("/$schema", "../schema.json"),
    ("/hostname", "MX.example.ch.", "b\u00fccher.ch", "xn--bcher-kva.ch"),
    ("/uid_base", 1, 2000000000),
    ("/sandbox", "require", "available"),
    ("/control", {"socket": "/" + "s" * 106}),
    ("/log", {"file": "/l"}),
    ("/metrics", {"listen": "127.0.0.1:9110"}, {"listen": "[::1]:9110"}),
    ("/resolver", {}, {"servers": "::1"}, {"servers": ["10.0.0.1", "10.0.0.1@5353", "2001:db8::1@53"]},
     {"dnssec": False}),
    ("/limits", {}, {"message_size": "64K"}, {"message_size": 1 << 30}, {"memory": "16G"},
     {"sessions": 20000, "recipients": 100},
     {"client_connections": 0, "network_connections": 20000, "ipv4_network": 32, "ipv6_network": 16},
     {"connections_per_minute": 60000, "mails_per_minute": 0, "recipients_per_minute": 1},
     {"mails_per_session": 1000000, "commands_per_session": 0, "errors_per_session": 1},
     {"idle_time": "5s", "mail_time": "1d", "bytes_per_second": 0, "hops": 10}),
    ("/retry", {}, {"first": 1, "max": "7d", "lifetime": "30d"}, {"first": "090s", "max": "2h"}),
    ("/notifications", {}, {"languages": "de"}, {"languages": ["fr", "en"], "return": "full"},
     {"from": "o'neill+x@b\u00fccher.ch", "postmaster": "p@x.ch", "double_bounce": "postmaster"},
     {"delay_after": []}, {"delay_after": "30m"}, {"delay_after": [60, "4h", "2d"]}),
    ("/identities/_a.b-C", {"certificate": "/c", "key": "/k"}, {"certificate": "/c", "key": "/k", "passphrase": "/p"}),
    ("/identities/" + "n" * 64, {"certificate": "/c", "key": "/k"}),
    ("/trust/x", {"file": "/ca.pem"}, {"file": "/ca.pem", "system": False}, {"system": True, "crl": "/crl.pem"}),
    ("/peers/x", {"addresses": ["::/0", "192.0.2.1", "::ffff:10.1.0.0/120"]},
     {"tls": {"trust": "public", "names": ["*.a.ch", "b.ch"], "organization": "Post CH AG"}},
     {"tls": {"trust": "public", "fingerprints": DIGEST, "pins": [DIGEST, COLONS], "allow_server_auth_only": True}},
     {"addresses": "::1", "trusted": True}, {"tls": {"trust": "public"}, "trusted": False}),
    ("/routes/x", {"mx": "a.ch", "connections": 1, "mails_per_minute": 1},
     {"hosts": "a.ch", "connections": 1000, "mails_per_minute": 1000000}),
    ("/routes/x", {"mx": "recipient", "port": 65535}, {"hosts": "a.ch"},
     {"hosts": ["a.ch:25", "192.0.2.1", "[::1]:2525"], "tls": {"identity": "server"}}),
    (TLS, {"dane": True}, {"mutual": False}, {"require": True, "mutual": True, "identity": "server"},
     {"trust": "public", "fingerprints": [COLONS], "pins": DIGEST.upper()}),
    ("/resolver/trust_anchor", "/root.key"),
    (FLOW + "/tls", {}, {"legacy": True}, {"groups": "P-256", "legacy": False}, {"groups": ["X25519", "P-384"]}),
    (FLOW + "/listen", ["0.0.0.0:25", "[::]:25"], "[::ffff:10.0.0.1]:65535"),
    (FLOW + "/listen", {"address": "[::1]:25"}, ["0.0.0.0:25", {"address": "10.0.0.1:26", "proxy_from": "10.0.0.0/8"}],
     {"address": "10.0.0.1:26", "proxy_from": ["10.0.0.1", "::1", "2001:db8::/32"]},
     {"address": "10.0.0.1:26", "greeting_delay": "5s"}, {"address": "10.0.0.1:26", "greeting_delay": 30}),
    (FLOW + "/identity", "server", ["server"]),
    (FLOW + "/workers", 64),
    (FLOW + "/accept_from", ["exchange"], GONE),
    (FLOW + "/domains", "a.ch", ["*.a.ch", "a.ch."]),
    (FLOW + "/client_certificate", "no", "ask"),
    (FLOW + "/bare_lf", "refuse", "normalise"),
    (FLOW + "/complete", "date", ["message-id"], ["message-id", "date"]),
    (FLOW + "/bounce_route", "r"),
    (RULE + "/name", GONE, "a rule \u00fcber alles"),
    (RULE, {"when": {"sender": ""}, "reject": "550 5.7.1 no"},
     {"when": {"sender": "<>"}, "defer": "451 4.7.100 a  b"}, {"discard": True},
     {"route": "r", "lifetime": "4h"}, {"route": "r", "lifetime": 90, "priority": "high"},
     {"route": "r", "add_suffix": ".incamail.ch", "prefix_subject": "<im><c> "},
     {"route": "r", "remove_suffix": ".b\u00fccher.ch"}, {"route": "r", "prefix_subject": "[Gr\u00fc\u00dfe]"},
     {"route": "r", "set_header": {"X-A": "", "X-B": "\u00e9" * 256}, "remove_header": ["A", "Received-SPF"]},
     {"route": "r", "remove_header": "Bcc"},
     {"route": "r", "hold": True}, {"route": "r", "hold": False},
     {"route": "r", "priority": "low"}, {"route": "r", "priority": "normal"}),
    (WHEN, {"recipient": "*@*.a.ch"}, {"sender": ["u@a.ch", "*@b.ch", ""]}, {"peer": "exchange"},
     {"client": ["10.0.0.0/8", "::1"]}, {"from_domain": "*.a.ch"}, {"subject": {"equals": ""}},
     {"subject": {"case": True, "contains": ["x", "y"], "starts": "a", "ends": "z"}},
     {"header": {"X-Classification": {"equals": "secret"}}},
     {"header": {"a": {"contains": "x", "case": True}, "Subject": {"starts": "y", "ends": "z"}}},
     {"size": {"over": "10M"}}, {"size": {"under": 1000, "over": 5}}, {"tls": {"version": "1.2"}},
     {"tls": {"version": "1.3", "verified": False}},
     {"not": {"any": [{"sender": "a.ch"}, {"all": [{"sender": "b.ch"}, {"peer": "exchange"}]}]}}),
]

# (place, value…): refused by both.
REFUSED = [
    *[("/" + key, GONE) for key in ("version", "hostname", "spool", "flows")],
    ("", [], "x", None),
    ("/hostnam", "a.ch"), ("/scanners", {}),
    ("/version", 0, 2, "1", None, True, 1.5),
    ("/hostname", "", 1, "a" * 256),
    ("/uid_base", 0, -1, 2000000001, "1"),
    ("/spool", "s", "", ["/s"], "/" + "s" * 4095),
    ("/sandbox", "required", True, 1),
    ("/control", "/s", {}, {"socket": "s"}, {"socket": "/" + "s" * 107}, {"path": "/s"}),
    ("/log", {}, {"file": "l"}),
    ("/metrics", {}, {"listen": "127.0.0.1"}, {"listen": 9110}, {"listen": ["127.0.0.1:9110"]}, {"port": 9110}),
    ("/resolver", {"servers": []}, {"servers": "ns.example"}, {"dnssec": 1}),
    ("/limits", {"message_size": "64m"}, {"message_size": "64MB"}, {"message_size": -1},
     {"memory": ""}, {"sessions": 0}, {"sessions": 20001}, {"recipients": 99}, {"recipients": 10001}, [],
     {"client_connections": -1}, {"network_connections": 20001}, {"ipv4_network": 7}, {"ipv6_network": 65},
     {"mails_per_minute": 60001}, {"errors_per_session": 0}, {"hops": "9"}, {"idle_time": "fast"}),
    ("/retry", {"first": 0}, {"first": "1w"}, {"first": " 1d"}, {"lifetime": "1h30m"}, {"min": 1}),
    ("/notifications", [], {"languages": []}, {"languages": "rm"}, {"languages": ["de", "de"]}, {"from": "x"},
     {"from": "a b@x.ch"}, {"postmaster": "<p@x.ch>"}, {"delay_after": [0]}, {"delay_after": "1w"},
     {"delay_after": list(range(1, 10))}, {"return": "all"}, {"double_bounce": True}, {"language": "de"}),
    ("/identities/x", {}, {"certificate": "/c"}, {"certificate": "c", "key": "/k"}, None),
    ("/identities/a b", {"certificate": "/c", "key": "/k"}),
    ("/identities/.a", {"certificate": "/c", "key": "/k"}),
    ("/identities/" + "n" * 65, {"certificate": "/c", "key": "/k"}),
    ("/trust/x", {}, {"system": False}, {"system": True, "file": "/f"}, {"system": "yes"}),
    ("/peers/x", {}, {"trusted": True}, {"addresses": "::1", "trusted": 1}, {"addresses": []}, {"addresses": "host"}, {"tls": {}}, {"tls": {"names": "a.ch"}},
     {"tls": {"trust": "public", "organization": ""}}),
    ("/routes/x", {}, {"mx": "a.ch", "hosts": "b.ch"}, {"hosts": "a.ch", "port": 25}, {"hosts": []},
     {"mx": "a.ch", "port": 0}, {"mx": "a.ch", "port": 65536}, {"mx": ["a.ch"]}, "a.ch",
     {"mx": "a.ch", "connections": 0}, {"mx": "a.ch", "connections": 1001},
     {"mx": "a.ch", "mails_per_minute": 0}, {"mx": "a.ch", "mails_per_minute": 1000001}),
    (TLS, True, {"names": "a.ch"}, {"organization": "A"}, {"dane": "yes"}, {"require": "yes"}, {"pins": DIGEST},
     {"mutual": True}, {"mutual": True, "require": True}, {"mutual": True, "require": False, "identity": "server"},
     *({"trust": "public", "fingerprints": x} for x in ([], "", "ab", DIGEST + "00", DIGEST[:-1] + "g",
        COLONS + ":", ":" + COLONS, COLONS.replace(":", "::")))),
    ("/resolver/trust_anchor", "root.key", True),
    (FLOW + "/tls", True, {"groups": []}, {"groups": "P-521"}, {"groups": "p-256"}, {"legacy": 1}),
    (FLOW + "/identity", [], ["server", 1]),
    ("/flows", {}, []),
    (FLOW + "/listen", GONE, [], "127.0.0.1", "localhost:25", "::1:25", "[::1", 25, {}, [{}],
     {"address": "[::1]:25", "greeting_delay": 0}, {"address": "[::1]:25", "greeting_delay": True},
     {"proxy_from": "::1"}, {"address": 25}, {"address": "[::1]:25", "proxy_from": []},
     {"address": "[::1]:25", "proxy_from": "balancer"}, {"address": "[::1]:25", "proxy": "::1"}),
    (FLOW + "/workers", 0, 65, "2", 1.5),
    (FLOW + "/client_certificate", "maybe", True),
    (FLOW + "/bare_lf", "normalize", True),
    (FLOW + "/complete", [], "Date", ["subject"], True),
    (FLOW + "/domain", "a.ch"),
    (FLOW + "/rules", GONE, [], {}, "r"),
    (RULE, {}, {"when": {"sender": "a.ch"}}, "r", {"route": "r", "reject": "550 5.7.1 no"}),
    (RULE + "/name", "", "n" * 65),
    *[(RULE + "/" + key, True) for key in ("scan", "trusted", "journal")],
    (RULE, *({"route": "r", key: x} for key in ("add_suffix", "remove_suffix") for x in ("incamail.ch", "", ".", 1)),
     {"route": "r", "prefix_subject": ""}, {"route": "r", "prefix_subject": " x"},
     {"route": "r", "prefix_subject": "x" * 65}, {"route": "r", "set_header": {}}, {"route": "r", "set_header": "A"},
     {"route": "r", "set_header": {"A:": "x"}}, {"route": "r", "set_header": {"A": 1}},
     {"route": "r", "set_header": {"content-type": "x"}}, {"route": "r", "set_header": {"A": "x" * 513}},
     {"route": "r", "remove_header": "RECEIVED"}, {"route": "r", "remove_header": ["A", "Return-Path"]},
     {"route": "r", "remove_header": [f"A{i}" for i in range(17)]},
     {"reject": "550 5.7.1 no", "remove_header": "A"}, {"discard": True, "add_suffix": ".a.ch"}),
    (RULE, *({"route": "r", "lifetime": x} for x in (0, "1w", True)), {"route": "r", "priority": "urgent"},
     {"route": "r", "priority": 1}, {"discard": False}, {"discard": 1}, {"discard": True, "route": "r"},
     {"discard": True, "lifetime": "1h"},
     {"route": "r", "hold": "yes"}, {"reject": "550 5.7.1 no", "hold": True}, {"reject": "550 5.7.1 no", "priority": "high"}),
    *[(RULE, {"when": {"sender": "a.ch"}, "reject": reply}) for reply in ("550 no", "450 4.7.1 no", "no",
        "550 4.7.1 no", "550 5.7.1", "550 5.7.1 ", "560 5.7.1 no", "550 5.7.1 n\u00f6",
        "550 5.7.1 a\r\n250 b",
        "550 5.7.1 " + "x" * 441)],
    (RULE, {"when": {"sender": "a.ch"}, "defer": "550 5.7.1 no"}),
    *[(WHEN + "/" + key, {}) for key in ("header", "body", "attachment", "size", "tls", "registered")],
    (WHEN, *({"header": x} for x in ("A", [], {"A": "x"}, {"A": {}}, {"A": {"contains": ""}}, {"A:": {"equals": "x"}},
                                     {"": {"equals": "x"}}, {"A" * 65: {"equals": "x"}})),
     *({"size": x} for x in ("10M", {"over": "10MB"}, {"above": 1}, {"over": -1})),
     *({"tls": x} for x in (True, {"version": 1.3}, {"version": "1.1"}, {"verified": "yes"}, {"cipher": "x"}))),
    (WHEN, {}, [], {"recipent": "a.ch"}, {"recipient": []}, {"recipient": {"file": "/l"}}, {"recipient": 7},
     {"subject": {}}, {"subject": {"case": True}}, {"subject": "x"}, {"subject": {"contains": ""}},
     {"subject": {"matches": "x"}}, {"subject": {"contains": "x" * 257}},
     {"any": []}, {"any": {"peer": "exchange"}},
     {"all": [{}]}, {"not": []}, {"not": {"not": {"x": 1}}}, {"client": "localhost"}, {"client": ""}),
]

# (why, place, value…): refused by the compiler alone.
COMPILER_ONLY = [
    (INTEGER, "/version", 1.0),
    (INTEGER, "/limits", {"message_size": 65536.0}),
    (REFERENCE, "/trust", GONE), (REFERENCE, "/peers", GONE), (REFERENCE, "/routes", GONE),
    (REFERENCE, TLS + "/identity", "client"),
    (REFERENCE, FLOW + "/identity", "client"),
    (REFERENCE, FLOW + "/bounce_route", "x"),
    (REFERENCE, WHEN, {"peer": "nobody"}),
    (ELSEWHERE, FLOW + "/rules/1", GONE, {"when": {"sender": "a.ch"}, "route": "r"},
     {"reject": "550 5.7.1 no"}),
    (ELSEWHERE, FLOW + "/client_certificate", "require"),
    (ELSEWHERE, FLOW + "/listen", ["127.0.0.1:25", "127.0.0.1:25"],
     ["127.0.0.1:25", {"address": "127.0.0.1:25"}], ["[::1]:25", "[0:0::1]:25"]),
    (ELSEWHERE, "/notifications", {"delay_after": ["2h", "1h"]}, {"delay_after": ["1h", "60m"]}),
    (DOMAIN, "/notifications", {"from": "a@x..ch"}, {"from": "a..b@x.ch"}, {"postmaster": ".a@x.ch"}),
    (RANGE, "/notifications", {"delay_after": "31d"}),
    (ELSEWHERE, "/retry", {"first": "2h"}, {"max": "59s"}),
    (ELSEWHERE, "/flows", {n: {**BASE["flows"]["out"], "listen": f"127.0.0.1:{p}", "workers": 64}
                           for n, p in (("a", 1), ("b", 2), ("c", 3))}),
    (DOMAIN, "/hostname", "a..ch", ".a.ch", "-a.ch", "a b.ch", "*.a.ch", "l" * 64 + ".ch", "xn--a.ch"),
    (DOMAIN, WHEN, {"recipient": "*"}, {"recipient": "*@*"}, {"recipient": "a.*.ch"}, {"recipient": "*a.ch"},
     {"recipient": "@a.ch"}, {"recipient": "a*@b.ch"}, {"recipient": ""}, {"recipient": "<>"},
     {"recipient": "u" * 65 + "@a.ch"}, {"from_domain": "a@b.ch"}),
    (DOMAIN, FLOW + "/domains", "*@a.ch", "*"),
    (ADDRESS, "/routes/x", {"hosts": "a.ch:x"}, {"hosts": "192.0.2.300"}, {"hosts": "2001:db8::1"}),
    (ADDRESS, FLOW + "/listen", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:025", "[127.0.0.1]:25",
     {"address": "127.0.0.1:0"}, {"address": "[::1]:25", "greeting_delay": "31s"}, {"address": "[::1]:25", "proxy_from": "10.0.0.1/8"}),
    (ADDRESS, WHEN, {"client": "10.1.0.1/24"}, {"client": "10.1.0.0/33"}, {"client": "10.1.0/24"}),
    (ADDRESS, "/resolver", {"servers": "10.0.0.1@0"}, {"servers": "10.0.0.1:53"},
     {"servers": [f"10.0.0.{i}" for i in range(1, 10)]}),
    (RANGE, "/limits", {"message_size": "63K"}, {"message_size": "2G"}, {"memory": "1023K"},
     {"message_size": "18014398509481984K"}),
    (RANGE, WHEN, {"size": {"over": "2G"}}, {"size": {"under": 0}}),
    (RANGE, RULE, {"route": "r", "lifetime": "31d"}),
    (DOMAIN, RULE, {"route": "r", "add_suffix": ".a..ch"}, {"route": "r", "remove_suffix": ".-a.ch"}),
    (ELSEWHERE, RULE, {"route": "r", "set_header": {"A": "x"}, "remove_header": "a"},
     {"route": "r", "set_header": {"Subject": "x"}, "prefix_subject": "x"},
     {"route": "r", "set_header": {"A": "x" * 500, "B": "x" * 500, "C": "x" * 500, "D": "x" * 500, "E": "x" * 500}}),
    (BYTES, RULE, {"route": "r", "prefix_subject": "\u00e9" * 33}, {"route": "r", "set_header": {"A": "a\tb"}},
     {"route": "r", "set_header": {"A": "\u00e9" * 257}}),
    (RANGE, "/limits", {"idle_time": "4s"}, {"mail_time": "4s"}, {"mail_time": "25h"}),
    (RANGE, "/retry", {"first": "0s"}, {"first": "8d", "max": "8d"}, {"lifetime": "31d"}),
    (BYTES, WHEN, {"subject": {"contains": "\u00e9" * 129}}, {"subject": {"contains": "a\tb"}}),
    (BYTES, RULE + "/name", "a\u0085b"),
]


def changed(place, value):
    """BASE with one value put in (or taken out) at a JSON pointer."""
    if place == "":
        return value
    policy = copy.deepcopy(BASE)
    *path, last = place.split("/")[1:]
    at = policy
    for step in path:
        at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
    if isinstance(at, list):
        last = int(last)
    if value is GONE:
        at.pop(last, None) if isinstance(at, dict) else at.pop(last)
    else:
        at[last] = value
    return policy


def deep(levels):
    """A policy whose condition nests so many negations."""
    when = {"recipient": "a.ch"}
    for _ in range(levels):
        when = {"not": when}
    return changed(WHEN, when)


def cases():
    """(policy, verdict of the compiler, verdict of the schema)"""
    yield BASE, True, True
    for path in sorted(glob.glob(os.path.join(ROOT, "policy/examples/*.json"))):
        with open(path, encoding="utf-8") as file:
            yield json.load(file), True, True
    for place, *values in TAKEN:
        for value in values:
            yield changed(place, value), True, True
    for place, *values in REFUSED:
        for value in values:
            yield changed(place, value), False, False
    for _, place, *values in COMPILER_ONLY:
        for value in values:
            yield changed(place, value), False, True
    yield deep(16), True, True
    yield deep(17), False, True


def main():
    with open(os.path.join(ROOT, "policy/schema.json"), encoding="utf-8") as file:
        schema = json.load(file)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    judged = wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "policy.json")
        for policy, compiler, by_schema in cases():
            with open(path, "w", encoding="utf-8") as file:
                json.dump(policy, file)
            run = subprocess.run([MGICTL, "policy", "check", "--json", path], stdout=subprocess.PIPE,
                                 check=False)
            report = json.loads(run.stdout)
            found = report["valid"], validator.is_valid(policy)
            judged += 1
            if found == (compiler, by_schema) and (run.returncode == 0) == compiler:
                continue
            wrong += 1
            print(f"compiler {found[0]} (expected {compiler}), schema {found[1]} (expected {by_schema}): "
                  f"{json.dumps(policy)}\n    {report['diagnostics'][:2]}")
            for error in list(validator.iter_errors(policy))[:2]:
                print(f"    schema: {error.json_path}: {error.message[:200]}")
    print(f"schema: {judged} policies judged by both, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
