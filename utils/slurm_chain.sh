#!/usr/bin/env bash
# Submit a series of commands to Slurm as one chain and return: each job waits for the success of the one before it.
#
# usage: slurm_chain.sh [--config FILE] [--mem M] [--num-threads T] [--time LIMIT] [--warn SECONDS] JOB=FIRST:LAST LOG COMMAND...
#
# Made for a whole recipe, in whose folder
#
#   slurm_chain.sh --time 2-0 JOB=0:5 exp/chain.JOB.log ./run.sh --stage JOB --stop_stage JOB
#
# submits one small job per stage; under cmd_backend=slurm, which is set here, it submits the stage's own jobs and waits
# for them. Shortly before its time limit (--warn, 180 s unless given) it cancels these, requeues itself and goes on
# where the stage was. When a stage fails, Slurm cancels those that wait for it.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR source=slurm_submit.sh
. "$(dirname "${BASH_SOURCE[0]}")/slurm_submit.sh"
$is_array || usage_error "a chain needs JOB=FIRST:LAST"
warn=${warn:-180}
export cmd_backend=slurm

clear_logs
jobs=()
for ((index = first; index <= last; index++)); do
  log_path=$(log_of "$index")
  if ! job=$(submit "${log_path//%/%%}" "--warn-group $index -" ${jobs[0]+"--dependency=afterok:${jobs[-1]}"}); then
    [ ${#jobs[@]} = 0 ] || scancel "${jobs[@]}"
    exit 1
  fi
  jobs+=("$job")
  echo "job $job: $index, log $log_path"
done
echo "to cancel: scancel ${jobs[*]}"
