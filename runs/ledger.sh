#!/usr/bin/env bash
# Fills a store with attempts through the gateway's own writer, with decisions of the router
# in the binary among eight models, and prints what a million take and how long summaries and
# the dashboard's pages of requests take. A store of SQLite, and if CARROT_TEST_POSTGRES is
# the address of a server, also a database of PostgreSQL, which is dropped at the end.
#
#   runs/ledger.sh [ROWS]     # default 1000000; needs 3 GB of the disk and ten minutes
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -trimpath -ldflags '-s -w' -o "$work/carrot" ./cmd/carrot
go build -o "$work/fill" ./runs/ledger
measure() {
  "$work/fill" -store "$1" -rows "${rows}"
  for by in day client label:team; do
    for try in 1 2 3; do
      start=$(date +%s%N)
      "$work/carrot" ledger summary --store "$1" --by "$by" > "$work/summary"
      echo "| ledger summary --by $by | $(( ($(date +%s%N) - start) / 1000000 )) ms |"
    done
  done
  "$work/fill" -store "$1" -read
}
rows=${1:-1000000}
echo "SQLite"
measure "$work/carrot.db"
rm -f "$work"/carrot.db*
if [ -n "${CARROT_TEST_POSTGRES:-}" ]; then
  name=carrot_rows_$$
  psql -q "$CARROT_TEST_POSTGRES" -c "CREATE DATABASE $name"
  trap 'rm -rf "$work"; psql -q "$CARROT_TEST_POSTGRES" -c "DROP DATABASE $name WITH (FORCE)"' EXIT
  echo "PostgreSQL"
  rest=${CARROT_TEST_POSTGRES#*://}
  query=${rest#*/}
  case $query in *\?*) query="?${query#*\?}" ;; *) query= ;; esac
  measure "${CARROT_TEST_POSTGRES%%://*}://${rest%%/*}/$name$query"
fi
