#!/usr/bin/env bash
# Start a private Slurm on this host: munged, slurmctld, and two virtual nodes of 4 processors, 8 GB and 2 fake GPUs.
#
# usage: start_slurm.sh DIR [PORT]; then . DIR/env.sh, and sbatch, srun, squeue work
#
# Needs root. Debian's packages are installed when missing; nothing else is written outside DIR. The controller listens on
# PORT (26800), the nodes on the two ports after it. Where the kernel allows, each node has a host name of its own
# (mount and UTS namespaces); elsewhere both have the host's. What is up already is left as it is; a daemon that died is
# started with the first call's configuration.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH
umask 022

mkdir -p "$1"
chmod 755 "$1"  # munged asks for that
dir=$(cd "$1" && pwd)
port=${2:-26800}
# shellcheck source-path=SCRIPTDIR source=processes.sh
. "$here/processes.sh"

fail() {
  echo "start_slurm.sh: $*" >&2
  tail -n 8 "$dir"/log/*.out >&2 || true
  finish slurmctld slurmd-n1 slurmd-n2 munged
  exit 1
}

[ "$(id -u)" = 0 ] || { echo "start_slurm.sh: must run as root" >&2; exit 1; }
install() {
  # RUNLEVEL=1 keeps the packages from starting the services themselves
  DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends slurmctld slurmd slurm-client munge
}
for program in munged slurmctld slurmd sbatch; do
  command -v $program >/dev/null && continue
  { install || { apt-get update -qq && install; }; } >/dev/null 2>&1 ||
    { echo "start_slurm.sh: apt-get could not install slurm and munge" >&2; exit 1; }
done

exec 9>"$dir/lock"
flock -w 60 9 || { echo "start_slurm.sh: another start or stop holds $dir/lock" >&2; exit 1; }
mkdir -p "$dir"/{etc,run,log,state,spool/n1,spool/n2,dev,munge}
chmod 700 "$dir/munge"
export SLURM_CONF=$dir/etc/slurm.conf

if [ ! -s "$SLURM_CONF" ]; then
  own_names=false node_host=$(hostname -s)
  if unshare --mount --uts mount --bind /etc/hosts /etc/hosts 2>/dev/null; then own_names=true node_host='n[1-2]'; fi
  echo $own_names >"$dir/etc/own_names"
  { cat /etc/hosts; echo '127.0.0.1 n1'; echo '127.0.0.1 n2'; } >"$dir/etc/hosts"
  [ -s "$dir/munge/munge.key" ] || (umask 077; head -c 1024 /dev/urandom >"$dir/munge/munge.key")
  for gpu in 0 1; do  # a second /dev/null plays a GPU
    [ -c "$dir/dev/gpu$gpu" ] || mknod -m 666 "$dir/dev/gpu$gpu" c 1 3
  done
  printf 'AutoDetect=off\nNodeName=n[1-2] Name=gpu File=%s/dev/gpu[0-1]\n' "$dir" >"$dir/etc/gres.conf"
  printf 'CgroupPlugin=autodetect\nConstrainCores=no\nConstrainDevices=no\nConstrainRAMSpace=no\n' >"$dir/etc/cgroup.conf"
  : >"$dir/etc/plugstack.conf"
  sed -e "s|@DIR@|$dir|; s|@HOST@|$(hostname -s)|; s|@PORT@|$port|; s|@NODEHOST@|$node_host|
    s|@NODEPORTS@|[$((port + 1))-$((port + 2))]|" "$here/slurm.conf.in" >"$SLURM_CONF"
  printf 'export SLURM_CONF=%q\n' "$SLURM_CONF" >"$dir/env.sh"
fi

spawn munged munged --foreground --key-file="$dir/munge/munge.key" --socket="$dir/run/munge.socket" \
  --pid-file="$dir/run/munged.munge-pid" --log-file="$dir/log/munged.log" --seed-file="$dir/munge/seed" --num-threads=2
for _ in {1..100}; do
  munge -n -S "$dir/run/munge.socket" >/dev/null 2>&1 && break
  alive munged || fail "munged died"
  sleep 0.1
done
spawn slurmctld slurmctld -D -f "$SLURM_CONF"
for node in n1 n2; do
  if [ "$(<"$dir/etc/own_names")" = true ]; then
    # shellcheck disable=SC2016  # the inner shell expands its own arguments
    spawn slurmd-$node unshare --mount --uts bash -c \
      'hostname "$1" && mount --bind "$2" /etc/hosts && exec slurmd -D -N "$1" -f "$SLURM_CONF"' slurmd $node "$dir/etc/hosts"
  else
    spawn slurmd-$node slurmd -D -N $node -f "$SLURM_CONF"
  fi
done

for _ in {1..100}; do
  for name in slurmctld slurmd-n1 slurmd-n2; do alive $name || fail "$name died"; done
  states=$(timeout 5 sinfo -h -N -p cpu -o %t 2>/dev/null | sort -u | paste -sd' ' || true)
  case $states in
    '' | *\** | *unk* | *inval*) ;;
    *down* | *drain* | *fail*) scontrol update nodename=n1,n2 state=resume 2>/dev/null || true ;;
    *) exit 0 ;;
  esac
  sleep 0.4
done
fail "the nodes did not come up: ${states:-no answer from slurmctld}"
