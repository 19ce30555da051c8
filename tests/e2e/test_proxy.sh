# Behind a balancer (HAProxy): the client's address is the one that the PROXY header names, in rules,
# log and trace; health checks are no sessions to tell of; nobody else may name a client.
source "$(dirname "$0")/lib.sh"
e2e_begin
V1=$(free_port) V2=$(free_port) PLAIN=$(free_port) GUARDED=$(free_port) FOREIGN=$(free_port)
start_sink sink 127.0.0.1 --no-starttls
write_policy <<JSON
  "routes": { "sink": { "hosts": ["127.0.0.1:$SINK_PORT"] } },
  "flows": { "outbound": {
    "listen": ["127.0.0.1:$OUT_PORT",
               { "address": "127.0.0.1:$GUARDED", "proxy_from": "127.0.0.1" },
               { "address": "127.0.0.1:$FOREIGN", "proxy_from": ["127.0.0.9", "::1"] }],
    "identity": "server", "bounce_route": "sink", "rules": [
      { "name": "known", "when": { "client": ["127.0.0.5", "2001:db8::5"] }, "route": "sink" },
      { "name": "rest", "reject": "550 5.7.1 not from here" }
    ] } }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"
cat >"$WORK/haproxy.cfg" <<CFG
global
  stats socket $WORK/haproxy.sock
defaults
  mode tcp
  timeout connect 5s
  timeout client 30s
  timeout server 30s
listen v1
  bind 127.0.0.1:$V1
  server mgid 127.0.0.1:$GUARDED send-proxy check inter 200ms
listen v2
  bind 127.0.0.1:$V2
  option smtpchk EHLO balancer.example
  server mgid 127.0.0.1:$GUARDED send-proxy-v2 check inter 200ms
listen plain
  bind 127.0.0.1:$PLAIN
  server mgid 127.0.0.1:$GUARDED check inter 200ms no-check-send-proxy
CFG
spawn haproxy haproxy -db -f "$WORK/haproxy.cfg"
must "HAProxy answers" wait_for 10 answers 127.0.0.1 "$V1"
ctl()
{
    "$MGICTL" --socket "$WORK/control" "$@"
}
# counter NAME: the sum of all workers' counters of that name.
counter()
{
    ctl --json status | python3 -c '
import json, sys
print(sum(line["counters"][sys.argv[1]] for line in map(json.loads, sys.stdin) if line.get("type") == "counters"))' "$1"
}

for version in 1 2; do
    port=$V1
    [ $version = 1 ] || port=$V2
    must "a mail by version $version" swaks --timeout 5 --server "127.0.0.1:$port" --local-interface 127.0.0.5 \
        --tls --from a@example.ch --to "v$version@example.org" >"$WORK/swaks.out" 2>&1
    must "arrives" wait_for 10 sink_has sink "v$version@example.org"
    must "the client's own address is in the trace" grep -q '(\[127.0.0.5\])' "$(sink_mail sink "v$version@example.org")"
    must "and in the log" log_has event=accepted client=127.0.0.5
    must_not "another client" swaks --timeout 5 --server "127.0.0.1:$port" --local-interface 127.0.0.6 \
        --from a@example.ch --to b@example.org >"$WORK/swaks.out" 2>&1
    must "is refused by the rule" grep -q '550 5.7.1 not from here' "$WORK/swaks.out"
done

# Every state of the balancers' checks is "up", and no line of the log is about them.
up()
{
    [ "$(counter proxy_checks)" -gt 10 ] || return 1
    python3 - "$WORK/haproxy.sock" <<'UP'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"show stat\n")
text = b"".join(iter(lambda: s.recv(65536), b"")).decode()
states = [line.split(",")[17] for line in text.splitlines() if ",mgid," in line]
sys.exit(states != ["UP"] * 3)
UP
}
must "the health checks succeed" wait_for 10 up
must_not "and make no noise" grep -E '"event":"(session|balancer|handshake|disconnected)' "$WORK/mgid.log"

python3 - "$E2E" "$GUARDED" "$FOREIGN" <<'RAW'
import socket, sys, time
sys.path.insert(0, sys.argv[1])
from smtp import Cut, Session

class Raw(Session):
    def __init__(self, port, *pieces):
        self.socket = socket.create_connection(("127.0.0.1", int(port)), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        for piece in pieces:
            self.send(piece)
            time.sleep(0.001)

def client_is(s, known):
    assert s.reply()[0] == 220
    assert s.command("EHLO x.example") == 250
    assert s.command("MAIL FROM:<a@example.ch>") == 250
    assert (s.command("RCPT TO:<b@example.org>") == 250) == known

v2 = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + bytes([127, 0, 0, 5, 127, 0, 0, 1, 1, 1, 0, 25])
v6 = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\x00\x24" + socket.inet_pton(socket.AF_INET6, "2001:db8::5") * 2 + bytes(4)
mapped = b"PROXY TCP6 ::ffff:127.0.0.5 ::1 1 25\r\n"
for header in (b"PROXY TCP4 127.0.0.5 127.0.0.1 1 25\r\n", mapped, v2, v6):
    client_is(Raw(sys.argv[2], header), True)
    client_is(Raw(sys.argv[2], *(header[i:i + 1] for i in range(len(header)))), True)
# Named or not: never the balancer itself in a client's place, but for LOCAL.
client_is(Raw(sys.argv[2], b"PROXY UNKNOWN 127.0.0.5\r\n"), False)
client_is(Raw(sys.argv[2], b"PROXY TCP4 127.0.0.7 127.0.0.5 1 25\r\n"), False)
client_is(Raw(sys.argv[2], b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"), False)
# A client can't send a second header.
s = Raw(sys.argv[2], b"PROXY TCP4 127.0.0.7 127.0.0.1 1 25\r\n")
assert s.reply()[0] == 220
assert s.command("PROXY TCP4 127.0.0.5 127.0.0.1 1 25") == 500
# TLS after a header: nothing of it is left over.
s = Raw(sys.argv[2], v2)
assert s.reply()[0] == 220 and s.command("EHLO x.example") == 250 and s.starttls() == 220
assert s.command("EHLO x.example") == 250 and s.command("MAIL FROM:<a@example.ch>") == 250
assert s.command("RCPT TO:<b@example.org>") == 250
for bad in (b"EHLO x.example\r\n", b"PROXY TCP4 127.0.0.5\r\n", v2[:13] + b"\x12" + v2[14:]):
    s = Raw(sys.argv[2], bad)
    try:
        raise SystemExit(f"an answer to {bad}: {s.line()}")
    except Cut as cut:
        assert "timed out" not in str(cut)
s = Raw(sys.argv[3])
code, lines = s.reply()
assert code == 554 and "balancers" in lines[0], lines
assert s.ended()
RAW
must "a wrong header is told" log_has event="balancer refused" balancer=127.0.0.1
must "and a stranger" log_has event="session refused" client=127.0.0.1
equal "refused" 4 "$(counter proxy_refused)"
