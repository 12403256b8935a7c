# shellcheck shell=bash disable=SC2034  # the variables are read by the launchers
# What both launchers (run.sh, slurm.sh) share: their options, the report of failed tasks, the signals.
# Sourced with the command line in "$@":
#
#   [--gpu N] [--mem M] [--num-threads T] [--max-jobs-run K] [--time LIMIT] [--nodes N] [--warn SECONDS]
#   [JOB=FIRST:LAST] LOG COMMAND...
#
# Sets gpu, mem, threads, max_jobs, time_limit, nodes, warn, first, last, is_array, log_file and the array task_command.
# A launcher that has a site file sets `config` before; then --config FILE is an option too.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=exit_codes.sh
. "$here/exit_codes.sh"

usage_error() {
  echo "${0##*/}: $*" >&2
  exit 2
}

_whole_number() {  # OPTION VALUE LOWEST
  [[ $2 =~ ^[0-9]+$ ]] && [ "$2" -ge "$3" ] || usage_error "$1 takes a whole number from $3 up, not '$2'"
}

log_of() {  # INDEX: the log of that task (see task.py)
  local name=.${log_file##*/}.
  if $is_array; then name=${name//.JOB./.$1.}; fi
  name=${name#.}
  if [[ $log_file == */* ]]; then printf '%s/' "${log_file%/*}"; fi
  printf '%s\n' "${name%.}"
}

clear_logs() {  # old logs go, the folders of the new ones are made
  local index
  for ((index = first; index <= last; index++)); do
    mkdir -p "$(dirname "$(log_of "$index")")"
    rm -f "$(log_of "$index")"
  done
}

report() {  # INDEX CODE [WHY]: one failed task, and the end of its log
  local task='the task' log_path ended="failed with code $2"
  log_path=$(log_of "$1")
  if $is_array; then task="task $1 of $first:$last"; fi
  if [ "$2" = $EX_TEMPFAIL ]; then
    echo "${0##*/}: $task was interrupted${3:+ ($3)} and goes on when run again (log: $log_path)" >&2
    return
  fi
  if [ "$2" = $EX_DATAERR ]; then ended="found work of other settings or data (code $2)"; fi
  echo "${0##*/}: $task $ended${3:+ ($3)}; the end of $log_path:" >&2
  if [ -s "$log_path" ]; then tail -n 12 "$log_path" | cut -c1-500 | sed 's/^/    /' >&2; else echo "    (no log)" >&2; fi
}

# watch_logs: show the progress of the tasks by their logs, until unwatch.
watcher=''
watch_logs() {
  local numbers=()
  if $is_array; then numbers=("$first" "$last"); fi
  "$here/watch.py" $$ "$log_file" ${numbers[@]+"${numbers[@]}"} </dev/null &
  watcher=$!
}

unwatch() {
  [ -z "$watcher" ] || { kill "$watcher" 2>/dev/null && wait "$watcher" 2>/dev/null || true; }
  watcher=''
}

say() {  # WORDS...: a line of the launcher, in the place of a bar
  local clear=''
  if [ -t 2 ] && [ "${TERM:-dumb}" != dumb ] && [ -z "${NO_COLOR:-}" ]; then clear=$'\r\e[K'; fi
  echo "$clear${0##*/}: $*" >&2
}

# finish: report the tasks in the array `failed` (INDEX -> "CODE [WHY]"), at most three with their logs, and exit: with
# EX_TEMPFAIL or EX_DATAERR where all of them did, otherwise with 1.
finish() {
  local index shown=0 code='' this
  unwatch
  [ ${#failed[@]} -gt 0 ] || exit 0
  for index in $(printf '%s\n' "${!failed[@]}" | sort -n); do
    this=${failed[$index]%% *}
    code=${code:-$this}
    if [ "$this" != "$code" ] || { [ "$this" != $EX_TEMPFAIL ] && [ "$this" != $EX_DATAERR ]; }; then code=1; fi
    if ((++shown <= 3)); then
      report "$index" "${failed[$index]%% *}" "$([[ ${failed[$index]} != *' '* ]] || echo "${failed[$index]#* }")"
    fi
  done
  if $is_array; then
    echo "${0##*/}: ${#failed[@]} of $((last - first + 1)) tasks failed: $(printf '%s\n' "${!failed[@]}" | sort -n | paste -sd' ')" >&2
  fi
  exit "$code"
}

# A signal is only noted, as an exit code in `stopped`: the main loop acts on it. `check_parent` takes the death of the
# calling script for a TERM.
stopped=''
trap 'stopped=${stopped:+again}; stopped=${stopped:-130}' INT
trap 'stopped=${stopped:-143}' TERM HUP
trap 'stopped=${stopped:-$EX_TEMPFAIL}' USR1
check_parent() {
  local stat
  stat=$(</proc/$$/stat)
  [[ ${stat##*)} == " "[A-Z]" $PPID "* ]] || stopped=${stopped:-143}
}

gpu=0 mem='' threads=1 max_jobs='' time_limit='' nodes=1 warn='' first=1 last=1 is_array=false
while [ $# -gt 0 ]; do
  case $1 in
    --gpu | --mem | --num-threads | --max-jobs-run | --time | --nodes | --warn | --config)
      [ $# -ge 2 ] || usage_error "option $1 needs a value"
      case $1 in
        --gpu) _whole_number "$1" "$2" 0; gpu=$2 ;;
        --mem) mem=$2 ;;
        --num-threads) _whole_number "$1" "$2" 1; threads=$2 ;;
        --max-jobs-run) _whole_number "$1" "$2" 1; max_jobs=$2 ;;
        --time) time_limit=$2 ;;
        --nodes) _whole_number "$1" "$2" 1; nodes=$2 ;;
        --warn) _whole_number "$1" "$2" 1; warn=$2 ;;
        --config) [ -n "${config+x}" ] || usage_error "unknown option --config"; config=$2 ;;
      esac
      shift 2
      ;;
    -*) usage_error "unknown option $1" ;;
    JOB=*)
      [[ ${1#JOB=} =~ ^([0-9]+)(:([0-9]+))?$ ]] || usage_error "'$1' is not of the form JOB=FIRST:LAST"
      first=${BASH_REMATCH[1]}
      last=${BASH_REMATCH[3]:-$first}
      is_array=true
      [ "$last" -ge "$first" ] || usage_error "'$1' is an empty range"
      shift
      ;;
    *) break ;;
  esac
done
[ $# -ge 2 ] || usage_error "what to run? (usage: ${0##*/} [options] [JOB=1:N] LOG COMMAND...)"
log_file=$1
task_command=("${@:2}")
if [ "$last" -gt "$first" ] && [ "$(log_of 1)" = "$(log_of 2)" ]; then
  usage_error "the tasks of JOB=$first:$last would overwrite one log: give it a name such as x.JOB.log, not '$log_file'"
fi
declare -A failed=()
