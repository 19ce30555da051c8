# What a client may take: each bound answers as the policy's page says, is counted, spares who is
# trusted, by address or by certificate, and is given back however a session ends.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.1 --no-starttls
write_policy <<JSON
  "limits": { "client_connections": 3, "network_connections": 5, "mails_per_minute": 4, "recipients_per_minute": 6,
              "mails_per_session": 2, "commands_per_session": 30, "errors_per_session": 2, "idle_time": "5s", "mail_time": "5s" },
  "routes": { "sink": { "hosts": ["127.0.0.1:$SINK_PORT"] } },
  "flows": { "inbound": { "listen": ["127.0.0.1:$IN_PORT"], "identity": "server", "domains": ["example.ch"],
    "rules": [ { "route": "sink" } ] } }
JSON
python3 - "$POLICY" <<'PEERS'
import json, sys
policy = json.load(open(sys.argv[1]))
policy["peers"] = {"incamail": {**policy["peers"]["incamail"], "trusted": True},
                   "scanner": {"addresses": ["127.7.0.7"], "trusted": True}}
json.dump(policy, open(sys.argv[1], "w"))
PEERS
must "mgid starts" start_mgid "$POLICY" "$IN_PORT"
# counter NAME
counter()
{
    "$MGICTL" --socket "$WORK/control" --json status | python3 -c '
import json, sys
print(sum(line["counters"][sys.argv[1]] for line in map(json.loads, sys.stdin) if line.get("type") == "counters"))' "$1"
}
python3 - "$E2E" "$IN_PORT" "$CERTS" <<'LIMITS'
import socket, struct, sys, threading, time
sys.path.insert(0, sys.argv[1])
import smtp
port, certs = int(sys.argv[2]), sys.argv[3]

class Client(smtp.Session):
    """From an address of our own choice."""
    def __init__(self, source, timeout=20):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout, source_address=(source, 0))
        self.buffer = b""
        self.greeting = self.reply()

    def reset(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

def full(source, why):
    c = Client(source)
    assert c.greeting[0] == 421 and f"4.7.0 Too many connections from your {why}" in c.greeting[1][0], c.greeting
    assert c.ended()

# Two that wait for time to pass, while the rest goes on: a command byte by byte, and a mail that
# takes its time.
late = {}
def drip(name, client, piece):
    try:
        while True:
            client.send(piece)
            time.sleep(0.1)
    except smtp.Cut:
        pass
def slow_command():
    c = Client("127.1.0.1")
    threading.Thread(target=drip, args=("command", c, b"N"), daemon=True).start()
    late["command"] = c.reply()
def slow_mail():
    c = Client("127.1.1.1")
    for line in ("EHLO x.example", "MAIL FROM:<a@example.org>", "RCPT TO:<b@example.ch>", "DATA"):
        c.command(line)
    threading.Thread(target=drip, args=("mail", c, b"text\r\n"), daemon=True).start()
    late["mail"] = c.reply()
waiting = [threading.Thread(target=f) for f in (slow_command, slow_mail)]
for thread in waiting:
    thread.start()

# Connections at once: by client, by network.
three = [Client("127.2.0.1") for _ in range(3)]
assert all(c.greeting[0] == 220 for c in three)
full("127.2.0.1", "address")
two = [Client("127.2.0.2") for _ in range(2)]
full("127.2.0.3", "network")
assert Client("127.2.1.1").greeting[0] == 220
for c in three + two:
    c.close()

# Given back, however a session ends.
def odd_ends(c, how):
    if how == 0:
        c.reset()
    elif how == 1:
        c.command("QUIT")
    elif how == 2:
        c.send(b"EHLO x.example\r\nSTARTTLS\r\n\x16\x03\x01"); c.reset()
    elif how == 3:
        c.command("EHLO x.example"); c.command("MAIL FROM:<a@example.org>"); c.send(b"RCPT TO:<b@exa"); c.close()
    elif how == 4:
        c.send(b"GET / HTTP/1.0\r\n\r\n"); c.reply(); c.close()
    elif how == 5:
        c.command("EHLO x.example"); c.send(b"STARTTLS\r\n"); c.reply(); c.send(b"no handshake at all"); c.close()
    elif how == 6:
        c.command("EHLO x.example"); c.command("MAIL FROM:<>"); c.command("RCPT TO:<b@example.ch>"); c.command("DATA")
        c.send(b"half a mail"); c.reset()
def enters(source):
    for _ in range(100):
        c = Client(source)
        if c.greeting[0] == 220:
            return c
        time.sleep(0.01)
    raise SystemExit(f"{source} is not let in any more")
for n in range(70):
    odd_ends(enters(f"127.3.{n % 7}.1"), n % 7)
for how in range(7):
    for c in [enters(f"127.3.{how}.1") for _ in range(3)]:
        c.close()

# Rates: 450, and the session goes on. Over all connections of the client.
c = Client("127.4.0.1")
c.command("EHLO x.example")
for n in range(4):
    assert c.command("MAIL FROM:<a@example.org>") == 250
    c.command("RSET")
other = Client("127.4.0.1")
other.command("EHLO x.example")
other.send(b"MAIL FROM:<a@example.org>\r\n")
code, lines = other.reply()
assert lines[0].startswith("450 4.7.1 Too many mails in a minute"), lines
assert other.command("NOOP") == 250
c = Client("127.4.1.1")
c.command("EHLO x.example")
c.command("MAIL FROM:<a@example.org>")
codes = [c.command(f"RCPT TO:<u{n}@example.ch>") for n in range(8)]
assert codes == [250] * 6 + [450] * 2, codes
assert c.command("DATA") == 354
c.send(b"x\r\n.\r\n")
assert c.reply()[0] == 250

# Of one session, which is told so (RFC 9422).
def limits_said(c):
    c.send(b"EHLO x.example\r\n")
    return [line for line in c.reply()[1] if "LIMITS" in line]
c = Client("127.5.0.1")
said = limits_said(c)
assert said and "MAILMAX=2" in said[0] and "RCPTMAX=" in said[0], said
assert [c.mail("a@example.org", ["b@example.ch"], b"x") for _ in range(3)] == [250, 250, 421]
assert c.ended()
c = Client("127.5.1.1")
codes = [c.command("NOOP") for _ in range(31)]
assert codes == [250] * 30 + [421] or codes == [250] * 31 and c.reply()[0] == 421, codes
assert c.ended()
c = Client("127.5.2.1")
assert [c.command("WHAT") for _ in range(3)] == [500] * 3 and c.reply()[0] == 421

# Trusted by address: none of it.
many = [Client("127.7.0.7") for _ in range(12)]
assert all(c.greeting[0] == 220 for c in many)
assert "MAILMAX" not in limits_said(many[0])[0]
assert [many[0].mail("a@example.org", ["b@example.ch"], b"x") for _ in range(8)] == [250] * 8
# Trusted by certificate: as soon as it was shown.
for n in range(8):
    c = Client("127.8.0.1")
    assert c.greeting[0] == 220, n
    c.command("EHLO im.post.ch")
    assert c.starttls(identity=f"{certs}/platform") == 220
    c.command("EHLO im.post.ch")
    many.append(c)
assert [c.mail("a@example.org", ["b@example.ch"], b"x") for c in many[-8:]] == [250] * 8
three = [Client("127.8.0.1") for _ in range(3)]
full("127.8.0.1", "address")
# Another certificate does not help.
c = three.pop()
c.command("EHLO x.example")
assert c.starttls(identity=f"{certs}/platform-rogue") == 220 and c.command("EHLO x.example") == 250
full("127.8.0.1", "address")

for thread in waiting:
    thread.join(20)
assert "421 4.4.2" in late["command"][1][0], late
assert "421 4.7.0" in late["mail"][1][0] and "takes too long" in late["mail"][1][0], late
for c in many:
    c.close()
LIMITS
for name in client_connections network_connections mail_rate recipient_rate slow idle; do
    must "limit_$name is counted" [ "$(counter "limit_$name")" -gt 0 ]
done
equal "sessions ended for their number" 2 "$(counter limit_session)"
must "a refusal is told" log_has event="session refused" 'reason~connections from your address'
none_open()
{
    [ "$(counter sessions_open)" = 0 ]
}
must "no session is left" wait_for 5 none_open
