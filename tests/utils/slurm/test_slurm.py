"""utils/slurm.sh on a real Slurm: results, refusals, cancelled, warned, preempted jobs."""

import signal
import time

import pytest

WORK = """
import os, signal, sys, time
stopped = []
signal.signal(signal.SIGUSR1, lambda *_: stopped.append(True))
signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
done = int(open("step").read()) if os.path.exists("step") else 0
while done < int(sys.argv[1]) and not os.path.exists("enough"):
    time.sleep(0.5)
    done += 1
    print("step", done, flush=True)
    with open("step.tmp", "w") as stream:
        stream.write(str(done))
    os.replace("step.tmp", "step")
    if stopped:
        sys.exit(75)
"""


@pytest.fixture
def work(shell):
    """Half-second steps that go on where they were stopped; the steps of all starts in the log."""
    (shell.cwd / "work.py").write_text(WORK)
    return lambda log: [int(line.split()[1]) for line in shell.read(log).splitlines() if line.startswith("step ")]


def test_array_with_one_failing_task(shell, slurm):
    script = "echo task $1 of '$'X; [ $1 != 2 ] || exit 7; echo $OMP_NUM_THREADS '<'$CUDA_VISIBLE_DEVICES'>'"
    done = shell.run("slurm.sh", "--mem", 100, "--num-threads", 2, "--max-jobs-run", 2, "JOB=0:3",
                     "a 100% log/x.JOB.log", "bash", "-c", script, "-", "JOB")
    assert done.returncode == 1
    assert "slurm.sh: task 2 of 0:3 failed with code 7; the end of a 100% log/x.2.log:" in done.stderr
    assert "    task 2 of $X\n" in done.stderr and done.stderr.endswith("1 of 4 tasks failed: 2\n")
    assert "\ntask 3 of $X\n2 <>\n# status 0" in shell.read("a 100% log/x.3.log")
    assert sorted(path.name for path in (shell.cwd / "a 100% log").iterdir()) == [f"x.{n}.log" for n in range(4)]


def test_gpus_of_tasks_on_one_node_differ(shell, slurm):
    (shell.cwd / "site").write_text("extra = --nodelist=n1 # one node\n")
    done = shell.run("slurm.sh", "--config", "site", "--mem", 100, "--gpu", 1, "JOB=1:2", "JOB.log",
                     "bash", "-c", "echo gpu $CUDA_VISIBLE_DEVICES; sleep 2")
    assert done.returncode == 0, done.stderr
    assert {shell.read(f"{n}.log").splitlines()[3] for n in (1, 2)} == {"gpu 0", "gpu 1"}


@pytest.mark.parametrize("site, words, message", [
    ("", ["--mem", 999999], "Memory specification can not be satisfied"),
    ("", ["--gpu", 9], "Requested node configuration is not available"),
    ("partition = nowhere", [], "invalid partition specified: nowhere"),
    ("constraint=a b\ngpu_option = --gres=tpu:%d", ["--gpu", 1], "Invalid generic resource|Invalid feature"),
    ("extra = --no-such-option", [], "unrecognized option '--no-such-option'"),
])
def test_refusals_are_slurms_own_words(shell, slurm, site, words, message):
    (shell.cwd / "conf").mkdir()
    (shell.cwd / "conf/slurm.conf").write_text(site)
    done = shell.run("slurm.sh", *words, "log/a.log", "true")
    assert done.returncode == 1 and any(part in done.stderr for part in message.split("|")), done.stderr
    assert "Slurm refused the job for log/a.log (sbatch --" in done.stderr and not list((shell.cwd / "log").iterdir())


@pytest.mark.parametrize("site, message", [
    ("partitoin = gpu", "unknown key 'partitoin' (known: "),
    ("gpu", "'gpu' is not of the form key = value"),
])
def test_site_file_with_a_wrong_line(shell, slurm, site, message):
    (shell.cwd / "site").write_text(site)
    done = shell.run("slurm.sh", "--config", "site", "a.log", "true")
    assert done.returncode == 2 and f"site: {message}" in done.stderr


def test_scancel_in_the_middle(shell, slurm):
    launcher = shell.start("slurm.sh", "--mem", 100, "--max-jobs-run", 2, "JOB=1:3", "JOB.log", "sleep", "100")
    job = slurm.job()
    time.sleep(1)
    slurm(f"scancel {job}")
    start = time.monotonic()
    _, err = launcher.communicate(timeout=60)
    assert launcher.returncode == 1 and time.monotonic() - start < 30
    assert "task 1 of 1:3 failed with code 143 (Slurm state CANCELLED)" in err and "3 of 3 tasks failed: 1 2 3" in err
    assert "CANCELLED AT" in err  # slurmd's line in the log


def test_a_job_that_slurm_has_forgotten(shell, slurm):
    """As after a long pause of the launcher, or of the controller's memory: without accounting nobody knows its end."""
    (shell.cwd / "bin").mkdir()
    shell.script("bin/sbatch", "#!/bin/sh\ncat >/dev/null\necho 999999\n")
    done = shell.run("slurm.sh", "a.log", "true", PATH=f"{shell.cwd}/bin:{shell.env['PATH']}")
    assert done.returncode == 1
    assert "slurm.sh: the task failed with code 1 (job 999999 is no longer known to Slurm)" in done.stderr


def test_tasks_outlive_the_controller(shell, slurm, wait_for):
    """It crashes while they run, and is started again when they have ended: their results count."""
    words = "touch begun.$1; until [ -e enough ]; do sleep 0.2; done; exit $((3 * ($1 - 1)))"
    launcher = shell.start("slurm.sh", "--mem", 100, "JOB=1:2", "JOB.log", "bash", "-c", words, "-", "JOB")
    wait_for(lambda: len(list(shell.cwd.glob("begun.*"))) == 2, 60)
    slurm.lose_controller()
    (shell.cwd / "enough").touch()
    wait_for(lambda: all("# status" in shell.read(f"{number}.log") for number in (1, 2)), 60)
    assert launcher.poll() is None
    slurm.restore()
    _, err = launcher.communicate(timeout=120)
    assert launcher.returncode == 1 and "task 2 of 1:2 failed with code 3" in err and "task 1 of" not in err


@pytest.mark.parametrize("number, code", [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 75)])
def test_a_signal_cancels_the_job(shell, slurm, number, code):
    launcher = shell.start("slurm.sh", "--mem", 100, "a.log", "sleep", "100")
    job = slurm.job()
    launcher.send_signal(number)
    assert launcher.wait(timeout=60) == code
    assert "JobState=CANCELLED" in slurm(f"scontrol show job {job}")


def test_the_job_ends_with_the_script_that_started_it(shell, slurm, wait_for):
    recipe = shell.start(shell.script("recipe.sh", "#!/usr/bin/env bash\nUTILS/slurm.sh a.log sleep 100\ntrue\n"))
    job = slurm.job()
    recipe.kill()
    wait_for(lambda: "JobState=CANCELLED" in slurm(f"scontrol show job {job}"))


def test_the_job_of_a_killed_launcher_is_cancelled_by_the_next_call(shell, slurm):
    launcher = shell.start("slurm.sh", "--mem", 100, "a.log", "sleep", "100")
    job = slurm.job()
    launcher.kill()
    done = shell.run("slurm.sh", "--mem", 100, "a.log", "echo", "second")
    assert done.returncode == 0 and f"cancelling job {job} of a call that was killed" in done.stderr
    assert "JobState=CANCELLED" in slurm(f"scontrol show job {job}") and "\nsecond\n" in shell.read("a.log")


def test_time_limit_without_a_warning_is_named(shell, slurm, work, wait_for):
    """Whether the work was stopped in order by Slurm's TERM or just ended, one is told what ended it."""
    words = "[ $1 = 2 ] || exec python3 work.py 1000; exec sleep 1000"
    launcher = shell.start("slurm.sh", "--mem", 100, "--time", 1, "JOB=1:2", "JOB.log", "bash", "-c", words, "-",
                           "JOB")
    job = slurm.job()
    wait_for(lambda: (shell.cwd / "step").exists() and (shell.cwd / "2.log").exists())
    slurm(f"scontrol update jobid={job} endtime=now")  # so that it is not a minute
    _, err = launcher.communicate(timeout=120)
    why = "(Slurm ended it at the time limit: give --time or time in conf/slurm.conf)"
    assert launcher.returncode == 1
    assert f"slurm.sh: task 1 of 1:2 was interrupted {why} and goes on when run again (log: 1.log)\n" in err
    assert f"slurm.sh: task 2 of 1:2 failed with code 143 {why}; the end of 2.log:\n" in err
    assert "DUE TO TIME LIMIT" in err


def test_preemption_without_a_warning(shell, slurm, work, wait_for):
    """Slurm ends the job by TERM and requeues it: nothing is lost, nothing done twice."""
    launcher = shell.start("slurm.sh", "--mem", 100, "a.log", "python3", "work.py", 1000)
    slurm.job()
    wait_for(lambda: (shell.cwd / "step").exists())
    slurm.preempt()
    wait_for(lambda: ", restart 1\n" in shell.read("a.log"), 90)
    (shell.cwd / "enough").touch()
    _, err = launcher.communicate(timeout=60)
    assert launcher.returncode == 0, err
    steps = work("a.log")
    assert steps == list(range(1, len(steps) + 1))
