#!/usr/bin/env bash
# The gain of pre-training compared with the spread over seeds: linear evaluation of M2D and MSM-MAE on the mini corpus with
# several seeds, of the same network with random weights, and of log-mel. One row per setting and, under "Seeds of
# pre-training", whether random weights and log-mel are beaten by more than the spread.
#
#   local/seeds.sh                              -> exp/RESULTS.md
#   local/seeds.sh --table3 true                with targets from all patches too, as table 3 of the M2D paper
#   local/seeds.sh --seeds "0 1 2 3 4" -- --nj 4 --ngpu 1     after -- options of run.sh
#
# What is done already is not done again; seed 0 is what run.sh makes by itself.
# shellcheck source-path=SCRIPTDIR/..
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

seeds="0 1 2"    # of pre-training and of random weights
table3=false     # with M2D that has its targets from all patches
configs=         # settings of pre-training (default: the mini corpus's, which db.sh must not replace)

. ../../utils/log.sh
. ../../utils/parse_options.sh
. ./db.sh
[ -n "$configs" ] || [ -z "$AUDIOSET$AUDIO" ] || die "db.sh names AUDIOSET or AUDIO: give the settings to pre-train as --configs"

configs=${configs:-conf/pretrain_mini_m2d.yaml conf/pretrain_mini_mae.yaml}
if [ $table3 = true ]; then configs+=" conf/pretrain_mini_m2d_all_patches.yaml"; fi
for seed in $seeds; do
  set=run.seed=$seed
  if [ "$seed" = 0 ]; then set=; fi  # the default: those experiments carry no seed in their names
  log "seed $seed of $seeds"
  ./run.sh --stage 0 --stop_stage 4 --configs "$configs" --set "$set" "$@"
done
