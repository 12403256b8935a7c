# Sourced by run.sh: where the repository and its environment are.
# shellcheck shell=bash
M2D_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export M2D_ROOT

# torch maps 4 GB of libraries when it is imported, and dies in many ways where it can't.
if [ "$(ulimit -v)" != unlimited ] && [ "$(ulimit -v)" -lt 8000000 ]; then
  echo "path.sh: a limit of $(ulimit -v) kB of address space (ulimit -v) is too little for torch: it needs 8000000" >&2
  exit 1
fi
if [ "$(ulimit -n)" != unlimited ] && [ "$(ulimit -n)" -lt 64 ]; then
  echo "path.sh: a limit of $(ulimit -n) open files (ulimit -n) is too little: raise it to 1024 or more" >&2
  exit 1
fi

# The environment that `make -C tools` made or was given. Without it, the python3 on PATH must have m2d installed.
if [ -f "$M2D_ROOT/tools/activate.sh" ]; then
  # shellcheck source=/dev/null
  . "$M2D_ROOT/tools/activate.sh"
elif ! python3 -c 'import m2d' 2>/dev/null; then
  echo "path.sh: no environment yet: run 'make -C $M2D_ROOT/tools' first" >&2
  exit 1
fi

# tools/ holds the mini corpus's generator, a package of its own.
export PYTHONPATH=$M2D_ROOT/tools${PYTHONPATH:+:$PYTHONPATH}
export HOME=${HOME:-~}  # s3prl asks for it when it is imported
export LC_ALL=C.UTF-8 PYTHONUNBUFFERED=1
# Waiting threads sleep: spinning ones slow each other down on shared processors.
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-passive}
