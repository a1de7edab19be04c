#!/usr/bin/env bash
# Makes the tables and pictures of RouterBench and compares them with the paper's
# figures: CARROT-KNN .787, best single .7851, oracle .9169. The data are
# routerbench_0shot.pkl of withmartian/routerbench on Hugging Face: 36,000 queries
# and 11 models. The paper tests on a random fifth; we split by the hash of the
# prompt.
#
#   SOURCE=downloads/routerbench/routerbench_0shot.pkl OUT=.cache/routerbench runs/routerbench.sh
set -euo pipefail
cd "$(dirname "$0")/.."
SOURCE=${SOURCE:-downloads/routerbench/routerbench_0shot.pkl} OUT=${OUT:-.cache/routerbench}
. runs/published.sh
published routerbench .787 .7851 .9169
