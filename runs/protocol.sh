#!/usr/bin/env bash
# Makes the tables of docs/protocol.md: the paper's protocol beside ours on zeroeval
# and mmlu-pro, fitted on train and measured on validation. Takes ten minutes on two
# cores.
#
#   DATA=../shared/data runs/protocol.sh
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .cache
go build -o .cache/carrot ./cmd/carrot
for set in zeroeval mmlu-pro; do
  .cache/carrot eval --data "${DATA:-../shared/data}/$set" --split validation --protocol paper --predictor blend,knn
done
