# shellcheck shell=bash
# Log lines and stage marks for recipe scripts; source it.
#
#   log WORDS...                         one line with time, file and line
#   die WORDS...                         the same, marked as an error, then exit 1
#   if begin_stage N MARK TITLE [--after MARK]... [NAME=VALUE]...; then
#     ...
#     end_stage
#   fi
#
# begin_stage runs a stage when $stage <= N <= $stop_stage and it is not done already. Done means that the file MARK was
# written by end_stage under the same NAME=VALUE options, after the same run of the stages named by --after. Options
# that change nothing in the result (numbers of jobs, GPUs) do not belong there. To run a finished stage again,
# remove its mark.

# A Slurm job that runs a recipe is warned of its end by USR1: the launcher stops the work, then we leave with the code
# for "interrupted, run it again" (see utils/task.py).
trap 'exit 75' USR1

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

begin_stage() {
  local number=$1 title=$3 option bound
  _mark=$2
  shift 3
  for bound in "${stage:?}" "${stop_stage:?}"; do
    [[ $bound =~ ^-?[0-9]+$ ]] || { _log 2 "error: --stage and --stop_stage are whole numbers, not '$bound'"; exit 1; }
  done
  if ((number < stage || number > stop_stage)); then return 1; fi
  _mark_options=
  while [ $# -gt 0 ]; do
    option=$1
    if [ "$1" = --after ]; then
      [ -e "$2" ] || { _log 2 "error: stage $number needs an earlier stage that is not done ($2 is missing)"; exit 1; }
      option="after $2: $(head -n 1 "$2")"
      shift
    fi
    _mark_options+=$option$'\n'
    shift
  done
  if [ -e "$_mark" ] && [ "$(tail -n +2 "$_mark")" = "${_mark_options%$'\n'}" ]; then
    _log 2 "stage $number: $title: done before, skipped ($_mark)"
    return 1
  fi
  if [ -e "$_mark" ]; then
    _log 2 "stage $number was done with other settings (< then, > now):"
    diff <(tail -n +2 "$_mark") <(printf '%s' "$_mark_options") | grep '^[<>]' >&2
    rm -f "$_mark"
  fi
  _log 2 "stage $number: $title"
  _stage_title="stage $number: $title"
  _stage_started=$SECONDS
}

end_stage() {
  mkdir -p "$(dirname "$_mark")"
  { date '+%F %T.%N'; printf '%s' "$_mark_options"; } >"$_mark.tmp.$$"
  mv "$_mark.tmp.$$" "$_mark"
  _log 2 "$_stage_title: done in $((SECONDS - _stage_started)) s"
}
