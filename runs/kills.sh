#!/usr/bin/env bash
# Kills carrot serve under load at random moments, with a store of SQLite and, if
# CARROT_TEST_POSTGRES is the address of a server, with one of PostgreSQL, and checks that
# every answer that a client has to its end is in the store once and with its exact cost.
# Usage: runs/kills.sh [KILLS]   (default 30)
set -euo pipefail
cd "$(dirname "$0")/.."
CARROT_TEST_KILLS="${1:-30}" go test ./cmd/carrot -count=1 -timeout 60m -run '^TestServeKilled$' -v
