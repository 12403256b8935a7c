"""VoxCeleb1 speaker identification (Nagrani et al., 2020): 153,516 utterances of 1,251 speakers, split by video."""

from pathlib import Path

from m2d.evaluation.tables import Clip
from m2d.evaluation.tasks import Listing, first_of, listed, read_lines, task

_PARTS = {"1": "train", "2": "valid", "3": "test"}


@task(
    "vc1", title="VC1", group="speech", seconds=8.2, official=153516,
    audio_dirs=("wav", "dev/wav", "test/wav", ""), split="official identification split",
    tree="VoxCeleb1/\n  iden_split.txt (or veri_test_class.txt)\n"
         "  wav/id10001/VIDEO/00001.wav ... (or dev/wav/ and test/wav/)")
def _read(root: Path, lists: Path, seed: int) -> Listing:
    """The list's paths begin at the speaker, who is below `wav/`, `dev/wav/`, `vox1_test_wav/wav/`, `dev/m4a/` ..."""
    path = lists if lists.is_file() else first_of(
        [lists / "iden_split.txt", lists / "veri_test_class.txt"], "the official identification split")
    homes = {folder.name: folder.relative_to(root).as_posix()
             for pattern in ("id1????", "*/id1????", "*/*/id1????") for folder in sorted(root.glob(pattern))}
    clips = []
    for number, line in enumerate(read_lines(path, "the official identification split"), 1):
        code, _, name = line.partition(" ")
        if code not in _PARTS or name.count("/") != 2:
            raise ValueError(f"{path}:{number}: expected '1|2|3 id10001/VIDEO/00001.wav', found '{line}'")
        speaker, rest = name.split("/", 1)
        clips.append(Clip(f"{homes.get(speaker, f'wav/{speaker}')}/{rest}", speaker, _PARTS[code]))
    return listed(root, clips)
