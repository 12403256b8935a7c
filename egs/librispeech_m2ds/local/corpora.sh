# shellcheck shell=bash disable=SC2034,SC2154
# Which corpora run.sh works on, and what it does with them. Sourced after db.sh and the options.
#
# Sets: mini          true when any corpus of pre-training is the mini corpus
#       mini_speech   true when the speech is
#       corpus        name of the pre-training corpora, in data/, dump/ and exp/ names
#       corpora       NAME=VALUE words that stage 0 depends on
#       data, dump    folders of this corpus

if [ -n "$LIBRISPEECH" ] && [ -n "$SPEECH" ]; then die "db.sh names LIBRISPEECH and SPEECH: keep one"; fi
for name in LIBRISPEECH SPEECH NOISE SUPERB_LIBRISPEECH SPEECH_COMMANDS SPEECH_COMMANDS_TEST FLUENT_SPEECH_COMMANDS \
  VOXCELEB1 VOXCELEB1_SPLIT IEMOCAP ESC50 URBANSOUND8K GTZAN NSYNTH SURGE; do
  [ -z "${!name}" ] || [ -e "${!name}" ] || die "$name=${!name} (db.sh): no such file or folder"
done

mini_speech=false
mini=false
corpus=librispeech
if [ -n "$SPEECH" ]; then
  corpus=$(basename "$SPEECH" | tr -c 'A-Za-z0-9\n' '_')
elif [ -z "$LIBRISPEECH" ]; then
  mini_speech=true
  mini=true
  corpus=mini
fi
if [ -z "$NOISE" ] && [ $mini = false ]; then
  mini=true
  corpus+=_noise_mini
fi
corpora=("LIBRISPEECH=$LIBRISPEECH" "SPEECH=$SPEECH" "NOISE=$NOISE" "parts=$parts")
if [ $mini = true ]; then corpora+=("scale=$scale" "MINI_CORPUS=$MINI_CORPUS"); fi
data=data/$corpus
dump=dump/$corpus
mini_alignments=$MINI_CORPUS/LibriSpeech/alignments

make_mini_corpus() {  # PART...: stage 0's own corpus; what is there already is kept
  log "************************************************************************************************"
  log "* No corpus is named in db.sh for part of this: the MINI CORPUS stands in, synthetic speech     *"
  log "* and sounds. Its results check the recipe and that models learn; they say nothing of real data.*"
  log "************************************************************************************************"
  python3 -m m2d.bin.make_mini_corpus out="$MINI_CORPUS" scale="$scale" jobs="$nj" "parts=[$(IFS=,; echo "$*")]"
}

prepare_speech() {  # -> data/train, data/valid
  local root=$LIBRISPEECH train="${parts// /,}"
  if [ -n "$SPEECH" ]; then
    python3 -m m2d.bin.prepare_data corpus=folder root="$SPEECH" out="$data/train" segment_seconds=20 \
      valid_out="$data/valid" valid_utterances=50
    return
  fi
  if [ $mini_speech = true ]; then root=$MINI_CORPUS/LibriSpeech train=train-clean-100; fi
  python3 -m m2d.bin.prepare_data corpus=librispeech root="$root" "parts=[$train]" out="$data/train"
  python3 -m m2d.bin.prepare_data corpus=librispeech root="$root" "parts=[dev-clean]" out="$data/valid"
}

prepare_noise() {  # -> data/noise
  python3 -m m2d.bin.prepare_data corpus=folder root="${NOISE:-$MINI_CORPUS/AudioSet}" out="$data/noise" segment_seconds=10
}

run_superb() {  # of $exp/model, or of $upstream
  local model=$exp/model out=$exp/superb label=$tag overlays=conf/superb/m2ds.yaml name=SUPERB root
  local -a superb=() missing=()
  if [ -n "$upstream" ]; then
    model=$upstream out=exp/superb_$(tr -c 'A-Za-z0-9\n' '_' <<<"$upstream") label=$upstream overlays=
  fi
  root=$MINI_CORPUS
  superb_root() { # KEY VARIABLE FOLDER: the corpus named in db.sh, else the mini corpus's
    if [ -z "${!2}" ]; then missing+=("$2"); fi
    superb+=("corpora.$1=${!2:-$root/$3}")
  }
  superb_root librispeech SUPERB_LIBRISPEECH LibriSpeech
  superb_root lexicon LEXICON LibriSpeech/lexicon.txt
  superb_root speech_commands SPEECH_COMMANDS speech_commands
  superb_root speech_commands_test SPEECH_COMMANDS_TEST speech_commands_test
  superb_root fluent FLUENT_SPEECH_COMMANDS fluent_speech_commands_dataset
  superb_root voxceleb1 VOXCELEB1 VoxCeleb1
  superb_root voxceleb1_split VOXCELEB1_SPLIT VoxCeleb1/iden_split.txt
  superb_root iemocap IEMOCAP IEMOCAP_full_release
  if [ ${#missing[@]} -gt 0 ]; then
    make_mini_corpus speech
    name="mini corpus" out+=_mini overlays=${overlays:+$overlays,}conf/superb/mini.yaml
  fi
  "$cmd" "${gpu_job[@]}" --gpu "$((ngpu > 0))" --num-threads "$nj" "$out/run.log" python3 -m m2d.bin.superb model="$model" exp="$out" \
    "tasks=[${tasks// /,}]" "seeds=[${seeds// /,}]" "overlays=[$overlays]" "${superb[@]}" statistics="exp/superb_statistics" \
    device="$([ "$ngpu" -gt 0 ] && echo cuda || echo cpu)" jobs="$nj" corpus="$name" label="$label"
  python3 -m m2d.bin.superb_results "exps=[$(find exp -name results.json -path '*superb*' -printf '%h\n' | sort | paste -sd,)]" \
    out=exp/RESULTS.md figure=exp/superb.png
  cat exp/RESULTS.md
}

run_linear() {  # ENV and MUS of $exp/model
  local task root
  local -A roots=([esc50]=ESC50:ESC-50 [us8k]=URBANSOUND8K:UrbanSound8K [gtzan]=GTZAN:GTZAN [nsynth]=NSYNTH:nsynth [surge]=SURGE:surge)
  make_general=false
  for task in "${!roots[@]}"; do
    root=${roots[$task]%:*}
    if [ -z "${!root}" ]; then make_general=true; fi
  done
  if [ $make_general = true ]; then make_mini_corpus general; fi
  for task in esc50 us8k gtzan nsynth surge; do
    root=${roots[$task]%:*}
    python3 -m m2d.bin.prepare_task task=$task root="${!root:-$MINI_CORPUS/${roots[$task]#*:}}" out="$data/$task"
  done
  python3 -m m2d.bin.linear_eval model="$exp/model" out="$exp" label="$tag" \
    "tasks=[$data/esc50,$data/us8k,$data/gtzan,$data/nsynth,$data/surge]"
}
