#!/usr/bin/env bash
# M2D for Speech on LibriSpeech with AudioSet as background noise: from audio files to a table of SUPERB results.
# Corpora are named in db.sh; one that is not is replaced by the mini corpus, made here.
#
#   ./run.sh --stage 0 --stop_stage 5                            all of it, with the model of the best published row
#   ./run.sh --config conf/pretrain_m2ds_t4.0s_80x2.yaml         another setting of the paper
#   ./run.sh --stage 3 --stop_stage 3 --set "optim.epochs=100"   one stage, with options changed
#   ./run.sh --stage 5 --tasks "pr ks" --seeds "0 1 2"           some SUPERB tasks, three seeds
#   ./run.sh --stage 5 --upstream logmel                         a baseline by the same command
#   ./run.sh --dry_run true --config ...                         what a setting costs, before it is run
#
# stage 0: corpora -> Kaldi data directories        stage 4: the model leaves the experiment, an s3prl upstream
# stage 1: log-mel features, mean and deviation     stage 5: SUPERB: PR KS IC SID ER -> exp/SUPERB.md
# stage 2: features of the teacher (HuBERT)         stage 6: linear evaluation: ENV MUS -> exp/GENERAL.md
# stage 3: pre-training
#
# A finished stage is skipped, an interrupted one goes on where it was.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stage=0
stop_stage=5
config=          # settings of pre-training (default: conf/pretrain_m2ds_t6.08s_80x2.yaml, or the mini one)
set=             # changes to these settings: "key=value key=value"
tag=             # name of the experiment (default: from config and set); with the mini corpus it ends in _mini
label=           # name in tables (default: the experiment's); rows of one name are averaged
dry_run=false    # print what the settings cost, and stop
nj=2             # parallel jobs of data preparation and features
ngpu=0           # GPUs on each node, for teacher and pre-training
nodes=1          # nodes for pre-training
scale=1          # size of the mini corpus
parts="train-clean-100 train-clean-360 train-other-500"   # of LibriSpeech, for pre-training
held_out=50      # recordings of SPEECH kept for the validation loss, by other speakers where known
teacher=         # transformers model id or folder (default: facebook/hubert-base-ls960, or the mini corpus's own)
teacher_layer=9  # its transformer layer
teacher_dtype=float16   # storage of its frames: float16 or int8
tasks="pr ks ic sid er" # SUPERB tasks
seeds=           # of SUPERB and linear evaluation, "0 1 2" (default: SUPERB 0, linear as its settings say)
superb_overlays= # settings files laid over those of conf/superb, with a space between
upstream=        # SUPERB of another model: logmel[:FRAMES], random:DIRECTORY, hf:ID_OR_FOLDER, s3prl:NAME

. ../../utils/log.sh
. ../../utils/parse_options.sh
[ $# = 0 ] || die "'$1': options begin with -- (see ./run.sh --help)"
. ./path.sh
. ./db.sh
. ./cmd.sh
. ../../utils/stages.sh
. ../../utils/general_audio.sh
. local/corpora.sh   # decides what is used and named how: mini mini_speech corpus data dump inputs

config=${config:-conf/pretrain_$([ $mini_speech = true ] && echo mini_m2ds || echo m2ds_t6.08s_80x2).yaml}
[ -f "$config" ] || die "$config: no such settings; there are: $(echo conf/pretrain_*.yaml)"
read -r -a changes <<<"$set"
plan=(python3 -m m2d.bin.plan config="$config" ${set:+"set=[$(printf "'%s'," "${changes[@]}")]"})
if [ $dry_run = true ]; then exec "${plan[@]}"; fi
needs=$("${plan[@]}" show=inputs)  # which of: speech noise teacher
exp=exp/${tag:-$(basename "$config" .yaml | sed 's/^pretrain_//; s/^mini_//')${set:+_$(tr -s ' /,[]' '_' <<<"$set")}_$corpus}
if [ $mini = true ]; then exp=${exp%_mini}_mini; fi
teacher=${teacher:-$([ $mini_speech = true ] && echo "exp/teacher_$corpus" || echo facebook/hubert-base-ls960)}
teacher_store=$(basename "$teacher")_l${teacher_layer}_$teacher_dtype

# ---- stage 0: Kaldi data directories; train and valid are speech, noise is noise
if begin_stage 0 "$data/.done" "data preparation ($corpus)" "${inputs[@]}"; then
  if [ $mini = true ]; then make_mini_corpus speech; fi
  prepare_speech
  prepare_noise
  end_stage
fi

# ---- stage 1: packed log-mels and their statistics
if begin_stage 1 "$dump/.logmel.done" "log-mel features" --after "$data/.done"; then
  for name in train valid noise; do extract_logmels "$data/$name" "$dump/$name/logmel" "$dump/log"; done
  end_stage
fi

# ---- stage 2: teacher features, where the settings distil
if [[ $needs != *teacher* ]]; then
  log "stage 2: $config needs no teacher"
elif begin_stage 2 "$dump/.$teacher_store.done" "teacher features of $teacher" --after "$data/.done" "teacher=$teacher"; then
  if [ "$teacher" = "exp/teacher_$corpus" ]; then train_mini_teacher "$teacher"; fi
  for name in train valid; do extract_teacher "$name"; done
  end_stage
fi

# ---- stage 3: pre-training; it resumes by itself
stores=(data.speech="$dump/train/logmel" data.valid="$dump/valid/logmel")
sources=(--after "$dump/.logmel.done")
if [[ $needs == *noise* ]]; then stores+=(data.noise="$dump/noise/logmel"); fi
if [[ $needs == *teacher* ]]; then
  stores+=(data.teacher="$dump/train/$teacher_store" data.valid_teacher="$dump/valid/$teacher_store")
  sources+=(--after "$dump/.$teacher_store.done")
fi
if begin_stage 3 "$exp/.pretrain.done" "pre-training $exp" "${sources[@]}" "config=$config" "set=$set"; then
  pretrain "$config" "$exp" "${stores[@]}" ${changes[@]+"${changes[@]}"}
  end_stage
fi

# ---- stage 4: exp/TAG/model, which m2d.load_pretrained and s3prl load
if begin_stage 4 "$exp/model/.done" "export to $exp/model" --after "$exp/.pretrain.done"; then
  export_model "$exp"
  end_stage
fi

# ---- stage 5: SUPERB of the model, or of the upstream named; a finished task is not run again
if [ "$stage" -le 5 ] && [ "$stop_stage" -ge 5 ]; then
  log "stage 5: SUPERB ($tasks) of ${upstream:-$exp/model}"
  superb_tasks=$tasks
  if [ -n "$upstream" ]; then
    run_superb "$upstream" "exp/superb_$(tr -c 'A-Za-z0-9\n' '_' <<<"$upstream")" "${label:-$upstream}"
  else
    run_superb "$exp/model" "$exp/superb" "${label:-$(basename "$exp")}"
  fi
fi

# ---- stage 6: linear evaluation of environmental sound (ENV) and music (MUS)
general=(esc50 us8k gtzan nsynth surge)
linear_config=$([ $mini = false ] || echo ../audioset_m2d/conf/linear_mini.yaml)
task_variables "${general[@]}"
if begin_stage 6 "$exp/linear/.done" "linear evaluation ENV MUS" --after "$exp/model/.done" "${task_inputs[@]}" \
  "config=$linear_config" "seeds=$seeds"; then
  if [ $mini = true ] && lack_data "${general[@]}"; then make_mini_corpus general; fi
  prepare_tasks "$data/tasks" "${general[@]}"
  evaluate_linear "$exp/model" "$exp" "${label:-$(basename "$exp")}" "$data/tasks" "${general[@]}"
  python3 -m m2d.bin.report_general exp=exp out=exp/GENERAL.md mini=$mini
  cat exp/GENERAL.md
  end_stage
fi
