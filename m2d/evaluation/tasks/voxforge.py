"""VoxForge (MacLean, 2018): which of six languages is spoken. No official split: whole speakers, seeded."""

import re
from pathlib import Path

from m2d.audio.wave import audio_files
from m2d.evaluation.splits import disjoint_split
from m2d.evaluation.tables import Clip
from m2d.evaluation.tasks import Listing, task

LANGUAGES = {"de": "german", "en": "english", "es": "spanish", "fr": "french", "it": "italian", "ru": "russian"}
_SUBMISSION = re.compile(r"(?P<speaker>.+?)-(?P<date>\d{8})(-\w+)?$")


def _speaker(folder: str) -> str:
    """The speaker of a folder `SPEAKER-20080429-abc`; each anonymous submission counts as one of its own."""
    match = _SUBMISSION.match(folder)
    if match is None or match["speaker"].lower().startswith("anonymous"):
        return folder
    return match["speaker"].lower()


@task(
    "voxforge", title="VF", group="speech", seconds=5.8, official=None,
    split="no speaker in two parts, 7:1:2, seeded (anonymous submissions count as speakers)",
    tree="voxforge/\n  de/SPEAKER-20080429-abc/wav/de1-01.wav ...\n  en/... es/... fr/... it/... ru/...")
def _read(root: Path, lists: Path, seed: int) -> Listing:
    """Language folders by code or name (`de` or `German`), any folders between them and the submissions."""
    rows, groups = [], {}
    for code, language in LANGUAGES.items():
        homes = [folder for folder in sorted(root.glob("*")) if folder.name.lower() in (code, language)]
        if not homes:
            raise ValueError(f"{root}: the folder of {language} ({code}) is missing")
        names = [f"{homes[0].name}/{name}" for name in audio_files(homes[0])]
        if not names:
            raise ValueError(f"{homes[0]}: no audio in the folder of {language}")
        for name in names:
            folders = name.split("/")[:-1]
            submission = folders[-2] if folders[-1] in ("wav", "flac") else folders[-1]
            speaker = f"{code} {_speaker(submission)}"
            groups[speaker] = language
            rows.append((name, code, speaker))
    split = disjoint_split(groups, (7, 1, 2), seed)
    return Listing([Clip(name, code, split[speaker]) for name, code, speaker in rows], [])
