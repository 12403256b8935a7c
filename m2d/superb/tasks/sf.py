"""SF: slot filling on Audio SNIPS (s3prl downstream ctc/snips)."""

import string
from pathlib import Path
from typing import Any

import soundfile

from m2d.common.files import first_match, write_text
from m2d.superb.ctc_corpora import read_slots
from m2d.superb.task import TASKS, Corpora, Measure, Task, file, folder

CHARACTERS = (" ", *string.ascii_uppercase, "'")


def prepare(corpora: Corpora, tables: Path, config: dict[str, Any]) -> list[str]:
    """The corpus, its slots, and SUPERB's characters, one a line, which the wheel lacks."""
    expert = config["downstream_expert"]
    root = folder(corpora.snips, "snips", "train, valid, test, all.iob.snips.txt, slots.txt")
    read_slots(root)
    slots = file(str(root / "slots.txt"), "snips", "the list of slots")
    for split in ("train", "valid", "test"):
        first = first_match(root / split, "**/*.wav", "wav files")
        if soundfile.info(first).samplerate != 16000:
            raise ValueError(f"{first}: {soundfile.info(first).samplerate} Hz, but s3prl takes the clips for 16 kHz")
    write_text(tables / "characters.txt", "\n".join(CHARACTERS) + "\n")
    expert["corpus"]["path"] = str(root)
    expert["text"].update(vocab_file=str(tables / "characters.txt"), slots_file=str(slots))
    return [str(root)]


TASKS.register("sf")(Task("SF", "ctc", (Measure("sf", "F1", "test slot_type_f1: (.+)"),
                                        Measure("sf_cer", "CER", "test slot_value_cer: (.+)", lower_is_better=True)),
                          prepare))
