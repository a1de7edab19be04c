#!/usr/bin/env bash
# Measures what a request takes of one, two and four gateways that share one store of
# PostgreSQL: processor time, statements, bytes and memory. The requests are new chat
# completions of about 100 tokens from a client with a key and a budget, at a fixed rate
# over all gateways; the answers come from a server that takes no time. Takes two minutes.
# Linux with Debian's package postgresql.
#
#   runs/capacity.sh                                # the table of docs/results.md
#   runs/capacity.sh -gateways 1,2 -length 5s       # in short
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(uname)" = Linux ] || { echo "runs/capacity.sh: processor time is read from /proc, which needs Linux" >&2; exit 1; }
work=$(mktemp -d) folder=$(mktemp -d /tmp/carrot-capacity.XXXXXX)
trap '.ci/postgres stop "$folder" || true; rm -rf "$work" "$folder"' EXIT
if [ -z "${CARROT:-}" ]; then
  CARROT=$work/carrot
  go build -trimpath -ldflags '-s -w' -pgo=runs/gateway/carrot.pgo -o "$CARROT" ./cmd/carrot # as make dist does
fi
go build -o "$work/capacity" ./runs/capacity
.ci/postgres start "$folder" >/dev/null
# Statements are counted.
printf '%s\n' "shared_preload_libraries = 'pg_stat_statements'" "pg_stat_statements.track = all" >>"$folder/data/postgresql.conf"
.ci/postgres stop "$folder"
server=$(.ci/postgres start "$folder")
"$work/capacity" -carrot "$CARROT" -server "$server" -postmaster "$(head -1 "$folder/data/postmaster.pid")" "$@"
