# shellcheck shell=bash disable=SC2154
# The tasks on general audio, for the recipes; source it after stages.sh. corpora.yaml has the tasks and their data.
#
#   general_corpora TASK...        words for begin_stage, NUL after each: the data of those that prepare_tasks prepares
#   prepare_tasks DIR TASK...      prepared tasks in DIR/TASK; where db.sh names no data, the mini corpus's if $mini is
#                                  true, otherwise the task is left out and named
#   linear N MODEL OUT LABEL DIR TASK...            stage N: linear evaluation on those prepared in DIR; OUT/linear/TASK
#   finetune N MODEL OUT LABEL DIR TUNING TASK...   stage N: fine-tuning on them by conf/finetune_TUNING_TASK.yaml,
#                                                   or else conf/finetune_TUNING.yaml; OUT/finetune/TUNING/TASK

_usable() {  # TASK...: those whose data there is, one a line; the others are named
  local task
  corpora general named "$@" || return 1
  for task in $(corpora general mini "$@" 2>/dev/null); do
    if [ "$mini" = true ]; then echo "$task"; else
      log "task $task is LEFT OUT: $(corpora general lacking "$task") is not set in db.sh"
    fi
  done
}

general_corpora() {
  local task roots root
  for task in $(_usable "$@" 2>/dev/null); do
    mapfile -d '' -t roots < <(corpora general options "$task")
    for root in "${roots[@]}"; do printf -- '--corpus\0%s %s\0' "$task" "$root"; done
  done
}

prepare_tasks() {
  local dir=$1 task tasks roots
  shift
  tasks=$(_usable "$@")
  for task in $tasks; do
    mapfile -d '' -t roots < <(corpora general options "$task")
    bound python3 -m m2d.bin.prepare_task task="$task" out="$dir/$task" "${roots[@]}"
  done
}

_prepared() {  # DIR TASK...: those that stage 0 has prepared, one a line
  local dir=$1 task
  shift
  for task in "$@"; do
    if [ -d "$dir/$task" ]; then echo "$task"; else log "task $task is LEFT OUT: there is no $dir/$task (see stage 0)"; fi
  done
}

linear() {
  local number=$1 model=$2 out=$3 label=$4 dir=$5 task tasks dependence todo=()
  shift 5
  in_range "$number" || return 0
  tasks=$(_prepared "$dir" "$@")
  [ -n "$tasks" ] || die "none of the tasks $* is prepared: name their data in db.sh"
  mapfile -d '' -t dependence < <(made_by "$model")
  for task in $tasks; do
    if begin_stage "$number" "$out/linear/.$task.done" "linear evaluation of $model on $task" "${dependence[@]}" \
      --data "$dir/$task" ${linear_config:+--yaml "$linear_config"} --keep "$out/linear/$task" \
      --more seeds="$seeds" --more label="$label"; then todo+=("$task"); fi
  done
  [ ${#todo[@]} -gt 0 ] || return 0
  "$cmd" "${gpu_job[@]}" --gpu "$((ngpu > 0))" --num-threads "$nj" "$out/log/linear.log" python3 -m m2d.bin.linear_eval \
    ${linear_config:+--config "$linear_config"} model="$model" out="$out" label="$label" "tasks=[]" \
    "${todo[@]/#/tasks+=$dir/}" ${seeds:+"linear.seeds=[${seeds// /,}]"}
  for task in "${todo[@]}"; do end_stage "$out/linear/.$task.done"; done
}

finetune() {
  local number=$1 model=$2 out=$3 label=$4 dir=$5 tuning=$6 task tasks dependence folder yaml
  shift 6
  in_range "$number" || return 0
  tasks=$(_prepared "$dir" "$@")
  mapfile -d '' -t dependence < <(made_by "$model")
  for task in $tasks; do
    folder=$out/finetune/$tuning yaml=conf/finetune_${tuning}_$task.yaml
    [ -f "$yaml" ] || yaml=conf/finetune_$tuning.yaml
    if begin_stage "$number" "$folder/.$task.done" "fine-tuning ($tuning) of $model on $task" "${dependence[@]}" \
      --data "$dir/$task" --yaml "$yaml" --keep "$folder/$task" --more seeds="$seeds" --more label="$label"; then
      "$cmd" "${gpu_job[@]}" --gpu "$((ngpu > 0))" --num-threads "$nj" "$out/log/finetune_${tuning}_$task.log" \
        python3 -m m2d.bin.finetune --config "$yaml" model="$model" task="$dir/$task" out="$out" tuning="$tuning" \
        label="$label" ${seeds:+"seeds=[${seeds// /,}]"}
      end_stage "$folder/.$task.done"
    fi
  done
}
