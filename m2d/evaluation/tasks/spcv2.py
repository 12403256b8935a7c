"""Speech Commands v2 (Warden, 2018): 105,829 utterances of at most 1 s in 35 words, split by two official lists."""

from pathlib import Path

from m2d.audio.wave import audio_files
from m2d.evaluation.tables import Clip
from m2d.evaluation.tasks import Listing, need, read_lines, task


@task(
    "spcv2", title="SPCV2", group="speech", seconds=1.0, official=105829,
    split="official lists",
    tree="speech_commands_v0.02/\n  validation_list.txt\n  testing_list.txt\n  WORD/SPEAKER_nohash_N.wav ...")
def _read(root: Path, lists: Path, seed: int) -> Listing:
    split = {name: part for part, list_name in (("valid", "validation_list.txt"), ("test", "testing_list.txt"))
             for name in read_lines(lists / list_name, "the official list of file names")}
    found = [name for name in audio_files(need(root, "the data set")) if not name.startswith("_background_noise_/")]
    names = [name for name in found if name.count("/") == 1]
    missing = sorted(set(split) - set(names))
    return Listing(*([Clip(name, name.split("/")[0], split.get(name, "train")) for name in part]
                     for part in (names, missing)))
