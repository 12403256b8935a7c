# shellcheck shell=bash
# Log lines, stages and their marks, for recipe scripts; source it.
#
#   log WORDS...                         one line with time, file and line
#   die WORDS...                         the same, marked as an error, then exit 1
#   if in_range N; then                  whether $stage <= N <= $stop_stage
#   if begin_stage N MARK TITLE [WORD]...; then
#     ...
#     end_stage MARK [OUTPUT]...
#   fi
#   anew MARK --out|--keep FOLDER COMMAND...     COMMAND, which works in FOLDER, in the stage of MARK; where FOLDER holds
#                                                work of other settings or data (EX_DATAERR), it is removed or moved
#                                                aside, and COMMAND is run again
#
# begin_stage runs a stage when $stage <= N <= $stop_stage and it is not done already. Done means that end_stage has
# written the file MARK when the stage had the same inputs, which the WORDs tell by content. mark.py explains the WORDs
# and OUTPUTs. To run a finished stage again, remove its mark.
#
# While a stage runs it holds the lock of its mark, and shares those of the stages that it follows from (--after, --needs):
# a second run.sh waits for it, then finds it done. The locks are files in exp/.locks. Everything that a stage
# starts inherits them, so that they are free only when the last process of a killed call has ended.

_utils=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=exit_codes.sh
. "$_utils/exit_codes.sh"

# A Slurm job that runs a recipe is warned of its end by USR1: the launcher stops the work, then we leave as interrupted.
trap 'exit $EX_TEMPFAIL' USR1
exec </dev/null  # nothing here asks; and with standard input closed, the next file opened would take its place

_log() {  # DEPTH WORDS...: as said by the caller DEPTH levels up
  local depth=$1
  shift
  printf '%s (%s:%s) %s\n' "$(date '+%F %T')" "${BASH_SOURCE[depth]##*/}" "${BASH_LINENO[depth - 1]}" "$*" >&2
}

log() { _log 2 "$@"; }

die() {
  _log 2 "error: $*"
  exit 1
}

in_range() {  # N: whether --stage and --stop_stage ask for that stage
  local bound
  for bound in "${stage:?}" "${stop_stage:?}"; do
    [[ $bound =~ ^-?[0-9]+$ ]] || { _log 2 "error: --stage and --stop_stage are whole numbers, not '$bound'"; exit 1; }
  done
  (($1 >= stage && $1 <= stop_stage))
}

declare -A _locks=() _titles=() _started=()
_took=()      # title and seconds of each stage that this call has ended
_told=false   # whether this call has told how long all stages may take
_lock() {  # MARK shared|exclusive LOCKED: hold the lock of MARK until unlock LOCKED
  local name=${1//\//_} descriptor
  if [ ${#name} -gt 200 ]; then name=${name: -200}; fi
  { mkdir -p exp/.locks && exec {descriptor}>>"exp/.locks/$name"; } || exit 1  # bash prints the reason
  _locks[$3]+=" $descriptor"
  flock --nonblock "--$2" "$descriptor" || {
    _log 3 "another run.sh works on $1: waiting for its end"
    flock "--$2" "$descriptor"
  }
}

_unlock() {  # MARK
  local descriptor
  for descriptor in ${_locks[$1]-}; do exec {descriptor}>&-; done
  unset "_locks[$1]"
}

begin_stage() {
  local number=$1 mark=$2 title="stage $1: $3" code=0 reason i
  shift 3
  in_range "$number" || return 1
  for ((i = 1; i < $#; i++)); do
    case ${!i} in --after | --needs) _lock "${*:i+1:1}" shared "$mark" ;; esac
  done
  _lock "$mark" exclusive "$mark"
  reason=$(python3 "$_utils/mark.py" begin "$mark" "$@") || code=$?
  if [ $code = $DONE_BEFORE ]; then
    _log 2 "$title: done before, skipped ($mark)"
    _unlock "$mark"
    return 1
  fi
  [ $code = 0 ] || { _log 2 "error: $title: $reason"; exit 1; }
  _log 2 "$title"
  $_told || python3 "$_utils/remaining.py" begin "$stop_stage" "$title" >&2
  _titles[$mark]=$title _started[$mark]=$SECONDS _told=true
}

anew() {
  local code=0
  "${@:4}" || code=$?
  [ $code = $EX_DATAERR ] || return $code
  python3 "$_utils/mark.py" anew "${@:1:3}" || return 1
  "${@:4}"
}

end_stage() {
  local mark=$1 written
  written=$(python3 "$_utils/mark.py" end "$@") || { _log 2 "error: ${_titles[$mark]}: $written"; exit 1; }
  _unlock "$mark"
  _took+=("${_titles[$mark]}" $((SECONDS - _started[$mark])))
  _log 2 "${_titles[$mark]}: done in ${_took[-1]} s${written:+, wrote $written}$(
    python3 "$_utils/remaining.py" end "$stop_stage" "${_took[@]}")"
}
