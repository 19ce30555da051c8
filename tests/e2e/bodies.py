"""Contents that are easily harmed, sent through mgid each way and compared where they arrive.

    bodies.py PORT IDENTITY PORT0 PORT1 PORT2 PORT3

Mail for N@wayI.example.org goes to PORT-I, which is served here: 0 by DATA, 1 by BDAT, 2 and 3 the
same over TLS. IDENTITY is the path of a certificate and key without .pem and .key."""
import re
import socketserver
import ssl
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from smtp import Session

INLINE = 256 << 10  # LIMIT_INLINE_MAIL: a larger content is stored and sent in another way
HEAD = b"Subject: bodies\r\n\r\n"
WAYS = range(4)


def filled(size):
    """Lines of 80 octets, some of them with dots in front, and the last as long as is left."""
    line = b"." + b"x" * 77 + b"\r\n" + b"y" * 78 + b"\r\n"
    text = HEAD + line * (size // len(line))
    left = size - len(text)
    if left == 1:  # no room for a line end
        text, left = text[:-3] + b"\r\n", 2
    return text + (b"z" * (left - 2) + b"\r\n" if left else b"")


def corpus():
    head = HEAD
    yield "an empty line", b"\r\n"
    yield "no body", b"Subject: x\r\n"
    yield "empty body", head
    yield "empty lines", head + b"\r\n\r\n\r\n"
    yield "a dot", head + b".\r\n"
    yield "two dots", head + b"..\r\n"
    yield "a dot at first", b".\r\n"
    yield "dots in front", head + b".a\r\n..b\r\n...c\r\n. d\r\n.\t\r\n"
    yield "dots behind", head + b"a.\r\nb..\r\n.\r\n"
    yield "commands", head + b".\r\nQUIT\r\n.\r\nMAIL FROM:<x@example.org>\r\nBDAT 5 LAST\r\n"
    for phase in range(2):
        yield f"lines of nothing {phase}", head + b"x" * phase + b"\r\n" * (INLINE // 2 + 20000)
    for phase in range(3):  # so that every seam of buffers falls into each place of CRLF "."
        yield f"lines of a dot {phase}", head + b"x" * phase + b"\r\n" + b".\r\n" * 110000
    for phase in range(4):
        yield f"lines of two dots {phase}", head + b"x" * phase + b"\r\n" + b"..\r\n" * 20000
    yield "only dots", head + b"." * 998 + b"\r\n" + b"." * 998 + b"\r\n"
    yield "a line of 998", head + b"a" * 998 + b"\r\nb\r\n"
    yield "a line of 999", head + b"a" * 999 + b"\r\nb\r\n"
    yield "a line of 20000", head + b"." * 20000 + b"\r\nb\r\n"
    yield "a line larger than inline", head + b"a" * (INLINE + 1000) + b"\r\n.\r\n"
    yield "a dot and 997", head + b"." + b"a" * 997 + b"\r\nb\r\n"
    yield "eight bits", head + bytes(range(0x80, 0x100)) + b"\r\n." + bytes(range(0x80, 0x100)) + b"\r\n"
    yield "controls", head + bytes(c for c in range(1, 32) if c not in b"\r\n") + b"\x7f\r\n"
    for size in (16384, 32768, 65536, INLINE):
        for more in (-1, 0, 1):
            yield f"{size}{more:+}", filled(size + more)
    yield "a megabyte", filled(1 << 20)


UNENDED = [("text", HEAD + b"the end"), ("a dot", HEAD + b"x\r\n."), ("only a dot", b"."),
           ("within a line", HEAD + b"x\r\ny"), ("a header", b"Subject: x"),
           ("large", filled(INLINE + 5000) + b".")]


class Sink(socketserver.StreamRequestHandler):
    """A next server that keeps what comes, by the first recipient's local part."""

    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def text(self):
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            assert line.endswith(b"\r\n"), line
            lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines)

    def starttls(self):
        self.say("220 go on")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server.identity + ".pem", self.server.identity + ".key")
        self.request = context.wrap_socket(self.request, server_side=True)
        self.setup()

    def handle(self):
        name, secured = None, False
        self.say("220 sink.example")
        while line := self.rfile.readline():
            words = line.upper().split()
            if words[0] == b"EHLO":
                offers = ["8BITMIME", "PIPELINING"] + ["CHUNKING"] * self.server.chunks
                offers += ["STARTTLS"] * (self.server.tls and not secured)
                self.say("\r\n".join(["250-sink.example"] + ["250-" + o for o in offers] + ["250 HELP"]))
            elif words[0] == b"STARTTLS":
                self.starttls()
                secured = True
            elif words[0] == b"RCPT":
                name = re.search(rb"<(\d+)@", line)[1]
                self.say("250 ok")
            elif words[0] in (b"DATA", b"BDAT"):
                assert secured == self.server.tls and (words[0] == b"BDAT") == self.server.chunks
                if words[0] == b"DATA":
                    self.say("354 go on")
                    self.server.keep(name, self.text())
                else:
                    assert words[2:] == [b"LAST"]
                    self.server.keep(name, self.rfile.read(int(words[1])))
                self.say("250 taken")
            else:
                self.say("221 bye" if words[0] == b"QUIT" else "250 ok")


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, way, port, identity):
        super().__init__(("127.0.0.1", port), Sink)
        self.chunks, self.tls, self.identity = way in (1, 3), way in (2, 3), identity
        self.kept, self.changed = {}, threading.Condition()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def keep(self, name, text):
        with self.changed:
            self.kept.setdefault(int(name), []).append(text)
            self.changed.notify()

    def of(self, number):
        with self.changed:
            self.changed.wait_for(lambda: number in self.kept, 20)
            return self.kept.get(number, [])


def deliver(session, way, number, content):
    """The content to all four servers."""
    to = [f"{number}@way{w}.example.org" for w in WAYS]
    if way in (0, 2):
        code, lines = session.content("anna@example.ch", to, content)
    else:
        for line in ["MAIL FROM:<anna@example.ch>"] + [f"RCPT TO:<{r}>" for r in to]:
            assert session.command(line) == 250, line
        session.send(b"BDAT %d LAST\r\n" % len(content) + content)
        code, lines = session.reply()
    assert code == 250, (number, lines)


def send(port, way, first):
    """All mails by one connection; what was sent, by its number. `first` is one of the servers."""
    sent = {}

    def mail(name, content):
        number = 1000 * way + len(sent)
        sent[number] = name, content
        deliver(session, way, number, content)
        return number

    session = Session(port)
    session.command("EHLO client.example")
    if way >= 2:
        assert session.starttls() == 220
        session.command("EHLO client.example")
    # The Received header counts: only an empty mail shows where the limit of INLINE is.
    received = len(first.of(mail("nothing", b""))[0])
    for more in (-1, 0, 1):
        mail(f"inline{more:+}", filled(INLINE - received + more))
    for name, content in list(corpus()) + UNENDED * (way in (1, 3)):
        mail(name, content)
    assert session.command("QUIT") == 221
    return way, sent


def compare(server, number, name, way, content):
    """What is wrong, as a text; empty when it came once and is the same."""
    found = server.of(number)
    if len(found) != 1:
        return f"{name}: came by way {way}, arrived {len(found)} times"
    text, cut = re.subn(rb"\AReceived:[^\n]*\r\n(?:[ \t][^\n]*\r\n)*", b"", found[0])
    if content and not content.endswith(b"\r\n") and not server.chunks:
        content += b"\r\n"
    if cut == 1 and text == content:
        return ""
    at = next((i for i, (a, b) in enumerate(zip(text, content)) if a != b), min(len(text), len(content)))
    return (f"{name}: by way {way}, {'BDAT' if server.chunks else 'DATA'} out: {len(content)} octets sent, "
            f"{len(text)} found, different at {at}: {text[max(at - 10, 0):at + 20]!r}")


def main():
    port, identity, *ports = sys.argv[1:]
    servers = [Server(way, int(p), identity) for way, p in enumerate(ports)]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda way: send(port, way, servers[0]), WAYS))
    faults = [compare(server, number, name, way, content) for server in servers
              for way, sent in done for number, (name, content) in sent.items()]
    print(f"{len(faults)} arrivals, {sum(map(bool, faults))} of them wrong")
    print("\n".join(list(filter(None, faults))[:20]))
    return 1 if any(faults) else 0


if __name__ == "__main__":
    sys.exit(main())
