# How the stages run their jobs: on this machine (local) or through Slurm (slurm, with conf/slurm.conf).
# shellcheck shell=bash disable=SC2034,SC2154  # run.sh reads these, and gives nj and ngpu
cmd_backend=${cmd_backend:-local}

case $cmd_backend in
  local) cmd=$M2D_ROOT/utils/run.sh ;;
  slurm) cmd=$M2D_ROOT/utils/slurm.sh ;;
  *)
    echo "cmd.sh: cmd_backend=$cmd_backend: it is local or slurm" >&2
    exit 1
    ;;
esac

# What one job of each kind takes: "$cmd" "${cpu_job[@]}" JOB=1:N LOG COMMAND...
# The GPUs (--gpu N) and nodes are run.sh's own options. Threads and memory are those of one node; on this machine they only
# set how many jobs run at a time.
cpu_job=(--num-threads 1 --mem 4G)
gpu_job=(--num-threads 4 --mem 24G)  # one GPU each
# Pre-training: 8 threads and 64 GB for each GPU of a node. It is warned three minutes before the job's time limit, writes a
# checkpoint, and the job starts again.
train_job=(--num-threads $((8 * (ngpu > 1 ? ngpu : 1))) --mem $((64 * (ngpu > 1 ? ngpu : 1)))G --warn 180)
# Evaluation without GPUs: that many jobs share this machine's processors.
side_by_side=()
if [ "$ngpu" = 0 ] && [ "$cmd_backend" = local ]; then side_by_side=(--max-jobs-run "$nj"); fi
