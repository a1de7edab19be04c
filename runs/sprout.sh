#!/usr/bin/env bash
# Makes the tables and pictures of SPROUT and compares them with the paper's
# figures: CARROT-KNN .8648, best single (GPT-4o) .8482, oracle .9791, and GPT-4o's
# quality matched at about 30% of its cost. The data are CARROT-LLM-Routing/SPROUT
# on Hugging Face: 31,000 training queries and 13 models. How long it takes is
# unknown, because the data were not available here; RIVALS=fast omits the slow
# rivals.
#
#   SOURCE=downloads/SPROUT OUT=.cache/sprout runs/sprout.sh
set -euo pipefail
cd "$(dirname "$0")/.."
SOURCE=${SOURCE:-downloads/SPROUT} OUT=${OUT:-.cache/sprout}
. runs/published.sh
published sprout .8648 .8482 .9791 "about 30%"
