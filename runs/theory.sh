#!/usr/bin/env bash
# Makes the tables and the picture of docs/theory.md. Takes a minute and a half on two cores.
#
#   runs/theory.sh
set -euo pipefail
cd "$(dirname "$0")/.."
go run ./cmd/carrot theory --seed 0 --svg docs/theory.svg
