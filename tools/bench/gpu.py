"""All of a GPU's evidence by one command, in less than ten minutes: each benchmark below in a process of its own.

    python -m bench.gpu --json tools/bench/results/gpu.json --readme tools/bench/README.md
    python -m bench.gpu --dry_run --json FILE             the same at tiny sizes on a CPU: that all of it runs
    python -m bench.gpu --readme tools/bench/README.md    the README's tables from the JSON files in results/ alone

What matters most comes first; nothing is begun after `--minutes`, and what runs then is ended half a minute later. The
JSON file is written after each benchmark. A benchmark that fails is named with the reason; the others go on.
"""

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple

from bench.report import command, table
from m2d.common.files import write_json, write_text

RESULTS = Path(__file__).parent / "results"
BEGIN, END = "<!-- python -m bench.gpu --readme: begin -->", "<!-- python -m bench.gpu --readme: end -->"
GRACE_S = 30.0
GOALS = "m2ds_80x608_80x2,m2d_80x608_16x16"
OTHERS = "m2ds_80x400_80x2,m2ds_80x208_80x4,msm_mae_80x608_16x16"
STEP_TINY = "--device cpu --size tiny --repeats 1 --warmup 1 --threads 1 --batch 2"
TEACHER_TINY = "device=cpu audio_seconds=2 batch_seconds=[4] layer=1 hidden_size=48 layers=2 turns=1"


class Job(NamedTuple):
    """A benchmark: what it measures, its module, its words on a GPU, and those of the dry run."""

    title: str
    module: str
    words: str
    tiny: str

    def words_of(self, dry: bool) -> list[str]:
        """The words after the module's name."""
        return shlex.split(self.tiny if dry else self.words)

    @property
    def command(self) -> str:
        """What to type on a machine with a GPU."""
        return f"python -m {self.module} {self.words}"


JOBS = (
    Job("the step in bf16, eager", "bench.step", f"--settings {GOALS},{OTHERS} --variants bf16 --batch fill,512",
        f"--settings {GOALS},{OTHERS} --variants bf16 {STEP_TINY}"),
    Job("the trainer, fed from stores and on the fly", "bench.online",
        "device=cuda batch=512 clips=512 workers=14 steps=4 turns=2",
        "device=cpu size=tiny setting=m2ds_80x208_80x4 batch=4 clips=4 seconds=2.2 steps=2 turns=1 teacher_width=48 "
        "teacher_layers=2 workers=0"),
    Job("teacher, float32", "bench.teacher", "device=cuda audio_seconds=1200 batch_seconds=[120,480]", TEACHER_TINY),
    Job("teacher, bf16", "bench.teacher",
        "device=cuda audio_seconds=1200 batch_seconds=[120,480] precision=bfloat16", TEACHER_TINY),
    Job("log-mel on the device", "bench.logmel", "device=cuda clips=256", "device=cpu clips=2 seconds=1 turns=1"),
    Job("features", "bench.features", "device=cuda precision=bfloat16 clips=32 files=64",
        "device=cpu size=small seconds=0.5 clips=1 files=2 threads=[1] turns=1"),
    Job("the step in bf16, compiled and with CUDA graphs", "bench.step",
        f"--settings {GOALS} --variants bf16+compile,bf16+graphs --batch 512",
        f"--settings m2ds_80x208_80x4 --variants bf16+compile {STEP_TINY}"),
    Job("teacher, bf16, compiled", "bench.teacher",
        "device=cuda audio_seconds=1200 batch_seconds=[480] precision=bfloat16 compiled=true",
        f"{TEACHER_TINY} compiled=true"),
    Job("the other settings, compiled and with CUDA graphs", "bench.step",
        f"--settings {OTHERS} --variants bf16+compile,bf16+graphs --batch 512",
        f"--settings msm_mae_80x608_16x16 --variants bf16+compile {STEP_TINY}"),
    Job("the goals' settings, compiled, at the batch that fills the card", "bench.step",
        f"--settings {GOALS} --variants bf16+compile,bf16+graphs --batch fill",
        f"--settings m2d_80x608_16x16 --variants bf16+compile {STEP_TINY}"),
)


def measure(job: Job, dry: bool, seconds: float) -> dict[str, Any]:
    """The benchmark's JSON and how long it took; `note` is the reason where there is none."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "rows.json")
        words = [*job.words_of(dry), *(["--json", str(file)] if job.module == "bench.step" else [f"json={file}"])]
        if job.module == "bench.step":
            words += ["--minutes", f"{seconds / 60:.2f}"]
        start = time.monotonic()
        try:
            done = subprocess.run([sys.executable, "-m", job.module, *words], timeout=seconds + GRACE_S, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
            note = "" if done.returncode == 0 else (done.stdout.strip().splitlines() or ["no word"])[-1]
        except subprocess.TimeoutExpired:
            note = "out of time"
        found = json.loads(file.read_text(encoding="utf-8")) if not note and file.is_file() else {}
    return {**found, "seconds": round(time.monotonic() - start, 1), **({"note": note} if note else {})}


def measure_all(dry: bool, minutes: float, file: Path | None) -> dict[str, Any]:
    """The results of all jobs by title; written to `file` after each."""
    start = time.monotonic()
    result: dict[str, Any] = {"command": command(), "date": time.strftime("%Y-%m-%d"), "dry_run": dry, "jobs": {}}
    for number, job in enumerate(JOBS, 1):
        spent = time.monotonic() - start
        print(f"[{spent:3.0f} of {60 * minutes:.0f} s] {number} of {len(JOBS)}: {job.title}", flush=True)
        left = 60 * minutes - spent
        found = measure(job, dry, left) if left > 0 else {"note": "out of time"}
        if "note" in found:
            print(f"    not measured: {found['note']}", flush=True)
        result["jobs"][job.title] = found
        if file:
            write_json(file, {**result, "seconds": round(time.monotonic() - start)})
    return result


def block(results: Path = RESULTS) -> str:
    """The README's part: a table of all jobs with their dry run, then the rows of what a GPU has measured."""
    on_gpu, dry = (json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"jobs": {}}
                   for path in (results / "gpu.json", results / "gpu_dry_run.json"))
    lines = [BEGIN, ""]
    if dry["jobs"]:
        devices = {found["device"] for found in dry["jobs"].values() if "device" in found}
        lines += [f"Dry run: `{dry['command']}`, {', '.join(sorted(devices))}, {dry['date']}, {dry['seconds']} s.", ""]
    rows = [{"what": job.title, "GPU": _state(on_gpu["jobs"].get(job.title), job), "dry run": _dry(dry, job)}
            for job in JOBS]
    lines += [table(rows, {"what": "", "GPU": "", "dry run": ""}), ""]
    for title, found in on_gpu["jobs"].items():
        if "rows" in found:
            about = "; ".join(f"{key} {found[key]}" for key in ("device", "torch", "date", "command"))
            lines += [f"#### On a GPU: {title}", "", about, "", table(found["rows"], found["columns"]), ""]
            lines += [f"- {row['setting']} {row['variant']}, batch {row['batch']}: " + ", ".join(
                f"{kind} {share:.1%}" for kind, share in row["time_by_kind"].items())
                for row in found["rows"] if "time_by_kind" in row]
            lines += [""]
    return "\n".join([*lines, END])


def _state(found: dict[str, Any] | None, job: Job) -> str:
    if found is not None and "rows" in found:
        return f"{len(found['rows'])} rows below"
    reason = f" ({found['note']})" if found else ""
    return f"not measured{reason}: `{job.command}`"


def _dry(dry: dict[str, Any], job: Job) -> str:
    found = dry["jobs"].get(job.title, {})
    return f"{len(found['rows'])} rows in {found['seconds']:.0f} s" if "rows" in found else found.get("note", "-")


def write_block(readme: Path) -> None:
    """Replace the README's part between its marks."""
    text = readme.read_text(encoding="utf-8")
    before, rest = text.split(BEGIN)
    write_text(readme, before + block() + rest.split(END)[1])


def main(words: list[str] | None = None) -> None:
    """Measure, if `--json` is given, then write the README."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="measure, and write machine, commands and rows here")
    parser.add_argument("--readme", type=Path, help="write the tables into this file, from tools/bench/results")
    parser.add_argument("--minutes", type=float, default=9.0, help="nothing is begun after this time")
    parser.add_argument("--dry_run", action="store_true", help="tiny sizes on a CPU")
    options = parser.parse_args(words)
    if not options.json and not options.readme:
        parser.error("give --json, --readme, or both")
    if options.json:
        result = measure_all(options.dry_run, options.minutes, options.json)
        failed = [title for title, found in result["jobs"].items() if "rows" not in found]
        print(f"{len(JOBS) - len(failed)} of {len(JOBS)} measured, in {options.json}")
    if options.readme:
        write_block(options.readme)


if __name__ == "__main__":
    main()
