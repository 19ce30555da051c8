#!/usr/bin/env bash
# Plays the dialogs of tests/dialogs/outbound (or the files named) as the next hop of a running mgid.
#
#   BUILD=build tests/dialogs/outbound.sh [FILE…]
#
# The last line is "N passed, N failed".
source "$(dirname "$0")/../e2e/lib.sh"
here=$ROOT/tests/dialogs
[ $# -gt 0 ] || set -- "$here"/outbound/*.txt
e2e_begin
start_sink notices 127.0.0.1 --no-starttls

{
    read -r routes
    read -r rules
} < <(python3 "$here/outbound.py" policy "$WORK/ports" "$@")
# One that is put off comes back late: a dialog sees its first attempt alone, unless it waits for it.
RETRY_FIRST=2s RETRY_MAX=600s write_policy <<JSON
  "routes": { "notices": { "hosts": ["127.0.0.1:$SINK_PORT"] }, $routes },
  "flows": {
    "outbound": {
      "listen": ["127.0.0.1:$OUT_PORT"], "identity": "server", "accept_from": ["exchange"],
      "bounce_route": "notices", "rules": [ $rules, { "name": "rest", "route": "notices" } ]
    }
  }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT"
python3 "$here/outbound.py" play "$WORK/ports" "$OUT_PORT" "$CERTS" "$WORK/mgid.log" "$@"
