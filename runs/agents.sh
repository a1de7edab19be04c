#!/usr/bin/env bash
# Makes artifact/agents-2026.safetensors.gz, the router of agents' coding tasks in the binary
# (docs/agents-router.md), from the 30 models of openhands that were observed on over 97% of
# the tasks. Takes a few seconds.
#
#   DATA=../shared/data runs/agents.sh
set -euo pipefail
cd "$(dirname "$0")/.."
out=$PWD/artifact/agents-2026.safetensors
bin=$(mktemp -d)
trap 'rm -r "$bin"' EXIT
go build -o "$bin/carrot" ./cmd/carrot
cd "${DATA:-../shared/data}" # so that the file records the name of the folder alone
"$bin/carrot" train --data openhands --unit task --predictor mean --embedder none --min-coverage 0.97 --seed 0 \
  --licence "MIT (github.com/OpenHands/openhands-index-results)" \
  --description "agents' coding tasks (SWE-bench Verified, SWT-bench) solved by thirty models of December 2025 to June 2026: quality and USD of a whole task" \
  --out "$out"
gzip -9nf "$out"
