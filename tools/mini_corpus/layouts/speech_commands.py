"""Speech Commands: version 1 with its separate test set (12 classes), and version 2 (35 words).

`WORD/HASH_nohash_TAKE.wav`, `validation_list.txt`, `testing_list.txt`, `_background_noise_/`. The part of a speaker
follows from the SHA-1 of its hash by the rule of the data set's README; hashes are chosen so that rule and lists agree.
"""

import hashlib
import itertools
import zlib
from functools import cache

from mini_corpus.acoustics import Recording
from mini_corpus.dsp import generator
from mini_corpus.items import Noise, Utterance
from mini_corpus.plan import SetPlan, lines_text, scaled
from mini_corpus.speakers import speaker

ROOT_V1 = "speech_commands_v0.01"
TEST_ROOT_V1 = "speech_commands_test_set_v0.01"
ROOT_V2 = "speech_commands_v0.02"
KEYWORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
OTHERS_V1 = ("bed", "bird", "cat", "dog", "eight", "five", "four", "happy", "house", "marvin", "nine", "one", "seven",
             "sheila", "six", "three", "tree", "two", "wow", "zero")
OTHERS_V2 = (*OTHERS_V1, "backward", "forward", "follow", "learn", "visual")
BACKGROUND = ("rain", "vacuum_cleaner", "air_conditioner", "keyboard_typing", "engine_idling", "sea_waves")
_MODULUS = 2**27


@cache
def speaker_hash(band: str, k: int, part: str) -> str:
    """Eight hex digits that the data set's rule assigns to that part: training, validation or testing."""
    for attempt in itertools.count():
        name = f"{zlib.crc32(f'{band}/{k}/{attempt}'.encode()):08x}"
        percent = int(hashlib.sha1(name.encode()).hexdigest(), 16) % _MODULUS * 100 / (_MODULUS - 1)
        if part == ("validation" if percent < 10 else "testing" if percent < 20 else "training"):
            return name
    raise AssertionError("unreachable: the count is endless")


def plan_v1(scale: float) -> SetPlan:
    """Keywords in two takes, a quarter of the other words; the test set has 10% unknown and 10% silence."""
    band = "speech_commands_v1"
    result = SetPlan()
    lists: dict[str, list[str]] = {"validation": [], "testing": []}
    parts = (("training", scaled(44, scale, 4)), ("validation", scaled(8, scale, 2)), ("testing", scaled(48, scale, 2)))
    numbers = itertools.count()
    tests: list[Utterance] = []
    for part, speakers in parts:
        for _ in range(speakers):
            k = next(numbers)
            rng = generator(band, k)
            others = [OTHERS_V1[j] for j in rng.choice(len(OTHERS_V1), 5, replace=False)]
            # version 1's main folder has the speakers of the test set too, with fewer files
            said = [*KEYWORDS[::3], *others[:2]] if part == "testing" else [*KEYWORDS, *KEYWORDS, *others]
            for word, take in _takes(said):
                path = f"{word}/{speaker_hash(band, k, part)}_nohash_{take}.wav"
                result.items.append(_utterance(f"{ROOT_V1}/{path}", band, k, word))
                if part in lists:
                    lists[part].append(path)
            if part == "testing":
                for word, take in _takes([*KEYWORDS, *KEYWORDS, *others[2:4]]):
                    folder = word if word in KEYWORDS else "_unknown_"
                    name = f"{speaker_hash(band, k, part)}_{word}_nohash_{take}.wav"
                    tests.append(_utterance(f"{TEST_ROOT_V1}/{folder}/{name}", band, k, word))
    silences = max(2, len(tests) // 11)
    result.items += tests
    result.items += [
        Noise(f"{TEST_ROOT_V1}/_silence_/{i:04d}.wav", BACKGROUND[i % len(BACKGROUND)], 1.0) for i in range(silences)
    ]
    _finish(result, ROOT_V1, lists)
    return result


def plan_v2(scale: float) -> SetPlan:
    """Thirty-five words, each once per speaker."""
    band = "speech_commands_v2"
    result = SetPlan()
    lists: dict[str, list[str]] = {"validation": [], "testing": []}
    parts = (("training", scaled(22, scale, 2)), ("validation", scaled(4, scale, 1)), ("testing", scaled(8, scale, 1)))
    numbers = itertools.count()
    for part, speakers in parts:
        for _ in range(speakers):
            k = next(numbers)
            for word in (*KEYWORDS, *OTHERS_V2):
                path = f"{word}/{speaker_hash(band, k, part)}_nohash_0.wav"
                result.items.append(_utterance(f"{ROOT_V2}/{path}", band, k, word))
                if part in lists:
                    lists[part].append(path)
    _finish(result, ROOT_V2, lists)
    return result


def _takes(words: list[str]) -> list[tuple[str, int]]:
    """Each word with the number of its earlier occurrences."""
    return [(word, words[:j].count(word)) for j, word in enumerate(words)]


def _utterance(path: str, band: str, k: int, word: str) -> Utterance:
    how = Recording(session=f"{band}/{k}", snr=(0, 25), tilt=(-4, 4))
    return Utterance(path, speaker(band, k), word, how, seconds=1.0)


def _finish(result: SetPlan, root: str, lists: dict[str, list[str]]) -> None:
    result.items += [Noise(f"{root}/_background_noise_/{name}.wav", name, 20.0) for name in BACKGROUND]
    for part, paths in lists.items():
        result.tables[f"{root}/{part}_list.txt"] = lines_text(sorted(paths))
