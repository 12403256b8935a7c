"""GTZAN (Tzanetakis and Cook, 2002): 30 s excerpts of 10 music genres, split by the fault-filtered lists.

Those lists (443 / 197 / 290 excerpts) leave out repetitions, mislabelled and distorted excerpts and keep artists
apart. They are not part of the download. `jazz.00054` of the common copy can't be decoded and ends in the task's
list of unreadable files.
"""

from pathlib import Path

from m2d.evaluation.tables import SPLITS, Clip
from m2d.evaluation.tasks import Listing, first_of, listed, read_lines, task


@task(
    "gtzan", title="GTZAN", group="music", seconds=30.0, official=930,
    audio_dirs=("genres", "genres_original", ""), split="fault-filtered lists",
    tree="GTZAN/\n  train_filtered.txt valid_filtered.txt test_filtered.txt (lines: blues/blues.00029.wav)\n"
         "  genres/blues/blues.00000.wav ... (or genres_original/)")
def _read(root: Path, lists: Path, seed: int) -> Listing:
    home = first_of([root / "genres", root / "genres_original"], "the folder of the ten genres").name
    clips = []
    for part in SPLITS:
        path = lists / f"{part}_filtered.txt"
        for number, line in enumerate(read_lines(path, "a fault-filtered list; or give a split table"), 1):
            genre, slash, name = line.partition("/")
            if not slash or not name.startswith(f"{genre}."):
                raise ValueError(f"{path}:{number}: expected 'blues/blues.00000.wav', found '{line}'")
            clips.append(Clip(f"{home}/{line}", genre, part))
    return listed(root, clips)
