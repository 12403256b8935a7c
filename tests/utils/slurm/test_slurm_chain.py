"""utils/slurm_chain.sh: a recipe as a chain of jobs on a real Slurm."""

RECIPE = """#!/usr/bin/env bash
set -euo pipefail
stage=0
stop_stage=3
. UTILS/log.sh
. UTILS/parse_options.sh
[ "$cmd_backend" = slurm ]
cmd=UTILS/slurm.sh
if begin_stage 0 0.done "an array"; then $cmd --mem 100 JOB=1:2 zero.JOB.log echo JOB; end_stage 0.done; fi
if begin_stage 1 1.done "long" --after 0.done; then $cmd --mem 100 long.log bash -c '
  trap "echo saved >>steps; exit 75" TERM
  echo start >>steps
  [ "$(wc -l <steps)" = 3 ] || { sleep 60 & wait; }'; end_stage 1.done; fi
if begin_stage 2 2.done "broken" --after 1.done; then $cmd --mem 100 broken.log false; end_stage 2.done; fi
if begin_stage 3 3.done "never" --after 2.done; then touch never; end_stage 3.done; fi
"""


def test_stages_run_in_turn_survive_a_warning_and_stop_at_a_failure(shell, slurm, wait_for):
    recipe = shell.script("run.sh", RECIPE)
    done = shell.run("slurm_chain.sh", "--mem", 100, "JOB=0:3", "chain.JOB.log", recipe, "--stage", "JOB",
                     "--stop_stage", "JOB")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    jobs = [line.split()[1].rstrip(":") for line in lines[:4]]
    assert lines[4] == f"to cancel: scancel {' '.join(jobs)}"

    wait_for(lambda: (shell.cwd / "steps").exists(), 30)
    slurm(f"scancel --batch --signal=USR1 {jobs[1]}")  # as Slurm does before the time limit
    wait_for(lambda: not slurm("squeue -h"), 60)
    assert shell.read("steps") == "start\nsaved\nstart\n"
    assert "the job is requeued" in shell.read("chain.1.log") and (shell.cwd / "1.done").exists()
    assert "broken.log:" in shell.read("chain.2.log") and not (shell.cwd / "2.done").exists()
    states = [slurm(f"scontrol show job -o {job}").partition("JobState=")[2].split()[0] for job in jobs]
    assert states == ["COMPLETED", "COMPLETED", "FAILED", "CANCELLED"]
    assert not (shell.cwd / "never").exists()


def test_a_refused_link_leaves_no_chain(shell, slurm):
    done = shell.run("slurm_chain.sh", "--mem", 999999, "JOB=0:1", "chain.JOB.log", "true")
    assert done.returncode == 1 and "Slurm refused" in done.stderr and not slurm("squeue -h")
