#!/usr/bin/env bash
# Table 5 of the M2D-S paper in miniature: what M2D, distillation and denoising give alone and together, and beside them
# log-mel, the same network with random weights, and the teacher. Then table 3 of the M2D paper, by the AudioSet recipe:
# targets from masked patches against targets from all. Everything is pre-trained on the mini corpus from several seeds.
#
#   local/ablations.sh
#   local/ablations.sh --rows "a e" --table3 false
#
# writes exp/ABLATIONS.md and exp/ablations.png, the AudioSet recipe's exp/RESULTS.md, and of all these runs the losses and
# signs of collapse in exp/OBJECTIVES.md and exp/objectives.png.
# What is done already is not done again; a run takes hours on two cores.
# shellcheck source-path=SCRIPTDIR/..
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck disable=SC2034
seeds="0 1 2"      # of pre-training; each model's SUPERB runs take the same seed
rows="a b c d e"   # of table 5
tasks="pr ks ic sid er"
nj=2
table3=true        # the AudioSet recipe's part
out=exp/ABLATIONS.md
figure=exp/ablations.png

. ../../utils/log.sh
. ../../utils/parse_options.sh
. ./path.sh
. ./db.sh
[ -z "$LIBRISPEECH$SPEECH$NOISE" ] || die "these are the mini corpus's settings, but db.sh names LIBRISPEECH, SPEECH or NOISE"
if [ "$table3" = true ] && ! (. ../audioset_m2d/db.sh && [ -z "$AUDIOSET$AUDIO" ]); then
  die "these are the mini corpus's settings, but the AudioSet recipe's db.sh names AUDIOSET or AUDIO (see --table3)"
fi

declare -A setting=(
  [a]="model.lambda_m2d=1 model.lambda_off=0 data.noise_ratio=0.2"
  [b]="model.lambda_m2d=0 model.lambda_off=1 data.noise_ratio=0"
  [c]="model.lambda_m2d=0 model.lambda_off=1 data.noise_ratio=0.2"
  [d]="model.lambda_m2d=1 model.lambda_off=1 data.noise_ratio=0"
  [e]="model.lambda_m2d=1 model.lambda_off=1 data.noise_ratio=0.2")
declare -A title=([a]="(a) M2D" [b]="(b) distillation" [c]="(c) denoising distillation" [d]="(d) M2D + distillation"
  [e]="(e) M2D-S: M2D + denoising distillation")
declare -A paper=([a]="M2D alone T=2.08s 80x4 (Table 5a)" [b]="distillation alone T=2.08s 80x4 (Table 5b)"
  [c]="denoising distillation T=2.08s 80x4 (Table 5c)" [d]="M2D and distillation T=2.08s 80x4 (Table 5d)"
  [e]="M2D-S T=2.08s 80x4 (Table 5e)")

recipe=(./run.sh --config conf/pretrain_mini_m2ds.yaml --tasks "$tasks" --nj "$nj")
for row in $rows; do
  for seed in $seeds; do
    "${recipe[@]}" --stage 0 --stop_stage 5 --seeds "$seed" --set "${setting[$row]} run.seed=$seed" \
      --tag "table5${row}_seed${seed}_mini" --label "${title[$row]}"
  done
done
random=random:exp/table5${rows##* }_seed${seeds%% *}_mini/model  # every row has the same encoder
"${recipe[@]}" --stage 5 --seeds "$seeds" --upstream logmel:4 --label "log-mel"
"${recipe[@]}" --stage 5 --seeds "$seeds" --upstream "$random" --label "random weights"
if [ -e exp/teacher_mini/config.json ]; then  # row (a) alone has none
  "${recipe[@]}" --stage 5 --seeds "${seeds%% *}" --upstream hf:exp/teacher_mini --label "the teacher (supervised by phone times)"
fi

published=$(for row in $rows; do printf ',"%s"' "${paper[$row]}"; done)
exps=$(find exp -name results.json \( -path "exp/superb_logmel_4_mini/*" -o -path "exp/superb_${random//[^A-Za-z0-9]/_}_mini/*" \
  -o -path "exp/table5*/superb_mini/*" -o -path "exp/superb_hf_exp_teacher_mini_mini/*" \) -printf '%h\n' | sort | paste -sd,)
python3 -m m2d.bin.superb_results "exps=[$exps]" "rows=[${published#,}]" out="$out" figure="$figure"
cat "$out"

if [ "$table3" = true ]; then ../audioset_m2d/local/seeds.sh --seeds "$seeds" --table3 true -- --nj "$nj"; fi

runs=$(find exp ../audioset_m2d -maxdepth 3 \( -path "exp/table5*_mini/done" -o -path "../audioset_m2d/exp/m*_mini/done" \) \
  -printf '%h\n' | sort | paste -sd,)
python3 -m m2d.bin.compare_runs "exps=[$runs]" out=exp/OBJECTIVES.md figure=exp/objectives.png
cat exp/OBJECTIVES.md
