#!/usr/bin/env bash
# Makes the tables and the picture of docs/results.md on what pacing a budget is worth,
# from the public data sets that runs/public.sh imports. Takes a quarter of an hour on two
# cores, most of it for the forecasts on mmlu-pro.
#
#   DATA=.cache/public OUT=.cache/pacing runs/pacing.sh [-months N]
set -euo pipefail
cd "$(dirname "$0")/.."
data=${DATA:-.cache/public} out=${OUT:-.cache/pacing}
mkdir -p "$out"
go build -o "$out/pacing" ./runs/pacing
"$out/pacing" -svg "$out/pacing.svg" "$@" "$data/zeroeval" "$data/mmlu-pro" | tee "$out/pacing.txt"
# With few requests, one of them is a larger part of the budget.
"$out/pacing" -requests 300 "$@" "$data/zeroeval" | tee "$out/pacing-few.txt"
