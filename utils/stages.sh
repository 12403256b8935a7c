# shellcheck shell=bash disable=SC2154
# What the stages of both recipes have in common; source it after log.sh, the options, db.sh and cmd.sh.
#
#   bound COMMAND...                  run a command here that ends when run.sh is killed
#   corpora KIND VERB TASK...         which corpora serve which tasks (see corpora.py)
#   folder_name TEXT                  TEXT as a part of a folder's name
#   setting_name CONFIG               the name of its experiments: conf/pretrain_mini_m2d.yaml gives m2d
#   set_name SET                      the same of changes to settings; of a path its last two names
#   check_tag TAG                     whether it can be a part of that name
#   make_mini_corpus PART...          the mini corpus, with a banner; what is there already is kept
#   log_mels N DATA OUT LOGS          stage N: packed log-mels of a data directory, and their statistics
#   settings_of CONFIG CHANGE...      KEY=VALUE lines: the settings of pre-training that shape its result
#   pretrain CONFIG EXP OPTION...     a pre-training run; it resumes by itself
#   export_model EXP                  EXP/model, which m2d.load_pretrained and s3prl load
#   made_by MODEL                     words for begin_stage, NUL after each, by which a stage depends on a model
#   show FILE                         the tables of FILE, exp/report.html, and the commands in the array next_commands
#   check_superb TASK...              the corpora of these tasks that db.sh names are whole, or die
#   superb N MODEL OUT LABEL TASK...  stage N: SUPERB of a model, with $superb_overlays over the settings of conf/superb, at
#                                     the learning rates $sweep where given. Tasks whose corpora db.sh names in OUT, the
#                                     others on the mini corpus, with its settings, in OUT_mini; exp/SUPERB.md has a table
#                                     of each

bound() { "$_utils/bound.py" $BASHPID "$@"; }

corpora() { python3 "$_utils/corpora.py" "$@"; }

setting_name() { basename "$1" .yaml | sed 's/^pretrain_//; s/^mini_//'; }

set_name() { sed -E 's#=[^ ]*/([^/ ]+/[^/ ]+)#=\1#g' <<<"$1" | tr -s ' /,[]' '_'; }

check_tag() {  # TAG: it becomes (a part of) the name of a folder in exp/
  if [[ $1 == */* || $1 == [.-]* || $1 == old || $1 =~ [[:cntrl:]] || $1 == *\$\{* ]]; then
    die "--tag '$1': give a name for a folder, without / and not old, . or - at its beginning"
  fi
}

folder_name() { printf '%s' "$1" | tr -c 'A-Za-z0-9.=-' '_'; }

make_mini_corpus() {
  log "************************************************************************************************"
  log "* No corpus is named in db.sh for part of this: the MINI CORPUS stands in, synthetic speech     *"
  log "* and sounds. Its results check the recipe and that models learn; they say nothing of real data.*"
  log "************************************************************************************************"
  bound python3 -m mini_corpus out="$MINI_CORPUS" scale="$scale" jobs="$nj" "parts=[$(IFS=,; echo "$*")]"
}

log_mels() {
  local mark=$3.done
  if begin_stage "$1" "$mark" "log-mel features of $2" --data "$2" --out "$3" --interim jobs="$nj" "${@:5}"; then
    anew "$mark" --out "$3" extract_logmel "$2" "$3" "$4"
    end_stage "$mark" --store "$3"
  fi
}

extract_logmel() {  # DATA OUT LOGS
  "$cmd" "${cpu_job[@]}" JOB=1:"$nj" "$3/logmel_$(basename "$1").JOB.log" \
    python3 -m m2d.bin.extract_logmel data="$1" out="$2" job=JOB jobs="$nj" \
    max_bad_share="$max_bad" && bound python3 -m m2d.bin.merge_features dir="$2" max_bad_share="$max_bad"
}

settings_of() { python3 -m m2d.bin.plan show=settings config="$1" "${@:2}"; }

pretrain() {
  anew "$2/.pretrain.done" --keep "$2" "$cmd" "${train_job[@]}" --gpu "$ngpu" --nodes "$nodes" "$2/run.log" \
    python3 ../../utils/torchrun.py -m m2d.bin.pretrain --config "$1" run.exp="$2" "${@:3}"
}

export_model() {
  bound python3 -m m2d.bin.export source="$1" out="$1/model"
  PYTHONWARNINGS=ignore bound python3 -m m2d.bin.superb_check model="$1/model"
}

made_by() {  # MODEL: words by which a stage depends on it
  printf -- '--model\0%s\0' "$1"
  if [[ $1 =~ ^(random:)?exp/([^/]+)/model(:[0-9]+)?$ ]]; then
    printf -- '--needs\0exp/%s/.%s.done\0' "${BASH_REMATCH[2]}" pretrain "${BASH_REMATCH[2]}" model
  fi
}

show() {
  bound python3 -m m2d.bin.report exp=exp ${paper_config:+paper="$paper_config"} >/dev/null
  bound python3 -m m2d.bin.show_results "$1" report=exp/report.html \
    ${next_commands[@]+"${next_commands[@]/#/next+=}"} || true  # the reader may have seen enough
}

check_superb() {  # TASK...: those that db.sh names, before the days of work that lead to SUPERB
  local task named roots words=()
  named=$(corpora superb named "$@")
  [ -n "$named" ] || return 0
  for task in $named; do
    mapfile -d '' -t roots < <(corpora superb options "$task")
    words+=("tasks+=$task" "${roots[@]}")
  done
  bound python3 -m m2d.bin.superb_corpora "${words[@]}"
}

superb() {
  local number=$1 model=$2 out=$3 label=$4 named lacking overlays=()
  shift 4
  in_range "$number" || return 0
  named=$(corpora superb named "$@")
  lacking=$(corpora superb mini "$@")
  if [ -d "$model" ]; then overlays=(conf/superb/m2ds.yaml); fi
  # shellcheck disable=SC2086  # words
  if [ -n "$named" ]; then superb_on SUPERB "$number" "$model" "$out" "$label" $named; fi
  if [ -n "$lacking" ]; then
    make_mini_corpus speech
    overlays+=(conf/superb/mini.yaml)
    # shellcheck disable=SC2086
    superb_on "mini corpus" "$number" "$model" "${out}_mini" "$label" $lacking
  fi
  superb_table
  show exp/SUPERB.md
}

superb_on() {  # CORPUS N MODEL OUT LABEL TASK...: one job for each task that is not done
  local corpus=$1 number=$2 model=$3 out=$4 label=$5 task file todo=() dependence roots inputs words=()
  shift 5
  mapfile -d '' -t dependence < <(made_by "$model")
  for file in "${overlays[@]}" ${superb_overlays:-}; do words+=("overlays+=$file"); done
  for task in "$@"; do
    mapfile -d '' -t roots < <(corpora superb options "$task")
    words+=("${roots[@]}")
    inputs=(--yaml "conf/superb/$task.yaml")
    for file in "${overlays[@]}" ${superb_overlays:-}; do inputs+=(--yaml "$file"); done
    for file in "${roots[@]}"; do inputs+=(--corpus "$file"); done
    if begin_stage "$number" "$out/.$task.done" "SUPERB $task of $model" "${dependence[@]}" "${inputs[@]}" \
      --keep "$out/$task" --more seeds="${seeds:-0}" --more label="$label" ${sweep:+--more sweep="$sweep"}; then
      todo+=("$task")
    fi
  done
  [ ${#todo[@]} -gt 0 ] || return 0
  words+=(model="$model" exp="$out" label="$label" corpus="$corpus" "tasks=[]" "${todo[@]/#/tasks+=}"
    ${seeds:+"seeds=[${seeds// /,}]"} ${sweep:+"sweep=[${sweep// /,}]"} features_gib="${features_gib:-0}"
    statistics=exp/superb_statistics device="$( ((ngpu > 0)) && echo cuda || echo cpu)")
  "$cmd" "${gpu_job[@]}" --gpu "$((ngpu > 0))" ${side_by_side[@]+"${side_by_side[@]}"} JOB=1:${#todo[@]} "$out/log/superb.JOB.log" \
    python3 -m m2d.bin.superb job=JOB "${words[@]}"
  bound python3 -m m2d.bin.superb "${words[@]}"
  for task in "${todo[@]}"; do end_stage "$out/.$task.done"; done
}

superb_table() {
  local exps
  mapfile -t exps < <(compgen -G 'exp/*/results.json' || true; compgen -G 'exp/*/superb*/results.json' || true)
  exps=("${exps[@]%/results.json}")
  bound python3 -m m2d.bin.superb_results "exps=[]" "${exps[@]/#/exps+=}" out=exp/SUPERB.md figure=exp/superb.png
}
