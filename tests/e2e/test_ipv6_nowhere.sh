# IPv6 that leads nowhere (connections are neither taken nor refused) keeps no mail from IPv4.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink good 127.0.0.1 --no-starttls
# A listener whose line is full lets the kernel drop what comes.
spawn nowhere python3 -u -c '
import socket, time
s = socket.socket(socket.AF_INET6)
s.bind(("::1", 0))
s.listen(0)
address = s.getsockname()[:2]
full = [socket.socket(socket.AF_INET6) for _ in range(4)]
for c in full:
    c.setblocking(False)
    c.connect_ex(address)
print("port", address[1])
time.sleep(600)
'
must "IPv6 leads nowhere" wait_for 10 grep -q port "$WORK/nowhere.log"
NOWHERE=$(awk '/^port/ { print $2 }' "$WORK/nowhere.log")
write_policy <<JSON
  "routes": { "pair": { "hosts": ["[::1]:$NOWHERE", "127.0.0.1:$SINK_PORT"] } },
  "flows": { $(outbound_flow '{ "name": "all", "route": "pair" }') }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"
must "taken" send_mail anna@example.ch hans@example.org 'by IPv4'
must "arrives by IPv4" wait_for 15 sink_has good hans@example.org
must "IPv6 was tried" log_has "event=host failed" host=::1
must_not "no attempt was lost" log_has event=deferred
