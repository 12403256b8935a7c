"""REPORT.md of recordings of one's own: the data, scores with intervals, what helped, which clips are hard."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

from omegaconf import MISSING

from m2d.common.errors import UserError
from m2d.common.files import write_text
from m2d.common.options import option
from m2d.evaluation.findings import Outcome, comparison, confused, hardest, read_outcome
from m2d.evaluation.report import MINI, measure_table
from m2d.evaluation.task import Task


@dataclass
class ReportOptions:
    """Options of `m2d.bin.report_own`. A model's folder holds its results: linear/TASK, finetune/TUNING/TASK."""

    task: str = option(MISSING, "folder of the prepared task")
    weights: str = option(MISSING, "folder of the weights as they are")
    further: str = option(MISSING, "folder of the weights after further pre-training; need not be there")
    baselines: list[str] = option(factory=list, help="folders of what the weights must beat")
    tuning: str = option(MISSING, "name of the settings of fine-tuning")
    out: str = option("exp/REPORT.md", "the page; its figures lie beside it")
    mini: bool = option(False, "say that the mini corpus stood in for own recordings")


def write_own_report(options: ReportOptions) -> None:
    """Write the page and its figures. Raises `UserError` where no model has been evaluated."""
    task, out = Task.read(options.task), Path(options.out)
    baselines, probes, tuned = _outcomes(options, task.name)
    found = [*baselines, *probes, *tuned]
    if not probes:
        raise UserError(f"{options.weights}/linear/{task.name}: no result there: probe the weights first")
    best = max([*probes, *tuned, *baselines], key=lambda outcome: outcome.correct.mean())
    mini = MINI if options.mini else ""
    parts = [
        f"# {task.title}: what helped\n\n{mini}Written by `m2d.bin.report_own` on {time.strftime('%Y-%m-%d')}.",
        "## In short\n\n" + "\n".join(f"- {line}" for line in _in_short(baselines, probes, tuned)),
        _data(Path(options.task)),
        "## Scores\n\nIn % on the test clips, with 95% intervals over clips (bootstrap). A probe is a linear layer on "
        "frozen features; validation clips choose its learning rate and epoch.\n\n" +
        measure_table([outcome.result | {"label": outcome.title} for outcome in found]),
        "\n".join(f"- {outcome.title}: {note}" for outcome in found for note in outcome.result.get("notes", [])),
        *(_figure(f"Score of each layer: {outcome.title}", outcome.folder / "layers.png", out) for outcome in probes),
        _figure("Probe during further pre-training, on validation clips", Path(options.further) / "images/probe.png",
                out),
        f"## Confusion\n\nOf the {best.title}, which has the most test clips right "
        f"({100 * best.correct.mean():.1f}%).{confused(best.rows)}",
        _figure("Confusion", best.folder / "confusion.png", out),
        "## Hardest clips\n\nThe test clips to whose label it gives the lowest probability. Listen to them first: some "
        f"labels may be wrong.\n\n{hardest(best.rows)}",
        "## Maps of the clips\n\nEach point is a clip, on the two directions in which the model's vectors differ most.",
        *(_figure(f"Map: {outcome.title}", outcome.folder / "embedding.png", out) for outcome in probes)]
    write_text(out, "\n\n".join(filter(None, parts)) + "\n")


def _outcomes(options: ReportOptions, task: str) -> tuple[list[Outcome], list[Outcome], list[Outcome]]:
    """Probes of the baselines, probes of the weights, fine-tunings: those that there are."""
    def probes(folders: list[str]) -> list[Outcome]:
        found = [read_outcome(Path(folder, "linear", task), "") for folder in folders]
        return [outcome._replace(title=f"probe of {outcome.result['label']}") for outcome in found if outcome]

    own = [options.weights, options.further]
    tuned = [read_outcome(Path(folder, "finetune", options.tuning, task), "") for folder in own]
    return probes(options.baselines), probes(own), [
        outcome._replace(title=f"fine-tuned {outcome.result['label']}") for outcome in tuned if outcome]


def _in_short(baselines: list[Outcome], probes: list[Outcome], tuned: list[Outcome]) -> list[str]:
    """What helped, a sentence each, and what to do."""
    lines = [comparison(probes[0], baseline) for baseline in baselines]
    lines += [comparison(probe, probes[0]) for probe in probes[1:]]
    best_probe = max(probes, key=lambda outcome: outcome.correct.mean())
    lines += [comparison(one, best_probe) for one in tuned]
    lines += [comparison(one, tuned[0]) for one in tuned[1:]]
    best = max([*probes, *tuned], key=lambda outcome: outcome.correct.mean())
    right = best.correct
    lines.append(f"The most test clips right: the {best.title}, {100 * right.mean():.1f}% of {len(right)}. "
                 "\"No sure difference\" means that the interval of the difference, over clips, holds 0: more test "
                 "clips, or several seeds, would be needed to tell.")
    if tuned:
        models = ", ".join(f"`{one.folder}/model`" for one in tuned)
        lines.append(f"The fine-tuned models are kept in {models}: `m2d predict MODEL FILES` applies them.")
    return lines


def _data(folder: Path) -> str:
    """What `m2d.bin.prepare_task` said of the data, as a section."""
    path = folder / "report.md"
    return "## The data\n\n" + path.read_text(encoding="utf-8").partition("\n")[2].strip() if path.is_file() else ""


def _figure(title: str, path: Path, page: Path) -> str:
    return f"![{title}]({os.path.relpath(path, page.parent)})\n\n*{title}*" if path.is_file() else ""
