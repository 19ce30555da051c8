#!/usr/bin/env bash
# Plays the dialogs of tests/dialogs/inbound (or the files named) against a running mgid.
#
#   BUILD=build tests/dialogs/inbound.sh [FILE…]
#
# The last line is "N passed, N failed".
source "$(dirname "$0")/../e2e/lib.sh"
here=$ROOT/tests/dialogs
[ $# -gt 0 ] || set -- "$here"/inbound/*.txt
e2e_begin
CLEAR_PORT=$(free_port)
CERTIFIED_PORT=$(free_port)
STRANGERS_PORT=$(free_port)
SLOW_PORT=$(free_port)
BALANCED_PORT=$(free_port)
MENDED_PORT=$(free_port)

start_sink sink 127.0.0.1 --no-starttls

# Each listener is a flow, so that a dialog can choose what it meets.
rules='"rules": [
        { "name": "refused", "when": { "recipient": "refused@example.ch" }, "reject": "550 5.1.1 No such user" },
        { "name": "later", "when": { "recipient": "later@example.ch" }, "defer": "451 4.7.1 Try again later" },
        { "name": "idn", "when": { "recipient": "*@b\u00fccher.example" }, "reject": "550 5.1.2 No such domain" },
        { "name": "away", "when": { "recipient": "away@example.ch" }, "discard": true },
        { "name": "content", "when": { "subject": { "contains": "reject me" } }, "reject": "550 5.7.1 Not wanted" },
        { "name": "rest", "route": "sink" } ]'
write_policy <<JSON
  "limits": { "message_size": "100K", "recipients": 100 },
  "routes": { "sink": { "hosts": ["127.0.0.1:$SINK_PORT"] } },
  "flows": {
    "open": { "listen": ["127.0.0.1:$OUT_PORT", { "address": "127.0.0.1:$SLOW_PORT", "greeting_delay": "1s" },
              { "address": "127.0.0.1:$BALANCED_PORT", "greeting_delay": "1s", "proxy_from": "127.0.0.0/8" }],
              "identity": "server", "accept_from": ["exchange"], $rules },
    "inbound": { "listen": ["127.0.0.1:$IN_PORT"], "identity": "server", "domains": ["example.ch"], $rules },
    "clear": { "listen": ["127.0.0.1:$CLEAR_PORT"], "accept_from": ["exchange"], $rules },
    "certified": { "listen": ["127.0.0.1:$CERTIFIED_PORT"], "identity": "server", "domains": ["example.ch"],
                   "client_certificate": "require", $rules },
    "mended": { "listen": ["127.0.0.1:$MENDED_PORT"], "accept_from": ["exchange"], "bare_lf": "normalise",
                "complete": ["message-id", "date"], $rules },
    "strangers": { "listen": ["127.0.0.1:$STRANGERS_PORT"], "identity": "server", "accept_from": ["incamail"], $rules }
  }
JSON
must "mgid starts" start_mgid "$POLICY" "$OUT_PORT" "$IN_PORT" "$CLEAR_PORT" "$CERTIFIED_PORT" "$STRANGERS_PORT" "$MENDED_PORT"
python3 "$here/inbound.py" "open=$OUT_PORT,inbound=$IN_PORT,clear=$CLEAR_PORT,certified=$CERTIFIED_PORT,strangers=$STRANGERS_PORT,slow=$SLOW_PORT,balanced=$BALANCED_PORT,mended=$MENDED_PORT" \
    "$CERTS" "$@"
