#!/usr/bin/env bash
# SOAK seconds (600) of mixed load with kills and reloads; see crash.sh.
SOAK=${SOAK:-600} exec bash "$(dirname "$0")/crash.sh"
