#!/usr/bin/env bash
# Repeats the table of the README from public sources alone: clones ZeroEval and
# MMLU-Pro at the commits at which the importers were tried, imports their results,
# and evaluates the router out of fold. Takes two minutes on two cores besides the
# downloads; a partial clone lacks large files, so the clones are whole.
#
#   runs/public.sh
#   ZEROEVAL=clone MMLU_PRO=clone OUT=.cache/public runs/public.sh     with clones that exist; "" skips a source
#   REFERENCE=folder runs/public.sh                also compares every prompt, split, score, token count, answer
#                                                  and price with the sets in folder/zeroeval and folder/mmlu-pro
set -euo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-.cache/public} reference=${REFERENCE:-}
mkdir -p "$out"
carrot=${CARROT:-}
if [ -z "$carrot" ]; then
  go build -o .cache/carrot ./cmd/carrot
  carrot=.cache/carrot
fi

# clone REPOSITORY COMMIT FOLDER
clone() {
  if [ ! -e "$3" ]; then
    git clone --no-checkout "https://github.com/$1" "$3"
  fi
  git -C "$3" checkout --quiet "$2"
}

if [ -z "${ZEROEVAL+set}" ]; then
  ZEROEVAL=$out/downloads/ZeroEval
  clone WildEval/ZeroEval 8c1485edf12c6efb5f69135a562927c5ad484059 "$ZEROEVAL"
fi
if [ -z "${MMLU_PRO+set}" ]; then
  MMLU_PRO=$out/downloads/MMLU-Pro
  clone TIGER-AI-Lab/MMLU-Pro f418b116db00b065c2aea046518d8fcf74d39872 "$MMLU_PRO"
fi

while read -r format source; do
  [ -n "$source" ] || continue
  echo "== $format"
  "$carrot" data import "$format" "$source" "$out/$format" --force
  "$carrot" data describe "$out/$format"
  if [ -n "$reference" ]; then
    CARROT_IMPORTED=$(realpath "$out/$format") CARROT_REFERENCE=$(realpath "$reference/$format") \
      go test ./internal/importer -run '^TestReference$' -count 1 -v
  fi
  "$carrot" eval --data "$out/$format" --folds 5 | tee "$out/$format.txt"
  if [ -n "$reference" ]; then
    "$carrot" eval --data "$reference/$format" --folds 5 >"$out/$format-reference.txt"
    cmp "$out/$format.txt" "$out/$format-reference.txt" && echo "the reference gives the same table"
  fi
done <<SOURCES
zeroeval $ZEROEVAL
mmlu-pro $MMLU_PRO
SOURCES
