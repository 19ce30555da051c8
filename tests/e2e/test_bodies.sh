# Awkward contents by DATA and BDAT in, by DATA and BDAT out, in clear and over TLS: each arrives octet
# for octet, under the Received header that mgid puts on top. One thing differs: DATA can't end a
# message within a line (RFC 5321 4.1.1.4), so a last line without CRLF that came by BDAT has one
# after DATA.
source "$(dirname "$0")/lib.sh"
e2e_begin
PORTS=("$(free_port)" "$(free_port)" "$(free_port)" "$(free_port)")
ROUTES='' RULES=''
for i in 1 2 3 0; do
    ROUTES+="${ROUTES:+, }\"way$i\": { \"hosts\": [\"127.0.0.1:${PORTS[i]}\"] }"
    RULES+="${RULES:+, }{ \"when\": { \"recipient\": \"*@way$i.example.org\" }, \"route\": \"way$i\" }"
done
write_policy <<JSON
  "routes": { $ROUTES },
  "flows": { $(outbound_flow "$RULES, { \"route\": \"way0\" }") }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"
must "every content arrives as it was sent" \
    timeout 60 python3 "$E2E/bodies.py" "$OUT_PORT" "$CERTS/server" "${PORTS[@]}"
