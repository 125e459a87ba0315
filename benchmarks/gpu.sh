#!/usr/bin/env bash
# Measurements of training and prediction on one GPU: as many as fit into nine minutes; no
# network is needed. What the machine must have is in docs/benchmarks.md.
#
#     bash benchmarks/gpu.sh OUT                  the whole set; figures and tables are in OUT
#     bash benchmarks/gpu.sh OUT --dry-run        print the commands and how long they take
#     bash benchmarks/gpu.sh OUT --tiny           tiny networks on a CPU, to try the script
#     bash benchmarks/gpu.sh OUT --only train-8b-16,predict-8b --seconds 200
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=true
exec "${PYTHON:-python3}" benchmarks/gpu_rows.py "$@"
