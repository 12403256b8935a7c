"""ESC-50 (Piczak, 2015): 2,000 environmental sounds of 5 s in 50 classes, 5 official folds."""

from pathlib import Path

from m2d.evaluation.tables import Clip
from m2d.evaluation.tasks import Listing, listed, read_csv, task


@task(
    "esc50", title="ESC-50", group="env", seconds=5.0, official=2000, audio_dirs=("audio", ""),
    split="5 official folds",
    tree="ESC-50-master/\n  meta/esc50.csv\n  audio/1-100032-A-0.wav ...")
def _read(root: Path, lists: Path, seed: int) -> Listing:
    rows = read_csv(lists / "meta/esc50.csv", ["filename", "fold", "target", "category"])
    return listed(root, [Clip(f"audio/{row['filename']}", row["category"], row["fold"]) for row in rows])
