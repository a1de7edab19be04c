#!/usr/bin/env bash
# Makes the tables of docs/results.md that real.sh does not make. Takes an hour on
# two cores, most of it for encoding the prompts with the transformer once (vectors
# are cached) and for leaving sources out.
#
#   TEACHER=all-MiniLM-L6-v2 DATA=../shared/data runs/results.sh
set -euo pipefail
cd "$(dirname "$0")/.."
data=${DATA:-../shared/data} teacher=${TEACHER:-all-MiniLM-L6-v2}
mkdir -p .cache
go build -o .cache/carrot ./cmd/carrot
for set in zeroeval mmlu-pro; do
  .cache/carrot eval --data "$data/$set" --folds 5 --predictor blend,knn,mean --embedder "static,bert:$teacher"
done
.cache/carrot eval --data "$data/mmlu-pro" --leave-out source --predictor blend,knn
