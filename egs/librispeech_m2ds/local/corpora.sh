# shellcheck shell=bash disable=SC2034,SC2154
# Which corpora run.sh pre-trains on, and how they become data directories. Sourced after db.sh and the options.
#
# Sets: mini          true when the mini corpus stands in for speech or noise
#       mini_speech   true when it stands in for the speech
#       config, plan  settings of pre-training, and the command that tells of them, with the changes of --set
#       needs         which of speech, noise, teacher these settings learn from
#       settings      KEY=VALUE lines of what shapes the result of pre-training
#       corpus        name of the pre-training corpora, in data/, dump/ and exp/ names; --corpus gives one to download
#       sets          data directories: train, valid, noise
#       data, dump    folders of these corpora
#       inputs        words for begin_stage: what stage 0 follows from
#       downloads     names for local/download.sh: what stage 0 fetches

downloads=() small=false valid_part=dev-clean
case $corpus in
  '') ;;
  mini_librispeech)
    downloads=(mini_librispeech esc50) small=true
    LIBRISPEECH=corpora/LibriSpeech SPEECH='' NOISE=corpora/ESC-50-master/audio
    parts=train-clean-5 valid_part=dev-clean-2
    ;;
  *) die "--corpus $corpus: there is mini_librispeech; other corpora are named in db.sh (local/download.sh fetches some)" ;;
esac
if [ -n "$LIBRISPEECH" ] && [ -n "$SPEECH" ]; then die "db.sh names LIBRISPEECH and SPEECH: keep one"; fi
for name in LIBRISPEECH SPEECH NOISE; do
  [ -z "${!name}" ] || [ -e "${!name}" ] || [ ${#downloads[@]} -gt 0 ] || die "$name=${!name} (db.sh): no such file or folder"
done
corpora superb check && corpora general check || exit 1

mini_speech=false
corpus=${corpus:-librispeech}
if [ -n "$SPEECH" ]; then
  corpus=$(folder_name "$(basename "$SPEECH")")
elif [ -z "$LIBRISPEECH" ]; then
  mini_speech=true small=true
  corpus=mini
fi
config=${config:-conf/pretrain_$([ $small = true ] && echo mini_m2ds || echo m2ds_t6.08s_80x2).yaml}
[ -f "$config" ] || die "$config: no such settings; there are: $(echo conf/pretrain_*.yaml)"
read -r -a changes <<<"$set"
plan=(python3 -m m2d.bin.plan config="$config" ${changes[@]+"${changes[@]/#/set+=}"})
settings=$("${plan[@]}" show=inputs)
needs=${settings%%$'\n'*} settings=${settings#*$'\n'}
case $on_the_fly in
  '') ;;
  speech | all) changes+=(data.kind=waves) plan+=("set+=data.kind=waves") settings+=$'\n'data.kind=waves ;;
  *) die "--on_the_fly $on_the_fly: speech, or all" ;;
esac
mini=$mini_speech sets="train valid noise"
if [ -z "$NOISE" ] && [ $mini = false ]; then
  if [[ $needs == *noise* ]]; then
    mini=true
    corpus+=_noise_mini
  else
    sets="train valid"
  fi
fi
data=data/$corpus
dump=dump/$corpus
librispeech=$LIBRISPEECH noise=${NOISE:-$MINI_CORPUS/AudioSet}
if [ $mini_speech = true ]; then librispeech=$MINI_CORPUS/LibriSpeech parts=train-clean-100; fi
inputs=(--corpus NOISE="$([[ $sets != *noise* ]] || echo "$noise")")
if [ -n "$SPEECH" ]; then
  inputs+=(--corpus SPEECH="$SPEECH" held_out="$held_out")
else
  inputs+=(parts="$parts")
  for name in $parts $valid_part; do inputs+=(--corpus "LIBRISPEECH $name=$librispeech/$name"); done
fi

prepare_speech() {  # -> $data/train, $data/valid
  if [ -n "$SPEECH" ]; then
    bound python3 -m m2d.bin.prepare_data corpus=folder root="$SPEECH" out="$data/train" segment_seconds=20 \
      valid_out="$data/valid" valid_utterances="$held_out"
  else
    bound python3 -m m2d.bin.prepare_data corpus=librispeech root="$librispeech" "parts=[${parts// /,}]" out="$data/train"
    bound python3 -m m2d.bin.prepare_data corpus=librispeech root="$librispeech" "parts=[$valid_part]" out="$data/valid"
  fi
}

prepare_noise() {  # -> $data/noise
  bound python3 -m m2d.bin.prepare_data corpus=folder root="$noise" out="$data/noise" segment_seconds=10
}

extract_teacher() {  # NAME: $dump/NAME/$teacher_store of $data/NAME
  "$cmd" "${gpu_job[@]}" --num-threads 1 --gpu "$((ngpu > 0))" JOB=1:"$nj" "$dump/log/${teacher_store}_$1.JOB.log" \
    python3 -m m2d.bin.extract_teacher data="$data/$1" out="$dump/$1/$teacher_store" model="$teacher" \
    layer="$teacher_layer" dtype="$teacher_dtype" job=JOB jobs="$nj" max_bad_share="$max_bad" &&
    bound python3 -m m2d.bin.merge_features dir="$dump/$1/$teacher_store" max_bad_share="$max_bad"
}

is_stored() { [ -z "$on_the_fly" ] || { [ "$on_the_fly" = speech ] && [ "$1" = noise ]; }; }  # SET: its log-mels

take_part() {  # SOURCE OUT: 2,000 utterances, spread evenly
  local table=$1/segments
  [ -f "$table" ] || table=$1/wav.scp
  awk -v every="$((($(wc -l <"$table") + 1999) / 2000))" 'NR % every == 0' "$table" >"$2.list"
  ../../utils/subset_data_dir.sh --utt-list "$2.list" "$1" "$2"
  rm "$2.list"
}

statistics() {  # STORE OPTION=KEY...: "OPTION=VALUE" lines, the values of KEY in its stats.json
  [ -f "$1.done" ] || die "stage 3: $1 is not there: run an earlier stage first (--stage 1)"
  python3 -c 'import json, sys
stats = json.load(open(f"{sys.argv[1]}/stats.json"))
for word in sys.argv[2:]: print("{}={}".format(*word.split("=")[:1], stats[word.split("=")[1]]))' "$@"
}

pretraining_data() {  # N: options of pre-training that name its data, in `stores`, and what stage N follows from, in `follows`
  local store
  stores=() follows=()
  in_range "$1" || return 0
  if is_stored train; then
    stores=(data.speech="$dump/train/logmel" data.valid="$dump/valid/logmel")
    if [[ $needs == *teacher* ]]; then
      stores+=(data.teacher="$dump/train/$teacher_store" data.valid_teacher="$dump/valid/$teacher_store")
    fi
  fi
  if [[ $needs == *noise* ]] && is_stored noise; then stores+=(data.noise="$dump/noise/logmel"); fi
  for store in ${stores[@]+"${stores[@]#*=}"}; do follows+=(--after "$store.done"); done
  is_stored train || _data_on_the_fly
}

_data_on_the_fly() {
  local lines
  stores+=(data.speech="$data/train" data.valid="$data/valid")
  follows+=(--data "$data/train" --data "$data/valid" --after "$dump/train_part/logmel.done")
  lines=$(statistics "$dump/train_part/logmel" data.mean=mean data.std=std)
  if [[ $needs == *noise* ]] && ! is_stored noise; then
    stores+=(data.noise="$data/noise")
    follows+=(--data "$data/noise" --after "$dump/noise_part/logmel.done")
    lines+=$'\n'$(statistics "$dump/noise_part/logmel" data.noise_mean=mean)
  fi
  if [[ $needs == *teacher* ]]; then
    lines+=$'\n'data.teacher=$teacher$'\n'data.teacher_layer=$teacher_layer
    follows+=(--weights "$teacher" teacher_layer="$teacher_layer")
  fi
  mapfile -t -O "${#stores[@]}" stores <<<"$lines"
}
