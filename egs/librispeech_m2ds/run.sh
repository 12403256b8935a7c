#!/usr/bin/env bash
# M2D for Speech on LibriSpeech with AudioSet as background noise: from audio files to a table of SUPERB results.
# Corpora are named in db.sh; one that is not is replaced by the mini corpus, made here.
#
#   ./run.sh --stage 0 --stop_stage 5                            all of it, with the model of the best published row
#   ./run.sh --corpus mini_librispeech                           5 hours of real speech, downloaded; no GPU needed
#   ./run.sh --config conf/pretrain_m2ds_t4.0s_80x2.yaml         another setting of the paper
#   ./run.sh --stage 3 --stop_stage 3 --set "optim.epochs=100"   one stage, with options changed
#   ./run.sh --stage 5 --tasks "pr ks" --seeds "0 1 2"           some SUPERB tasks, three seeds
#   ./run.sh --stage 5 --sweep "1e-2 1e-3 1e-4"                  the learning rate that is best on the dev part
#   ./run.sh --stage 5 --upstream logmel                         a baseline by the same command
#   ./run.sh --dry_run true --config ...                         what a setting costs, before it is run
#
# stage 0: corpora -> Kaldi data directories        stage 4: export of the model, also an s3prl upstream
# stage 1: log-mel features and their statistics    stage 5: SUPERB: PR KS IC SID ER -> exp/SUPERB.md
# stage 2: features of the teacher (HuBERT)         stage 6: linear evaluation: ENV MUS -> exp/GENERAL.md
# stage 3: pre-training
#
# A finished stage is skipped, an interrupted one resumes.
if [ -z "${BASH_VERSION:-}" ] || shopt -oq posix; then exec bash "$0" "$@"; fi  # as after `sh run.sh`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stage=0
stop_stage=5
corpus=          # mini_librispeech: download it and ESC-50 as noise, and pre-train on them in place of db.sh's corpora
config=          # settings of pre-training (default: conf/pretrain_m2ds_t6.08s_80x2.yaml; conf/pretrain_mini_m2ds.yaml
                 # on the mini corpus and mini_librispeech)
set=             # changes to these settings: "key=value key=value"
tag=             # name of the experiment (default: from config and set); with the mini corpus it ends in _mini
label=           # name in tables (default: the experiment's); rows of one name are averaged
dry_run=false    # print what the settings cost, with the hours of each stage at the rates of this machine, and stop
rates=           # file that --dry_run keeps these rates in (default: they are measured anew, in about a minute)
nj=2             # parallel jobs of data preparation and features
max_bad=0.01     # share of recordings that can't be read above which features are an error; those are left out
ngpu=0           # GPUs on each node, for teacher and pre-training
nodes=1          # nodes for pre-training
scale=1          # size of the mini corpus
parts="train-clean-100 train-clean-360 train-other-500"   # of LibriSpeech, for pre-training
held_out=50      # recordings of SPEECH kept for the validation loss, by other speakers where known
teacher=         # transformers model id or folder (default: facebook/hubert-base-ls960, or the mini corpus's own)
teacher_layer=9  # its transformer layer
teacher_dtype=float16   # storage of its frames: float16 or int8
on_the_fly=      # speech: pre-training makes log-mels and teacher frames of the speech itself, none are stored; all: of the noise too
tasks="pr ks ic sid er" # SUPERB tasks; there are asr qbe sd sf asv too
sweep=           # learning rates of SUPERB's heads, "1e-2 1e-3 1e-4": the best on the dev part counts (default: the settings')
features_gib=0   # disk, in GiB, for the features of each SUPERB task: computed once for all rates and seeds
seeds=           # of SUPERB and linear evaluation, "0 1 2" (default: SUPERB 0, linear as its settings say)
superb_overlays= # settings files laid over those of conf/superb, with a space between
upstream=        # SUPERB of another model: logmel[:FRAMES], random:DIRECTORY, hf:ID_OR_FOLDER, s3prl:NAME

. ../../utils/log.sh
. ../../utils/parse_options.sh
[ $# = 0 ] || die "'$1': options begin with -- (see ./run.sh --help)"
. ./path.sh
set -a; . ./db.sh; set +a
. ./cmd.sh
. ../../utils/stages.sh
. ../../utils/general_audio.sh
. local/corpora.sh   # sets mini mini_speech config changes plan needs settings corpus sets data dump inputs

if [ $dry_run = true ]; then exec "${plan[@]}" gpus=$((nodes * (ngpu > 1 ? ngpu : 1))) jobs="$nj" probe="$rates"; fi
check_tag "$tag"
exp=exp/${tag:-$(setting_name "$config")${set:+_$(set_name "$set")}_$corpus}
if [ $mini = true ]; then exp=${exp%_mini}_mini; fi
teacher=${teacher:-$([ $mini_speech = true ] && echo ../../tools/mini_corpus/mini_hubert || echo facebook/hubert-base-ls960)}
teacher_store=$(folder_name "$(basename "$teacher")")_l${teacher_layer}_$teacher_dtype
read -r -a tasks <<<"$tasks"

# printed after the tables
paper_config=conf/pretrain_m2ds_t6.08s_80x2.yaml
next_commands=("features of your own sounds: . ./path.sh; m2d embed $exp/model SOUNDS/ out=features.npz"
  "a baseline in the same table: ./run.sh --stage 5 --upstream logmel"
  "real corpora, named in db.sh: local/download.sh; ./run.sh --ngpu 8")

# ---- stage 0: Kaldi data directories; train and valid are speech, noise is noise
if in_range 0; then
  if [ $mini = true ]; then make_mini_corpus speech; fi
  check_superb "${tasks[@]}"
fi
if [ ${#downloads[@]} -gt 0 ] && begin_stage 0 "corpora/.$corpus.done" "download of ${downloads[*]}"; then
  bound local/download.sh "${downloads[@]}"
  end_stage "corpora/.$corpus.done"
fi
if begin_stage 0 "$data/.done" "data preparation ($corpus)" "${inputs[@]}"; then
  prepare_speech
  if [[ $sets == *noise* ]]; then prepare_noise; fi
  outputs=()
  for name in $sets; do outputs+=(--data "$data/$name"); done
  end_stage "$data/.done" "${outputs[@]}"
fi

# ---- stage 1: packed log-mels and their statistics; of what is made on the fly, those of a part for the statistics
for name in $sets; do
  if is_stored "$name"; then
    log_mels 1 "$data/$name" "$dump/$name/logmel" "$dump/log" --needs "$data/.done"
  elif [ "$name" != valid ]; then
    if begin_stage 1 "$data/${name}_part.done" "a part of $data/$name" --needs "$data/.done" --data "$data/$name"; then
      take_part "$data/$name" "$data/${name}_part"
      end_stage "$data/${name}_part.done" --data "$data/${name}_part"
    fi
    log_mels 1 "$data/${name}_part" "$dump/${name}_part/logmel" "$dump/log" --needs "$data/${name}_part.done"
  fi
done

# ---- stage 2: teacher features, for settings with distillation
if [[ $needs != *teacher* ]]; then
  log "stage 2: $config needs no teacher"
else
  for name in train valid; do
    if ! is_stored "$name"; then
      log "stage 2: the features of $name are made during pre-training"
    elif begin_stage 2 "$dump/$name/$teacher_store.done" "features of $name by $teacher" --needs "$data/.done" \
      --data "$data/$name" --weights "$teacher" --out "$dump/$name/$teacher_store" --interim jobs="$nj"; then
      anew "$dump/$name/$teacher_store.done" --out "$dump/$name/$teacher_store" extract_teacher "$name"
      end_stage "$dump/$name/$teacher_store.done" --store "$dump/$name/$teacher_store"
    fi
  done
fi

# ---- stage 3: pre-training
pretraining_data 3   # sets stores follows
mapfile -t settings <<<"$settings"
if begin_stage 3 "$exp/.pretrain.done" "pre-training $exp" ${follows[@]+"${follows[@]}"} "${settings[@]}" --keep "$exp"; then
  pretrain "$config" "$exp" "${stores[@]}" ${changes[@]+"${changes[@]}"}
  end_stage "$exp/.pretrain.done"
fi

# ---- stage 4: exp/TAG/model, which m2d.load_pretrained and s3prl load
if begin_stage 4 "$exp/.model.done" "export to $exp/model" --after "$exp/.pretrain.done"; then
  export_model "$exp"
  end_stage "$exp/.model.done" --weights "$exp/model"
fi

# ---- stage 5: SUPERB of the model, or of the upstream named
if [ -n "$upstream" ]; then
  superb 5 "$upstream" "exp/superb_$(folder_name "$upstream")" "${label:-$upstream}" "${tasks[@]}"
else
  superb 5 "$exp/model" "$exp/superb" "${label:-$(basename "$exp")}" "${tasks[@]}"
fi

# ---- stage 6: linear evaluation of environmental sound (ENV) and music (MUS)
general=(esc50 us8k gtzan nsynth surge)
linear_config=$([ $mini = false ] || echo ../audioset_m2d/conf/linear_mini.yaml)
if in_range 6; then
  if [ $mini = true ]; then make_mini_corpus general; fi
  prepare_tasks "$data/tasks" "${general[@]}"
  linear 6 "$exp/model" "$exp" "${label:-$(basename "$exp")}" "$data/tasks" "${general[@]}"
  bound python3 -m m2d.bin.report_general exp=exp out=exp/GENERAL.md mini=$mini
  show exp/GENERAL.md
fi
