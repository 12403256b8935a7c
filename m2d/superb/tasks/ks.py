"""KS: keyword spotting on Speech Commands (s3prl downstream speech_commands)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from m2d.superb.task import TASKS, Corpora, Measure, Task, folder

KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")


def speech_commands(path: str, batch_size: int) -> str:
    """Absolute root of Speech Commands; with fewer training files than a batch s3prl would loop for ever."""
    root = folder(path, "speech_commands", "a folder per word and _background_noise_")
    lacking = [word for word in (*KEYWORDS, "_background_noise_") if next((root / word).glob("*.wav"), None) is None]
    if lacking:
        raise ValueError(f"{root}: no wav files under {lacking[0]}; is it Speech Commands v0.01?")
    files = sum(1 for _ in root.glob("*/*_nohash_*.wav"))
    if files * 0.8 <= batch_size:  # a tenth each goes to dev and, unused, to test
        raise ValueError(f"{root}: only {files} recordings; training needs well over a batch of {batch_size}")
    return str(root)


def speech_commands_test(path: str) -> str:
    """Absolute root of the test set of Speech Commands, with its 12 classes."""
    root = folder(path, "speech_commands_test", "the ten keywords, _unknown_ and _silence_")
    found = {entry.name for entry in root.iterdir() if entry.is_dir()}
    strange = found - {*KEYWORDS, "_unknown_", "_silence_"}
    if strange or not found:
        raise ValueError(f"{root}: {f'{min(strange)} is' if strange else 'there are'} none of the 12 classes; "
                        "is it speech_commands_test_set_v0.01?")
    return str(root)


def prepare(corpora: Corpora, tables: Path, config: dict[str, Any]) -> list[str]:
    """Both parts of the corpus."""
    data = config["downstream_expert"]["datarc"]
    train = speech_commands(corpora.speech_commands, data["batch_size"])
    test = speech_commands_test(corpora.speech_commands_test)
    data.update(speech_commands_root=train, speech_commands_test_root=test)
    return [train, test]


def recordings(config: dict[str, Any]) -> Iterator[tuple[str, list[Path]]]:
    """Those that are there: s3prl searches both folders."""
    data = config["downstream_expert"]["datarc"]
    for part, root, pattern in (("train and dev", data["speech_commands_root"], "*/*_nohash_*.wav"),
                                ("test", data["speech_commands_test_root"], "*/*.wav")):
        for path in Path(root).glob(pattern):
            yield part, [path]


TASKS.register("ks")(Task("KS", "speech_commands", (Measure("ks", "Acc", "test acc: (.+)"),), prepare,
                          recordings=recordings, published="speech_commands", cut_at_random=True))
