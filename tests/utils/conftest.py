"""How the shell side is tested: bash and the real scripts of utils/, in a folder of the test's own."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

UTILS = Path(__file__).parents[2] / "utils"


def _heed_interrupts() -> None:
    """Undo what a test run in the background inherits: SIGINT ignored, which bash can't trap."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Shell:
    """Scripts run in one folder (`cwd`) with one environment (`env`)."""

    utils = UTILS

    def __init__(self, cwd: Path, env: dict[str, str]):
        self.cwd, self.env = cwd, env

    def script(self, name: str, text: str) -> str:
        """An executable bash script with a strict head; UTILS stands for utils/. Returns './name'."""
        path = self.cwd / name
        path.write_text(text.replace("UTILS", f"'{UTILS}'"))
        path.chmod(0o755)
        return f"./{name}"

    def start(self, *words: object, **extra: str) -> subprocess.Popen:
        """A running command, named as a file of utils/ or with a path, in a session of its own."""
        words = tuple(map(str, words))
        program = words[0] if "/" in words[0] else str(UTILS / words[0])
        return subprocess.Popen([program, *words[1:]], cwd=self.cwd, env={**self.env, **extra}, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                start_new_session=True, preexec_fn=_heed_interrupts)

    def run(self, *words: object, **extra: str) -> subprocess.CompletedProcess:
        """The ended command with `returncode`, `stdout`, `stderr`."""
        process = self.start(*words, **extra)
        out, err = process.communicate(timeout=150)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def signal_group(self, process: subprocess.Popen, number: int) -> None:
        """The signal to all processes of a started command."""
        os.killpg(process.pid, number)

    def read(self, name: str) -> str:
        """A file of the folder as text."""
        return (self.cwd / name).read_text()


@pytest.fixture
def wait_for():
    """Wait until the condition holds; fails the test when it does not."""

    def wait(condition: Callable[[], bool], seconds: float = 20) -> None:
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.05)

    return wait


@pytest.fixture
def shell(tmp_path):
    folder = tmp_path / "a folder"  # launchers must not stumble over blanks
    folder.mkdir()
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "CUDA_", "LAUNCH_"))}
    return Shell(folder, env)
