# A connection worker that has signed handshakes in both directions holds no private key in its
# memory, nor does any other process but the keeper, by the same search. No program has one in its
# file. For an ordinary user: nobody can even look.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink platform 127.0.0.1 --cert "$CERTS/platform.pem" --key "$CERTS/platform.key" \
    --client-ca "$CERTS/ca.pem" --require-client-cert
WORKERS=2
write_policy <<JSON
  "routes": { "incamail": { "hosts": ["127.0.0.1:$SINK_PORT"],
    "tls": { "require": true, "trust": "public", "names": ["im.post.ch"], "identity": "client" } } },
  "flows": { $(outbound_flow '{ "name": "all", "route": "incamail" }') }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"
for n in 1 2 3 4 5 6; do
    must "mail $n" send_mail anna@example.ch "$n@example.org" x --tls
    must "mail $n arrives" wait_for 10 sink_has platform "$n@example.org"
done

mapfile -t workers < <(role_pids connection)
keeper=$(role_pids keeper)
equal "workers" 2 "${#workers[@]}"
others=("$(role_pids resolver)" "$(role_pids control)" "$MGID_PID")
for key in server client; do
    status=0
    python3 "$E2E/memory.py" "$CERTS/$key.key" "${workers[@]}" >"$WORK/found" || status=$?
    cat "$WORK/found"
    if [ "$(id -u)" != 0 ]; then
        equal "the workers' memory is closed to their own user" 2 "$status"
        continue
    fi
    equal "the key \"$key\" in a worker" 0 "$status"
    must "no key \"$key\" in resolver, control, master" \
        python3 "$E2E/memory.py" "$CERTS/$key.key" "${others[@]}"
    status=0
    python3 "$E2E/memory.py" "$CERTS/$key.key" "$keeper" || status=$?
    equal "the key \"$key\" in the keeper: the search finds what is there" 1 "$status"
done

# The workers' program asks to sign; it has no key in PEM, and not even a reader of keys.
for program in connection resolver control compiler; do
    must_not "a key in the program \"$program\"" grep -qa -e '-----BEGIN .*PRIVATE KEY' "$BUILD/libexec/mgid/$program"
    nm -D --undefined-only "$BUILD/libexec/mgid/$program" >"$WORK/symbols"
    must_not "the program \"$program\" reads keys" grep -E 'PEM_read|d2i_.*(PrivateKey|PKCS8)|EVP_parse_private_key' "$WORK/symbols"
done
nm -D --undefined-only "$BUILD/libexec/mgid/keeper" >"$WORK/symbols"
must "the keeper does, by the same look" grep -Eq 'PEM_read|d2i_.*(PrivateKey|PKCS8)|EVP_parse_private_key' "$WORK/symbols"
