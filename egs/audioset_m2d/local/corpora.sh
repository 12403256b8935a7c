# shellcheck shell=bash disable=SC2034,SC2154
# Which corpora run.sh works on, and the names of models, folders and labels. Sourced after db.sh and the options.
#
# Sets: mini          true when the mini corpus stands in for pre-training, and for every task that db.sh does not name
#       corpus        name of the pre-training corpus, in data/, dump/ and exp/ names
#       data, dump    folders of this corpus
#       all_tasks     tasks of the stages 4 and 5
#       inputs        words for begin_stage: what stage 0 follows from

if [ -n "$AUDIOSET" ] && [ -n "$AUDIO" ]; then die "db.sh names AUDIOSET and AUDIO: keep one"; fi
[ -z "$AUDIO" ] || [ -e "$AUDIO" ] || die "AUDIO=$AUDIO (db.sh): no such file or folder"
corpora general check && corpora superb check || exit 1

mini=false
corpus=audioset
if [ -n "$AUDIO" ]; then
  corpus=$(folder_name "$(basename "$AUDIO")")
elif [ -z "$AUDIOSET" ]; then
  mini=true
  corpus=mini
fi
data=data/$corpus
dump=dump/$corpus

read -r -a linear_tasks <<<"$linear_tasks"
read -r -a tune_tasks <<<"$tune_tasks"
read -r -a superb_tasks <<<"$superb_tasks"
read -r -a changes <<<"$set"
mapfile -t all_tasks < <(printf '%s\n' "${linear_tasks[@]}" "${tune_tasks[@]}" | sort -u)
corpora general named "${all_tasks[@]}" >/dev/null || exit 1
mapfile -d '' -t inputs < <(general_corpora "${all_tasks[@]}")
inputs+=(--corpus AUDIO="$AUDIO")
if [ -z "$AUDIO" ]; then
  inputs+=(--corpus AUDIOSET="${AUDIOSET:-$MINI_CORPUS/AudioSet}" --corpus AUDIOSET_SPLIT="$AUDIOSET_SPLIT")
fi

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

check_tag "$tag"
tag=${tag:-$(set_name "$set")}
exp_of() { echo "exp/$(setting_name "$1")${tag:+_$tag}_$corpus"; }  # CONFIG: the folder of its experiment

own=()  # the models of the configs
for config in "${configs[@]}"; do own+=("$(exp_of "$config")/model"); done
weights_seed=$(sed -nE 's/.*run\.seed=([0-9]+).*/\1/p' <<<"$set")
if [ $mini = true ]; then baselines=("random:${own[0]}:${weights_seed:-0}" logmel); fi
read -r -a models <<<"$models"
read -r -a labels <<<"$labels"
[ ${#labels[@]} -le ${#models[@]} ] || die "--labels '${labels[*]}': more than there are models (--models '${models[*]}')"
if [ ${#models[@]} -gt 0 ]; then own=("${models[@]}") baselines=(); fi

out_of() {  # MODEL: the folder of its results; a model of this recipe has them in its experiment
  local name=$1
  case $1 in exp/*/model) dirname "$1"; return ;; esac
  if [[ $1 =~ ^random:exp/([^/]+)/model(:([0-9]+))?$ ]]; then  # the seed of the weights that are not used says nothing
    name=random_$(sed -E 's/_run\.seed=[0-9]+//' <<<"${BASH_REMATCH[1]%_"$corpus"}")
    if [ "${BASH_REMATCH[3]:-0}" != 0 ]; then name+=_seed=${BASH_REMATCH[3]}; fi
  fi
  name=$(folder_name "$name")
  echo "exp/${name%_"$corpus"}_$corpus"
}

label_of() {  # MODEL: its name in tables, that of --labels if it is given; the seeds of one setting are one row
  local i
  for i in "${!labels[@]}"; do
    if [ "${own[i]-}" = "$1" ]; then echo "${labels[i]}"; return; fi
  done
  basename "$(out_of "$1")" | sed -E 's/_(run\.)?seed=[0-9]+//'
}

prepare_audio() {  # -> $data/train
  if [ -n "$AUDIO" ]; then
    bound python3 -m m2d.bin.prepare_data corpus=folder root="$AUDIO" out="$data/train" segment_seconds=10
  elif [ $mini = true ]; then
    bound python3 -m m2d.bin.prepare_data corpus=audioset root="$MINI_CORPUS/AudioSet" out="$data/train" \
      "parts=[balanced_train,unbalanced_train]"
  else
    bound python3 -m m2d.bin.prepare_data corpus=audioset root="$AUDIOSET" out="$data/train" \
      "parts=[balanced_train,unbalanced_train]" ${AUDIOSET_SPLIT:+metadata="$AUDIOSET_SPLIT"}
  fi
}
