# Content passes untouched but for the Received field on top: 8-bit, dots, empty, long lines, 1 MB
# and 20 MB, taken and delivered in clear and over both TLS versions.
source "$(dirname "$0")/lib.sh"
e2e_begin
identity=(--cert "$CERTS/platform.pem" --key "$CERTS/platform.key")
ROUTES=
RULES=
# out NAME DEMAND SINK-OPTION…: a sink, and a route to it for all of NAME.example.
out()
{
    local name=$1 demand=$2
    shift 2
    start_sink "$name" 127.0.0.1 "$@"
    ROUTES+="\"$name\": { \"hosts\": [\"127.0.0.1:$SINK_PORT\"]$demand }, "
    RULES+="{ \"when\": { \"recipient\": \"*@$name.example\" }, \"route\": \"$name\" }, "
}
DEMAND=', "tls": { "require": true, "trust": "public", "names": ["im.post.ch"] }'
out clear '' --no-starttls
out tls12 "$DEMAND" "${identity[@]}" --tls-max 1.2
out tls13 "$DEMAND" "${identity[@]}"
write_policy <<JSON
  "routes": { ${ROUTES%, } },
  "flows": { $(outbound_flow "$RULES{ \"name\": \"rest\", \"route\": \"clear\" }") }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

cat >"$WORK/bytes.py" <<'BYTES'
import json, random, re, ssl, sys, time
sys.path.insert(0, sys.argv[1])
from smtp import Session

port, work = sys.argv[2:]
random.seed(4)
head = b"From: Anna <anna@example.ch>\r\nSubject:  two  spaces\t\r\nX-Folded: a\r\n b\r\n\tc\r\n"


def lines(size, alphabet):
    out = []
    while size > 0:
        line = bytes(random.choices(alphabet, k=min(random.randrange(0, 200), size)))
        out.append(line + b"\r\n")
        size -= len(line) + 2
    return b"".join(out)


text = [c for c in range(1, 256) if c not in (10, 13)]
megabyte = lines(1 << 20, text)
contents = {
    "eight": head + b"\r\n" + "Grüezi, ça va?\r\n".encode() + bytes(text) + b"\r\n\x80\xff\r\n",
    "dots": head + b"\r\n.\r\n..\r\n.x\r\n\r\n...\r\n.\r\n\r\n.\r\n",
    "dots-last": head + b"\r\n" + b"." * 700 + b"\r\n.\r\n",
    "empty": head + b"\r\n",
    "header-only": head,
    "no-header": b"\r\n.body\r\n",
    "long-line": head + b"\r\n" + b"x" * 998 + b"\r\n." + b"y" * 900 + b"\r\n",
    "spaces": head + b"\r\n \r\n\t\r\ntrailing  \r\n\r\n\r\n\r\n",
    "edge-of-large": head + b"\r\n" + (b"." * 62 + b"\r\n") * 4096,
    "megabyte": head + b"\r\n" + megabyte,
    "twenty": head + b"\r\n" + (megabyte * 21)[: 20 << 20] + b"\r\n",
}
contents["twenty"] = contents["twenty"].replace(b"\r\r\n", b"\r\n")
entrances = {"clear": None, "tls12": ssl.TLSVersion.TLSv1_2, "tls13": ssl.TLSVersion.TLSv1_3}
wanted = {}
for entrance, version in entrances.items():
    s = Session(port)
    s.command("EHLO client.example.ch")
    if version:
        assert s.starttls(version) == 220
        s.command("EHLO client.example.ch")
    for kind, content in contents.items():
        for exit in entrances:
            if kind == "twenty" and (entrance, exit) not in (("clear", "tls12"), ("tls13", "clear"), ("tls12", "tls13")):
                continue
            recipient = f"{kind}.{entrance}@{exit}.example"
            code, reply = s.content("anna@example.ch", [recipient], content)
            assert code == 250, (recipient, reply)
            wanted[recipient] = (exit, content, entrance)

end = time.monotonic() + 30
arrived = {}
while len(arrived) < len(wanted) and time.monotonic() < end:
    for exit in entrances:
        with open(f"{work}/{exit}.log") as log:
            for line in log:
                if line.endswith("}\n") and '"event":"mail"' in line:
                    mail = json.loads(line)
                    arrived[mail["recipients"][0]] = (exit, mail)
    time.sleep(0.1)
for recipient, (exit, content, entrance) in wanted.items():
    assert recipient in arrived, f"{recipient} did not arrive"
    came, mail = arrived[recipient]
    assert came == exit, (recipient, came)
    assert mail["tls"] == {"clear": None, "tls12": "TLSv1.2", "tls13": "TLSv1.3"}[exit], (recipient, mail["tls"])
    found = open(mail["file"], "rb").read()
    received = re.match(rb"Received:[^\r\n]*\r\n(?:[ \t][^\r\n]*\r\n)*", found)
    assert received, (recipient, found[:100])
    assert found[received.end():] == content, f"{recipient}: {len(content)} bytes became {len(found) - received.end()} others"
    said = received.group().replace(b"\r\n\t", b" ")
    protocol = {"clear": b" with ESMTP id", "tls12": b"(TLSv1.2 ", "tls13": b"(TLSv1.3 "}[entrance]
    assert protocol in said, said
print(f"{len(wanted)} mails, each as it was sent")
BYTES
must "every mail arrives as it was sent" python3 "$WORK/bytes.py" "$E2E" "$OUT_PORT" "$WORK"
