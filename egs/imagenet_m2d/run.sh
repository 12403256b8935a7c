#!/usr/bin/env bash
# M2D on images, as appendix A of the M2D paper: from ImageNet-1K to table 6. ImageNet is named in db.sh; without it
# scikit-learn's handwritten digits stand in, in the same folder layout.
#
#   ./run.sh --stage 0 --stop_stage 4                     all of it: MAE, M2D, M2D with targets from all patches
#   ./run.sh --configs conf/pretrain_m2d.yaml --ngpu 8 --nodes 4        one of them
#   ./run.sh --stage 4 --models "mae_pretrain_vit_base.pth"             other models: a directory or a public MAE checkpoint
#   ./run.sh --dry_run true                               what the settings cost on ImageNet-1K, before they are run
#
# stage 0: folders -> lists of images and classes          stage 2: pre-training
# stage 1: every image decoded once; counts, statistics    stage 3: export of the models
#                                                          stage 4: fine-tuning and linear probe -> exp/RESULTS.md
#
# A finished stage is skipped, an interrupted one resumes.
if [ -z "${BASH_VERSION:-}" ] || shopt -oq posix; then exec bash "$0" "$@"; fi  # as after `sh run.sh`
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

stage=0
stop_stage=4
configs=         # settings of pre-training (default: the three of table 6, or the mini ones)
seeds=           # of pre-training, random weights and labels (default: 0; of the digits "0 1 2")
set=             # changes to the settings of pre-training: "key=value key=value"
tag=             # added to the names of their experiments (default: the changes)
models=          # stage 4 with other models: a model directory, a .pth file, random:DIR
label_counts=    # labelled images of each class in stage 4, "10 30 100", 0: all (default: 0; of the digits 10 30 100)
tuning=          # settings of fine-tuning (default: conf/finetune.yaml, or conf/finetune_mini.yaml)
probing=         # settings of the linear probe (default: conf/linear.yaml, or conf/linear_mini.yaml)
dry_run=false    # print what the settings cost on ImageNet-1K, and stop
nj=2             # processes that decode in stage 1
ngpu=0           # GPUs on each node
nodes=1          # nodes for pre-training and fine-tuning

. ../../utils/log.sh
. ../../utils/parse_options.sh
[ $# = 0 ] || die "'$1': options begin with -- (see ./run.sh --help)"
. ./path.sh
. ./db.sh
. ./cmd.sh
. ../../utils/stages.sh
. local/names.sh   # sets mini corpus data dump root configs own baselines ...

if [ $dry_run = true ]; then
  for config in "${configs[@]}"; do
    echo "$config"
    python3 -m m2d.bin.plan config="$config" ${changes[@]+"${changes[@]/#/set+=}"} samples=1281167 \
      gpus=$((nodes * (ngpu > 1 ? ngpu : 1)))
  done
  exit
fi

# printed after the tables
paper_config=conf/pretrain_m2d.yaml
next_commands=("what the first model is: . ./path.sh; m2d info ${own[0]}"
  "another model beside it: ./run.sh --stage 4 --models mae_pretrain_vit_base.pth"
  "ImageNet, named in db.sh: ./run.sh --ngpu 8 --nodes 4")

# ---- stage 0: lists of the images and their classes
if in_range 0 && [ $mini = true ]; then make_digits; fi
if begin_stage 0 "$data/.done" "lists of images ($corpus)" --corpus IMAGENET="$root"; then
  bound python3 -m m2d.bin.prepare_images root="$root" out="$data"
  end_stage "$data/.done"
fi

# ---- stage 1: every image decoded once: broken ones are left out; counts, mean and deviation of each channel
if begin_stage 1 "$dump/.done" "index" --after "$data/.done" --out "$dump/train" --out "$dump/val"; then
  for part in train val; do
    "$cmd" --num-threads "$nj" "$dump/log/index_$part.log" \
      python3 -m m2d.bin.index_images data="$data/$part" out="$dump/$part" workers="$nj"
    grep -h "left out" "$dump/log/index_$part.log" >&2 || true
  done
  end_stage "$dump/.done"
fi

# ---- stage 2: pre-training, one setting and seed after the other
for exp in "${experiments[@]}"; do
  in_range 2 || break
  settings=$(settings_of "${config_of[$exp]}" ${changes[@]+"${changes[@]/#/set+=}"} set+=run.seed="${seed_of[$exp]}")
  mapfile -t settings <<<"$settings"
  if begin_stage 2 "$exp/.pretrain.done" "pre-training $exp" --needs "$dump/.done" --data "$dump/train" \
    "${settings[@]}" --keep "$exp"; then
    pretrain "${config_of[$exp]}" "$exp" data.image.train="$dump/train" run.seed="${seed_of[$exp]}" \
      ${changes[@]+"${changes[@]}"}
    end_stage "$exp/.pretrain.done"
  fi
done

# ---- stage 3: exp/TAG/model, which m2d.load_pretrained loads
for exp in "${experiments[@]}"; do
  if begin_stage 3 "$exp/.model.done" "export to $exp/model" --after "$exp/.pretrain.done"; then
    bound python3 -m m2d.bin.export source="$exp" out="$exp/model"
    end_stage "$exp/.model.done" --weights "$exp/model"
  fi
done

# ---- stage 4: linear probe and fine-tuning of the models and of random weights; then the tables of all that is in exp/
labelled=(--needs "$dump/.done" --data "$dump/train" --data "$dump/val")
for model in "${own[@]}" ${baselines[@]+"${baselines[@]}"}; do
  out=$(out_of "$model") label=$(label_of "$model") seed=$(seed_of_model "$model")
  mapfile -d '' -t dependence < <(made_by "$model")
  if begin_stage 4 "$out/.linear.done" "linear probe of $model" "${labelled[@]}" "${dependence[@]}" --yaml "$probing" \
    --keep "$out/linear" --more label_counts="$label_counts"; then
    probe "$model" "$out" "$label" "$seed"
    end_stage "$out/.linear.done"
  fi
  if begin_stage 4 "$out/.finetune.done" "fine-tuning of $model" "${labelled[@]}" "${dependence[@]}" --yaml "$tuning" \
    --keep "$out/finetune" --more label_counts="$label_counts"; then
    finetune "$model" "$out" "$label" "$seed"
    end_stage "$out/.finetune.done"
  fi
done
if in_range 4; then
  bound python3 -m m2d.bin.report_images exp=exp out=exp/RESULTS.md mini=$mini baseline="random weights"
  show exp/RESULTS.md
fi
