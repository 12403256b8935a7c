"""AudioSet: 10-second clips named by (made-up) YouTube ids, the three segment tables and `class_labels_indices.csv`.

The classes are the sounds, music, its genres and speech of this corpus: fewer than the official 527. The balanced and
the unbalanced part are pre-training material and noise; the evaluation part has speakers of its own.
"""

import numpy as np

from mini_corpus.dsp import choose, generator
from mini_corpus.items import Scene, Source
from mini_corpus.layouts.names import youtube_id
from mini_corpus.music import GENRES
from mini_corpus.plan import SetPlan, lines_text, scaled
from mini_corpus.sounds import SOUNDS
from mini_corpus.speakers import speaker
from mini_corpus.text import sentence

ROOT = "AudioSet"
CLASSES = ("speech", "music", *GENRES, *SOUNDS)
# part, band of its speakers, clips at scale 1
_PARTS = (("balanced_train", "noise", 120), ("unbalanced_train", "noise", 230), ("eval", "audioset_eval", 80))
_SPEAKERS = 60


def plan(scale: float) -> SetPlan:
    """One to three simultaneous sources in each clip, whose classes are its labels."""
    result = SetPlan()
    for part, band, clips in _PARTS:
        rows = []
        for i in range(scaled(clips, scale, least=8)):
            name = youtube_id(ROOT, part, i)
            rng = generator("audioset", part, i)
            sources = tuple(_source(rng, band) for _ in range(rng.integers(1, 4)))
            result.items.append(Scene(f"{ROOT}/{part}_segments/{name}.flac", sources, 10.0))
            labels = {label for source in sources for label in _labels(source)}
            mids = ",".join(mid(label) for label in CLASSES if label in labels)
            rows.append((f'{name}, 0.000, 10.000, "{mids}"', len(labels)))
        result.tables[f"{ROOT}/{part}_segments.csv"] = lines_text([
            "# Segments csv of the mini corpus, synthetic",
            f"# num_ytids={len(rows)}, num_segs={len(rows)}, num_unique_labels={len(CLASSES)}, "
            f"num_positive_labels={sum(count for _, count in rows)}",
            "# YTID, start_seconds, end_seconds, positive_labels",
            *(row for row, _ in rows),
        ])
    names = [f'{k},{mid(label)},"{label.replace("_", " ").capitalize()}"' for k, label in enumerate(CLASSES)]
    result.tables[f"{ROOT}/class_labels_indices.csv"] = lines_text(["index,mid,display_name", *names])
    return result


def mid(label: str) -> str:
    """A made-up machine id of a class, in the form of the official ones."""
    return f"/m/mini{CLASSES.index(label):03d}"


def _source(rng: np.random.Generator, band: str) -> Source:
    kind = choose(rng, ("sound", "sound", "music", "speech"))
    if kind == "sound":
        return Source(kind, choose(rng, list(SOUNDS)))
    if kind == "music":
        return Source(kind, choose(rng, list(GENRES)))
    return Source(kind, f"{sentence(rng)}. {sentence(rng)}", speaker(band, int(rng.integers(_SPEAKERS))))


def _labels(source: Source) -> tuple[str, ...]:
    if source.kind == "speech":
        return ("speech",)
    return ("music", source.name) if source.kind == "music" else (source.name,)
