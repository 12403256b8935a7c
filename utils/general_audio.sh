# shellcheck shell=bash disable=SC2154
# The tasks on general audio, for the recipes; source it after log.sh, db.sh and cmd.sh.
#
#   task_variables TASK...         sets task_inputs, NAME=VALUE words for begin_stage: what db.sh says of these tasks' data
#   lack_data TASK...              whether db.sh does not name the data of one of them
#   prepare_tasks DIR TASK...      prepared tasks in DIR/TASK; where db.sh names no data, the mini corpus's if $mini is
#                                  true, otherwise the task is left out and named
#   evaluate_linear MODEL OUT LABEL DIR TASK...     of those prepared in DIR; results in OUT/linear
#   finetune MODEL OUT LABEL DIR TUNING TASK...     the same in OUT/finetune/TUNING, by conf/finetune_TUNING_TASK.yaml
#
# db.sh names a task's data by the variable below, official lists that lie elsewhere by VARIABLE_SPLIT, and a split table
# of one's own by VARIABLE_TABLE.

# task: its variable, its folder in the mini corpus, and the split table there where the task has no official split
declare -A task_data=(
  [esc50]="ESC50 ESC-50" [us8k]="URBANSOUND8K UrbanSound8K" [spcv2]="SPEECH_COMMANDS_V2 speech_commands_v0.02"
  [vc1]="VOXCELEB1 VoxCeleb1" [voxforge]="VOXFORGE VoxForge voxforge.csv" [cremad]="CREMAD CREMA-D"
  [gtzan]="GTZAN GTZAN" [nsynth]="NSYNTH nsynth" [surge]="SURGE surge surge.csv" [as20k]="AUDIOSET AudioSet")

_data_of() {  # TASK: sets root, lists, table (what db.sh says), variable, mini_root, mini_table
  local words
  [ -n "${task_data[$1]:-}" ] || die "unknown task '$1' (known: ${!task_data[*]})"
  read -r -a words <<<"${task_data[$1]}"
  variable=${words[0]} mini_root=$MINI_CORPUS/${words[1]} mini_table=${words[2]:+$MINI_CORPUS/${words[1]}/${words[2]:-}}
  local split=${variable}_SPLIT own=${variable}_TABLE
  root=${!variable:-} lists=${!split:-} table=${!own:-}
}

task_variables() {  # not by its output: what dies in a substitution stops nothing
  local task root lists table variable mini_root mini_table
  task_inputs=()
  for task in "$@"; do
    _data_of "$task"
    task_inputs+=("$variable=$root${lists:+,$lists}${table:+,$table}")
  done
}

lack_data() {
  local task root lists table variable mini_root mini_table
  for task in "$@"; do
    _data_of "$task"
    if [ -z "$root" ]; then return 0; fi
  done
  return 1
}

prepare_tasks() {
  local dir=$1 task root lists table variable mini_root mini_table
  for task in "${@:2}"; do
    _data_of "$task"
    if [ -z "$root" ]; then
      if [ "$mini" != true ]; then
        log "task $task is LEFT OUT: $variable is not set in db.sh"
        continue
      fi
      root=$mini_root table=$mini_table
    fi
    python3 -m m2d.bin.prepare_task task="$task" root="$root" out="$dir/$task" ${lists:+lists="$lists"} \
      ${table:+table="$table"}
  done
}

_prepared() {  # DIR TASK: whether it is there to be measured; one that is not is named
  if [ -d "$1/$2" ]; then return 0; fi
  log "task $2 is LEFT OUT: there is no $1/$2 (stage 0 prepares the tasks whose data there is)"
  return 1
}

evaluate_linear() {
  local model=$1 out=$2 label=$3 dir=$4 task folders=''
  for task in "${@:5}"; do
    if _prepared "$dir" "$task"; then folders+=${folders:+,}$dir/$task; fi
  done
  [ -n "$folders" ] || die "none of the tasks ${*:5} is prepared: name their data in db.sh"
  "$cmd" "${gpu_job[@]}" --gpu "$((ngpu > 0))" --num-threads "$nj" "$out/log/linear.log" python3 -m m2d.bin.linear_eval \
    ${linear_config:+--config "$linear_config"} model="$model" out="$out" label="$label" "tasks=[$folders]" \
    ${seeds:+"linear.seeds=[${seeds// /,}]"}
}

finetune() {
  local model=$1 out=$2 label=$3 dir=$4 tuning=$5 task
  for task in "${@:6}"; do
    _prepared "$dir" "$task" || continue
    "$cmd" "${gpu_job[@]}" --gpu "$((ngpu > 0))" --num-threads "$nj" "$out/log/finetune_${tuning}_$task.log" \
      python3 -m m2d.bin.finetune --config "conf/finetune_${tuning}_$task.yaml" model="$model" task="$dir/$task" \
      out="$out" tuning="$tuning" label="$label" ${seeds:+"seeds=[${seeds// /,}]"}
  done
}
