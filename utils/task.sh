#!/usr/bin/env bash
# One task of a launcher: the command with its log, which begins with the command and ends with the status.
#
# usage: task.sh [--warn child|group] INDEX STATUS_FILE LOG COMMAND...
#
# JOB in LOG and COMMAND becomes INDEX, unless INDEX is "-". The exit code is written to STATUS_FILE, unless that is "-",
# so that the result of a Slurm job does not depend on Slurm's accounting.
#
# USR1 is the warning that the job will be ended soon. It is passed on to the command (or to the whole process group, for
# a command that is itself a launcher). Code 75 (or death by that signal, before a handler stood) then means "stopped in
# order, goes on when started again": under Slurm the job requeues itself and the task counts as unfinished.
# TERM comes from one who ends all processes of the task; it is waited for what the command makes of it.
set -uo pipefail
export LC_ALL=C.UTF-8

passed_to=child
if [ "$1" = --warn ]; then
  passed_to=$2
  shift 2
fi
index=$1 status_file=$2 log_file=$3
shift 3
if [ "$index" != - ]; then
  log_file=${log_file//JOB/$index}
  set -- "${@//JOB/$index}"
fi

child='' warned=false terminated=false
# shellcheck disable=SC2329  # called by the trap
warn() {
  warned=true
  if [ "$passed_to" = group ]; then
    trap '' USR1
    kill -USR1 0
  elif [ -n "$child" ]; then
    kill -USR1 "$child" 2>/dev/null
  fi
}
trap warn USR1
trap 'terminated=true' TERM

[ "$status_file" = - ] || rm -f "$status_file"
mkdir -p "$(dirname "$log_file")"
exec >>"$log_file" 2>&1 || exit 1
started=$SECONDS
printf '#'
printf ' %q' "$@"
printf '\n# started %s on %s%s%s\n#\n' "$(date '+%F %T')" "$(hostname)" "${SLURM_JOB_ID:+, Slurm job $SLURM_JOB_ID}" \
  "${SLURM_RESTART_COUNT:+, restart $SLURM_RESTART_COUNT}"

"$@" &
child=$!
while kill -0 "$child" 2>/dev/null; do wait "$child"; done
wait "$child"
code=$?
ended="at $(date '+%F %T') after $((SECONDS - started)) s"

if $warned && ! $terminated && [ -n "${SLURM_JOB_ID:-}" ] && [[ $code == 75 || $code == $((128 + $(kill -l USR1))) ]]; then
  echo "# interrupted $ended; the job is requeued"
  if scontrol requeue "$SLURM_JOB_ID"; then
    sleep 300 &  # Slurm ends this script before it starts the job again
    wait $!
    exit 75
  fi
fi
echo "# status $code $ended"
if [ "$status_file" != - ]; then
  echo "$code" >"$status_file.tmp" && mv "$status_file.tmp" "$status_file"
fi
exit "$code"
