#!/usr/bin/env bash
# Sounds of your own: what they are, how well a pre-trained model tells them apart, whether further pre-training and
# fine-tuning help, predictions of new recordings. Without --data the mini corpus's sounds stand in, with a mini M2D.
#
#   ./run.sh --data labels.csv --weights m2d_vit_base.pth               a table file_name,label[,split|fold][,start,end][,group]
#   ./run.sh --data recordings/ --weights OWNER/NAME --ngpu 1            or a folder with a folder for each class
#   ./run.sh --data labels.csv --weights FILE --stop_stage 2            a look and a probe alone: minutes on a CPU
#   ./run.sh --data labels.csv --weights FILE --new new_recordings/     and what the fine-tuned models say of others
#
# stage 0: look at the data -> data/NAME/tasks/NAME/report.md         stage 3: further pre-training (M2D-X)
# stage 1: log-mel features of what is not tested                     stage 4: probe of its model
# stage 2: probe and kNN of the weights, random weights, log-mel      stage 5: fine-tuning, predictions -> exp/REPORT.md
#
# exp/REPORT.md is written after each stage from 2 on. A finished stage is skipped, an interrupted one goes on where it was.
if [ -z "${BASH_VERSION:-}" ] || shopt -oq posix; then exec bash "$0" "$@"; fi  # as after `sh run.sh`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stage=0
stop_stage=5
data=            # a table (CSV) of labelled recordings, or a folder with a folder for each class
root=            # folder of the table's recordings (default: that of the table)
weights=         # what the models start from: a published checkpoint (.pth), a model directory, OWNER/NAME on the hub
name=            # name of the data in paths and tables (default: that of the table or folder)
seconds=         # clips are cut or padded to this (default: the 95th percentile of their lengths, at most 10)
unlabelled=      # further pre-training also on these recordings: a folder, or a text file that lists them
noise=           # background noise for further pre-training: a folder or list (default: other clips of the data)
new=             # recordings that the fine-tuned models are to label: a folder, or a text file that lists them
config=          # settings of further pre-training (default: conf/further_gpu16.yaml, without a GPU further_cpu.yaml)
set=             # changes to these settings: "key=value key=value"
tune="weights further"   # what is fine-tuned: weights, further, or both
tuning=small     # settings of fine-tuning: conf/finetune_TUNING.yaml
seeds=           # of probes and fine-tuning, "0 1 2" (default: as their settings say)
tag=             # added to the names of experiments, to keep several weights or settings apart
nj=2             # parallel jobs of data preparation and features
max_bad=0.01     # share of recordings that can't be read above which features are an error; those are left out
ngpu=0           # GPUs
nodes=1          # nodes for further pre-training
scale=1          # size of the mini corpus
mini_set="optim.epochs=100"   # changes to the settings of the mini M2D

. ../../utils/log.sh
. ../../utils/parse_options.sh
[ $# = 0 ] || die "'$1': options begin with -- (see ./run.sh --help)"
. ./path.sh
. ./cmd.sh
. ../../utils/stages.sh
. ../../utils/general_audio.sh
. local/names.sh   # decides what is used and named how: mini name data task dump inputs exp folders

# ---- stage 0: the task, checked, with a report; a data directory of what is not tested
if in_range 0 && [ $mini = true ]; then make_mini_corpus general; fi
if begin_stage 0 "$data/.done" "a look at the data ($name)" "${inputs[@]}" name="$name" seconds="$seconds"; then
  prepare_sounds
  end_stage "$data/.done" --data "$task" --data "$data/train" ${noise:+--data "$data/noise"}
fi

# ---- stage 1: packed log-mels; the mini M2D, where no weights are given
log_mels 1 "$data/train" "$dump/train/logmel" "$dump/log" --needs "$data/.done"
if [ -n "$noise" ]; then log_mels 1 "$data/noise" "$dump/noise/logmel" "$dump/log" --needs "$data/.done"; fi
if [ "$weights" = exp/m2d_mini/model ]; then mini_weights; fi

# ---- stage 2: the weights as they are, and what they must beat
linear 2 "$weights" "$exp_weights" "weights as they are" "$data/tasks" "$name"
linear 2 "random:$weights" "$exp_random" "random weights" "$data/tasks" "$name"
linear 2 logmel "$exp_logmel" log-mel "$data/tasks" "$name"
if in_range 2; then report; fi

# ---- stage 3: further pre-training: the weights are the start and the teacher
if in_range 3; then
  lines=$(further_architecture)
  mapfile -t architecture <<<"$lines"
  lines=$(settings_of "$config" "${architecture[@]/#/set+=}" ${changes[@]+"${changes[@]/#/set+=}"})
  mapfile -t settings <<<"$lines"
fi
if begin_stage 3 "$exp_further/.pretrain.done" "further pre-training $exp_further" --after "$dump/train/logmel.done" \
  ${noise:+--after "$dump/noise/logmel.done"} --model "$weights" "${settings[@]}" --keep "$exp_further"; then
  pretrain "$config" "$exp_further" data.speech="$dump/train/logmel" data.noise="$noise_store" run.init_from="$weights" \
    run.probe_task="$task" "${architecture[@]}" ${changes[@]+"${changes[@]}"}
  end_stage "$exp_further/.pretrain.done"
fi
if begin_stage 3 "$exp_further/.model.done" "export to $exp_further/model" --after "$exp_further/.pretrain.done"; then
  bound python3 -m m2d.bin.export source="$exp_further" out="$exp_further/model"
  end_stage "$exp_further/.model.done" --weights "$exp_further/model"
fi

# ---- stage 4: the same probe of the model that was trained further
linear 4 "$exp_further/model" "$exp_further" "weights trained further" "$data/tasks" "$name"
if in_range 4; then report; fi

# ---- stage 5: fine-tuning; predictions of new recordings
for start in "${tune[@]}"; do
  out=exp_$start
  finetune 5 "$(model_of "$start")" "${!out}" "$(label_of "$start")" "$data/tasks" "$tuning" "$name"
  if [ -n "$new" ] && begin_stage 5 "${!out}/.predict.done" "predictions by the fine-tuned ${!out}" \
    --after "${!out}/finetune/$tuning/.$name.done" --corpus NEW="$new"; then
    bound python3 -m m2d predict "${!out}/finetune/$tuning/$name/model" "$new" out="${!out}/predictions.csv"
    end_stage "${!out}/.predict.done"
  fi
done
if in_range 5; then
  report
  show exp/REPORT.md
fi
