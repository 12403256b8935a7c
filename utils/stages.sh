# shellcheck shell=bash disable=SC2154
# What the stages of both recipes have in common; source it after log.sh, the options, db.sh and cmd.sh.
#
#   check_paths VARIABLE...           those that db.sh sets must exist
#   make_mini_corpus PART...          the mini corpus, with a banner; what is there already is kept
#   extract_logmels DATA OUT LOGS     packed log-mels of a data directory, and their statistics
#   pretrain CONFIG EXP OPTION...     a pre-training run; it resumes by itself
#   export_model EXP                  EXP/model, which m2d.load_pretrained and s3prl load
#   run_superb MODEL OUT LABEL        SUPERB ($superb_tasks, with $superb_overlays over the settings of conf/superb) of a
#                                     model on the corpora of db.sh; where one that these tasks need is not named, on the
#                                     mini corpus with its settings, in OUT_mini; exp/SUPERB.md

check_paths() {
  local name
  for name in "$@"; do
    [ -z "${!name:-}" ] || [ -e "${!name}" ] || die "$name=${!name} (db.sh): no such file or folder"
  done
}

make_mini_corpus() {
  log "************************************************************************************************"
  log "* No corpus is named in db.sh for part of this: the MINI CORPUS stands in, synthetic speech     *"
  log "* and sounds. Its results check the recipe and that models learn; they say nothing of real data.*"
  log "************************************************************************************************"
  python3 -m mini_corpus out="$MINI_CORPUS" scale="$scale" jobs="$nj" "parts=[$(IFS=,; echo "$*")]"
}

extract_logmels() {
  "$cmd" "${cpu_job[@]}" JOB=1:"$nj" "$3/logmel_$(basename "$1").JOB.log" \
    python3 -m m2d.bin.extract_logmel data="$1" out="$2" job=JOB jobs="$nj"
  python3 -m m2d.bin.merge_features dir="$2"
}

pretrain() {
  "$cmd" "${train_job[@]}" --gpu "$ngpu" --nodes "$nodes" "$2/run.log" python3 ../../utils/torchrun.py \
    -m m2d.bin.pretrain --config "$1" run.exp="$2" "${@:3}"
}

export_model() {
  python3 -m m2d.bin.export source="$1" out="$1/model"
  python3 -m m2d.bin.superb_check model="$1/model"
}

_superb_corpora() {  # TASK [KEY VARIABLE STAND_IN]...: all as db.sh names them, or else all the mini corpus's
  local task=$1 own=() stand_in=() lacking=()
  shift
  while [ $# -gt 0 ]; do
    own+=("corpora.$1=${!2}")
    stand_in+=("corpora.$1=$3")
    if [ -z "${!2}" ]; then lacking+=("${2^^}"); fi
    shift 3
  done
  if [ ${#lacking[@]} = 0 ]; then
    roots+=("${own[@]}")
    return
  fi
  roots+=("${stand_in[@]}")
  mini_superb=true
  if [ ${#lacking[@]} -lt ${#own[@]} ]; then
    log "SUPERB $task: db.sh does not name ${lacking[*]}: the mini corpus stands in for all of this task"
  fi
}

_superb_corpora_of() {  # TASK: only what it needs, so that corpora of other tasks decide nothing
  # shellcheck disable=SC2034  # named to _superb_corpora
  local lexicon=${LEXICON:+[${LEXICON// /,}]}
  case $1 in
    pr) _superb_corpora pr librispeech SUPERB_LIBRISPEECH "$MINI_CORPUS/LibriSpeech" \
      lexicon lexicon "[$MINI_CORPUS/LibriSpeech/lexicon.txt]" ;;
    ks) _superb_corpora ks speech_commands SPEECH_COMMANDS "$MINI_CORPUS/speech_commands_v0.01" \
      speech_commands_test SPEECH_COMMANDS_TEST "$MINI_CORPUS/speech_commands_test_set_v0.01" ;;
    ic) _superb_corpora ic fluent FLUENT_SPEECH_COMMANDS "$MINI_CORPUS/fluent_speech_commands_dataset" ;;
    sid) _superb_corpora sid voxceleb1 VOXCELEB1 "$MINI_CORPUS/VoxCeleb1" \
      voxceleb1_split VOXCELEB1_SPLIT "$MINI_CORPUS/VoxCeleb1/iden_split.txt" ;;
    er) _superb_corpora er iemocap IEMOCAP "$MINI_CORPUS/IEMOCAP_full_release" ;;
    *) die "unknown SUPERB task '$1' (known: pr ks ic sid er)" ;;
  esac
}

run_superb() {
  local model=$1 out=$2 label=$3 corpus_name=SUPERB overlays='' mini_superb=false roots=() exps task
  if [ -d "$model" ]; then overlays=conf/superb/m2ds.yaml; fi
  for task in $superb_tasks; do _superb_corpora_of "$task"; done
  if [ $mini_superb = true ]; then
    make_mini_corpus speech
    corpus_name="mini corpus" out+=_mini overlays+=" conf/superb/mini.yaml"
  fi
  read -r -a overlays <<<"$overlays ${superb_overlays:-}"
  "$cmd" "${gpu_job[@]}" --gpu "$((ngpu > 0))" --num-threads "$nj" "$out/run.log" python3 -m m2d.bin.superb \
    model="$model" exp="$out" label="$label" corpus="$corpus_name" "tasks=[${superb_tasks// /,}]" \
    ${seeds:+"seeds=[${seeds// /,}]"} "overlays=[$(IFS=,; echo "${overlays[*]}")]" "${roots[@]}" statistics=exp/superb_statistics \
    device="$([ "$ngpu" -gt 0 ] && echo cuda || echo cpu)" jobs="$nj"
  exps=$(find exp -name results.json -path '*superb*' -printf '%h\n' | sort | paste -sd,)
  python3 -m m2d.bin.superb_results "exps=[$exps]" out=exp/SUPERB.md figure=exp/superb.png
  cat exp/SUPERB.md
}
