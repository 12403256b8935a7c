"""A prepared task: which clip has which label and belongs to which part; a folder of `table.csv` and `task.json`."""

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from m2d.common.files import atomic_directory, existing_file, read_json, write_json, write_text
from m2d.evaluation.tables import SPLITS, Clip, read_table, table_text


@dataclass
class Task:
    """A prepared task. `clips[i].label` holds names; `classes` is their order in every classifier and matrix.

    `seconds` is the length to which clips are cut or padded; `content` a digest of the audio files; `official` the
    number of clips of the full data set; `missing` the number of listed clips that are not on disk, per part.
    """

    name: str
    title: str
    group: str
    root: str
    seconds: float
    split: str
    classes: list[str]
    multilabel: bool = False
    official: int | None = None
    content: str = ""
    missing: dict[str, int] = field(default_factory=dict)
    missing_files: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    clips: list[Clip] = field(default_factory=list)

    @property
    def has_folds(self) -> bool:
        """Whether the parts are folds for cross-validation instead of train, valid and test."""
        return self.clips[0].part not in SPLITS

    @property
    def parts(self) -> list[str]:
        """The folds in numeric order, or the existing splits in the order train, valid, test."""
        present = {clip.part for clip in self.clips}
        return sorted(present, key=natural) if self.has_folds else [part for part in SPLITS if part in present]

    def path(self, clip: Clip) -> Path:
        return Path(self.root) / clip.file_name

    def labels(self, clip: Clip) -> list[str]:
        """A clip's labels: several only in a multi-label task."""
        return clip.label.split(";") if self.multilabel else [clip.label]

    def targets(self) -> np.ndarray:
        """Label weights `[clips, C]` float32: 1 for each label of a clip, otherwise 0."""
        position = {name: index for index, name in enumerate(self.classes)}
        targets = np.zeros((len(self.clips), len(self.classes)), np.float32)
        for row, clip in enumerate(self.clips):
            targets[row, [position[label] for label in self.labels(clip)]] = 1
        return targets

    def counts(self) -> dict[str, int]:
        count = Counter(clip.part for clip in self.clips)
        return {part: count[part] for part in self.parts}

    def digest(self) -> str:
        """Depends on all rows and their order, the classes, the length and the content of all audio files."""
        text = json.dumps([self.seconds, self.classes, self.clips, self.content])
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def write(self, directory: str | Path) -> None:
        """Write `table.csv` and `task.json` into a folder, atomically."""
        with atomic_directory(directory) as folder:
            write_text(folder / "table.csv", table_text(self.clips))
            write_json(folder / "task.json", {k: v for k, v in asdict(self).items() if k != "clips"})

    @classmethod
    def read(cls, directory: str | Path) -> "Task":
        """Read back what `write` wrote. Raises `UserError` for a folder that is no prepared task."""
        directory = Path(directory)
        fields = read_json(existing_file(
            directory / "task.json", "file: no prepared task here: run m2d.bin.prepare_task first"))
        return cls(**fields, clips=read_table(directory / "table.csv").clips)


def natural(part: str) -> tuple[int, str]:
    """Sorting key that puts fold 10 after fold 9."""
    return (int(part), "") if part.isdecimal() else (1 << 30, part)
