# Mails from swaks, in clear and over STARTTLS 1.2 and 1.3, arrive byte for byte but for the
# Received header, which tells how they came.
source "$(dirname "$0")/lib.sh"
e2e_begin
start_sink sink 127.0.0.1 --no-starttls
simple_policy "$SINK_PORT"
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"

printf 'From: Anna <anna@example.ch>\nTo: <X>\nSubject: bytes\nX-Odd:   two  spaces\t\n\n' >"$WORK/mail"
printf '.dot\n..dots\n\n.\n%0990d\ntrailing  \n\n\nf\303\274r\nend\n' 7 >>"$WORK/mail"
sed 's/$/\r/' "$WORK/mail" >"$WORK/wanted"

deliver()
{
    local recipient=$1 with=$2
    shift 2
    must "swaks to $recipient" swaks --server "127.0.0.1:$OUT_PORT" --from anna@example.ch \
        --to "$recipient" --data "@$WORK/mail" "$@" >"$WORK/swaks.out" 2>&1
    must "$recipient arrives" wait_for 10 sink_has sink "$recipient"
    without_received "$(sink_mail sink "$recipient")" >"$WORK/found"
    # swaks ends its data with a line end more than the file has.
    must "$recipient is unchanged" python3 - "$WORK/wanted" "$WORK/found" <<'SAME'
import sys
wanted, found = (open(path, "rb").read() for path in sys.argv[1:])
sys.exit(0 if found.rstrip(b"\r\n") == wanted.rstrip(b"\r\n") and len(found) - len(wanted) in (0, 2) else 1)
SAME
    must "the Received header says $with" grep -q "$with" "$(sink_mail sink "$recipient")"
}

deliver clear@example.org 'with ESMTP'
deliver tls12@example.org 'TLSv\{0,1\}\s*1\.2' --tls --tls-protocol tlsv1_2
deliver tls13@example.org 'TLSv\{0,1\}\s*1\.3' --tls --tls-protocol tlsv1_3
