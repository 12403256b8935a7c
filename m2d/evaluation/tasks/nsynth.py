"""NSynth (Engel et al., 2017): 305,979 notes of 4 s in 11 instrument families, official split by instrument."""

from pathlib import Path

from m2d.common.files import read_json
from m2d.evaluation.tables import SPLITS, Clip
from m2d.evaluation.tasks import Listing, listed, need, task


@task(
    "nsynth", title="NSynth", group="music", seconds=4.0, official=305979,
    split="official parts",
    tree="nsynth/\n  nsynth-train/examples.json nsynth-train/audio/bass_acoustic_000-024-025.wav ...\n"
         "  nsynth-valid/... nsynth-test/...")
def _read(root: Path, lists: Path, seed: int) -> Listing:
    clips = []
    for part in SPLITS:
        path = need(root / f"nsynth-{part}/examples.json", "the official description of the notes")
        notes = read_json(path)
        for key, note in notes.items():
            if "instrument_family_str" not in note:
                raise ValueError(f"{path}: note '{key}' has no instrument_family_str")
            clips.append(Clip(f"nsynth-{part}/audio/{key}.wav", note["instrument_family_str"], part))
    return listed(root, clips)
