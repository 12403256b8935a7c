"""Fluent Speech Commands: `data/{train,valid,test}_data.csv` and `wavs/speakers/SPEAKER/HASH.wav`."""

import zlib

from mini_corpus.acoustics import Recording
from mini_corpus.commands import INTENTS, phrase
from mini_corpus.dsp import generator
from mini_corpus.items import Utterance
from mini_corpus.plan import SetPlan, csv_text, scaled
from mini_corpus.speakers import speaker

ROOT = "fluent_speech_commands_dataset"
HEADER = ("", "path", "speakerId", "transcription", "action", "object", "location")
# part, speakers at scale 1, phrases per intent and speaker
_PARTS = (("train", 32, 2), ("valid", 6, 1), ("test", 38, 1))


def plan(scale: float) -> SetPlan:
    """Every speaker says every intent, with randomly drawn phrases; parts share no speaker."""
    result = SetPlan()
    k = 0
    for part, speakers, takes in _PARTS:
        rows = []
        for _ in range(scaled(speakers, scale, least=2)):
            name = f"spk{k:05d}"
            how = Recording(session=f"fluent/{k}", snr=(8, 30), tilt=(-4, 4))
            for j, intent in enumerate(intent for intent in INTENTS for _ in range(takes)):
                text = phrase(intent, generator("fluent", k, j))
                path = f"wavs/speakers/{name}/{zlib.crc32(f'{k}/{j}'.encode()):08x}.wav"
                rows.append((len(rows), path, name, text, intent.action, intent.object, intent.location))
                result.items.append(Utterance(f"{ROOT}/{path}", speaker("fluent", k), text, how))
            k += 1
        result.tables[f"{ROOT}/data/{part}_data.csv"] = csv_text(HEADER, rows)
    return result
