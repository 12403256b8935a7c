#!/usr/bin/env bash
# Run a command, or an array of tasks, on this machine.
#
# usage: run.sh [--gpu N] [--num-threads T] [--max-jobs-run K] [JOB=FIRST:LAST] LOG COMMAND...
#
# The task's number takes the place of JOB in LOG (x.JOB.log) and of the words "JOB" and "job=JOB" of COMMAND. At most K
# tasks run at a time (by default as many as fit the processors or GPUs). A task sees only its own N GPUs, and none with
# N = 0. --mem, --time and --warn, which limit a cluster's jobs, are taken and do nothing here. Tasks go on when one
# fails; at the end the failed ones are named with the end of their logs, and the exit code is 1 (see `finish` in launcher.sh
# for the others). Ctrl-C ends all tasks, giving them a minute to stop in order; a second Ctrl-C ends them at once.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=launcher.sh
. "$(dirname "${BASH_SOURCE[0]}")/launcher.sh"
[ "$nodes" = 1 ] || usage_error "--nodes $nodes needs a cluster: this launcher runs on one machine"

cores=$(nproc)
# ---- slots: how many tasks at a time, and the GPUs of each
gpus=()
if [ "$gpu" -gt 0 ]; then
  if [ -n "${CUDA_VISIBLE_DEVICES+x}" ]; then
    IFS=, read -r -a gpus <<<"$CUDA_VISIBLE_DEVICES"
  else
    read -r -d '' -a gpus < <(nvidia-smi --query-gpu=index --format=csv,noheader 2>/dev/null) || true
  fi
  [ ${#gpus[@]} -ge "$gpu" ] || usage_error "a task asks for $gpu GPUs (--gpu), and ${#gpus[@]} can be seen here"
fi
if [ -z "$max_jobs" ]; then
  max_jobs=$((cores / threads))
  [ "$gpu" = 0 ] || max_jobs=$((${#gpus[@]} / gpu))
  [ "$max_jobs" -ge 1 ] || max_jobs=1
fi

slot_gpus() {  # SLOT: its GPUs, a comma list; slots share them in turn when there are more slots than GPUs
  local group=$(($1 % (${#gpus[@]} / gpu)))
  local IFS=,
  echo "${gpus[*]:group*gpu:gpu}"
}

declare -A pid_of=() task_of=()  # by slot
start_task() {  # SLOT INDEX
  local devices='' number=-
  if [ "$gpu" -gt 0 ]; then devices=$(slot_gpus "$1"); fi
  if $is_array; then number=$2; fi
  # a session of its own: one signal reaches all of the task, and the terminal's Ctrl-C comes to us alone
  CUDA_VISIBLE_DEVICES=$devices OMP_NUM_THREADS=$((threads < cores ? threads : cores)) LAUNCH_GPUS=$gpu LAUNCH_NODES=1 \
    LAUNCH_PARENT=$$ \
    setsid "$here/task.py" "$number" - "$log_file" "${task_command[@]}" </dev/null &
  pid_of[$1]=$!
  task_of[$1]=$2
}

reap() {  # take note of the tasks that have ended
  local slot code
  for slot in "${!pid_of[@]}"; do
    kill -0 "${pid_of[$slot]}" 2>/dev/null && continue
    code=0
    wait "${pid_of[$slot]}" || code=$?
    [ $code = 0 ] || failed[${task_of[$slot]}]=$code
    unset "pid_of[$slot]" "task_of[$slot]"
  done
}

signal_tasks() {  # SIGNAL
  local slot
  for slot in "${!pid_of[@]}"; do kill "-$1" -- "-${pid_of[$slot]}" 2>/dev/null || true; done
}

stop() {  # end all tasks and leave
  local code=$stopped tick
  unwatch
  [ ${#pid_of[@]} = 0 ] || say "ending ${#pid_of[@]} tasks (Ctrl-C again: at once)"
  signal_tasks TERM
  for ((tick = 0; tick < 300 && ${#pid_of[@]} > 0; tick++)); do
    [ "$stopped" != again ] || break
    sleep 0.2 || true
    reap
  done
  signal_tasks KILL
  exit "$code"
}

clear_logs
watch_logs
next=$first ticker=''
while [ "$next" -le "$last" ] || [ ${#pid_of[@]} -gt 0 ]; do
  for ((slot = 0; slot < max_jobs && next <= last; slot++)); do
    [ -z "$stopped" ] || break
    [ -z "${pid_of[$slot]-}" ] || continue
    start_task "$slot" "$next"
    next=$((next + 1))
  done
  [ -z "$stopped" ] || stop
  kill -0 "$ticker" 2>/dev/null || { sleep 1 &>/dev/null & ticker=$!; }  # so that a second is the longest we look away
  wait -n || true
  reap
  check_parent
done
kill "$ticker" 2>/dev/null || true  # it holds the stage's locks
finish
