#!/usr/bin/env bash
# M2D on AudioSet: from audio files to tables of linear evaluation and fine-tuning beside the paper's.
# Corpora are named in db.sh; without AudioSet or audio of your own the mini corpus stands in, made here.
#
#   ./run.sh --stage 0 --stop_stage 5                             all of it, with M2D of masking ratio 0.6
#   ./run.sh --configs "conf/pretrain_m2d_r0.7.yaml conf/pretrain_mae.yaml"    other settings of the paper, one or several
#   ./run.sh --configs "$(echo conf/pretrain_m2d_r0.?.yaml)" --stop_stage 4   the masking ratios of figure 3
#   ./run.sh --stage 4 --stop_stage 4 --models "hf:facebook/wav2vec2-base s3prl:hubert logmel"   other models
#   ./run.sh --dry_run true --configs "$(echo conf/pretrain_m*.yaml)"    what settings cost, before they are run
#   ./run.sh --stage 5 --stop_stage 5 --tuning public --tune_tasks "esc50 vc1"   the public scripts' settings
#
# stage 0: corpora -> data directory, task tables     stage 4: linear evaluation (9 tasks)
# stage 1: log-mel features and their statistics      stage 5: fine-tuning (4 tasks) -> RESULTS.md
# stage 2: pre-training                               stage 6: SUPERB: PR KS IC SID ER
# stage 3: export of the models
#
# A finished stage is skipped, an interrupted one resumes.
if [ -z "${BASH_VERSION:-}" ] || shopt -oq posix; then exec bash "$0" "$@"; fi  # as after `sh run.sh`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stage=0
stop_stage=5
configs=         # settings of pre-training (default: conf/pretrain_m2d_r0.6.yaml, or the mini ones)
set=             # changes to these settings: "key=value key=value"
tag=             # added to the names of their experiments (default: the changes)
models=          # stages 4 to 6 with other models: a model directory or .pth, random:DIR, logmel, s3prl:NAME, hf:ID_OR_FOLDER
labels=          # names of --models in tables, in their order (default: their paths)
dry_run=false    # print what the settings cost on AudioSet, with hours at the rates of this machine, and stop
rates=           # file that --dry_run keeps these rates in (default: they are measured anew, in about a minute)
nj=2             # parallel jobs of data preparation and features
max_bad=0.01     # share of recordings that can't be read above which features are an error; those are left out
ngpu=0           # GPUs on each node, for pre-training and evaluation
nodes=1          # nodes for pre-training
scale=1          # size of the mini corpus
linear_tasks="esc50 us8k spcv2 vc1 voxforge cremad gtzan nsynth surge"
linear_config=   # settings of linear evaluation (default: the paper's, or conf/linear_mini.yaml)
tune_tasks="as20k esc50 spcv2 vc1"
tuning=          # settings of fine-tuning: table2, public or mini (default: table2, or mini)
superb_tasks="pr ks ic sid er"
seeds=           # of linear evaluation and fine-tuning, "0 1 2" (default: as their settings say)

. ../../utils/log.sh
. ../../utils/parse_options.sh
[ $# = 0 ] || die "'$1': options begin with -- (see ./run.sh --help)"
. ./path.sh
set -a; . ./db.sh; set +a
. ./cmd.sh
. ../../utils/stages.sh
. ../../utils/general_audio.sh
. local/corpora.sh   # sets mini corpus data dump inputs configs own baselines ...

if [ $dry_run = true ]; then
  if [ -z "$rates" ]; then rates=$(mktemp) && trap 'rm -f "$rates"' EXIT; fi
  for config in "${configs[@]}"; do
    echo "$config"
    python3 -m m2d.bin.plan config="$config" ${changes[@]+"${changes[@]/#/set+=}"} samples=2005132 hours=5569 \
      gpus=$((nodes * (ngpu > 1 ? ngpu : 1))) jobs="$nj" probe="$rates"
  done
  exit
fi

# printed after the tables
paper_config=conf/pretrain_m2d_r0.6.yaml
next_commands=("classes and features of your own sounds: . ./path.sh; m2d embed ${own[0]} SOUNDS/ out=features.npz"
  "another masking ratio beside it: ./run.sh --configs conf/pretrain_m2d_r0.7.yaml"
  "real corpora, named in db.sh: local/download.sh; ./run.sh --ngpu 8")

# ---- stage 0: a Kaldi data directory to pre-train on, a table for each task
if in_range 0; then
  if [ $mini = true ]; then make_mini_corpus general; fi
  if [ "$stop_stage" -ge 6 ]; then check_superb "${superb_tasks[@]}"; fi
fi
if begin_stage 0 "$data/.done" "data preparation ($corpus)" "${inputs[@]}"; then
  prepare_audio
  prepare_tasks "$data/tasks" "${all_tasks[@]}"
  end_stage "$data/.done" --data "$data/train"
fi

# ---- stage 1: packed log-mels and their statistics
log_mels 1 "$data/train" "$dump/train/logmel" "$dump/log" --needs "$data/.done"

# ---- stage 2: pre-training, one setting after the other
for config in "${configs[@]}"; do
  in_range 2 || break
  exp=$(exp_of "$config")
  settings=$(settings_of "$config" ${changes[@]+"${changes[@]/#/set+=}"})
  mapfile -t settings <<<"$settings"
  if begin_stage 2 "$exp/.pretrain.done" "pre-training $exp" --after "$dump/train/logmel.done" "${settings[@]}" \
    --keep "$exp"; then
    pretrain "$config" "$exp" data.speech="$dump/train/logmel" ${changes[@]+"${changes[@]}"}
    end_stage "$exp/.pretrain.done"
  fi
done

# ---- stage 3: exp/TAG/model, which m2d.load_pretrained and s3prl load
for config in "${configs[@]}"; do
  exp=$(exp_of "$config")
  if begin_stage 3 "$exp/.model.done" "export to $exp/model" --after "$exp/.pretrain.done"; then
    export_model "$exp"
    end_stage "$exp/.model.done" --weights "$exp/model"
  fi
done

# ---- stage 4: linear evaluation of the models and their baselines
for model in "${own[@]}" ${baselines[@]+"${baselines[@]}"}; do
  linear 4 "$model" "$(out_of "$model")" "$(label_of "$model")" "$data/tasks" "${linear_tasks[@]}"
done

# ---- stage 5: fine-tuning of the models; then the tables of all that is in exp/
for model in "${own[@]}"; do
  finetune 5 "$model" "$(out_of "$model")" "$(label_of "$model")" "$data/tasks" "$tuning" "${tune_tasks[@]}"
done
if in_range 4 || in_range 5; then
  bound python3 -m m2d.bin.report_general exp=exp out=exp/RESULTS.md mini=$mini
  show exp/RESULTS.md
fi

# ---- stage 6: SUPERB
for model in "${own[@]}"; do
  superb 6 "$model" "$(out_of "$model")/superb" "$(label_of "$model")" "${superb_tasks[@]}"
done
