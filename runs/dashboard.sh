#!/usr/bin/env bash
# Takes the pictures of docs/dashboard.md: real pages of carrot serve --demo --traffic, after
# about four minutes. It needs npm, Node and Chromium.
#
#   runs/dashboard.sh [FOLDER [ATTEMPTS]]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
[ -n "${CARROT:-}" ] || go build -o "${CARROT:=$work/carrot}" ./cmd/carrot
export CARROT
.ci/dashboard/run pictures.mjs "${1:-docs/img}" "${2:-500}"
