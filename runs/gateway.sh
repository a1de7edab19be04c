#!/usr/bin/env bash
# Measures what carrot serve costs beside a bare proxy of Go's standard library
# and beside the proxies of LiteLLM and Portkey: the same upstream, the same
# requests, the same load generator (wrk), one run. Every request is a new
# conversation of about 100 tokens; routing among eight models, recording and
# metrics are on. On two cores 2.5 minutes, 4.5 with the peers, and a few more
# when they are installed for the first time. Linux only.
#
#   runs/gateway.sh                          # everything
#   WITHOUT=litellm,portkey runs/gateway.sh  # carrot and the bare proxy
#
# Results are OUT/gateway.md and OUT/gateway.json (.cache/gateway), logs beside
# them. ROUNDS=3 and LENGTH=10s are the rounds and their longest runs; CHECK=1
# fails where carrot misses a target; PROFILE=FILE keeps its processor profile
# under load (runs/gateway/carrot.pgo is one, which release binaries are built
# with); CARROT=BINARY measures that; PEERS is the folder that peers are
# installed in (.cache/peers). A peer that cannot be installed is skipped, and
# the results say why.
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
litellm=$peers/litellm-1.77.7 # 1.82.7 and 1.82.8 were malicious: never those
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

# It ends what it started, also when it is interrupted.
exec "$out/measure" measure -out "$out" -carrot "$CARROT" -litellm "$litellm" -portkey "$portkey" -skipped "$skipped" \
  -rounds "${ROUNDS:-3}" -length "${LENGTH:-10s}" -profile "${PROFILE:-}" ${CHECK:+-check}
