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
  python3 -m m2d.bin.make_mini_corpus out="$MINI_CORPUS" scale="$scale" jobs="$nj" "parts=[$(IFS=,; echo "$*")]"
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

_superb_root() {  # KEY VARIABLE PATH: the corpus named in db.sh, else the mini corpus's
  if [ -z "${!2}" ]; then mini_superb=true; fi
  roots+=("corpora.$1=${!2:-$MINI_CORPUS/$3}")
}

_superb_lexicons() {  # those of LEXICON, a space between, as a list
  local files=()
  read -r -a files <<<"$LEXICON"
  if [ -z "$LEXICON" ]; then mini_superb=true files=("$MINI_CORPUS/LibriSpeech/lexicon.txt"); fi
  roots+=("corpora.lexicon=[$(IFS=,; echo "${files[*]}")]")
}

_superb_roots_of() {  # TASK: the corpora it needs; those of tasks that are not wanted decide nothing
  case $1 in
    pr) _superb_root librispeech SUPERB_LIBRISPEECH LibriSpeech
      _superb_lexicons ;;
    ks) _superb_root speech_commands SPEECH_COMMANDS speech_commands_v0.01
      _superb_root speech_commands_test SPEECH_COMMANDS_TEST speech_commands_test_set_v0.01 ;;
    ic) _superb_root fluent FLUENT_SPEECH_COMMANDS fluent_speech_commands_dataset ;;
    sid) _superb_root voxceleb1 VOXCELEB1 VoxCeleb1
      _superb_root voxceleb1_split VOXCELEB1_SPLIT VoxCeleb1/iden_split.txt ;;
    er) _superb_root iemocap IEMOCAP IEMOCAP_full_release ;;
    *) die "unknown SUPERB task '$1' (known: pr ks ic sid er)" ;;
  esac
}

run_superb() {
  local model=$1 out=$2 label=$3 corpus_name=SUPERB overlays='' mini_superb=false roots=() exps task
  if [ -d "$model" ]; then overlays=conf/superb/m2ds.yaml; fi
  for task in $superb_tasks; do _superb_roots_of "$task"; done
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
