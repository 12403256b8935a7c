"""Pitch Audio Dataset (Turian et al., 2021): 88 notes of 2,084 tones of the Surge synthesizer; which note is it?

The task's split (1,692 / 195 / 197 tones) has no official list: whole tones, seeded, in these shares. A published
split is reproduced by giving its table.
"""

from pathlib import Path

from m2d.audio.wave import audio_files
from m2d.evaluation.splits import disjoint_split
from m2d.evaluation.tables import Clip
from m2d.evaluation.tasks import Listing, need, task


@task(
    "surge", title="Surge", group="music", seconds=4.0, official=2084 * 88,
    split="no tone in two parts, 1692:195:197, seeded",
    tree="surge/\n  TONE/21.ogg ... TONE/108.ogg (folders between are allowed)")
def _read(root: Path, lists: Path, seed: int) -> Listing:
    rows = []
    for name in audio_files(need(root, "the data set")):
        tone, _, note = name.rpartition("/")
        stem = Path(note).stem
        if not tone or not stem.isdigit():
            raise ValueError(f"{root / name}: not named TONE/NOTE.ogg with a note number")
        rows.append((name, str(int(stem)), tone))
    split = disjoint_split({tone: "tones" for _, _, tone in rows}, (1692, 195, 197), seed)
    return Listing([Clip(name, note, split[tone]) for name, note, tone in rows], [])
