#!/usr/bin/env bash
# Makes docs/img/report-*, pictures of the page that carrot eval --html writes: on a
# laptop in light and dark, on a phone, and on paper. Needs Chromium, and pdftoppm
# for the one on paper; without them it says so and leaves the pictures unchanged.
#
#   runs/screenshots.sh              fits all rivals first: about ten minutes on two cores
#   REPORT=page.html runs/screenshots.sh
set -euo pipefail
cd "$(dirname "$0")/.."
chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
if [ -z "$chromium" ]; then
  echo "skipped: no Chromium"
  exit 0
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
report=${REPORT:-$work/report.html}
if [ -z "${REPORT:-}" ]; then
  go run ./cmd/carrot eval --data "${DATA:-../shared/data}/mmlu-pro" --split validation --predictor blend,knn --rivals all --html "$report"
fi
report=$(realpath "$report")

browse() {
  "$chromium" --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking --disable-component-update \
    --disable-sync --hide-scrollbars --user-data-dir="$work/profile" "$@" 2>"$work/log" || { cat "$work/log"; exit 1; }
}

mkdir -p docs/img
browse --window-size=1180,1640 --screenshot="$PWD/docs/img/report-light.webp" "file://$report"
browse --window-size=1180,1640 --blink-settings=preferredColorScheme=0 --screenshot="$PWD/docs/img/report-dark.webp" "file://$report"
browse --window-size=390,2000 --screenshot="$PWD/docs/img/report-phone.webp" "file://$report"
if command -v pdftoppm >/dev/null; then
  browse --no-pdf-header-footer --print-to-pdf="$work/report.pdf" "file://$report"
  pdftoppm -r 75 -f 2 -l 2 -png -singlefile "$work/report.pdf" docs/img/report-print
else
  echo "skipped the picture on paper: no pdftoppm"
fi
for file in docs/img/report-*; do
  size=$(wc -c <"$file")
  echo "$file: $size bytes"
  [ "$size" -le 150000 ] || { echo "$file is over 150,000 bytes"; exit 1; }
done
