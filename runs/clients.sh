#!/usr/bin/env bash
# Lets every client of docs/clients hold conversations with tools through a gateway, in
# front of simulated providers of each API, and prints a table of what works:
#
#   [CARROT=BINARY] [OUT=FOLDER] runs/clients.sh [NAME...]
#
# It installs the clients at the versions of their lock files into OUT, by default
# ~/.cache/carrot-ci. What cannot be installed is skipped, with the reason. With names,
# such as codex or langgraph, it checks only these. It takes about a quarter of an hour
# on two cores, and exits with 1 if a check fails.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-${XDG_CACHE_HOME:-$HOME/.cache}/carrot-ci}
mkdir -p "$out"
out=$(cd "$out" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "${CARROT:-}" ]; then
  CARROT=$work/carrot
  go build -o "$CARROT" ./cmd/carrot
fi
go build -o "$work/provider" ./.ci/agents/provider
agents=() frameworks=()
for name in "${@:-all}"; do
  case $name in
    all) agents=(claude-code codex) frameworks=(ai-sdk langgraph openai-agents pydantic-ai autogen anthropic-tool-runner aider) ;;
    claude-code* | codex*) agents+=("$name") ;;
    *) frameworks+=("$name") ;;
  esac
done
status=0

# The agents of npm.
if [ ${#agents[@]} -gt 0 ]; then
  modules=$out/agents-$(cksum <.ci/agents/package-lock.json | tr ' ' -)
  why="no npm"
  if [ ! -e "$modules/installed" ] && command -v npm >/dev/null; then
    rm -rf "$modules"
    mkdir -p "$modules"
    cp .ci/agents/package*.json "$modules"
    if npm ci --prefix "$modules" --ignore-scripts --no-audit --no-fund --loglevel=error >"$work/npm.log" 2>&1; then
      touch "$modules/installed"
    else
      why=$(tail -1 "$work/npm.log")
    fi
  fi
  if [ -e "$modules/installed" ]; then
    CARROT=$CARROT PYTHON=${PYTHON:-python3} NODE_MODULES=$modules/node_modules .ci/agents/run "${agents[@]}" >"$work/agents.log" 2>&1 || status=1
    [ $status = 0 ] || tail -60 "$work/agents.log"
    printf "%-22s %s\n" client model
    awk '/^-- [a-z-]+:/ {
      split($2, name, ":")
      end = $3 == "FAILED" ? "fail" : $3 != "" ? "pass" : ""
      if (end == "") { getline; end = $0 } # why it is skipped
      printf "%-22s %-15s %s\n", name[1], name[2], end
    }' "$work/agents.log"
  else
    echo "${agents[*]}: skipped: $why"
  fi
  echo
fi

if [ ${#frameworks[@]} -gt 0 ]; then
  environments=()
  for name in "${frameworks[@]}"; do
    case $name in
      ai-sdk) environments+=(node) ;;
      langgraph | aider) environments+=("$name") ;;
      *) environments+=(others) ;;
    esac
  done
  .ci/agents/frameworks/install "$out/frameworks" "${environments[@]}"
  CARROT=$CARROT PROVIDER=$work/provider ENVS=$out/frameworks .ci/agents/frameworks/run "${frameworks[@]}" || status=1
fi
exit $status
