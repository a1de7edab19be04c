# Turns downloaded files into tables and pictures and compares them with the paper's
# figures. This file is not run, but sourced by sprout.sh, routerbench.sh and
# openllm.sh. Settings, all from the environment:
#
#   SOURCE    the downloaded files           OUT       the folder of the results
#   RIVALS    all, fast or names             EMBEDDER  static, bert:DIR, openai:URL
#   CARROT    the binary, if already built   INVENTED  1 if runs/tiny.sh made SOURCE
#
# The paper's figures are from plots/knn_accuracy_table.md in its code
# (github.com/somerstep/CARROT): CARROT-KNN on text-embedding-3-small. Do not expect
# equal figures with another EMBEDDER, or where the paper's split is not published.
# The figures of the single models and the oracle depend only on the split.

# published FORMAT ROUTED SINGLE ORACLE [HEADLINE]
published() {
  local carrot=${CARROT:-} data=$OUT/$1 embedder=${EMBEDDER:-static} import=()
  if [ ! -e "$SOURCE" ]; then
    echo "$0: $SOURCE does not exist: download the data to it, or set SOURCE" >&2
    return 1
  fi
  mkdir -p "$OUT"
  if [ -z "$carrot" ]; then
    carrot=.cache/carrot
    go build -o "$carrot" ./cmd/carrot
  fi
  [ "$1" = routerbench ] || import=(--prices runs/paper-prices.json) # RouterBench records costs
  "$carrot" data import "$1" "$SOURCE" "$data" --force ${import[@]+"${import[@]}"}
  "$carrot" data describe "$data" >"$OUT/data.txt"
  "$carrot" eval --data "$data" --split test --predictor blend --embedder "$embedder" \
    --rivals "${RIVALS:-all}" --protocol paper --details --json "$OUT/report.json" \
    --html "$OUT/report.html" --svg "$OUT/curves.svg" --csv "$OUT/report.csv" --markdown "$OUT/report.md" >"$OUT/report.txt"
  cat "$OUT/data.txt" "$OUT/report.txt"
  compare "$embedder" "${@:2}" <"$OUT/report.txt" | tee "$OUT/paper.txt"
  echo "written to $OUT: $(cd "$OUT" && echo ./*.*)"
}

# compare EMBEDDER ROUTED SINGLE ORACLE [HEADLINE] reads the part of a report that
# --protocol paper adds, and prints its figures beside the paper's.
compare() {
  awk -v embedder="$1" -v routed="$2" -v single="$3" -v oracle="$4" -v headline="${5:--}" -v invented="${INVENTED:-}" '
    function column(from, to) { # the text between the columns from and to
      from = index(head, from); to = index(head, to)
      from = substr($0, from, to - from)
      gsub(/^ +| +$/, "", from)
      return from
    }
    function line(what, paper, here, note) { printf "%-45s  %-9s  %-6s  %s\n", what, paper, here, note }
    function matched(who, paper, note,  key) {
      key = who SUBSEP "paper"
      line("cost of matching the best single, " who, paper, cost[key] == "" ? "never" : cost[key], "picked on the measured queries" note)
      key = who SUBSEP "ours"
      line("  picked out of fold", "-", cost[key], "reaches " quality[key] " of its quality")
    }
    /^the paper.s protocol beside ours: / { part = 1; split($0, n, /best single |, oracle /); next }
    part && $1 == "router" { head = $0 }
    { who = $1; sub("/.*", "", who) } # carrot-knn/bert
    part && head != "" && (who == "carrot-knn" || who == "blend") {
      accuracy[who] = $3
      quality[who, $2] = column("to match", "cost  "); cost[who, $2] = column("cost  ", "setting")
    }
    part && $0 == "" { part = 0 }
    END {
      if (!("carrot-knn" in accuracy)) { print "the report lacks the part that --protocol paper adds" > "/dev/stderr"; exit 1 }
      print ""
      if (invented) print "INVENTED DATA: these figures say nothing about the paper or the method."
      line("", "paper", "here", "")
      line("routed accuracy at mu=0, carrot-knn", routed, accuracy["carrot-knn"], "on " embedder "; the paper on text-embedding-3-small")
      line("routed accuracy at mu=0, blend", "-", accuracy["blend"], "")
      line("best single", single, n[2], "")
      line("oracle", oracle, n[3], "")
      matched("carrot-knn", headline, ", as in the paper")
      matched("blend", "-", "")
      print ""
    }'
}
