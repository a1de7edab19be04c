#!/usr/bin/env bash
# Makes the table and the picture of docs/theory.md. Takes a minute on two cores.
#
#   runs/theory.sh
set -euo pipefail
cd "$(dirname "$0")/.."
go run ./cmd/carrot theory --seed 0 --svg docs/theory.svg
