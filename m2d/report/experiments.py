"""What experiments left in their folders."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from yaml import YAMLError

from m2d.common.errors import UserError
from m2d.common.markdown import Table, tables

SECTIONS = ("data", "model", "optim")
"""Sections of a run's config.yaml that shape its result."""
PLACES = ("data.speech", "data.teacher", "data.noise", "data.valid", "data.valid_teacher", "data.workers",
          "data.image.train", "data.image.valid")
"""Options that name files and processes of this machine."""


@dataclasses.dataclass
class Experiment:
    """One folder: a pre-training run, evaluations, or both. What is not there is empty."""

    name: str
    settings: dict[str, Any]          # flat: "optim.epochs" -> 20
    environment: dict[str, Any]
    data: dict[str, str]
    metrics: list[dict[str, Any]]
    images: list[Path]
    layer_weights: dict[str, list[float]]   # task -> share of each layer
    costs: dict[str, float]           # what -> seconds


def read_experiments(root: Path) -> list[Experiment]:
    """Those in the folder, or the folder itself where it is one. Raises `UserError` where there is none."""
    folders = [root] if (root / "config.yaml").is_file() else sorted(
        folder for folder in root.glob("*") if folder.is_dir() and folder.name != "old" and (
            (folder / "config.yaml").is_file() or any(folder.glob("**/result*.json"))))
    if not folders:
        raise UserError(f"{root}: no experiment (a folder with config.yaml or results): run a recipe first")
    return [_read(folder) for folder in folders]


def read_tables(root: Path) -> list[tuple[Path, list[Table]]]:
    """The Markdown files of results beside the experiments, with their tables."""
    return [(path, tables(path.read_text(encoding="utf-8"))) for path in sorted(root.glob("*.md"))]


def flat_settings(sections: dict[str, Any]) -> dict[str, Any]:
    """The options of a run by their full names, without those that name places."""
    found: dict[str, Any] = {}

    def walk(prefix: str, value: Any) -> None:
        if isinstance(value, dict):
            for key, below in value.items():
                walk(f"{prefix}.{key}" if prefix else key, below)
        elif prefix not in PLACES and prefix.split(".")[0] in SECTIONS:
            found[prefix] = list(value) if isinstance(value, tuple) else value

    walk("", sections)
    return found


def _read(folder: Path) -> Experiment:
    config, metrics = folder / "config.yaml", folder / "metrics.jsonl"
    weights: dict[str, list[float]] = {}
    costs = {"pre-training": float(seconds)} if (seconds := _logged_seconds(folder / "run.log")) else {}
    for path in sorted(folder.glob("superb*/results.json")) + sorted(folder.glob("results.json")):
        for name, task in _json(path)["tasks"].items():
            costs[f"SUPERB {name}"] = task["seconds"]
            if len(task["layer_weights"]) > 1:
                weights[f"SUPERB {name}"] = task["layer_weights"]
    for log in sorted(folder.glob("log/*.log")):
        if not log.name.startswith("superb") and (seconds := _logged_seconds(log)):
            costs[log.stem.replace("_", " ")] = seconds
    return Experiment(
        name=folder.name, settings=flat_settings(_yaml(config)),
        environment=_json(folder / "environment.json") or _evaluated(folder), data=_json(folder / "data.json"),
        metrics=_lines(metrics), images=sorted((*folder.glob("images/*.png"), *folder.glob("linear/**/*.png"),
                                                *folder.glob("finetune/**/*.png"))),
        layer_weights=weights, costs=costs)


def _evaluated(folder: Path) -> dict[str, Any]:
    """The environment of the first evaluation, of a folder without pre-training."""
    for path in sorted(folder.glob("**/result.json")):
        if found := _json(path).get("environment"):
            return found
    return {}


def _json(path: Path) -> dict[str, Any]:
    return _parsed(path, path.read_text(encoding="utf-8")) if path.is_file() else {}


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [_parsed(path, line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]


def _parsed(path: Path, text: str) -> dict[str, Any]:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UserError(f"{path}: not valid JSON ({error}): make it anew, or move the experiment away") from None


def _yaml(path: Path) -> dict[str, Any]:
    try:
        return OmegaConf.to_container(OmegaConf.load(path)) if path.is_file() else {}  # type: ignore[return-value]
    except (YAMLError, OSError) as error:
        raise UserError(f"{path}: not valid YAML ({str(error).splitlines()[0]})") from None


def _logged_seconds(path: Path) -> float:
    """How long a launcher's task ran, by the end of its log (see utils/task.py)."""
    if not path.is_file():
        return 0.0
    ends = re.findall(r"^# status \d+ .* after (\d+) s$", path.read_text(encoding="utf-8", errors="replace"), re.M)
    return float(ends[-1]) if ends else 0.0
