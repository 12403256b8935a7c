#!/usr/bin/env bash
# The first of the README's two commands: make the environment, then run the main job, M2D-S on the mini corpus (or on
# the corpora named in egs/librispeech_m2ds/db.sh), up to the SUPERB table. Options go to run.sh.
#
#   utils/quickstart.sh [--nj 4] [--ngpu 1] ...
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
make -s -C "$root/tools"
exec "$root/egs/librispeech_m2ds/run.sh" --stage 0 --stop_stage 5 "$@"
