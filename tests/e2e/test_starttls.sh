# STARTTLS with other people's clients; what is pipelined behind it is refused, never carried out.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.1 --no-starttls
simple_policy "$SINK_PORT"
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

for version in tls1_2 tls1_3; do
    printf 'QUIT\r\n' | timeout 10 openssl s_client -starttls smtp -connect "127.0.0.1:$OUT_PORT" \
        -CAfile "$CERTS/ca.pem" -verify_return_error -verify_hostname mx1.example.ch -"$version" \
        -quiet -no_ign_eof >"$WORK/openssl.out" 2>&1 || fail "openssl $version: $(tail -n 3 "$WORK/openssl.out")"
done
must "no TLS 1.1" sh -c "! timeout 10 openssl s_client -starttls smtp -tls1_1 -cipher ALL:@SECLEVEL=0 \
    -connect 127.0.0.1:$OUT_PORT </dev/null >'$WORK/openssl.out' 2>&1"
must "gnutls-cli" sh -c "printf 'QUIT\r\n' | timeout 10 gnutls-cli --starttls-proto=smtp \
    --x509cafile='$CERTS/ca.pem' --verify-hostname=mx1.example.ch -p $OUT_PORT 127.0.0.1 >'$WORK/gnutls.out' 2>&1"

python3 - "$E2E" "$OUT_PORT" <<'INJECT'
import sys
sys.path.insert(0, sys.argv[1])
from smtp import Cut, Session

# Input behind STARTTLS in one packet: 220 must not be followed by any reply to it.
s = Session(sys.argv[2])
s.command("EHLO evil.example")
s.send(b"STARTTLS\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<victim@example.org>\r\n")
code, _ = s.reply()
assert code != 250, code
assert code >= 400 and s.ended(), f"the session goes on after {code}"

# After the handshake nothing of the clear session counts: no EHLO, no sender.
s = Session(sys.argv[2])
s.command("EHLO client.example.ch")
assert s.command("MAIL FROM:<a@example.org>") == 250
assert s.starttls() in (220, 503)
s = Session(sys.argv[2])
s.command("EHLO client.example.ch")
assert s.starttls() == 220
assert s.command("RCPT TO:<b@example.org>") == 503
assert s.command("STARTTLS") >= 500
_, lines = s.send(b"EHLO client.example.ch\r\n") or s.reply()
assert not any("STARTTLS" in line for line in lines), lines
assert s.mail("a@example.ch", ["b@example.org"], b"Subject: x\r\n\r\nx") == 250
INJECT
must "the mail over TLS arrives" wait_for 10 sink_has sink b@example.org
must_not "the injected one does not" sink_has sink victim@example.org
