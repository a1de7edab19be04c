#!/usr/bin/env bash
# Makes the tables and pictures of Open LLM Leaderboard v2 and compares them with
# the paper's figures: CARROT-KNN .6143, best single .5649, oracle .9715. The data
# are the repositories open-llm-leaderboard/ORG__MODEL-details on Hugging Face for
# the paper's 18 models, one folder each, without IFEval. The paper tests on a random
# fifth; we split by the hash of the prompt.
#
#   SOURCE=downloads/open-llm OUT=.cache/openllm runs/openllm.sh
set -euo pipefail
cd "$(dirname "$0")/.."
SOURCE=${SOURCE:-downloads/open-llm} OUT=${OUT:-.cache/openllm}
. runs/published.sh
published open-llm .6143 .5649 .9715
