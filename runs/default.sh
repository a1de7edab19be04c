#!/usr/bin/env bash
# Makes artifact/default.safetensors, the router in the binary, from the sixteen
# models of zeroeval and the price book. Takes ten seconds.
#
#   DATA=../shared/data runs/default.sh
set -euo pipefail
cd "$(dirname "$0")/.."
go run ./cmd/carrot train --data "${DATA:-../shared/data}/zeroeval" --prices price/prices.json --seed 0 \
  --licence "Apache-2.0 (github.com/WildEval/ZeroEval result_dirs)" \
  --description "demonstration: routing arithmetic reasoning, competition mathematics and code output prediction among sixteen models of 2024" \
  --out artifact/default.safetensors
