#!/usr/bin/env bash
# Measures the cost of carrot serve beside a bare proxy from Go's standard library
# and the proxies of LiteLLM and Portkey: the same upstream, the same requests, the
# same load generator (wrk), one run. Every request is a new conversation of about
# 100 tokens; routing among eight models, recording and metrics are on. Takes 2.5
# minutes on two cores, 4.5 with the peers, and a few more when they are installed
# for the first time. Linux only.
#
#   runs/gateway.sh                          # everything
#   WITHOUT=litellm,portkey runs/gateway.sh  # carrot and the bare proxy
#
# Results are OUT/gateway.md and OUT/gateway.json (OUT is .cache/gateway), with logs
# beside them. Other settings, all from the environment:
#
#   ROUNDS      the number of rounds (3)
#   LENGTH      the length of the longest runs (10s)
#   CARROT      the binary to measure; without it, one is built
#   CARROT_OLD  an older binary to compare it with
#   STORES      what carrot is also measured with, beside no store (sqlite,postgres):
#               there it records in the store and not in a file, and its client has a
#               key and a budget. PostgreSQL is one of its own (.ci/postgres).
#   CHECK       1 to fail if carrot misses a target
#   PROFILE     a file for carrot's processor profile under load; release binaries
#               are built with such a profile, runs/gateway/carrot.pgo
#   PEERS       the folder that peers are installed in (.cache/peers)
#
# The older binary gets the same configuration and the same load. The two alternate
# in each round, A B B A, as does carrot with SQLite, and the results have every figure of both, their ratio in
# each round, and the median of these ratios; for a verdict use ROUNDS=5. Build the
# older binary as this script builds carrot, in a checkout of its commit: without
# the profile it is slower.
#
# A peer that cannot be installed is skipped, and the results say why.
set -euo pipefail
cd "$(dirname "$0")/.."
die() { echo "runs/gateway.sh: $*" >&2; exit 1; }
[ "$(uname)" = Linux ] || die "processor time and memory are read from /proc, which needs Linux"
command -v wrk >/dev/null || die "wrk is missing: apt-get install wrk, or github.com/wg/wrk"
out=${OUT:-.cache/gateway} peers=${PEERS:-.cache/peers} without=,${WITHOUT:-},
mkdir -p "$out" "$peers"
out=$(cd "$out" && pwd) peers=$(cd "$peers" && pwd)
go build -o "$out/measure" ./runs/gateway
if [ -z "${CARROT:-}" ]; then
  CARROT=$out/carrot
  go build -trimpath -ldflags '-s -w' -pgo=runs/gateway/carrot.pgo -o "$CARROT" ./cmd/carrot # as make dist does
fi

skipped=""
litellm=$peers/litellm-1.77.7 # never 1.82.7 or 1.82.8: those were malicious
case $without in
  *,litellm,*) litellm="" skipped+="LiteLLM: left out"$'\n' ;;
  *)
    if [ ! -e "$litellm/installed" ]; then
      echo "installing LiteLLM's proxy" >&2
      rm -rf "$litellm"
      { python3 -m venv "$litellm" && timeout 600 "$litellm/bin/pip" install --quiet --disable-pip-version-check 'litellm[proxy]==1.77.7' && touch "$litellm/installed"; } >"$out/install-litellm.log" 2>&1 ||
        litellm="" skipped+="LiteLLM: could not be installed (install-litellm.log)"$'\n'
    fi ;;
esac
portkey=$peers/portkey-1.15.2
case $without in
  *,portkey,*) portkey="" skipped+="Portkey: left out"$'\n' ;;
  *)
    if [ ! -e "$portkey/installed" ]; then
      echo "installing Portkey's gateway" >&2
      rm -rf "$portkey"
      { mkdir "$portkey" && timeout 600 npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$portkey" @portkey-ai/gateway@1.15.2 && touch "$portkey/installed"; } >"$out/install-portkey.log" 2>&1 ||
        portkey="" skipped+="Portkey: could not be installed (install-portkey.log)"$'\n'
    fi ;;
esac

stores=${STORES-sqlite,postgres} server=
case ,$stores, in
  *,postgres,*)
    folder=$(mktemp -d /tmp/carrot-speed.XXXXXX)
    trap '.ci/postgres stop "$folder" || true; rm -rf "$folder"' EXIT
    server=$(.ci/postgres start "$folder") || { stores=${stores//postgres/} skipped+="PostgreSQL: it could not be started"$'\n'; } ;;
esac

# It stops everything it started, even when interrupted.
"$out/measure" measure -stores "$stores" -server "$server" -out "$out" -carrot "$CARROT" -older "${CARROT_OLD:-}" -litellm "$litellm" -portkey "$portkey" -skipped "$skipped" \
  -rounds "${ROUNDS:-3}" -length "${LENGTH:-10s}" -profile "${PROFILE:-}" ${CHECK:+-check}
