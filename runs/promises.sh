#!/usr/bin/env bash
# Measures how often promises are kept, and how often costs stay within their 90%
# quantile, on queries that neither the fit nor the calibration saw: the tables under
# "Promises" in docs/results.md. Takes some minutes.
#
#   DATA=../shared/data runs/promises.sh [zeroeval mmlu-pro routellm openhands]
set -euo pipefail
cd "$(dirname "$0")/.."
data=${DATA:-../shared/data}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go build -o "$work/carrot" ./cmd/carrot
for set in "${@:-zeroeval mmlu-pro routellm openhands}"; do
  for set in $set; do
    case $set in
    zeroeval) low=0.001 high=0.003 ;;
    mmlu-pro) low=0.0005 high=0.001 ;;
    routellm) low=0.0002 high=0.004 ;;
    openhands) low=0.5 high=1 ;; # USD a task
    esac
    promises=()
    for p in min-quality=0.8@{0.7,0.8,0.9,0.95} as-good-as-best@{0.8,0.9,0.95} max-cost=$low@0.9 max-cost=$high@{0.9,0.95} min-quality=0.8@0.8,max-cost=$high@0.9; do
      promises+=(--promise "$p")
    done
    coverage=()
    [ "$set" != openhands ] || coverage=(--min-coverage 0.97)
    echo "== $set"
    "$work/carrot" eval --data "$data/$set" --folds 5 --predictor "${PREDICTOR:-kernel}" "${coverage[@]}" --bootstrap 0 --details "${promises[@]}" |
      awk '/^promises, /{print; keep = 1; next} /^calibration/{keep = 1} keep; /^$/{keep = 0}'
  done
done
