"""A real Slurm for the tests of the Slurm launchers."""

import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def three_ports() -> int:
    """The first of three free ports in a row."""
    for first in range(26800, 27800, 3):
        try:
            for port in range(first, first + 3):
                with socket.socket() as probe:
                    probe.bind(("", port))
            return first
        except OSError:
            continue
    raise AssertionError("no free ports")


def missing() -> str:
    """Why no Slurm can be started here, or nothing."""
    if os.geteuid() != 0:
        return "a private Slurm is started by root only"
    if not (shutil.which("slurmctld", path="/usr/sbin:/usr/bin") or shutil.which("apt-get")):
        return "neither Slurm nor apt-get to install it"
    return ""


def start(folder: Path, *port: int) -> None:
    """Start what does not run of the cluster in the folder."""
    started = subprocess.run([HERE / "start_slurm.sh", folder, *map(str, port)], capture_output=True, text=True)
    if started.returncode != 0:
        pytest.fail(started.stderr)


@pytest.fixture(scope="session")
def cluster():
    """Folder of a running Slurm of two nodes. Skips where none can be had, unless M2D_TEST_SLURM=required."""
    reason = missing()
    if reason:
        (pytest.fail if os.environ.get("M2D_TEST_SLURM") == "required" else pytest.skip)(reason)
    folder = Path(tempfile.mkdtemp(prefix="slurm."))  # its socket's path has to be short
    start(folder, three_ports())
    yield folder
    subprocess.run([HERE / "stop_slurm.sh", folder], check=True)
    shutil.rmtree(folder)


class Slurm:
    """Slurm's own commands on the test cluster."""

    def __init__(self, folder: Path, env: dict[str, str]):
        self.folder, self.env = folder, {**env, "SLURM_CONF": str(folder / "etc/slurm.conf")}

    def __call__(self, line: str) -> str:
        """The output of a command line such as 'squeue -h'."""
        done = subprocess.run(shlex.split(line), env=self.env, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{line}: {done.stderr}"
        return done.stdout.strip()

    def preempt(self) -> None:
        """Submit a job that takes both nodes at once from those that run."""
        self("sbatch --partition=urgent --nodes=2 --exclusive --mem=7000 --output=/dev/null --wrap 'sleep 1'")

    def lose(self, node: str) -> None:
        """Kill all there is of a node at once, as a power cut does, and tell Slurm, which would wait a minute."""
        ours = {f"SLURM_CONF={self.env['SLURM_CONF']}", f"SLURMD_NODENAME={node}"}
        work, parents = [], set()
        for process in Path("/proc").glob("[0-9]*"):
            try:
                if ours <= set((process / "environ").read_text().split("\0")):
                    work.append(int(process.name))
                    parents.add(int((process / "stat").read_text().rpartition(")")[2].split()[1]))
            except OSError:  # it has ended meanwhile
                continue
        daemons = [int((self.folder / f"run/slurmd-{node}.pid").read_text().split()[0])]
        daemons += [pid for pid in parents if Path(f"/proc/{pid}/comm").read_text() == "slurmstepd\n"]
        for pid in [*daemons, *work]:
            os.kill(pid, signal.SIGKILL)
        self(f"scontrol update nodename={node} state=down reason=lost")

    def lose_controller(self) -> None:
        """Kill slurmctld."""
        os.kill(int((self.folder / "run/slurmctld.pid").read_text().split()[0]), signal.SIGKILL)

    def restore(self) -> None:
        """Start the daemons that were lost."""
        start(self.folder)

    def job(self, state: str = "RUNNING", name: str = "", seconds: float = 20) -> str:
        """The number of the job (of an array: without the task) that is in this state, waited for."""
        end = time.monotonic() + seconds
        while True:
            found = self(f"squeue -h -o '%F' -t {state}" + (f" -n {name}" if name else "")).split()
            if found:
                return found[0]
            assert time.monotonic() < end, f"no job is {state}"
            time.sleep(0.2)


@pytest.fixture
def slurm(cluster, shell):
    """The test cluster with nothing running, known to what `shell` starts."""
    slurm = Slurm(cluster, shell.env)
    shell.env["SLURM_CONF"] = slurm.env["SLURM_CONF"]
    yield slurm
    slurm.restore()
    slurm("scancel -u root")
    end = time.monotonic() + 30
    while slurm("squeue -h"):
        assert time.monotonic() < end, "jobs are left"
        time.sleep(0.2)
