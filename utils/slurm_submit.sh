# shellcheck shell=bash
# Submission to Slurm with the site's options; sourced by slurm.sh and slurm_chain.sh with the command line in "$@".
#
# Reads the launcher's options (launcher.sh) and the site file: --config FILE, else conf/slurm.conf where it exists (its
# keys are explained in the recipe's copy).

config=
# shellcheck source-path=SCRIPTDIR source=launcher.sh
. "$(dirname "${BASH_SOURCE[0]}")/launcher.sh"

declare -A site=([partition]='' [gpu_partition]='' [account]='' [qos]='' [constraint]='' [time]='' [extra]=''
  [gpu_option]=--gres=gpu:%d)

_read_site() {  # FILE: lines "key = value"
  local line key
  while IFS= read -r line || [ -n "$line" ]; do
    line=${line%%#*}
    [[ $line =~ [^[:space:]] ]] || continue
    [[ $line =~ ^[[:space:]]*([a-z_]+)[[:space:]]*=[[:space:]]*(.*[^[:space:]])?[[:space:]]*$ ]] ||
      usage_error "$1: '$line' is not of the form key = value"
    key=${BASH_REMATCH[1]}
    [ -n "${site[$key]+x}" ] || usage_error "$1: unknown key '$key' (known: ${!site[*]})"
    site[$key]=${BASH_REMATCH[2]}
  done <"$1"
}

if [ -z "$config" ] && [ -f conf/slurm.conf ]; then config=conf/slurm.conf; fi
if [ -n "$config" ]; then
  [ -r "$config" ] || usage_error "--config $config: no such file"
  _read_site "$config"
fi
[ "$gpu" = 0 ] || [ -z "${site[gpu_partition]}" ] || site[partition]=${site[gpu_partition]}
site[time]=${time_limit:-${site[time]}}
command -v sbatch >/dev/null || usage_error "no sbatch on PATH: is this a machine of the cluster? (cmd_backend=local runs here)"

# submit LOG TASK_WORDS [SBATCH_OPTION...]: prints the number of a new job that runs task.py with TASK_WORDS (text for the
# job's shell: it may name the job's variables) and then with the launcher's log and command. What Slurm itself has to say
# of the job goes to LOG. Returns 1 when Slurm refuses, which it explains itself.
submit() {
  local log_path=$1 task_words=$2 key job
  local -a extra
  shift 2
  local options=(--parsable --job-name="$(basename "${log_file//.JOB/}" .log | tr -c 'A-Za-z0-9_.\n-' _)"
    --output="$log_path" --open-mode=append --requeue --kill-on-invalid-dep=yes
    --nodes="$nodes" --ntasks="$nodes" --ntasks-per-node=1 --cpus-per-task="$threads")
  for key in partition account qos constraint time; do
    [ -z "${site[$key]}" ] || options+=("--$key=${site[$key]}")
  done
  [ -z "$mem" ] || options+=("--mem=$mem")
  # shellcheck disable=SC2059  # the site gives the form of the option
  [ "$gpu" = 0 ] || options+=("$(printf -- "${site[gpu_option]}" "$gpu")")
  [ -z "$warn" ] || options+=("--signal=B:USR1@$warn")
  read -r -a extra <<<"${site[extra]}"
  options+=("$@" "${extra[@]}")

  # in a session of its own, so that a Ctrl-C cannot part the submission from its job number
  job=$(_job_script "$task_words" | setsid -w sbatch "${options[@]}") || {
    echo "${0##*/}: Slurm refused the job for $log_file (sbatch ${options[*]})" >&2
    return 1
  }
  echo "${job%%;*}"
}

_job_script() {  # TASK_WORDS
  echo '#!/usr/bin/env bash'
  printf 'cd %q || exit 1\n' "$PWD"
  printf 'export OMP_NUM_THREADS=%d LAUNCH_GPUS=%d LAUNCH_NODES=%d\n' "$threads" "$gpu" "$nodes"
  [ "$gpu" != 0 ] || echo 'export CUDA_VISIBLE_DEVICES='
  printf 'exec %q %s' "$here/task.py" "$task_words"
  printf ' %q' "$log_file" "${task_command[@]}"
  echo
}

# inside another job its variables would bind the new one
for name in "${!SLURM_@}"; do [ "$name" = SLURM_CONF ] || unset "$name"; done
