#!/usr/bin/env bash
# Makes the tables of docs/results.md on what is learnt from traffic, from the public data
# sets that runs/public.sh imports. Takes about ten minutes on two cores.
#
#   DATA=.cache/public OUT=.cache/learn runs/learn.sh
set -euo pipefail
cd "$(dirname "$0")/.."
data=${DATA:-.cache/public} out=${OUT:-.cache/learn}
mkdir -p "$out"
go build -o "$out/learn" ./runs/learn
four=gpt-4o-2024-08-06,gpt-4o-mini-2024-07-18,claude-3-5-sonnet-20241022,gemini-1.5-flash
"$out/learn" offpolicy "$data/zeroeval" | tee "$out/offpolicy.txt"
"$out/learn" train "$data/zeroeval" "$data/mmlu-pro" | tee "$out/train.txt"
"$out/learn" -models $four train "$data/zeroeval" | tee "$out/train-four.txt"
"$out/learn" -explore 0.2 -models $four train "$data/zeroeval" | tee "$out/train-four-20.txt"
"$out/learn" -simulations 200 promote "$data/zeroeval" | tee "$out/promote.txt"
"$out/learn" -simulations 200 -models $four promote "$data/zeroeval" | tee "$out/promote-four.txt"
"$out/learn" -requests 2000 whatif "$data/zeroeval" "$data/mmlu-pro" "$data/routellm" | tee "$out/whatif.txt"
