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
# stage 1: log-mel features, mean and deviation     stage 5: SUPERB: PR KS IC SID ER -> exp/RESULTS.md
# stage 2: features of the teacher (HuBERT)         stage 6: linear evaluation: ENV MUS
# stage 3: pre-training
#
# A finished stage is skipped, an interrupted one goes on where it was.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stage=0
stop_stage=5
config=          # settings of pre-training (default: conf/pretrain_m2ds_t6.08s_80x2.yaml, or the mini one)
set=             # changes to these settings: "key=value key=value"
tag=             # name of the experiment (default: from config and set)
dry_run=false    # print what the settings cost, and stop
nj=2             # parallel jobs of data preparation and features
ngpu=0           # GPUs on each node, for teacher and pre-training
nodes=1          # nodes for pre-training
scale=1          # size of the mini corpus
parts="train-clean-100 train-clean-360 train-other-500"   # of LibriSpeech, for pre-training
teacher=         # transformers model id or folder (default: facebook/hubert-base-ls960, or the mini corpus's own)
teacher_layer=9  # its transformer layer
teacher_dtype=float16   # storage of its frames: float16 or int8
tasks="pr ks ic sid er" # SUPERB tasks
seeds="0"        # one run of each task per seed
upstream=        # SUPERB of another model: logmel, random:DIRECTORY, hubert:ID_OR_FOLDER, any s3prl upstream

. ../../utils/log.sh
. ../../utils/parse_options.sh
. ./path.sh
. ./db.sh
. ./cmd.sh
. local/corpora.sh   # decides which corpora are used and sets: corpus mini data dump valid_parts

config=${config:-conf/pretrain_m2ds_$([ $mini = true ] && echo mini || echo t6.08s_80x2).yaml}
[ -f "$config" ] || die "$config: no such settings; there are: $(echo conf/pretrain_*.yaml)"
read -r -a changes <<<"$set"
needs=$(python3 -m m2d.bin.plan show=inputs config="$config" ${set:+"set=[${set// /,}]"})
if [ $dry_run = true ]; then
  exec python3 -m m2d.bin.plan config="$config" ${set:+"set=[${set// /,}]"}
fi
tag=${tag:-$(basename "$config" .yaml | sed 's/^pretrain_//')${set:+_$(tr -s ' /' '_' <<<"$set")}_$corpus}
exp=exp/$tag
teacher=${teacher:-$([ $mini_speech = true ] && echo "exp/mini_teacher_$corpus" || echo facebook/hubert-base-ls960)}
teacher_store=teacher_$(basename "$teacher")_l${teacher_layer}_$teacher_dtype

# ---- stage 0: Kaldi data directories; train and valid are speech, noise is noise
if begin_stage 0 "$data/.done" "data preparation ($corpus)" "${corpora[@]}"; then
  if [ $mini = true ]; then make_mini_corpus; fi
  prepare_speech
  python3 -m m2d.bin.prepare_data "${noise_options[@]}" out="$data/noise"
  end_stage
fi

# ---- stage 1: packed log-mels and their statistics
if begin_stage 1 "$dump/.logmel.done" "log-mel features" --after "$data/.done"; then
  for name in train valid noise; do
    "$cmd" "${cpu_job[@]}" JOB=1:"$nj" "$dump/log/logmel_$name.JOB.log" \
      python3 -m m2d.bin.extract_logmel data="$data/$name" out="$dump/$name/logmel" job=JOB jobs="$nj"
    python3 -m m2d.bin.merge_features dir="$dump/$name/logmel"
  done
  end_stage
fi

# ---- stage 2: teacher features, where the settings distil
if [[ $needs != *teacher* ]]; then
  log "stage 2: $config needs no teacher"
elif begin_stage 2 "$dump/.$teacher_store.done" "teacher features of $teacher" --after "$data/.done"; then
  if [[ $teacher == exp/mini_teacher_* && ! -e $teacher/.done ]]; then
    "$cmd" "${gpu_job[@]}" "$teacher/train.log" python3 -m m2d.bin.train_mini_teacher \
      data="$data/train" valid="$data/valid" alignments="$mini_alignments" out="$teacher"
    date >"$teacher/.done"
  fi
  for name in train valid; do
    "$cmd" "${gpu_job[@]}" --gpu "$((ngpu > 0))" JOB=1:"$nj" "$dump/log/${teacher_store}_$name.JOB.log" \
      python3 -m m2d.bin.extract_teacher data="$data/$name" out="$dump/$name/$teacher_store" model="$teacher" \
      layer="$teacher_layer" dtype="$teacher_dtype" job=JOB jobs="$nj"
    python3 -m m2d.bin.merge_features dir="$dump/$name/$teacher_store"
  done
  end_stage
fi

# ---- stage 3: pre-training; it resumes by itself
inputs=(data.speech="$dump/train/logmel" data.valid="$dump/valid/logmel")
if [[ $needs == *noise* ]]; then inputs+=(data.noise="$dump/noise/logmel"); fi
if [[ $needs == *teacher* ]]; then
  inputs+=(data.teacher="$dump/train/$teacher_store" data.valid_teacher="$dump/valid/$teacher_store")
fi
if begin_stage 3 "$exp/.pretrain.done" "pre-training $tag" --after "$dump/.logmel.done" "config=$config" "set=$set"; then
  "$cmd" "${train_job[@]}" --gpu "$ngpu" --nodes "$nodes" "$exp/run.log" python3 ../../utils/torchrun.py -m m2d.bin.pretrain \
    --config "$config" "${inputs[@]}" run.exp="$exp" ${changes[@]+"${changes[@]}"}
  end_stage
fi

# ---- stage 4: exp/TAG/model, which m2d.load_pretrained and s3prl load
if begin_stage 4 "$exp/model/.done" "export to $exp/model" --after "$exp/.pretrain.done"; then
  python3 -m m2d.bin.export checkpoint="$exp" out="$exp/model"
  python3 -m m2d.bin.superb_check model="$exp/model"
  end_stage
fi

# ---- stage 5: SUPERB of the model, or of the upstream named; a finished task is not run again
if [ "$stage" -le 5 ] && [ "$stop_stage" -ge 5 ]; then
  log "stage 5: SUPERB ($tasks) of ${upstream:-$exp/model}"
  run_superb
fi

# ---- stage 6: linear evaluation of environmental sound (ENV) and music (MUS)
if begin_stage 6 "$exp/linear/.done" "linear evaluation ENV MUS" --after "$exp/model/.done"; then
  run_linear
  end_stage
fi
