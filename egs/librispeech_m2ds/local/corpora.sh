# shellcheck shell=bash disable=SC2034,SC2154
# Which corpora run.sh works on, and how they become data directories. Sourced after db.sh and the options.
#
# Sets: mini          true when the mini corpus stands in for speech or noise
#       mini_speech   true when it stands in for the speech
#       corpus        name of the pre-training corpora, in data/, dump/ and exp/ names
#       data, dump    folders of these corpora
#       inputs        NAME=VALUE words that stage 0 depends on

if [ -n "$LIBRISPEECH" ] && [ -n "$SPEECH" ]; then die "db.sh names LIBRISPEECH and SPEECH: keep one"; fi
check_paths LIBRISPEECH SPEECH NOISE SUPERB_LIBRISPEECH SPEECH_COMMANDS SPEECH_COMMANDS_TEST FLUENT_SPEECH_COMMANDS \
  VOXCELEB1 VOXCELEB1_SPLIT IEMOCAP ESC50 URBANSOUND8K GTZAN GTZAN_SPLIT NSYNTH SURGE SURGE_TABLE

mini_speech=false
corpus=librispeech
if [ -n "$SPEECH" ]; then
  corpus=$(basename "$SPEECH" | tr -c 'A-Za-z0-9\n' '_')
elif [ -z "$LIBRISPEECH" ]; then
  mini_speech=true
  corpus=mini
fi
mini=$mini_speech
if [ -z "$NOISE" ] && [ $mini = false ]; then
  mini=true
  corpus+=_noise_mini
fi
data=data/$corpus
dump=dump/$corpus
inputs=("LIBRISPEECH=$LIBRISPEECH" "SPEECH=$SPEECH" "NOISE=$NOISE" "parts=$parts")
if [ -n "$SPEECH" ]; then inputs+=("held_out=$held_out"); fi
if [ $mini = true ]; then inputs+=("scale=$scale" "MINI_CORPUS=$MINI_CORPUS"); fi

prepare_speech() {  # -> $data/train, $data/valid
  local root=$LIBRISPEECH train=$parts
  if [ -n "$SPEECH" ]; then
    python3 -m m2d.bin.prepare_data corpus=folder root="$SPEECH" out="$data/train" segment_seconds=20 \
      valid_out="$data/valid" valid_utterances="$held_out"
    return
  fi
  if [ $mini_speech = true ]; then root=$MINI_CORPUS/LibriSpeech train=train-clean-100; fi
  python3 -m m2d.bin.prepare_data corpus=librispeech root="$root" "parts=[${train// /,}]" out="$data/train"
  python3 -m m2d.bin.prepare_data corpus=librispeech root="$root" "parts=[dev-clean]" out="$data/valid"
}

prepare_noise() {  # -> $data/noise
  python3 -m m2d.bin.prepare_data corpus=folder root="${NOISE:-$MINI_CORPUS/AudioSet}" out="$data/noise" segment_seconds=10
}

train_mini_teacher() {  # OUT: the mini corpus's own HuBERT
  if [ -e "$1/config.json" ]; then return; fi  # it takes its name when it is whole
  "$cmd" "${gpu_job[@]}" --num-threads "$nj" "$1.log" python3 -m mini_corpus.train_teacher data="$data/train" \
    valid="$data/valid" alignments="$MINI_CORPUS/LibriSpeech/alignments" out="$1"
}

extract_teacher() {  # NAME: $dump/NAME/$teacher_store of $data/NAME
  "$cmd" "${gpu_job[@]}" --num-threads 1 --gpu "$((ngpu > 0))" JOB=1:"$nj" "$dump/log/${teacher_store}_$1.JOB.log" \
    python3 -m m2d.bin.extract_teacher data="$data/$1" out="$dump/$1/$teacher_store" model="$teacher" \
    layer="$teacher_layer" dtype="$teacher_dtype" job=JOB jobs="$nj"
  python3 -m m2d.bin.merge_features dir="$dump/$1/$teacher_store"
}
