#!/usr/bin/env bash
# End what start_slurm.sh started in DIR, and nothing else.
#
# usage: stop_slurm.sh DIR
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
dir=$(cd "$1" && pwd)
# shellcheck source-path=SCRIPTDIR source=processes.sh
. "$here/processes.sh"
export SLURM_CONF=$dir/etc/slurm.conf PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
exec 9>"$dir/lock"
flock -w 60 9 || { echo "stop_slurm.sh: another start or stop holds $dir/lock" >&2; exit 1; }

if alive slurmctld; then  # Slurm ends its own jobs first
  mapfile -t jobs < <(timeout 5 squeue -h -o %A 2>/dev/null | sort -u)
  if [ ${#jobs[@]} -gt 0 ]; then
    timeout 5 scancel "${jobs[@]}" 2>/dev/null || true
    for _ in {1..60}; do
      [ -n "$(timeout 5 squeue -h 2>/dev/null || true)" ] || break
      sleep 0.2
    done
  fi
fi
finish slurmctld slurmd-n1 slurmd-n2
# the daemons of job steps outlive slurmd by design; ours carry our SLURM_CONF
for process in /proc/[0-9]*; do
  if [ "$(cat "$process/comm" 2>/dev/null)" = slurmstepd ] &&
    tr '\0' '\n' 2>/dev/null <"$process/environ" | grep -qxF "SLURM_CONF=$SLURM_CONF"; then
    kill -KILL "${process#/proc/}" 2>/dev/null || true
  fi
done
finish munged
