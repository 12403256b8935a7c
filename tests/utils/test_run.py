"""utils/run.sh: tasks on this machine, their logs, their failures, their end."""

import signal
from pathlib import Path

import pytest


def running(seconds):
    """Whether a `sleep` of just so many seconds runs."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == f"sleep\0{seconds}\0".encode():
                return True
        except OSError:
            continue
    return False


def test_log_begins_with_the_command_and_ends_with_the_status(shell):
    assert shell.run("run.sh", "log/a b.log", "bash", "-c", "echo out; echo err >&2; exit 3").returncode == 1
    lines = shell.read("log/a b.log").splitlines()
    assert lines[0] == "# bash -c 'echo out; echo err >&2; exit 3'" and lines[1].startswith("# started 2")
    assert lines[3:5] == ["out", "err"] and lines[-1].startswith("# status 3 ")


def test_job_becomes_the_task_number(shell):
    work = 'echo "$@" > "out $1"'
    done = shell.run("run.sh", "JOB=2:4", "log/JOB/x.JOB.log", "bash", "-c", work, "-", "JOB", "job=JOB")
    assert done.returncode == 0 and done.stderr == ""
    assert [shell.read(f"out {n}") for n in (2, 3, 4)] == [f"{n} job={n}\n" for n in (2, 3, 4)]
    assert "# status 0" in shell.read("log/JOB/x.3.log")


def test_names_that_contain_job_survive(shell):
    """A path or an id is never taken for the task's number, and nothing in a name is run."""
    names = ["data=/x/JOB/y", "JOBS", "model=JOB", "a.JOB.b", "$(touch owned)", "`touch owned`", "; touch owned", "-n",
             "*", "line\nbreak", "'\""]
    done = shell.run("run.sh", "JOB=1:2", "JOBS/JOB.x.JOB.log", "printf", "%s\\0", *names)
    assert done.returncode == 0, done.stderr
    lines = shell.read("JOBS/2.x.2.log").split("#\n", 1)[1].rpartition("\0")[0].split("\0")
    assert lines == names and not (shell.cwd / "owned").exists()


def test_without_an_array_job_is_a_word(shell):
    assert shell.run("run.sh", "JOB.log", "echo", "JOB").returncode == 0
    assert "\nJOB\n" in shell.read("JOB.log")


def test_failed_tasks_are_named_with_the_end_of_their_logs(shell):
    work = 'echo "no $1"; [ $1 = 3 ] || exit $1'
    done = shell.run("run.sh", "--max-jobs-run", 2, "JOB=1:4", "JOB.log", "bash", "-c", work, "-", "JOB")
    assert done.returncode == 1
    assert "task 2 of 1:4 failed with code 2; the end of 2.log:" in done.stderr and "    no 2\n" in done.stderr
    assert "no 3" not in done.stderr and done.stderr.endswith("3 of 4 tasks failed: 1 2 4\n")
    assert "# status 0" in shell.read("3.log")


def test_unknown_command(shell):
    done = shell.run("run.sh", "a.log", "no-such-program", "x")
    assert done.returncode == 1 and "code 127" in done.stderr and "no-such-program: No such file" in done.stderr


def test_at_most_so_many_at_a_time(shell):
    work = "mkdir run.$1; ls -d run.* | wc -l; sleep 0.2; rmdir run.$1"
    done = shell.run("run.sh", "--max-jobs-run", 2, "JOB=1:5", "JOB.log", "bash", "-c", work, "-", "JOB")
    assert done.returncode == 0
    counts = [int(shell.read(f"{n}.log").splitlines()[3]) for n in range(1, 6)]
    assert max(counts) == 2


def test_each_task_has_its_own_gpus(shell):
    done = shell.run("run.sh", "--gpu", 2, "JOB=1:2", "JOB.log", "bash", "-c", "echo $CUDA_VISIBLE_DEVICES; sleep 0.5",
                     CUDA_VISIBLE_DEVICES="4,5,7,8")
    assert done.returncode == 0
    assert {shell.read(f"{n}.log").splitlines()[3] for n in (1, 2)} == {"4,5", "7,8"}


def test_threads_and_no_gpu(shell):
    work = 'echo "$OMP_NUM_THREADS<$CUDA_VISIBLE_DEVICES>"'
    done = shell.run("run.sh", "--num-threads", 1, "a.log", "bash", "-c", work,
                     CUDA_VISIBLE_DEVICES="0", OMP_NUM_THREADS="9")
    assert done.returncode == 0 and "\n1<>\n" in shell.read("a.log")


@pytest.mark.parametrize("words, message", [
    (["--gpus", 1, "a.log", "true"], "unknown option --gpus"),
    (["--max-jobs-run", "no", "a.log", "true"], "--max-jobs-run takes a whole number from 1 up, not 'no'"),
    (["JOB=3:1", "JOB.log", "true"], "'JOB=3:1' is an empty range"),
    (["JOB=1:x", "JOB.log", "true"], "'JOB=1:x' is not of the form JOB=FIRST:LAST"),
    (["JOB=1:3", "a.log", "true"], "would overwrite one log"),
    (["--gpu", 3, "a.log", "true"], "asks for 3 GPUs (--gpu), and 1 can be seen here"),
    (["--nodes", 2, "a.log", "true"], "runs on one machine"),
    (["--config", "x", "a.log", "true"], "unknown option --config"),
    (["a.log"], "what to run?"),
])
def test_wrong_words_are_refused(shell, words, message):
    done = shell.run("run.sh", *words, CUDA_VISIBLE_DEVICES="0")
    assert done.returncode == 2 and message in done.stderr and not list(shell.cwd.iterdir())


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_processes_of_all_tasks(shell, wait_for, number, code):
    word = "1021.5"  # of no other process
    work = f"sleep {word} & touch ready.$1; sleep {word}"
    launcher = shell.start("run.sh", "--max-jobs-run", 2, "JOB=1:3", "JOB.log", "bash", "-c", work, "-", "JOB")
    wait_for(lambda: all((shell.cwd / f"ready.{n}").exists() for n in (1, 2)) and running(word))
    launcher.send_signal(number)
    assert launcher.wait(timeout=20) == code
    assert not running(word) and not (shell.cwd / "3.log").exists()
    assert "# status 143" in shell.read("1.log")


def test_a_task_may_end_in_its_own_time(shell, wait_for):
    work = "trap 'sleep 1; echo saved; exit 75' TERM; touch ready; while :; do sleep 0.1; done"
    launcher = shell.start("run.sh", "a.log", "bash", "-c", work)
    wait_for(lambda: (shell.cwd / "ready").exists())
    launcher.send_signal(signal.SIGTERM)
    assert launcher.wait(timeout=20) == 143
    assert "saved\n# status 75" in shell.read("a.log")


def test_a_second_interrupt_does_not_wait(shell, wait_for):
    launcher = shell.start("run.sh", "a.log", "bash", "-c", "trap '' TERM; touch ready; while :; do sleep 0.1; done")
    wait_for(lambda: (shell.cwd / "ready").exists())
    launcher.send_signal(signal.SIGINT)
    assert "Ctrl-C again" in launcher.stderr.readline()
    launcher.send_signal(signal.SIGINT)
    assert launcher.wait(timeout=20) == 130


def test_tasks_end_with_the_script_that_started_them(shell, wait_for):
    word = "1022.5"
    script = shell.script("recipe.sh", f"#!/usr/bin/env bash\nUTILS/run.sh a.log sleep {word}\ntrue\n")
    recipe = shell.start(script)
    wait_for(lambda: running(word) and (shell.cwd / "a.log").exists())
    recipe.kill()
    wait_for(lambda: not running(word))


def test_killed_launcher_takes_its_tasks_with_it(shell, wait_for):
    """SIGKILL of the launcher, which can do nothing any more: the kernel ends the task and its command."""
    word = "1023.5"
    launcher = shell.start("run.sh", "a.log", "sleep", word)
    wait_for(lambda: running(word))
    launcher.kill()
    wait_for(lambda: not running(word))


def test_interrupted_work_is_told_from_failed_work(shell):
    done = shell.run("run.sh", "a.log", "bash", "-c", "exit 75")
    assert done.returncode == 75 and "was interrupted and goes on when run again" in done.stderr


def test_temporary_files_end_with_the_task_or_with_its_next_start(shell, wait_for):
    word, place = "1024.5", shell.cwd / "tmp"
    place.mkdir()
    launcher = shell.start("run.sh", "a.log", "bash", "-c", f'mktemp -d; sleep {word}', TMPDIR=str(place))
    wait_for(lambda: running(word))
    launcher.kill()
    wait_for(lambda: not running(word))
    assert list(place.rglob("tmp.*"))
    done = shell.run("run.sh", "a.log", "bash", "-c", 'mktemp; ls "$TMPDIR" | wc -l', TMPDIR=str(place))
    assert done.returncode == 0 and shell.read("a.log").splitlines()[4] == "1" and not list(place.iterdir())


def test_without_a_place_for_temporary_files(shell):
    done = shell.run("run.sh", "a.log", "bash", "-c", 'echo "<$TMPDIR>"', TMPDIR="/proc/none")
    assert done.returncode == 0 and shell.read("a.log").splitlines()[3].startswith("</")
