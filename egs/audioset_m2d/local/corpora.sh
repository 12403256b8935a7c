# shellcheck shell=bash disable=SC2034,SC2154
# Which corpora run.sh works on, and the names of models, folders and labels. Sourced after db.sh and the options.
#
# Sets: mini          true when the mini corpus stands in for pre-training, and for every task that db.sh does not name
#       corpus        name of the pre-training corpus, in data/, dump/ and exp/ names
#       data, dump    folders of this corpus
#       all_tasks     tasks of the stages 4 and 5
#       inputs        NAME=VALUE words that stage 0 depends on

if [ -n "$AUDIOSET" ] && [ -n "$AUDIO" ]; then die "db.sh names AUDIOSET and AUDIO: keep one"; fi
check_paths AUDIO AUDIOSET ESC50 URBANSOUND8K SPEECH_COMMANDS_V2 VOXCELEB1 VOXFORGE CREMAD GTZAN NSYNTH SURGE \
  {AUDIOSET,ESC50,URBANSOUND8K,SPEECH_COMMANDS_V2,VOXCELEB1,VOXFORGE,CREMAD,GTZAN,NSYNTH,SURGE}_{SPLIT,TABLE}

mini=false
corpus=audioset
if [ -n "$AUDIO" ]; then
  corpus=$(basename "$AUDIO" | tr -c 'A-Za-z0-9\n' '_')
elif [ -z "$AUDIOSET" ]; then
  mini=true
  corpus=mini
fi
data=data/$corpus
dump=dump/$corpus

read -r -a linear_tasks <<<"$linear_tasks"
read -r -a tune_tasks <<<"$tune_tasks"
read -r -a changes <<<"$set"
mapfile -t all_tasks < <(printf '%s\n' "${linear_tasks[@]}" "${tune_tasks[@]}" | sort -u)
task_variables as20k "${all_tasks[@]}"
mapfile -t inputs < <(printf '%s\n' "AUDIO=$AUDIO" "${task_inputs[@]}" | sort -u)
if [ $mini = true ]; then inputs+=("scale=$scale" "MINI_CORPUS=$MINI_CORPUS"); fi

# The mini corpus's defaults: both objectives, and what they must beat.
baselines=()
if [ $mini = true ]; then
  configs=${configs:-conf/pretrain_mini_m2d.yaml conf/pretrain_mini_mae.yaml}
  linear_config=${linear_config:-conf/linear_mini.yaml}
  tuning=${tuning:-mini}
fi
read -r -a configs <<<"${configs:-conf/pretrain_m2d_r0.6.yaml}"
tuning=${tuning:-table2}
for config in "${configs[@]}"; do
  [ -f "$config" ] || die "$config: no such settings; there are: $(echo conf/pretrain_*.yaml)"
done
for task in "${tune_tasks[@]}"; do
  [ -f "conf/finetune_${tuning}_$task.yaml" ] || die "conf/finetune_${tuning}_$task.yaml: no such settings, for --tuning $tuning"
done

tag=${tag:-$(tr -s ' /' '_' <<<"$set")}
exp_of() {  # CONFIG: the folder of its experiment
  echo "exp/$(basename "$1" .yaml | sed 's/^pretrain_//; s/^mini_//')${tag:+_$tag}_$corpus"
}

own=()  # the models of the configs
for config in "${configs[@]}"; do own+=("$(exp_of "$config")/model"); done
weights_seed=$(sed -nE 's/.*run\.seed=([0-9]+).*/\1/p' <<<"$set")
if [ $mini = true ]; then baselines=("random:${own[0]}:${weights_seed:-0}" logmel); fi
read -r -a models <<<"$models"
if [ ${#models[@]} -gt 0 ]; then own=("${models[@]}") baselines=(); fi

out_of() {  # MODEL: the folder of its results; a model of this recipe has them in its experiment
  local name=$1
  case $1 in exp/*/model) dirname "$1"; return ;; esac
  if [[ $1 =~ ^random:exp/([^/]+)/model(:([0-9]+))?$ ]]; then  # the seed of the weights that are not used says nothing
    name=random_$(sed -E 's/_run\.seed=[0-9]+//' <<<"${BASH_REMATCH[1]%_"$corpus"}")
    if [ "${BASH_REMATCH[3]:-0}" != 0 ]; then name+=_seed=${BASH_REMATCH[3]}; fi
  fi
  name=$(tr -c 'A-Za-z0-9.=\n' '_' <<<"$name")
  echo "exp/${name%_"$corpus"}_$corpus"
}

label_of() {  # MODEL: its name in tables, where the seeds of one setting are one row
  basename "$(out_of "$1")" | sed -E 's/_(run\.)?seed=[0-9]+//'
}

made_by() {  # MODEL: sets needs, the words by which a stage depends on it
  needs=()
  if [[ $1 =~ ^(random:)?(exp/[^/]+/model)(:[0-9]+)?$ ]]; then needs=(--after "${BASH_REMATCH[2]}/.done"); fi
}

prepare_audio() {  # -> $data/train
  if [ -n "$AUDIO" ]; then
    python3 -m m2d.bin.prepare_data corpus=folder root="$AUDIO" out="$data/train" segment_seconds=10
  elif [ $mini = true ]; then
    python3 -m m2d.bin.prepare_data corpus=audioset root="$MINI_CORPUS/AudioSet" out="$data/train" \
      "parts=[balanced_train,unbalanced_train]"
  else
    python3 -m m2d.bin.prepare_data corpus=audioset root="$AUDIOSET" out="$data/train" \
      "parts=[balanced_train,unbalanced_train]" ${AUDIOSET_SPLIT:+metadata="$AUDIOSET_SPLIT"}
  fi
}
