#!/usr/bin/env bash
# Measures how much memory carrot serve takes at most while clients send long and
# hostile requests, with the limits of deploy/, and fails if it is more than the
# containers there may take. Takes a minute. Linux only.
#
#   runs/memory.sh -only stall -length 10s    # some loads, for longer
#   runs/memory.sh -store postgres://…        # the table of docs/deploy.md
#   runs/memory.sh                            # without a store
#   runs/memory.sh -memory 1GiB -limits 'requests: 1000' -most 0
#
# CARROT is the binary to measure; without it, one is built.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "$(uname)" = Linux ] || { echo "runs/memory.sh: memory is read from /proc, which needs Linux" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${CARROT:-}" ]; then
  CARROT=$work/carrot
  go build -trimpath -ldflags '-s -w' -o "$CARROT" ./cmd/carrot
fi
go build -o "$work/memory" ./runs/memory
"$work/memory" -carrot "$CARROT" "$@"
