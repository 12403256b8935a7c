# shellcheck shell=bash disable=SC2034,SC2154
# What run.sh works on, and the names of folders. Sourced after the options.
#
# Sets: mini                true when the mini corpus's sounds stand in
#       name                of the data, in paths and tables
#       data, dump, task    folders: data/NAME, dump/NAME, data/NAME/tasks/NAME
#       inputs              words for begin_stage: what stage 0 follows from
#       exp_weights, exp_random, exp_logmel, exp_further   folders of the models' results
#       noise_store         log-mels that are mixed in

MINI_CORPUS=${MINI_CORPUS:-../mini_corpus}
mini=false source=$data
if [ -z "$data" ]; then
  mini=true source=$MINI_CORPUS/ESC-50 name=${name:-sounds}_mini
  if [ -z "$weights" ]; then
    weights=../audioset_m2d/exp/m2d_mini/model
    [ -f $weights/config.json ] || weights=exp/m2d_mini/model  # made in stage 1
  fi
elif [ ! -e "$data" ]; then
  die "--data $data: no such table or folder, as seen from $PWD"
elif [ -z "$weights" ]; then
  die "--weights is missing: a published checkpoint (.pth), a model directory, or OWNER/NAME on the hub (README.md says which)"
fi
for path in "$root" "$unlabelled" "$noise" "$new"; do
  [ -z "$path" ] || [ -e "$path" ] || die "$path: no such file or folder"
done
name=$(folder_name "${name:-$(basename "${source%.csv}")}")
data=data/$name
dump=dump/$name
task=$data/tasks/$name
noise_store=$dump/$([ -n "$noise" ] && echo noise || echo train)/logmel
inputs=(--corpus DATA="$source" --corpus ROOT="${root:-$([ -d "$source" ] || dirname "$source")}"
  --corpus UNLABELLED="$unlabelled" --corpus NOISE="$noise")

config=${config:-conf/further_$( ((ngpu > 0)) && echo gpu16 || echo cpu).yaml}
linear_config=conf/linear.yaml
for path in "$config" "conf/finetune_$tuning.yaml"; do
  [ -f "$path" ] || die "$path: no such settings; there are: $(echo conf/*.yaml)"
done
read -r -a changes <<<"$set"
read -r -a tune <<<"$tune"
for start in "${tune[@]}"; do
  case $start in weights | further) ;; *) die "--tune '$start': it is weights, further or both" ;; esac
done
check_tag "$tag"
exp_weights=exp/weights_$name${tag:+_$tag}
exp_further=exp/further_$name${tag:+_$tag}
exp_random=exp/random_$name${tag:+_$tag}
exp_logmel=exp/logmel_$name
settings=() architecture=()
next_commands=(  # printed after the tables
  "labels of other recordings: . ./path.sh; m2d predict exp/${tune[-1]}_$name${tag:+_$tag}/finetune/$tuning/$name/model SOUNDS/")

model_of() { if [ "$1" = weights ]; then echo "$weights"; else echo "$exp_further/model"; fi; }

label_of() { if [ "$1" = weights ]; then echo "weights as they are"; else echo "weights trained further"; fi; }

prepare_sounds() {  # -> $task, $data/train, $data/noise
  local from=(root="$source")
  if [ $mini = true ]; then
    mkdir -p "$data"
    { echo file_name,label; tail -n +2 "$MINI_CORPUS/ESC-50/meta/esc50.csv" | cut -d, -f1,4; } >"$data/sounds.csv"
    from=(table="$data/sounds.csv" root="$MINI_CORPUS/ESC-50/audio")
  elif [ -f "$source" ]; then
    from=(table="$source" ${root:+root="$root"})
  fi
  local labelled=$data/train
  if [ -n "$unlabelled" ]; then labelled=$data/labelled; fi
  bound python3 -m m2d.bin.prepare_task task=table name="$name" "${from[@]}" ${seconds:+seconds="$seconds"} out="$task" \
    audio_out="$labelled"
  if [ -n "$unlabelled" ]; then
    bound python3 -m m2d.bin.prepare_data corpus=folder root="$unlabelled" out="$data/unlabelled" segment_seconds=10
    bound ../../utils/combine_data.sh "$data/train" "$labelled" "$data/unlabelled"
  fi
  if [ -n "$noise" ]; then
    bound python3 -m m2d.bin.prepare_data corpus=folder root="$noise" out="$data/noise" segment_seconds=10
  fi
}

mini_weights() {  # exp/m2d_mini/model: M2D of the mini corpus's AudioSet, pre-trained for minutes
  local exp=exp/m2d_mini lines changes settings config=../audioset_m2d/conf/pretrain_mini_m2d.yaml
  read -r -a changes <<<"$mini_set"
  if begin_stage 1 data/mini/.done "the mini corpus's AudioSet" --corpus AUDIOSET="$MINI_CORPUS/AudioSet"; then
    bound python3 -m m2d.bin.prepare_data corpus=audioset root="$MINI_CORPUS/AudioSet" out=data/mini/train \
      "parts=[balanced_train,unbalanced_train]"
    end_stage data/mini/.done --data data/mini/train
  fi
  log_mels 1 data/mini/train dump/mini/train/logmel dump/mini/log --needs data/mini/.done
  in_range 1 || return 0
  lines=$(settings_of "$config" "${changes[@]/#/set+=}")
  mapfile -t settings <<<"$lines"
  if begin_stage 1 $exp/.pretrain.done "pre-training of a mini M2D" --after dump/mini/train/logmel.done \
    "${settings[@]}" --keep $exp; then
    pretrain "$config" $exp data.speech=dump/mini/train/logmel "${changes[@]}"
    end_stage $exp/.pretrain.done
  fi
  if begin_stage 1 $exp/.model.done "export to $exp/model" --after $exp/.pretrain.done; then
    bound python3 -m m2d.bin.export source=$exp out=$exp/model
    end_stage $exp/.model.done --weights $exp/model
  fi
}

further_architecture() {  # KEY=VALUE lines: the weights' networks, on inputs no longer than the clips
  local seconds
  seconds=$(python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["seconds"])' "$task/task.json") \
    || die "$task: no prepared task: run stage 0 first"
  python3 -m m2d.bin.info "$weights" show=settings seconds="$seconds"
}

report() {
  bound python3 -m m2d.bin.report_own task="$task" weights="$exp_weights" further="$exp_further" \
    "baselines=[]" baselines+="$exp_random" baselines+="$exp_logmel" tuning="$tuning" mini=$mini
  log "exp/REPORT.md is written"
}
