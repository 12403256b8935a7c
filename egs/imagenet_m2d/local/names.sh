# shellcheck shell=bash disable=SC2034,SC2154
# The corpus, settings, experiments and models of run.sh, and the jobs of stage 4. Source it after db.sh and the options.
#
# Sets: mini          true when the digits stand in
#       corpus, root  name and folder of the images
#       data, dump    folders of lists and of indexed lists
#       experiments   the pre-training runs; config_of and seed_of of each
#       own           their models, or --models
#       baselines     random weights, without --models

[ -z "$IMAGENET" ] || [ -e "$IMAGENET" ] || die "IMAGENET=$IMAGENET (db.sh): no such file or folder"
mini=false corpus=imagenet root=$IMAGENET
if [ -z "$IMAGENET" ]; then mini=true corpus=mini root=$MINI_IMAGES; fi
data=data/$corpus
dump=dump/$corpus

prefix=conf/pretrain_ suffix=''
if [ $mini = true ]; then prefix=conf/pretrain_mini_ suffix=_mini; fi
read -r -a configs <<<"${configs:-${prefix}mae.yaml ${prefix}m2d.yaml ${prefix}m2d_all_patches.yaml}"
tuning=${tuning:-conf/finetune$suffix.yaml}
probing=${probing:-conf/linear$suffix.yaml}
label_counts=${label_counts:-$([ $mini = true ] && echo "10 30 100" || echo 0)}
read -r -a seeds <<<"${seeds:-$([ $mini = true ] && echo "0 1 2" || echo 0)}"
read -r -a changes <<<"$set"
for config in "${configs[@]}" "$tuning" "$probing"; do
  [ -f "$config" ] || die "$config: no such settings; there are: $(echo conf/*.yaml)"
done

check_tag "$tag"
tag=${tag:-$(set_name "$set")}
experiments=() own=() baselines=()
declare -A config_of=() seed_of=()
for config in "${configs[@]}"; do
  for seed in "${seeds[@]}"; do
    exp=exp/$(setting_name "$config")${tag:+_$tag}_seed${seed}_$corpus
    experiments+=("$exp")
    own+=("$exp/model")
    config_of[$exp]=$config seed_of[$exp]=$seed
  done
done
for seed in "${seeds[@]}"; do baselines+=("random:${own[0]}:$seed"); done
if [ -n "$models" ]; then
  read -r -a own <<<"$models"
  baselines=()
fi

seed_of_model() {  # MODEL: the seed of its weights; for other models the first of $seeds
  if [[ $1 =~ _seed([0-9]+)_$corpus/model$ || $1 =~ ^random:.*:([0-9]+)$ ]]; then
    echo "${BASH_REMATCH[1]}"
  else
    echo "${seeds[0]}"
  fi
}

label_of() {  # MODEL: its name in tables, the same for all seeds of a setting
  if [[ $1 =~ ^exp/(.+)_seed[0-9]+_$corpus/model$ ]]; then
    echo "${BASH_REMATCH[1]}"
  elif [[ $1 == random:exp/* ]]; then
    echo "random weights"
  else
    basename "$1" .pth
  fi
}

out_of() {  # MODEL: the folder of its results; a model of this recipe has them in its experiment
  case $1 in
    exp/*_seed*_"$corpus"/model) dirname "$1" ;;
    random:exp/*) echo "exp/random_seed$(seed_of_model "$1")_$corpus" ;;
    *) echo "exp/$(label_of "$1" | tr -c 'A-Za-z0-9.=\n' '_')_$corpus" ;;
  esac
}

make_digits() {
  log "**********************************************************************************************"
  log "* No ImageNet is named in db.sh: 1,797 HANDWRITTEN DIGITS stand in. Their results check the  *"
  log "* recipe and that models learn; they say nothing of ImageNet.                                *"
  log "**********************************************************************************************"
  bound python3 -m mini_images out="$MINI_IMAGES"
}

probe() {  # MODEL OUT LABEL SEED
  "$cmd" "${gpu_job[@]}" --gpu "$((ngpu > 0))" "$2/log/linear.log" python3 -m m2d.bin.probe_images --config "$probing" \
    model="$1" train="$dump/train" valid="$dump/val" out="$2" label="$3" seed="$4" "label_counts=[${label_counts// /,}]"
}

finetune() {  # MODEL OUT LABEL SEED; random weights are those that a run begins with
  local init=(run.init_from="$1")
  if [[ $1 == random:* ]]; then init=(); fi
  "$cmd" "${train_job[@]}" --gpu "$ngpu" --nodes "$nodes" "$2/log/finetune.log" python3 ../../utils/torchrun.py \
    -m m2d.bin.finetune_images --config "$tuning" data.image.train="$dump/train" data.image.valid="$dump/val" \
    run.exp="$2" run.seed="$4" label="$3" "label_counts=[${label_counts// /,}]" ${init[@]+"${init[@]}"}
}
