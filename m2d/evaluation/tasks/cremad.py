"""CREMA-D (Cao et al., 2014): 7,442 acted utterances in 6 emotions by 91 actors, split by actor and seed.

`AudioWAV/1076_MTI_SAD_XX.wav` of the official copy holds no speech; it is used as it is.
"""

import re
from pathlib import Path

from m2d.audio.wave import audio_files
from m2d.evaluation.splits import disjoint_split
from m2d.evaluation.tables import Clip
from m2d.evaluation.tasks import Listing, need, task

_NAME = re.compile(r"(?P<speaker>\d{4})_[A-Z]{3}_(?P<emotion>ANG|DIS|FEA|HAP|NEU|SAD)_[A-Z]{1,2}$")


@task(
    "cremad", title="CRM-D", group="speech", seconds=2.5, official=7442,
    audio_dirs=("AudioWAV", ""), split="no actor in two parts, 7:1:2, seeded",
    tree="CREMA-D/\n  AudioWAV/1001_DFA_ANG_XX.wav ...")
def _read(root: Path, lists: Path, seed: int) -> Listing:
    found = {}
    for name in audio_files(need(root / "AudioWAV", "the folder of the utterances")):
        match = _NAME.match(Path(name).stem)
        if match is None:
            raise ValueError(f"{root / 'AudioWAV' / name}: not named SPEAKER_SENTENCE_EMOTION_LEVEL.wav")
        found[f"AudioWAV/{name}"] = match
    split = disjoint_split({match["speaker"]: "actors" for match in found.values()}, (7, 1, 2), seed)
    return Listing([Clip(name, match["emotion"], split[match["speaker"]]) for name, match in found.items()], [])
