#!/usr/bin/env bash
# Train the mini corpus's teacher anew: a 12-layer HuBERT, by masked prediction of clustered units, on synthetic speech of speakers
# that no other part of the mini corpus has. No label and no time of the synthesiser is used. About 45 minutes of one processor.
#
#   local/train_mini_teacher.sh               -> exp/mini_hubert: model, training.json, train.log; probe.json and probe.png by layer
#   local/train_mini_teacher.sh --keep true   and put it into tools/mini_corpus/mini_hubert, which run.sh uses
#
# An interrupted training begins its round anew.
# shellcheck source-path=SCRIPTDIR/..
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

keep=false   # put the result in the place of the teacher that the repository has
nj=2         # parallel jobs of the corpus
scale=1      # size of the corpora
set=         # changes to the settings: "train.steps=[100,100] train.units=[50,50]"

. ../../utils/log.sh
. ../../utils/parse_options.sh
. ./path.sh
. ./db.sh
. ../../utils/stages.sh   # bound
read -r -a changes <<<"$set"
exp=exp/mini_hubert
data=data/mini_hubert
kept=../../tools/mini_corpus/mini_hubert

parts=(teacher_speech librispeech speech_commands_v1 voxceleb)
bound python3 -m mini_corpus out="$MINI_CORPUS" scale="$scale" jobs="$nj" 'parts=[]' "${parts[@]/#/parts+=}"
bound python3 -m m2d.bin.prepare_data corpus=folder root="$MINI_CORPUS/teacher_speech" out="$data/train"
for part in dev-clean train-clean-100 test-clean; do
  bound python3 -m m2d.bin.prepare_data corpus=librispeech root="$MINI_CORPUS/LibriSpeech" "parts=[$part]" out="$data/$part"
done
mkdir -p "$exp"
OMP_NUM_THREADS=1 ../../utils/bound.py $$ python3 -m mini_corpus.train_teacher data="$data/train" valid="$data/dev-clean" \
  out="$exp/model" ${changes[@]+"${changes[@]}"} 2>&1 | tee -a "$exp/train.log"
bound python3 -m mini_corpus.probe_teacher model="$exp/model" train="$data/train-clean-100" test="$data/test-clean" \
  alignments="$MINI_CORPUS/LibriSpeech/alignments" words="$MINI_CORPUS/speech_commands_v0.01" \
  speakers="$MINI_CORPUS/VoxCeleb1/dev/wav" out="$exp"
if [ $keep = true ]; then
  bound python3 -m mini_corpus.keep_teacher model="$exp/model" probe="$exp" log="$exp/train.log" out="$kept"
fi
