# shellcheck shell=bash disable=SC2154  # $dir is the caller's
# The daemons of the test cluster in $dir, known by run/NAME.pid; sourced by start_slurm.sh and stop_slurm.sh.

# A pid file holds "PID STARTTIME": the start time (field 22 of /proc/PID/stat) tells our process from a later one with
# the same number. A zombie counts as gone.
_started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | awk '$1 !~ /[ZX]/ { print $20 }'; }

alive() {  # NAME
  local pid started
  read -r pid started 2>/dev/null <"$dir/run/$1.pid" && [ -n "$started" ] && [ "$(_started "$pid")" = "$started" ]
}

spawn() {  # NAME COMMAND...: in a session of its own, unless it runs
  local name=$1
  shift
  if alive "$name"; then return; fi
  setsid "$@" </dev/null >>"$dir/log/$name.out" 2>&1 9>&- &
  echo "$! $(_started $!)" >"$dir/run/$name.pid"
}

finish() {  # NAME...: TERM to all, then KILL to what is left after 8 s
  local name pid
  for name in "$@"; do
    if alive "$name"; then read -r pid _ <"$dir/run/$name.pid" && kill -TERM "$pid" 2>/dev/null || true; fi
  done
  for name in "$@"; do
    for _ in {1..80}; do
      alive "$name" || break
      sleep 0.1
    done
    if alive "$name"; then read -r pid _ <"$dir/run/$name.pid" && kill -KILL "$pid" 2>/dev/null || true; fi
    rm -f "$dir/run/$name.pid"
  done
}
