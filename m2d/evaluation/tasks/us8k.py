"""UrbanSound8K (Salamon et al., 2014): 8,732 city sounds of at most 4 s in 10 classes, 10 official folds.

The files come as uploaded: mono and stereo, 8 to 192 kHz, 8 to 32 bits, floats and ADPCM.
"""

from pathlib import Path

from m2d.evaluation.tables import Clip
from m2d.evaluation.tasks import Listing, listed, read_csv, task


@task(
    "us8k", title="US8K", group="env", seconds=4.0, official=8732, audio_dirs=("audio", ""),
    split="10 official folds",
    tree="UrbanSound8K/\n  metadata/UrbanSound8K.csv\n  audio/fold1/101415-3-0-2.wav ...\n  audio/fold10/...")
def _read(root: Path, lists: Path, seed: int) -> Listing:
    rows = read_csv(lists / "metadata/UrbanSound8K.csv", ["slice_file_name", "fold", "class"])
    return listed(root, [
        Clip(f"audio/fold{row['fold']}/{row['slice_file_name']}", row["class"], row["fold"]) for row in rows])
