#!/usr/bin/env bash
# Compares benchmarks with those of an older commit: each of COUNT turns runs both
# once, in alternating order, and at the end benchstat prints the differences.
# Benchmarks are matched by name, so a package may have moved since.
#
#   OLD=COMMIT [BENCH=REGEXP] [COUNT=10] [BENCHTIME=1s] runs/bench-old.sh
#
# The outputs are OUT/old.txt and OUT/new.txt (OUT is .cache/bench-old).
set -euo pipefail
cd "$(dirname "$0")/.."
: "${OLD:?a commit to compare with}" "${BENCH:=.}" "${COUNT:=10}" "${BENCHTIME:=1s}" "${OUT:=.cache/bench-old}"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$OUT" "$work/old" "$work/bin"
rm -f "$OUT"/{old,new}.txt
git archive "$OLD" | tar -x -C "$work/old"
ln -s "$PWD" "$work/new"

# build old|new builds the test binary of every package with a matching benchmark.
build() {
  local packages package
  packages=$(cd "$work/$1/" && grep -rE --include='*_test.go' '^func Benchmark' . | sed -E 's,/[^/]*:func ([A-Za-z0-9_]+).*, \1,' |
    BENCH=${BENCH%%/*} awk '$2 ~ ENVIRON["BENCH"] { print $1 }' | sort -u)
  [ -n "$packages" ] || { echo "runs/bench-old.sh: no benchmark of the $1 commit matches $BENCH" >&2; exit 1; }
  for package in $packages; do
    go -C "$work/$1/" test -c -o "$work/bin/$1${package//\//-}" "$package"
    echo "$package $work/bin/$1${package//\//-}" >>"$work/$1.packages"
  done
}

# run old|new runs the benchmarks once.
run() {
  local package binary
  while read -r package binary; do
    (cd "$work/$1/$package" && "$binary" -test.run '^$' -test.bench "$BENCH" -test.benchtime "$BENCHTIME" -test.benchmem) >>"$OUT/$1.txt" ||
      { tail "$OUT/$1.txt"; exit 1; }
  done <"$work/$1.packages"
}

build old
build new
for ((turn = 1; turn <= COUNT; turn++)); do
  echo "turn $turn of $COUNT" >&2
  if ((turn % 2)); then run old && run new; else run new && run old; fi
done
go tool -modfile=tools/go.mod benchstat -ignore pkg "old=$OUT/old.txt" "new=$OUT/new.txt"
