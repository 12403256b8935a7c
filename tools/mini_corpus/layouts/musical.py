"""GTZAN genres, NSynth instruments and Surge pitches."""

import json

from mini_corpus.dsp import generator
from mini_corpus.items import Note, Tune
from mini_corpus.music import FAMILIES, GENRES
from mini_corpus.plan import SetPlan, csv_text, lines_text, scaled

GTZAN = "GTZAN"
NSYNTH = "nsynth"
SURGE = "surge"
_SURGE_PROGRAMS = (0, 4, 11, 16, 19, 22, 24, 33, 40, 48, 52, 56, 61, 65, 68, 71, 73, 80, 81, 88, 89, 94, 104, 108)
_SURGE_KEYS = range(48, 72)


def plan_gtzan(scale: float) -> SetPlan:
    """`genres/blues/blues.00000.wav`, and the three lists `{train,valid,test}_filtered.txt`."""
    result = SetPlan()
    lists: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for genre in GENRES:
        for i in range(scaled(20, scale, least=5)):
            name = f"{genre}/{genre}.{i:05d}.wav"
            part = "valid" if i % 5 == 3 else "test" if i % 5 in (1, 4) and i != 1 else "train"
            lists[part].append(name)
            result.items.append(Tune(f"{GTZAN}/genres/{name}", genre, 6.0))
    for part, names in lists.items():
        result.tables[f"{GTZAN}/{part}_filtered.txt"] = lines_text(names)
    return result


def plan_nsynth(scale: float) -> SetPlan:
    """`nsynth-{train,valid,test}/audio/NOTE.wav` and `examples.json`; parts share no instrument."""
    result = SetPlan()
    examples: dict[str, dict] = {"train": {}, "valid": {}, "test": {}}
    for family_index, (family, programs) in enumerate(FAMILIES.items()):
        keys = range(28, 55) if family == "bass" else range(45, 85)
        for k, program in enumerate(programs):
            part = "test" if k in (1, 3, 6) else "valid" if k == 4 else "train"
            rng = generator("nsynth", family, program)
            for key in sorted(rng.choice(keys, min(len(keys), scaled(6, scale, least=2)), replace=False)):
                velocity = int(rng.choice((50, 75, 100, 127)))
                name = f"{family}_sampled_{program:03d}-{key:03d}-{velocity:03d}"
                examples[part][name] = {
                    "note_str": name, "instrument": program, "instrument_str": f"{family}_sampled_{program:03d}",
                    "pitch": int(key), "velocity": velocity, "sample_rate": 16000, "instrument_source": 1,
                    "instrument_source_str": "sampled",
                    "instrument_family": family_index, "instrument_family_str": family,
                }
                path = f"{NSYNTH}/nsynth-{part}/audio/{name}.wav"
                result.items.append(Note(path, program, int(key), velocity, 2.0))
    for part, notes in examples.items():
        result.tables[f"{NSYNTH}/nsynth-{part}/examples.json"] = json.dumps(notes, indent=1) + "\n"
    return result


def plan_surge(scale: float) -> SetPlan:
    """`TONE/NOTE.ogg` for two octaves of notes, and a split by tone, because the set has no official one."""
    result = SetPlan()
    rows = []
    for k, program in enumerate(_SURGE_PROGRAMS[: scaled(len(_SURGE_PROGRAMS), scale, least=6)]):
        part = "test" if k % 4 == 3 else "valid" if k % 6 == 4 else "train"
        for key in _SURGE_KEYS:
            path = f"{program:03d}/{key}.ogg"
            rows.append((path, key, part))
            result.items.append(Note(f"{SURGE}/{path}", program, key, 100, 1.5))
    result.tables[f"{SURGE}/surge.csv"] = csv_text(("file_name", "label", "split"), rows)
    return result
