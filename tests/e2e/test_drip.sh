# A reply has to be whole in its time: a next server that sends it an octet at a time gains none. Seen
# where the time is short, at QUIT (TIMEOUT_SMTP_QUIT, 10 s).
source "$(dirname "$0")/lib.sh"
e2e_begin
PORT=$(free_port)
simple_policy "$PORT"
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"
must "mgid leaves a server that drips" timeout 60 python3 - "$E2E" "$OUT_PORT" "$PORT" <<'DRIP'
import socket
import sys

sys.path.insert(0, sys.argv[1])
from smtp import Session

listener = socket.create_server(("127.0.0.1", int(sys.argv[3])))
client = Session(sys.argv[2])
client.command("EHLO client.example")
assert client.mail("anna@example.ch", ["hans@example.org"], b"Subject: x\r\n\r\nx") == 250
server, _ = listener.accept()
lines = server.makefile("rb")
answers = {b"EHLO": b"250-sink.example\r\n250 LIMITS MAILMAX=1\r\n", b"DATA": b"354 go on\r\n"}
server.sendall(b"220 sink.example\r\n")
while not (line := lines.readline()).startswith(b"QUIT"):
    assert line, "mgid has closed too early"
    server.sendall(answers.get(line[:4], b"250 ok\r\n"))
    while line == b"DATA\r\n" and lines.readline() != b".\r\n":
        pass
    if line == b"DATA\r\n":
        server.sendall(b"250 taken\r\n")
server.settimeout(1)
for octet in b"221 " + b"x" * 30:
    server.sendall(bytes([octet]))
    try:
        sys.exit(1 if server.recv(1) else 0)
    except TimeoutError:
        pass
sys.exit("mgid waits for ever")
DRIP
