#!/usr/bin/env bash
# Checks that carrot collect makes of simulated models exactly the data folder that they
# replay, with the bill that they charge to the pico-dollar, also when it is killed:
#
#   runs/collect.sh DIR…            # data folders in the common form, such as .cache/public/zeroeval
#   KILLS=30 runs/collect.sh DIR    # killed that often at random moments
#   TIER=batch runs/collect.sh DIR  # by batches
#   SOURCE=gsm8k runs/collect.sh DIR
#
# Takes about a minute for 60,000 outcomes, and two seconds more for each kill.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { echo "usage: runs/collect.sh DIR…" >&2; exit 2; }
bin=$(mktemp -d)
trap 'rm -rf "$bin"' EXIT
go build -o "$bin/carrot" ./cmd/carrot
go build -o "$bin/collect" ./runs/collect
for dir; do
  "$bin/collect" -carrot "$bin/carrot" -data "$dir" -kills "${KILLS:-0}" -wait "${TIER:-}" -source "${SOURCE:-}" -cap "${CAP:-1000}"
done
