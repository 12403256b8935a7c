#!/usr/bin/env bash
# Make tools/env, or take the environment that the user names, and write tools/activate.sh. Called by the Makefile, with
# PYTHON, ENV and MODULES from there in the environment (empty: not given).
set -euo pipefail
tools=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(dirname "$tools")

say() { echo "tools: $*" >&2; }
die() {
  say "$*"
  exit 1
}

write_activate() {  # BIN (the environment's folder of programs; empty: that of the modules): what path.sh will source
  {
    cat <<END
# shellcheck shell=bash
# Made by 'make -C tools'; choice: ENV=$ENV MODULES=$MODULES
if [ "\$(cd "\$(dirname "\${BASH_SOURCE[0]}")/.." && pwd)" != $(printf %q "$root") ]; then
  echo "this checkout has been moved or copied: run 'make clean' and 'make' in its tools/" >&2
  exit 1
fi
END
    [ -z "$MODULES" ] || cat <<END
type module >/dev/null 2>&1 || for init in /etc/profile.d/{z00_lmod,lmod,modules}.sh; do
  if [ -r "\$init" ]; then . "\$init"; break; fi
done
module load $MODULES
END
    [ -z "$1" ] || echo "export PATH=$(printf %q "$1"):\$PATH"
    [ -z "$ENV$MODULES" ] || echo "export PYTHONPATH=$(printf %q "$root")\${PYTHONPATH:+:\$PYTHONPATH}"
  } >"$tools/.activate.sh.tmp"
}

# ---- an environment that exists
if [ -z "$PYTHON$ENV$MODULES" ] && [ -f "$tools/activate.sh" ]; then  # the choice made before
  choice=$(sed -n 's/^# Made by .* choice: //p' "$tools/activate.sh")
  ENV=${choice#ENV=} ENV=${ENV%% MODULES=*} MODULES=${choice##*MODULES=}
fi
if [ -n "$ENV$MODULES" ]; then
  [ -z "$ENV" ] || [ -x "$ENV/bin/python3" ] || die "ENV=$ENV: no bin/python3 in there (a conda environment or venv is a folder with one)"
  [ -z "$ENV" ] || ENV=$(cd "$ENV" && pwd)
  write_activate "${ENV:+$ENV/bin}"
  # shellcheck source=/dev/null
  if ! (. "$tools/.activate.sh.tmp" && say "looking at $(command -v python3)" && python3 "$tools/check_env.py" "$root/setup.cfg"); then
    rm -f "$tools/.activate.sh.tmp"
    die "this environment cannot be used as it is (nothing in it was changed)"
  fi
  mv "$tools/.activate.sh.tmp" "$tools/activate.sh"
  say "the recipes use this environment from now on ('make clean' in tools/ undoes that)"
  exit 0
fi

# ---- an environment of our own
fits() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }
python=''
if [ -n "$PYTHON" ]; then
  fits "$PYTHON" || die "PYTHON=$PYTHON is not a Python of 3.10 to 3.13"
  python=$PYTHON
else
  for candidate in python3 python3.12 python3.11 python3.10 python3.13; do
    if fits "$candidate"; then python=$candidate; break; fi
  done
fi

env=$tools/env
uv=()
if uv --version >/dev/null 2>&1; then
  uv=(uv)
elif [ -z "$python" ]; then
  die "no Python of 3.10 to 3.13 on PATH: install one, or name one with PYTHON=..., or install uv, which brings its own"
elif [ -x "$tools/uv/bin/uv" ] || "$python" -m pip install --quiet --target "$tools/uv" uv 2>/dev/null; then
  uv=("$tools/uv/bin/uv")
fi

if ! "$env/bin/python" -c pass 2>/dev/null; then
  rm -rf "$env"
  if [ ${#uv[@]} -gt 0 ]; then
    "${uv[@]}" venv --quiet --python "${python:-3.11}" "$env"
  else
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then  # Debian and Ubuntu ship them apart
      package=$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
      if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        die "$python has neither pip nor venv: have 'apt install $package' run, or install uv, then make again"
      fi
      say "installing $package, which $python lacks"
      { apt-get install -y -qq "$package" || { apt-get update -qq && apt-get install -y -qq "$package"; }; } >/dev/null ||
        die "apt-get could not install $package"
    fi
    "$python" -m venv "$env"
  fi
fi
if [ ${#uv[@]} = 0 ]; then
  "$env/bin/python" -m pip install --quiet uv
  uv=("$env/bin/uv")
fi

say "installing into tools/env ($("$env/bin/python" -V), $(grep -c == "$tools/requirements.txt") pinned packages, about 6 GB with CUDA)"
export VIRTUAL_ENV=$env
"${uv[@]}" pip install --compile-bytecode --no-deps --requirement "$tools/requirements.txt"
"${uv[@]}" pip install --quiet --no-deps --editable "$root"
"$env/bin/python" -c 'import m2d, torch, torchaudio'
write_activate "$env/bin"
mv "$tools/.activate.sh.tmp" "$tools/activate.sh"
say "done; the recipes find it through tools/activate.sh"
