#!/usr/bin/env bash
# Prints what weighs what in the binary: the size of its symbols by module, embedded files
# apart, as a table in Markdown. Symbols do not say whose line tables they have in the
# runtime's own table, so that is a row of its own.
#
#   runs/size.sh
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CGO_ENABLED=0
build() { go build -trimpath -pgo=runs/gateway/carrot.pgo "$@" ./cmd/carrot; }
build -o "$work/symbols"
build -ldflags '-s -w' -o "$work/carrot"
go list -m -f '{{.Path}}' all >"$work/modules"
go tool nm -size "$work/symbols" >"$work/nm"
# Symbols from here on take memory and no place in the file.
empty=$(readelf -S -W "$work/symbols" | awk '$2 == ".bss" || $3 == ".bss" {for (i = 1; i <= NF; i++) if ($i == "NOBITS") print $(i + 1)}')
lines=$(readelf -S -W "$work/carrot" | awk '{for (i = 1; i <= NF; i++) if ($i == ".gopclntab") print $(i + 4)}')
total=$(stat -c %s "$work/carrot")
{
  echo "| what | MB |"
  echo "|---|---|"
  awk -v total="$total" -v empty="$(sed s,^0*,, <<<"$empty")" -v lines="$((16#$lines))" '
    function module(symbol,    best, m) {
      for (m in modules) if (index(symbol, m) == 1 && length(m) > length(best)) best = m
      return best != "" ? best : "the standard library"
    }
    FNR == NR { modules[$1]; next }
    sprintf("%16s", $1) >= sprintf("%16s", empty) || $4 ~ /^(go:|type:|runtime\.(findfunctab|typelink|itablink))/ { next }
    { name = module($4); size[name] += $2; counted += $2 }
    END {
      for (name in size)
        if (size[name] >= 0.25e6) printf "%012d| %s | %.1f |\n", size[name], name, size[name] / 1e6
        else small += size[name]
      printf "000000000003| modules of less than 0.25 MB | %.1f |\n", small / 1e6
      printf "000000000002| line tables of all functions | %.1f |\n", lines / 1e6
      printf "000000000001| types, texts and tables without a name | %.1f |\n", (total - counted - lines) / 1e6
      printf "000000000000| **the whole** | **%.1f** |\n", total / 1e6
    }' "$work/modules" "$work/nm" | sort -rs -k1,12 | sed -E 's/^[0-9]{12}//'
}
