"""A raw SMTP client for tests: it sends exactly the bytes that it is told to."""
import socket
import ssl


class Cut(Exception):
    """The server closed the connection, or was silent."""


class Session:
    def __init__(self, port, host="127.0.0.1", timeout=20):
        self.socket = socket.create_connection((host, int(port)), timeout=timeout)
        self.buffer = b""
        self.greeting = self.reply()

    def line(self):
        while b"\n" not in self.buffer:
            try:
                piece = self.socket.recv(65536)
            except OSError as error:
                raise Cut(str(error)) from error
            if not piece:
                raise Cut("closed")
            self.buffer += piece
        line, self.buffer = self.buffer.split(b"\n", 1)
        return line.rstrip(b"\r").decode("latin-1")

    def reply(self):
        """The whole reply: its code, and its lines."""
        lines = [self.line()]
        while lines[-1][3:4] == "-":
            lines.append(self.line())
        return int(lines[-1][:3]), lines

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Cut(str(error)) from error

    def command(self, text):
        """Sends a line and returns the code of its reply."""
        self.send(text.encode("latin-1") + b"\r\n")
        return self.reply()[0]

    @staticmethod
    def context(version=None, identity=None):
        """A context without verification; `version` is the only one offered, `identity` the path of
        a client certificate and key without .pem and .key."""
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if version:
            context.minimum_version = context.maximum_version = version
        if identity:
            context.load_cert_chain(identity + ".pem", identity + ".key")
        return context

    def starttls(self, version=None, identity=None, context=None, session=None, name=None):
        """STARTTLS by a context of its own or the one given, which a session belongs to."""
        code = self.command("STARTTLS")
        if code == 220:
            context = context or self.context(version, identity)
            self.socket = context.wrap_socket(self.socket, session=session, server_hostname=name)
        return code

    def mail(self, sender, recipients, text):
        """A mail with the text as it is (dot-stuffed by the caller); the code of the last reply."""
        code = self.command(f"MAIL FROM:<{sender}>")
        for recipient in recipients:
            code = code if code >= 400 else self.command(f"RCPT TO:<{recipient}>")
        code = code if code >= 400 else self.command("DATA")
        if code != 354:
            return code
        self.send(text + b"\r\n.\r\n")
        return self.reply()[0]

    def content(self, sender, recipients, content):
        """A mail that arrives with exactly this content, whose last line is whole; the last reply."""
        for line in [f"MAIL FROM:<{sender}>"] + [f"RCPT TO:<{r}>" for r in recipients] + ["DATA"]:
            code = self.command(line)
            if code >= 400:
                return code, [line]
        if content.startswith(b"."):
            content = b"." + content
        self.send(content.replace(b"\r\n.", b"\r\n..") + b".\r\n")
        return self.reply()

    def ended(self):
        """True when the server closes the connection without a word more."""
        try:
            self.line()
        except Cut as cut:
            return "timed out" not in str(cut)
        return False

    def close(self):
        self.socket.close()
