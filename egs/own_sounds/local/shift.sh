#!/usr/bin/env bash
# Why few steps of further pre-training help or harm: from speech (the mini M2D-S) to the mini corpus's ESC-50, one change of
# conf/further_cpu.yaml at a time. Every clip is tested once (five folds); 300 clips, thus about +- 5 points.
#
# usage: local/shift.sh RUN [SEED]...      RUN: a finished ../librispeech_m2ds/exp/m2ds_mini, with checkpoints and model/
#
# Makes exp/shift/NAME_SEED/ and, of what is there, local/shift.md by local/shift_table.py. About a minute of one core a run.
# shellcheck source-path=SCRIPTDIR/..
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 1; }
run=$(realpath "$1")
shift
cd "$(dirname "$0")/.."
. ./path.sh
corpus=${MINI_CORPUS:-../mini_corpus} data=data/shift out=exp/shift
checkpoints=("$run"/checkpoints/*.pt)
export OMP_NUM_THREADS=1

# NAME, then changes. BASE is 300 steps of conf/further_cpu.yaml as it was when it was tried: base rate 4e-3
variants=(
  "as_it_was"
  "rate_quarter optim.base_lr=1e-3"
  "rate_sixteenth optim.base_lr=2.5e-4"
  "own_predictor run.init_from=${checkpoints[-1]} data.teacher=$run/model model.predictor_width=96"
  "no_noise data.noise_ratio=0 data.noise=null"
  "distillation_alone model.lambda_m2d=0"
  "m2d_alone data.kind=audio model.lambda_off=0"
  "faster_target optim.ema_start=0.99 optim.ema_end=0.999"
  "four_times_the_steps optim.epochs=120"
  "rate_quarter_steps_4 optim.base_lr=1e-3 optim.epochs=120"
)

python3 -m mini_corpus out="$corpus" "parts=[esc50]" jobs=1
mkdir -p $data $out
{ echo file_name,label,fold; tail -n +2 "$corpus/ESC-50/meta/esc50.csv" | awk -F, '{print $1 "," $4 "," $2}'; } >$data/sounds.csv
python3 -m m2d.bin.prepare_task task=table table=$data/sounds.csv root="$corpus/ESC-50/audio" name=shift out=$data/task \
  audio_out=$data/train
python3 -m m2d.bin.extract_logmel data=$data/train out=$data/logmel
python3 -m m2d.bin.merge_features dir=$data/logmel
mapfile -t architecture < <(python3 -m m2d.bin.info "$run/model" show=settings seconds=5)

probe() {  # MODEL NAME
  python3 -m m2d.bin.linear_eval --config conf/linear.yaml model="$1" out=$out/"$2" label="$2" workers=0 "tasks=[$data/task]" \
    "linear.seeds=[0]"
}
probe "$run/model" weights_0
probe "random:$run/model" random_0
for seed in "${@:-0}"; do
  for variant in "${variants[@]}"; do
    read -r name changes <<<"$variant"
    exp=$out/${name}_$seed
    # shellcheck disable=SC2086  # words
    python3 -m m2d.bin.pretrain --config conf/further_cpu.yaml data.speech=$data/logmel data.noise=$data/logmel \
      run.init_from="$run/model" run.exp="$exp" run.seed="$seed" run.device=cpu optim.base_lr=4e-3 optim.epochs=30 \
      "${architecture[@]}" $changes
    python3 -m m2d.bin.export source="$exp" out="$exp/model"
    probe "$exp/model" "${name}_$seed"
  done
done
python3 local/shift_table.py $out >local/shift.md
