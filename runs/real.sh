#!/usr/bin/env bash
# Makes the tables of docs/results.md: every rival on zeroeval, mmlu-pro and
# routellm, out of fold and with one source left out at a time. Takes about an hour
# and a half on two idle cores, most of it for the last table. Fitted routers are
# kept, so the script can be stopped and continues where it was.
#
#   DATA=../shared/data OUT=.cache/real runs/real.sh [TABLE…]
set -euo pipefail
cd "$(dirname "$0")/.."
data=${DATA:-../shared/data} out=${OUT:-.cache/real}
mkdir -p "$out"
carrot=${CARROT:-}
if [ -z "$carrot" ]; then
  go build -o .cache/carrot ./cmd/carrot
  carrot=.cache/carrot
fi

# table | arguments of carrot eval
while IFS='|' read -r table arguments; do
  table=${table// /}
  if [ $# -gt 0 ] && [[ " $* " != *" $table "* ]]; then
    continue
  fi
  echo "== $table ($(date +%H:%M))"
  # shellcheck disable=SC2086 # arguments are words
  "$carrot" eval $arguments --details --json "$out/$table.json" >"$out/$table.txt"
done <<TABLE
zeroeval-folds   | --data $data/zeroeval --folds 5 --predictor blend,knn --rivals all --robustness
mmlu-pro-folds   | --data $data/mmlu-pro --folds 5 --predictor blend,knn --rivals all --robustness
routellm-folds   | --data $data/routellm --folds 5 --predictor blend,knn --rivals fast,carrot-mlp,routellm-mf,routellm-sw,rorf --pair gpt-4-1106-preview,mistralai/Mixtral-8x7B-Instruct-v0.1 --count-calls gpt-4-1106-preview
zeroeval-sources | --data $data/zeroeval --leave-out source --predictor blend,knn --rivals all
mmlu-pro-sources | --data $data/mmlu-pro --leave-out source --predictor blend,knn --rivals fast
TABLE
