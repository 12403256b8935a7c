#!/usr/bin/env bash
# Tables 2 to 6 of the M2D-S paper, one command each: every row is pre-trained and measured by SUPERB, the paper's row beside it.
# With LIBRISPEECH or SPEECH named in db.sh by the paper's settings; otherwise in miniature, on the mini corpus from several
# seeds, with log-mel, random weights and the teacher beside them.
#
#   local/ablations.sh                            table 5 (what M2D, distillation and denoising give alone and together), then
#                                                 table 3 of the M2D paper by the AudioSet recipe
#   local/ablations.sh --table 2 -- --ngpu 8      another table; after -- options of run.sh
#   local/ablations.sh --dry_run true             what each row costs, before any is run
#   cmd_backend=slurm local/ablations.sh          the rows side by side, as Slurm jobs
#
# writes exp/TABLE_N.md and exp/table_N.png; with --objectives true the losses and signs of collapse of all these runs in
# exp/OBJECTIVES.md too. What is done already is not done again.
# shellcheck source-path=SCRIPTDIR/..
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

table=5
seeds=             # of pre-training; each model's SUPERB runs take the same seed (default: 0, or "0 1 2" on the mini corpus)
rows=              # names of settings, as the table below has them (default: all of the table)
set=               # changes to the settings of all rows: "key=value key=value"
dry_run=false      # print what each row costs, with hours at the rates of this machine, and stop
tasks="pr ks ic sid er"
rates=             # file that these rates are kept in (default: they are measured anew, in about a minute)
objectives=true    # with the AudioSet recipe's table 3, and OBJECTIVES.md of both; on the mini corpus only

. ../../utils/log.sh
. ../../utils/parse_options.sh
. ./path.sh
. ./db.sh

# table, settings (conf/pretrain_NAME.yaml), what they are on the mini corpus, and the paper's row
settings='
2|m2d_noise0.0|model.lambda_off=0 data.noise_ratio=0|M2D noise ratio 0.0 (Table 2)
2|m2d_noise0.1|model.lambda_off=0 data.noise_ratio=0.1|M2D noise ratio 0.1 (Table 2)
2|m2d_noise0.2|model.lambda_off=0|M2D noise ratio 0.2 (Table 2)
2|m2d_noise0.3|model.lambda_off=0 data.noise_ratio=0.3|M2D noise ratio 0.3 (Table 2)
2|m2d_noise0.4|model.lambda_off=0 data.noise_ratio=0.4|M2D noise ratio 0.4 (Table 2)
2|m2d_noise0.5|model.lambda_off=0 data.noise_ratio=0.5|M2D noise ratio 0.5 (Table 2)
2|m2d_noise1.0|model.lambda_off=0 data.noise_ratio=1|M2D noise ratio 1.0 (Table 2)
3|m2d_patch16x16|model.lambda_off=0 model.patch_size=[16,16]|M2D 16x16 (Table 3)
3|m2d_patch40x8|model.lambda_off=0 model.patch_size=[40,8]|M2D 40x8 (Table 3)
3|m2d_patch40x4|model.lambda_off=0 model.patch_size=[40,4]|M2D 40x4 (Table 3)
3|m2d_patch40x2|model.lambda_off=0 model.patch_size=[40,2]|M2D 40x2 (Table 3)
3|m2d_patch80x8|model.lambda_off=0 model.patch_size=[80,8]|M2D 80x8 (Table 3)
3|m2d_noise0.2|model.lambda_off=0|M2D 80x4 (Table 3)
3|m2d_patch80x2|model.lambda_off=0 model.patch_size=[80,2]|M2D 80x2 (Table 3)
4|m2d_noise0.2|model.lambda_off=0|M2D T=2.08s 80x4 (Table 4)
4|m2d_t3.04s|model.lambda_off=0 model.input_size=[80,304]|M2D T=3.04s 80x4 (Table 4)
4|m2d_t4.00s|model.lambda_off=0 model.input_size=[80,400]|M2D T=4.00s 80x4 (Table 4)
4|m2d_t5.12s|model.lambda_off=0 model.input_size=[80,512]|M2D T=5.12s 80x4 (Table 4)
4|m2d_t6.08s|model.lambda_off=0 model.input_size=[80,608]|M2D T=6.08s 80x4 (Table 4)
5|m2d_noise0.2|model.lambda_off=0|M2D alone T=2.08s 80x4 (Table 5a)
5|m2ds_distill|model.lambda_m2d=0 data.noise_ratio=0|distillation alone T=2.08s 80x4 (Table 5b)
5|m2ds_distill_denoise|model.lambda_m2d=0|denoising distillation T=2.08s 80x4 (Table 5c)
5|m2ds_m2d_distill|data.noise_ratio=0|M2D and distillation T=2.08s 80x4 (Table 5d)
5|m2ds_all_tasks||M2D-S T=2.08s 80x4 (Table 5e)
6|m2ds_t4.0s_80x2|model.input_size=[80,400] model.patch_size=[80,2]|M2D-S T=4.0s 80x2 (Table 6)
6|m2ds_t5.12s_80x2|model.input_size=[80,512] model.patch_size=[80,2]|M2D-S T=5.12s 80x2 (Table 6)
6|m2ds_t6.08s_80x2|model.input_size=[80,608] model.patch_size=[80,2]|M2D-S T=6.08s 80x2 (Table 6)'

mini=$([ -z "$LIBRISPEECH$SPEECH" ] && echo true || echo false)
seeds=${seeds:-$([ "$mini" = true ] && echo 0 1 2 || echo 0)}
mini_teacher=../../tools/mini_corpus/mini_hubert
suffix=$([ -n "$LIBRISPEECH$SPEECH" ] && [ -n "$NOISE" ] || echo _mini)
chosen=$(grep "^$table|" <<<"$settings") || die "--table $table: there are 2 to 6"

declare -A label=([m2d_noise0.2]="M2D" [m2ds_distill]="distillation" [m2ds_distill_denoise]="denoising distillation"
  [m2ds_m2d_distill]="M2D + distillation" [m2ds_all_tasks]="M2D-S: M2D + denoising distillation")
published=() exps=() last=''
if [ $dry_run = true ]; then
  echo "each row with one seed; there are $(wc -w <<<"$seeds")"
  seeds=${seeds%% *}
  if [ -z "$rates" ]; then rates=$(mktemp) && trap 'rm -f "$rates"' EXIT; fi  # measured once for all rows
fi
run_row() {  # NAME CHANGES SEED STOP_STAGE [OPTION]...
  local config=conf/pretrain_$1.yaml changes="run.seed=$3 $set"
  if [ "$mini" = true ]; then config=conf/pretrain_mini_m2ds.yaml changes="$2 $changes"; fi
  ./run.sh --stop_stage "$4" --config "$config" --set "$changes" --dry_run $dry_run --rates "$rates" \
    --tag "$1_seed$3$suffix" --label "${label[$1]:-$1}" \
    --tasks "$tasks" --seeds "$3" "${@:5}" </dev/null
}

while IFS='|' read -r _ name changes row; do
  if [ -n "$rows" ] && [[ " $rows " != *" $name "* ]]; then continue; fi
  published+=("rows+=$row") last=$name
  if [ $dry_run = true ]; then
    echo "---- $row"
    run_row "$name" "$changes" "$seeds" 5 "$@"
    continue
  fi
  for seed in $seeds; do
    exps+=("exp/$name""_seed$seed$suffix")
    if [ "${cmd_backend:-local}" = slurm ]; then
      run_row "$name" "$changes" "$seed" 2 "$@"  # what all share, one after the other
      run_row "$name" "$changes" "$seed" 5 "$@" &
    else
      run_row "$name" "$changes" "$seed" 5 "$@"
    fi
  done
done <<<"$chosen"
[ -n "$last" ] || die "--rows '$rows': none of them is in table $table"
if [ $dry_run = true ]; then exit; fi
for job in $(jobs -p); do wait "$job" || die "a row failed: its messages are above; run the same command again"; done

if [ "$mini" = true ]; then
  beside=(./run.sh --stage 5 --config conf/pretrain_mini_m2ds.yaml --tasks "$tasks")
  random=exp/${last}_seed${seeds%% *}$suffix/model
  "${beside[@]}" --seeds "$seeds" --upstream logmel:4 --label "log-mel" "$@"
  "${beside[@]}" --seeds "$seeds" --upstream "random:$random" --label "random weights" "$@"
  exps+=(exp/superb_logmel_4 "exp/superb_random_${random//\//_}")
  "${beside[@]}" --seeds "${seeds%% *}" --upstream "hf:$mini_teacher" --label "the teacher" "$@"
  exps+=("exp/superb_hf_${mini_teacher//[!A-Za-z0-9.=-]/_}")
fi
mapfile -t folders < <(for exp in "${exps[@]}"; do compgen -G "$exp/superb*/results.json" || ls "$exp"*/results.json; done | xargs -d '\n' dirname)
python3 -m m2d.bin.superb_results "exps=[]" "${folders[@]/#/exps+=}" "rows=[]" "${published[@]}" out="exp/TABLE_$table.md" \
  figure="exp/table_$table.png"
cat "exp/TABLE_$table.md"

if [ "$mini" = true ] && [ "$table" = 5 ] && [ "$objectives" = true ]; then
  ../audioset_m2d/local/seeds.sh --seeds "$seeds" --table3 true -- "$@"
  mapfile -t runs < <(for exp in "${exps[@]}" ../audioset_m2d/exp/m*_mini; do if [ -e "$exp/done" ]; then echo "$exp"; fi; done)
  python3 -m m2d.bin.compare_runs "exps=[]" "${runs[@]/#/exps+=}" out=exp/OBJECTIVES.md figure=exp/objectives.png
  cat exp/OBJECTIVES.md
fi
