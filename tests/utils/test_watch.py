"""utils/watch.py: what a terminal, and what a pipe, shows of a launcher's tasks."""

import os
import pty
import re
import subprocess
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../utils"))
from watch import TaskLog, Watch

STEP = ("2026-11-25 13:00:00 (monitor:147) INFO: epoch 0.10/2 step 100/400  loss 0.8123  m2d 0.81  lr 0.001  "
        "ema 0.9997  412 samples/s  data wait 3%  ETA 1m20s\n")


@pytest.fixture
def terminal(shell):
    """Run a launcher with a pseudo-terminal as standard error; returns all that was written to it."""

    def run(*words, **environment):
        master, slave = pty.openpty()
        process = subprocess.Popen([str(shell.utils / words[0]), *words[1:]], cwd=shell.cwd, stderr=slave,
                                   stdin=subprocess.DEVNULL, env={**shell.env, "TERM": "xterm", **environment})
        os.close(slave)
        written = b""
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # the last writer has closed it
                break
            if not piece:
                break
            written += piece
        os.close(master)
        return process.wait(timeout=60), written.decode()

    return run


def work(shell):
    (shell.cwd / "step").write_text(STEP)
    return ["bash", "-c", "cat step; sleep 1.2"]


def test_a_terminal_shows_a_bar_with_loss_rate_and_eta_then_nothing_of_it(shell, terminal):
    code, written = terminal("run.sh", "exp/run.log", *work(shell))
    assert code == 0 and "log: exp/run.log" in written
    assert " 25%  step 100/400  loss 0.8123  412 samples/s  ETA 1m20s" in written
    assert written.endswith("\r\033[K")


def test_tasks_of_an_array_share_one_bar(shell, terminal):
    _, written = terminal("run.sh", "--max-jobs-run", "2", "JOB=1:2", "log/x.JOB.log", *work(shell))
    assert "log: log/x.1.log ... log/x.2.log" in written and " 25%  0/2 tasks  [1] step 100/400" in written


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_who_asks_for_plain_text_gets_no_control_codes(shell, terminal, environment):
    code, written = terminal("run.sh", "run.log", *work(shell), **environment)
    assert code == 0 and "\033" not in written


def test_elsewhere_a_line_is_written_now_and_then(shell):
    script = ("import sys; sys.path.insert(0, sys.argv[1]); import watch; watch.FIRST_LINE_S = 0.2; "
              "watch.main(sys.argv[2:])")
    (shell.cwd / "a.log").write_text("# started 2026-11-25 13:00:00 on node7, Slurm job 12, restart 0\n" + STEP)
    process = subprocess.Popen([sys.executable, "-c", script, str(shell.utils), str(os.getpid()), "a.log"],
                               cwd=shell.cwd, stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    process.terminate()
    assert re.fullmatch(r"\S+ \S+ \(a.log\) 25%  on node7: step 100/400  loss 0.8123  412 samples/s  ETA 1m20s\n", line)
    assert process.stderr.read() == "" and process.wait() == 0


def test_a_log_is_read_as_it_grows_and_again_after_a_restart(tmp_path):
    log = tmp_path / "a.log"
    task = TaskLog(str(log))
    task.read()  # not there yet
    text = "# cmd\n# started 2026-11-25 13:00:00 on here\n#\nx (y:1) INFO: features: 30/120, 3.1/s, ETA 29s\nhalf a"
    log.write_text(text)
    task.read()
    assert task.begun and task.fraction == 0.25 and task.last.startswith("x (y:1)") and task.rest == "half a"
    log.write_text(text + " line\n# status 75 2026 after 3 s\n")
    task.read()
    assert task.ended and task.last == "half a line" and task.text() == "x (y:1) INFO: features 30/120  3.1/s  ETA 29s"
    log.write_text(log.read_text() + "# started 2026-11-25 14:00:00 on n2, Slurm job 3, restart 1\n")
    task.read()
    assert not task.ended and task.node == "n2"


def test_a_line_without_a_count_is_shown_as_it_is(tmp_path):
    (tmp_path / "a.log").write_text("# started 1 on here\n2026-11-25 13:00:00 (x:1) WARNING: reading tables\n")
    assert Watch({"-": str(tmp_path / "a.log")}).read() == (None, "reading tables")
