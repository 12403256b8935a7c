#!/usr/bin/env bash
# Run a command, or an array of tasks, as a Slurm job; wait for its end.
#
# usage: slurm.sh [--config FILE] [--gpu N] [--mem M] [--num-threads T] [--max-jobs-run K] [--time LIMIT] [--nodes N]
#                 [--warn SECONDS] [JOB=FIRST:LAST] LOG COMMAND...
#
# The same contract as run.sh, for a cluster. GPUs, memory, threads are those of one task (on each of its N nodes). Site
# options come from FILE (conf/slurm.conf where it exists; its keys are listed in the recipe's copy). --warn has the
# command warned by USR1 that long before the time limit; when it then stops with code 75 the job requeues itself.
# What Slurm requeues by itself (preemption, a lost node) is waited for in the same way.
#
# The result comes from files that the tasks write and from scontrol: neither accounting nor the job's stay in the queue
# matters. Ctrl-C, a TERM, or the death of the calling script cancels the job.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
config=
# shellcheck source-path=SCRIPTDIR source=launcher.sh
. "$here/launcher.sh"

# ---- site options
declare -A site=([partition]='' [gpu_partition]='' [account]='' [qos]='' [constraint]='' [time]='' [extra]=''
  [gpu_option]=--gres=gpu:%d)
read_site() {  # FILE: lines "key = value"
  local line key value
  while IFS= read -r line || [ -n "$line" ]; do
    line=${line%%#*}
    [[ $line =~ [^[:space:]] ]] || continue
    [[ $line =~ ^[[:space:]]*([a-z_]+)[[:space:]]*=[[:space:]]*(.*[^[:space:]])?[[:space:]]*$ ]] ||
      usage_error "$1: '$line' is not of the form key = value"
    key=${BASH_REMATCH[1]} value=${BASH_REMATCH[2]}
    [ -n "${site[$key]+x}" ] || usage_error "$1: unknown key '$key' (known: ${!site[*]})"
    site[$key]=$value
  done <"$1"
}
if [ -z "$config" ] && [ -f conf/slurm.conf ]; then config=conf/slurm.conf; fi
if [ -n "$config" ]; then
  [ -r "$config" ] || usage_error "--config $config: no such file"
  read_site "$config"
fi
[ "$gpu" = 0 ] || [ -z "${site[gpu_partition]}" ] || site[partition]=${site[gpu_partition]}
site[time]=${time_limit:-${site[time]}}
command -v sbatch >/dev/null || usage_error "sbatch is not on PATH: is this a machine of the cluster? (cmd_backend=local runs here)"

# ---- submission
clear_logs
run_dir=$(mktemp -d "$(dirname "$(log_of "$first")")/.slurm.XXXXXX")
run_dir=$(cd "$run_dir" && pwd)

options=(--parsable --job-name="$(basename "${log_file//.JOB/}" .log | tr -c 'A-Za-z0-9_.\n-' _)"
  --output="${run_dir//%/%%}/out.%a" --open-mode=append --requeue --kill-on-invalid-dep=yes
  --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 --cpus-per-task="$threads")
for key in partition account qos constraint time; do
  [ -z "${site[$key]}" ] || options+=("--$key=${site[$key]}")
done
[ -z "$mem" ] || options+=("--mem=$mem")
# shellcheck disable=SC2059  # the site gives the form of the option
[ "$gpu" = 0 ] || options+=("$(printf -- "${site[gpu_option]}" "$gpu")")
[ -z "$warn" ] || options+=("--signal=B:USR1@$warn")
if $is_array; then options+=("--array=$first-$last${max_jobs:+%$max_jobs}"); fi
read -r -a extra <<<"${site[extra]}"

job_script() {
  echo '#!/usr/bin/env bash'
  printf 'cd %q || exit 1\n' "$PWD"
  printf 'export OMP_NUM_THREADS=%d LAUNCH_GPUS=%d LAUNCH_NODES=%d\n' "$threads" "$gpu" "$nodes"
  [ "$gpu" != 0 ] || echo 'export CUDA_VISIBLE_DEVICES='
  # shellcheck disable=SC2016  # Slurm sets the number of the task
  printf 'exec %q "${SLURM_ARRAY_TASK_ID:--}" %q."${SLURM_ARRAY_TASK_ID:-%d}"' "$here/task.py" "$run_dir/status" "$first"
  printf ' %q' "$log_file" "${task_command[@]}"
  echo
}
# inside another job its variables would bind the new one
for name in "${!SLURM_@}"; do [ "$name" = SLURM_CONF ] || unset "$name"; done
# in a session of its own, so that a Ctrl-C cannot part the submission from its job number
job=$(job_script | setsid -w sbatch "${options[@]}" "${extra[@]}") || {
  rm -rf "$run_dir"
  echo "slurm.sh: Slurm refused the job for $log_file (sbatch ${options[*]} ${extra[*]})" >&2
  exit 1
}
job=${job%%;*}

# ---- waiting
declare -A waiting=() state_of=() sighted=()
for ((index = first; index <= last; index++)); do waiting[$index]=1; done

is_over() { case $1 in COMPLETED | FAILED | CANCELLED | TIMEOUT | NODE_FAIL | OUT_OF_MEMORY | BOOT_FAIL | DEADLINE | \
  PREEMPTED | REVOKED | GONE) ;; *) return 1 ;; esac; }

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
      $silent || echo "slurm.sh: job $job: no answer from Slurm, still asking (${answer%%$'\n'*})" >&2
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
    if [ "$state" = PENDING ] && [[ $line =~ \ Reason=([^ ]+) ]]; then reason=" (${BASH_REMATCH[1]})"; fi
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
    echo "slurm.sh: job $job: $summary" >&2
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
        FAILED | CANCELLED) patience=1 ;;
        COMPLETED | GONE) patience=10 ;;  # the status file may be late on a network file system
        *) patience=3 ;;                  # Slurm may requeue the task by itself
      esac
      [ -n "$code" ] && [ "$state" = FAILED ] || [ "${sighted[$index]}" -ge $patience ] || continue
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
    GONE) echo "job $job is no longer known to Slurm" ;;
    *) echo "Slurm state $1" ;;
  esac
}

cancel() {  # and leave, once the tasks have ended or after a minute
  local code=$stopped
  echo "slurm.sh: cancelling job $job (Ctrl-C again: without waiting for its end)" >&2
  scancel "$job" || true
  for _ in {1..30}; do
    [ "$stopped" != again ] && [ ${#waiting[@]} -gt 0 ] || break
    sleep 2 & wait $! || true
    if ask; then collect asked; fi
  done
  rm -rf "$run_dir"
  exit "$code"
}

next_question=$((SECONDS + 1))
while [ ${#waiting[@]} -gt 0 ]; do
  check_parent
  [ -z "$stopped" ] || cancel
  sleep 1 & wait $! || true
  collect
  if ((SECONDS >= next_question)) && [ ${#waiting[@]} -gt 0 ]; then
    if ask; then collect asked; fi
    next_question=$((SECONDS + (SECONDS < 60 ? 2 : 10)))
  fi
done
for index in "${!failed[@]}"; do  # what the job said before its log was open
  if [ ! -s "$(log_of "$index")" ]; then cat "$run_dir"/out.* >"$(log_of "$index")" 2>/dev/null || true; fi
done
rm -rf "$run_dir"
finish
