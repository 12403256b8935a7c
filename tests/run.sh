#!/usr/bin/env bash
# The second of the README's two commands: make the environment, then check style and run all tests.
# Arguments go to pytest:
#
#   tests/run.sh                  everything, in as many processes as there are processors, at most four
#   tests/run.sh tests/nn -x      one room
#   tests/run.sh -n 0 ...         in one process, with all output
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
make -s -C "$root/tools"
# shellcheck source=/dev/null
. "$root/tools/activate.sh"
cd "$root"
export PYTHONPATH=$root/tools${PYTHONPATH:+:$PYTHONPATH}
ruff check .
git ls-files -co --exclude-standard -- '*.sh' '.ci/run' | xargs shellcheck
jobs=$(nproc)
exec python3 -m pytest -n $((jobs < 4 ? jobs : 4)) --dist loadfile --no-loadscope-reorder "$@"
