"""The data stages on corpora of many files and long tables: time, memory, and how they grow.

    python -m bench.stages [files=200000 lines=2000000 directory=DIR teacher=MODEL]

Makes a tree of tiny FLAC files in folders, and a data directory of many lines that point to them. Each command
runs as the recipe calls it, as one job, in a process of its own. `growth` is the CPU time of an item over that of an
item of a corpus of a quarter of the size: 1 is linear.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from bench.measure import machine
from bench.report import leave
from m2d.common.cli import run
from m2d.common.errors import UserError
from m2d.common.options import option
from m2d.data.datadir import DataDir

PER_FOLDER = 100
KINDS = 50  # different recordings
UTILS = Path(__file__).resolve().parents[2] / "utils"
WITH_PEAK = """
import atexit, runpy, sys
peak = sys.argv[1]
del sys.argv[:2]
atexit.register(lambda: open(peak, "w").write(
    next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))))
if sys.argv[0] == "-m":
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
else:
    sys.path.insert(0, sys.argv[0].rpartition("/")[0])
    runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a module or script and leaves its own peak memory: that of `wait4` is the parent's at least."""

COLUMNS = {"stage": "", "items": ",d", "wall_s": ".1f", "cpu_s": ".1f", "items_per_cpu_s": ",.0f", "memory_mb": ".0f",
           "growth": ".2f"}


@dataclass
class StagesBench:
    files: int = option(200_000, "recordings of the tree", within="[400, inf)")
    lines: int = option(2_000_000, "utterances of the data directory", within="[400, inf)")
    seconds: float = option(0.1, "length of a recording", within="(0, inf)")
    features: bool = option(True, "log-mels, and the frames of `teacher`, too: minutes for 200,000 files")
    teacher: str = option("", "model whose frames are extracted as well")
    directory: str = option("", "a new folder that corpus and results are kept in (default: a temporary one)")
    json: str = option("", "write machine, command and rows here as well")


def bench(options: StagesBench) -> None:
    """Make the corpora, run every command on a quarter and on the whole, print the table."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(options.directory or name)
        tree = work / "tree"
        make_tree(tree, options.files, options.seconds)
        rows: list[dict[str, Any]] = []
        for share in (4, 1):
            found = [*on_tree(work / f"files{share}", tree, options, share),
                     *on_table(work / f"lines{share}", tree, options.lines // share)]
            if share == 4:
                quarter = {row["stage"]: row for row in found}
            else:
                rows = [{**row, "growth": _each(row) / _each(quarter[row["stage"]])} for row in found]
        leave(machine(), rows, COLUMNS, options.json)


def make_tree(tree: Path, files: int, seconds: float) -> None:
    """`SPEAKER/NUMBER.flac`; what is there of an earlier call is kept."""
    rng = np.random.default_rng(0)
    for number in range(files):
        path = tree / f"{number // PER_FOLDER:05d}" / f"{number:07d}.flac"
        if number < KINDS and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.1 * rng.standard_normal(round(seconds * 16000)), 16000)
        elif not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes((tree / "00000" / f"{number % KINDS:07d}.flac").read_bytes())


def on_tree(work: Path, tree: Path, options: StagesBench, share: int) -> Iterator[dict[str, Any]]:
    """Stages 0, 1 and 2 on the tree, or on a list of a part of it."""
    files = options.files // share
    work.mkdir(parents=True)
    source = work / "list.txt"
    source.write_text("".join(f"{tree}/{number // PER_FOLDER:05d}/{number:07d}.flac\n" for number in range(files)))
    source, data = (source, work / "data") if share > 1 else (tree, work / "data")
    prepare = ["corpus=folder", f"root={source}", f"out={data}", "segment_seconds=20"]
    yield spent("0: a folder to a data directory", files, "-m", "m2d.bin.prepare_data", *prepare)
    yield spent("0: the same, found done", files, "-m", "m2d.bin.prepare_data", *prepare)
    yield spent("mark of stage 1", files, UTILS / "mark.py", "begin", work / "mark", "--data", data)
    if not options.features:
        return
    yield spent("1: log-mels", files, "-m", "m2d.bin.extract_logmel", f"data={data}", f"out={work}/logmel")
    yield spent("1: merge", files, "-m", "m2d.bin.merge_features", f"dir={work}/logmel")
    if options.teacher:
        yield spent("2: teacher", files, "-m", "m2d.bin.extract_teacher", f"data={data}", f"out={work}/teacher",
                    f"model={options.teacher}", "workers=0")
        yield spent("2: merge", files, "-m", "m2d.bin.merge_features", f"dir={work}/teacher")


def on_table(work: Path, tree: Path, lines: int) -> Iterator[dict[str, Any]]:
    """Tables of many lines through the tools for data directories and the marks."""
    width = len(str(lines))
    names = [f"{number // PER_FOLDER:0{width}d}-{number:0{width}d}" for number in range(lines)]
    wav = {name: f"{tree}/00000/{number % PER_FOLDER:07d}.flac" for number, name in enumerate(names)}
    DataDir(wav, utt2spk={name: name.partition("-")[0] for name in names},
            utt2dur=dict.fromkeys(names, 0.3)).write(work / "data")
    del wav, names
    yield spent("validate_data_dir.sh", lines, UTILS / "data_dir.py", "validate", work / "data")
    yield spent("subset_data_dir.sh", lines, UTILS / "data_dir.py", "subset", work / "data", lines // 2, work / "half")
    yield spent("combine_data.sh", lines, UTILS / "data_dir.py", "combine", work / "both", work / "data", work / "half")
    yield spent("split_data.sh into 8", lines, UTILS / "data_dir.py", "split", work / "data", 8)
    yield spent("fix_data_dir.sh", lines, UTILS / "data_dir.py", "fix", work / "data")
    yield spent("mark of a stage", lines, UTILS / "mark.py", "begin", work / "mark", "--data", work / "both")


def spent(stage: str, items: int, *words: object) -> dict[str, Any]:
    """Run Python with these words; what it took. Raises `UserError` with its words when it fails."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as output, tempfile.NamedTemporaryFile("r") as peak:
        child = subprocess.Popen([sys.executable, "-c", WITH_PEAK, peak.name, *map(str, words)], stdout=output,
                                 stderr=output)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            output.seek(0)
            raise UserError(f"{stage}: {output.read().decode(errors='replace')[-2000:]}")
        memory = int(peak.read().split()[1]) / 1024
    cpu = usage.ru_utime + usage.ru_stime
    return {"stage": stage, "items": items, "wall_s": time.monotonic() - start, "cpu_s": cpu,
            "items_per_cpu_s": items / cpu, "memory_mb": memory}


def _each(row: dict[str, Any]) -> float:
    return row["cpu_s"] / row["items"]


if __name__ == "__main__":
    run(StagesBench, bench, __doc__)
