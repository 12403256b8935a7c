"""The papers' numbers, to stand beside ours: M2D (Niizumi et al., 2023), tables 1, 3, 4 and 5; M2D-S, table 6.

Scores in %, as printed with their 95% confidence intervals; None where the paper has no number.
"""

from typing import NamedTuple


class Printed(NamedTuple):
    """One printed number: mean and half-width of its interval (None where none is printed)."""

    mean: float
    ci: float | None = None


Row = dict[str, Printed]

LINEAR_TASKS = ("esc50", "us8k", "spcv2", "vc1", "voxforge", "cremad", "gtzan", "nsynth", "surge")
FINETUNE_TASKS = ("as20k", "esc50", "spcv2", "vc1")
"""The papers' tasks in the order of their tables. Their averages are over these, whatever other tasks there are."""

GROUPS = {"env": ("esc50", "us8k"), "speech": ("spcv2", "vc1", "voxforge", "cremad"),
          "music": ("gtzan", "nsynth", "surge")}
GROUP_TITLES = {"env": "Env. sound", "speech": "Speech", "music": "Music"}
"""Groups of the linear tasks; `env` and `music` are ENV and MUS of M2D-S."""


def _row(columns: tuple[str, ...], text: str) -> Row:
    """Cells `mean` or `mean/ci`, `-` for none, in the order of the columns."""
    row = {}
    for name, cell in zip(columns, text.split(), strict=True):
        if cell != "-":
            mean, _, ci = cell.partition("/")
            row[name] = Printed(float(mean), float(ci) if ci else None)
    return row


LINEAR: dict[str, Row] = {name: _row(LINEAR_TASKS, text) for name, text in {
    "Wav2Vec2": "57.6/0.8 66.9/0.4 96.6/0.0 40.9/0.6 99.2/0.1 65.5/1.7 57.8/1.3 56.6/0.6 15.2/0.9",
    "DeLoRes-M": "- 82.7 89.7 45.3 88.0 - 75.0 - -",
    "SF NFNet-F0": "91.1 - 93.0 64.9 90.4 - - 78.2 -",
    "BYOL-A": "83.2/0.6 79.7/0.5 93.1/0.4 57.6/0.2 93.3/0.3 63.8/1.0 70.1/3.6 73.1/0.8 37.6/0.3",
    "ATST Base": "92.9/0.3 84.1 95.1 72.0 97.4/0.2 68.6/0.2 76.4/1.8 75.6 37.7/0.2",
    "MSM-MAE": "88.6/1.5 86.3/0.3 94.5/0.2 72.2/0.2 97.5/0.1 70.2/1.1 78.4/2.8 75.9/0.2 42.5/0.7",
    "M2D ratio=0.6": "89.7/0.2 87.6/0.2 95.4/0.1 73.1/0.1 97.9/0.1 71.7/0.3 83.3/1.0 75.3/0.1 41.0/0.2",
    "M2D ratio=0.7": "89.8/0.3 87.1/0.3 94.5/0.1 71.3/0.4 97.7/0.1 71.6/0.3 83.9/1.4 76.9/1.3 41.8/0.4",
}.items()}
"""Tables 1 (b) and 4: accuracy of the linear evaluation, by row."""

LINEAR_AVERAGE = {"MSM-MAE": Printed(78.5, 0.8), "M2D ratio=0.6": Printed(79.5, 0.3),
                  "M2D ratio=0.7": Printed(79.4, 0.5),
                  "M2D all patches ratio=0.6": Printed(79.1, 0.3), "M2D all patches ratio=0.7": Printed(79.3, 0.3)}
"""Tables 1 (b) and 3: the average over the nine tasks."""

FINETUNE: dict[str, Row] = {name: _row(FINETUNE_TASKS, text) for name, text in {
    "DeLoRes-M": "- - 96.0 62.0",
    "MAE-AST Patch/Frame": "30.6 90.0 98.0 63.3",
    "MaskSpec/MaskSpec-small": "32.3 90.7 97.7 -",
    "SSAST 250/400": "31.0 88.8 98.2 66.6",
    "data2vec": "34.5 - - -",
    "Audio-MAE (local)": "37.1 94.1 98.3 94.8",
    "ATST Base": "37.4 - 98.0 94.3",
    "MSM-MAE": "36.7/0.5 94.0/0.2 98.4/0.1 95.3/0.1",
    "M2D ratio=0.6": "36.8/0.1 94.7/0.3 98.5/0.0 94.8/0.1",
    "M2D ratio=0.7": "37.4/0.1 95.0/0.2 98.5/0.1 94.4/1.3",
}.items()}
"""Tables 1 (a) and 5: AS20K in mAP x 100, the others in accuracy, by row."""

GROUP_MEANS = {name: {"env": Printed(env), "music": Printed(music)} for name, env, music in (
    ("wav2vec2.0 Base", 37.66, 32.02), ("HuBERT Base", 62.76, 46.26), ("WavLM Base", 54.45, 40.98),
    ("M2D-S T=4.0s", 53.22, 41.71), ("M2D-S T=5.12s", 57.34, 43.23), ("M2D-S T=6.08s", 54.77, 43.75),
    ("M2D ratio=0.6", 88.63, 66.56))}
"""Table 6 of M2D-S: means over the environmental tasks (ENV) and the music tasks (MUS)."""
