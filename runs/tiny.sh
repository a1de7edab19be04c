#!/usr/bin/env bash
# Runs sprout.sh, routerbench.sh and openllm.sh on small invented files in the same
# formats. Takes about a minute on two cores; continuous integration runs it. Its
# figures mean nothing.
#
#   OUT=.cache/tiny runs/tiny.sh
set -euo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-.cache/tiny}
mkdir -p "$out"
out=$(cd "$out" && pwd)
rm -rf "$out/downloads"
go test ./cmd/carrot -run '^TestTinyDownloads$' -count 1 -downloads "$out/downloads" >/dev/null
export CARROT=${CARROT:-} INVENTED=1 RIVALS=${RIVALS:-fast}
if [ -z "$CARROT" ]; then
  CARROT=$out/carrot
  go build -o "$CARROT" ./cmd/carrot
fi
SOURCE=$out/downloads/SPROUT OUT=$out/sprout runs/sprout.sh
SOURCE=$out/downloads/routerbench/routerbench_0shot.csv OUT=$out/routerbench runs/routerbench.sh
SOURCE=$out/downloads/open-llm OUT=$out/openllm runs/openllm.sh
for set in sprout routerbench openllm; do
  for file in data.txt report.txt report.json report.html report.csv report.md curves.svg paper.txt; do
    test -s "$out/$set/$file" || { echo "runs/tiny.sh: $out/$set/$file is missing or empty" >&2; exit 1; }
  done
done
