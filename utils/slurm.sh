#!/usr/bin/env bash
# Run a command, or an array of tasks, as a Slurm job; wait for its end.
#
# usage: slurm.sh [--config FILE] [--gpu N] [--mem M] [--num-threads T] [--max-jobs-run K] [--time LIMIT] [--nodes N]
#                 [--warn SECONDS] [JOB=FIRST:LAST] LOG COMMAND...
#
# The same contract as run.sh, for a cluster. GPUs, memory, threads are those of one task (on each of its N nodes). Site
# options come from FILE (conf/slurm.conf where it exists; the recipe's copy explains them). --warn has the command
# warned by USR1 that long before the time limit; when it then stops with EX_TEMPFAIL the job requeues itself.
# What Slurm requeues by itself (preemption, a lost node) is waited for in the same way.
#
# The result comes from files that the tasks write and from scontrol: neither accounting nor the job's stay in the queue
# matters. Ctrl-C, a TERM, or the death of the calling script cancels the job.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=slurm_submit.sh
. "$(dirname "${BASH_SOURCE[0]}")/slurm_submit.sh"

# ---- submission
clear_logs
run_dir=$(cd "$(dirname "$(log_of "$first")")" && pwd)/.slurm.$(basename "$log_file")
if [ -d "$run_dir" ]; then  # of a call that was killed: its job would work beside ours
  if [ -s "$run_dir/job" ]; then
    say "cancelling job $(<"$run_dir/job") of a call that was killed"
    scancel "$(<"$run_dir/job")" || true
    for _ in {1..60}; do
      [ -n "$(squeue -h -j "$(<"$run_dir/job")" 2>/dev/null)" ] || break
      sleep 1
    done
  fi
  rm -rf "$run_dir"
fi
mkdir "$run_dir"
status_file=$(printf %q "$run_dir/status")
slurm_log=$(log_file=${log_file//%/%%} && log_of %a)
if $is_array; then
  # shellcheck disable=SC2016  # Slurm sets the number of the task
  job=$(submit "$slurm_log" "\$SLURM_ARRAY_TASK_ID $status_file.\$SLURM_ARRAY_TASK_ID" \
    "--array=$first-$last${max_jobs:+%$max_jobs}")
else
  job=$(submit "$slurm_log" "- $status_file.$first")
fi || {
  rm -rf "$run_dir"
  exit 1
}
echo "$job" >"$run_dir/job"
watch_logs

# ---- waiting
declare -A waiting=() state_of=() sighted=()
for ((index = first; index <= last; index++)); do waiting[$index]=1; done

is_over() { case $1 in COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL | OUT_OF_MEMORY | BOOT_FAIL | DEADLINE | \
  PREEMPTED | REVOKED | GONE | HELD) ;; *) return 1 ;; esac; }

expand() {  # 3,5-7%2 -> 3 5 6 7
  local part
  for part in ${1//,/ }; do
    part=${part%%%*}
    seq "${part%-*}" "${part#*-}"
  done
}

summary='' told='' told_at=-60 silent=false
ask() {  # state_of[INDEX] of all tasks from the controller; 1 if it does not answer
  local answer line index tasks state reason
  if ! answer=$(timeout 60 scontrol show job -o "$job" 2>&1); then
    [[ $answer == *'Invalid job id'* ]] || {
      $silent || say "job $job: no answer from Slurm, still asking (${answer%%$'\n'*})"
      silent=true
      return 1
    }
    for index in "${!waiting[@]}"; do state_of[$index]=GONE; done
    return 0
  fi
  silent=false
  local -A count=() named=()
  local rest=GONE  # what an unnamed task is: a long list of tasks that have not started yet is cut short
  while IFS= read -r line; do
    [[ $line =~ \ JobState=([A-Z_]+) ]] || continue
    state=${BASH_REMATCH[1]}
    tasks=$first reason=
    if [[ $line =~ \ ArrayTaskId=([0-9,%-]+) ]]; then tasks=$(expand "${BASH_REMATCH[1]}"); fi
    if [ "$state" = PENDING ] && $is_array; then rest=PENDING; fi
    if [ "$state" = PENDING ] && [[ $line =~ \ Reason=([^ ]+) ]]; then
      reason=" (${BASH_REMATCH[1]})"
      # after a crash of the controller it starts the task once more, which the node refuses; then it waits for ever
      [ "${BASH_REMATCH[1]}" != launch_failed_requeued_held ] || state=HELD
    fi
    for index in $tasks; do
      state_of[$index]=$state named[$index]=1
      [ -z "${waiting[$index]-}" ] || count[$state$reason]=$((${count[$state$reason]-0} + 1))
    done
  done <<<"$answer"
  for index in "${!waiting[@]}"; do
    [ -z "${named[$index]-}" ] || continue
    state=$rest
    [ "${state_of[$index]-PENDING}" = PENDING ] || state=GONE
    state_of[$index]=$state
  done
  summary=
  for state in "${!count[@]}"; do summary+="${summary:+, }${count[$state]} $state"; done
  if [ "$summary" != "$told" ] && ((SECONDS - told_at >= 60)); then
    say "job $job: $summary"
    told=$summary told_at=$SECONDS
  fi
}

collect() {  # [asked]: take note of the tasks that have ended, by their status files and, when just asked, their state
  local index code state patience
  for index in "${!waiting[@]}"; do
    code=
    [ ! -s "$run_dir/status.$index" ] || code=$(<"$run_dir/status.$index")
    if [ "$code" != 0 ]; then  # a task with another code, or none, may yet be started again: ask Slurm
      [ $# -gt 0 ] || continue
      state=${state_of[$index]}
      is_over "$state" || { sighted[$index]=0; continue; }
      sighted[$index]=$((${sighted[$index]-0} + 1))
      case $state in
        COMPLETED | GONE) patience=10 ;;  # the status file may be late on a network file system
        NODE_FAIL | PREEMPTED | BOOT_FAIL | REVOKED) patience=3 ;;  # Slurm may requeue the task by itself
        *) patience=1 ;;
      esac
      [ -n "$code" ] && [ "$state" = FAILED ] || [ "${sighted[$index]}" -ge $patience ] || continue
      if [ "$state" = HELD ]; then scancel "$job$(! $is_array || echo "_$index")" || true; fi
      [ "$state" = FAILED ] || code="${code:-1} $(reason_of "$state")"
      failed[$index]=${code:-1 killed before its end}
    fi
    unset "waiting[$index]"
  done
}

reason_of() {
  case $1 in
    TIMEOUT) echo "Slurm ended it at the time limit: give --time or time in ${config:-conf/slurm.conf}" ;;
    OUT_OF_MEMORY) echo "Slurm ended it for its memory: give more with --mem" ;;
    HELD) echo "Slurm could not start it again, after a crash of its own" ;;
    GONE) echo "job $job is no longer known to Slurm" ;;
    *) echo "Slurm state $1" ;;
  esac
}

cancel() {  # and leave, once the tasks have ended or after a minute
  local code=$stopped
  unwatch
  say "cancelling job $job (Ctrl-C again: without waiting for its end)"
  scancel "$job" || true
  for _ in {1..30}; do
    [ "$stopped" != again ] && [ ${#waiting[@]} -gt 0 ] || break
    sleep 2 &>/dev/null & wait $! || true
    if ask; then collect asked; fi
  done
  rm -rf "$run_dir"
  exit "$code"
}

next_question=$((SECONDS + 1))
while [ ${#waiting[@]} -gt 0 ]; do
  check_parent
  [ -z "$stopped" ] || cancel
  sleep 1 &>/dev/null & wait $! || true
  collect
  if ((SECONDS >= next_question)) && [ ${#waiting[@]} -gt 0 ]; then
    if ask; then collect asked; fi
    next_question=$((SECONDS + (SECONDS < 60 ? 2 : 10)))
  fi
done
rm -rf "$run_dir"
finish
