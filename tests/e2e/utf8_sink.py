"""A next hop that offers SMTPUTF8: utf8_sink.py DIRECTORY. Its port is the file port; each mail is
N.eml, and N.cmd has the commands that brought it."""
import os
import socketserver
import sys

count = 0


class Session(socketserver.StreamRequestHandler):
    def say(self, text):
        self.wfile.write(text.encode() + b"\r\n")

    def keep(self, commands):
        global count
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b".") else line)
        count += 1
        path = os.path.join(sys.argv[1], str(count))
        with open(path + ".cmd", "wb") as file:
            file.write(b"".join(commands))
        with open(path + ".new", "wb") as file:
            file.write(b"".join(lines))
        os.rename(path + ".new", path + ".eml")

    def handle(self):
        commands = []
        self.say("220 utf8.example")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"EHLO":
                self.wfile.write(b"250-utf8.example\r\n250-8BITMIME\r\n250-DSN\r\n250 SMTPUTF8\r\n")
            elif verb == b"DATA":
                self.say("354 go on")
                self.keep(commands)
                commands = []
                self.say("250 2.0.0 taken")
            elif verb == b"QUIT":
                self.say("221 bye")
                return
            else:
                commands = [line] if verb == b"MAIL" else commands + [line] if verb == b"RCPT" else []
                self.say("550 5.1.1 nobody" if b"<unknown" in line else "250 2.0.0 ok")


with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as server:
    with open(os.path.join(sys.argv[1], "port.new"), "w", encoding="ascii") as file:
        file.write(str(server.server_address[1]))
    os.rename(os.path.join(sys.argv[1], "port.new"), os.path.join(sys.argv[1], "port"))
    server.serve_forever()
