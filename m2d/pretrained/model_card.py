"""The model card of an exported model: the README.md that the Hugging Face hub shows, filled from its run."""

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from omegaconf import OmegaConf

from m2d.common.files import read_json
from m2d.common.markdown import table
from m2d.pretrained.features import M2DFeatures

FIGURES = {"losses.png": "Losses of pre-training", "masked_clip.png": "A masked input"}

TEXT = """---
{head}
---

# {name}

{kind} pre-trained with Masked Modeling Duo ([M2D](https://arxiv.org/abs/2210.14648)), made with the m2d recipes.
It takes {rate:,} Hz mono audio of any length and gives {dim:,} features every {period:g} ms.

{facts}

## Use

Needs torch, torchaudio and transformers (4 or 5):

```python
from transformers import AutoFeatureExtractor, {auto}

extractor = AutoFeatureExtractor.from_pretrained("{name}", trust_remote_code=True)
model = {auto}.from_pretrained("{name}", trust_remote_code=True)
{use}
```
"""
USE_FEATURES = """out = model(**extractor(waves, sampling_rate={rate}, return_tensors="pt"))  # clips [N] in -1..1
out.last_hidden_state  # [B, T, {dim}]; out.lengths [B]: how many frames of each clip are real
out.pooler_output      # [B, {dim}], the mean over time"""
USE_CLASSES = """logits = model(**extractor(waves, sampling_rate={rate}, return_tensors="pt")).logits  # [B, {classes}]
probabilities = logits.sigmoid()  # of model.config.id2label"""


@dataclass(frozen=True)
class Card:
    """What a card is filled from. `exp` is the experiment directory, where there is one."""

    model: M2DFeatures
    exp: Path | None
    license: str | None  # an identifier of the hub, such as apache-2.0 or cc-by-nc-4.0

    @property
    def figures(self) -> dict[str, Path]:
        """Figures of the run that the card shows, by their names beside it."""
        found = {name: self.exp / "images" / name for name in FIGURES} if self.exp else {}
        return {name: path for name, path in found.items() if path.is_file()}

    def text(self, name: str) -> str:
        model, config, front_end = self.model, self.model.encoder.config, self.model.logmel.config
        tagger = model.classifier is not None
        head = [f"license: {self.license}"] if self.license else []
        head += ["library_name: transformers",
                 f"pipeline_tag: {'audio-classification' if tagger else 'feature-extraction'}",
                 "tags:", *(f"- {tag}" for tag in ("audio", "m2d", "masked-modeling", "self-supervised"))]
        period = 1000 * model.samples_per_frame / model.sample_rate
        sizes = {
            "input": f"{config.input_size[0]} mel bins x {config.input_size[1]} frames of "
                     f"{1000 * front_end.hop_length / model.sample_rate:g} ms; longer audio in chunks",
            "patch": f"{config.patch_size[0]} x {config.patch_size[1]}",
            "transformer": f"width {config.width}, {config.depth} blocks, {config.heads} heads, "
                           f"{sum(value.numel() for value in model.encoder.parameters()) / 1e6:.1f} M parameters",
            "log-mel": f"{front_end.n_mels} bins, {front_end.f_min:g} to {front_end.f_max:g} Hz; "
                       f"mean {model.mean:g}, standard deviation {model.std:g}",
        }
        if tagger:
            sizes["classes"] = str(len(model.classifier.names))
        use = (USE_CLASSES if tagger else USE_FEATURES).format(
            rate=model.sample_rate, dim=model.dim, classes=sizes.get("classes"))
        text = TEXT.format(
            head="\n".join(head), name=name, kind="Audio classifier" if tagger else "Audio encoder",
            rate=model.sample_rate, dim=model.dim, period=period, facts=table(["", ""], sizes.items()), use=use,
            auto="AutoModelForAudioClassification" if tagger else "AutoModel")
        sections = _of_run(self.exp) if self.exp else {}
        sections["Figures"] = "\n".join(f"![{FIGURES[name]}]({name})" for name in self.figures)
        sections["Licence"] = self.license or "The author of the weights has not stated one."
        return text + "".join(f"\n## {title}\n\n{part}\n" for title, part in sections.items() if part)


def _of_run(exp: Path) -> dict[str, str]:
    """Data, settings and results of an experiment, as Markdown."""
    options = OmegaConf.to_container(OmegaConf.load(exp / "config.yaml"))
    data = [[name, text] for name, text in read_json(exp / "data.json", {}).items()]
    made = read_json(exp / "environment.json", {})
    settings = OmegaConf.to_yaml({"model": options["model"], "optim": options["optim"],
                                  "noise_ratio": options["data"]["noise_ratio"], "seed": options["run"]["seed"]})
    versions = ", ".join(f"{name} {version}" for name, version in made.get("versions", {}).items() if version)
    results = _results(exp)
    return {"Training data": table(["part", "content"], data) if data else "",
            "Settings": f"```yaml\n{settings}```\n\nMade with {versions or 'unknown versions'}; "
                        f"commit {made.get('source', {}).get('git') or 'unknown'}.",
            "Results": table(["evaluation", "task", "score"], results) if results else ""}


def _results(exp: Path) -> list[list[str]]:
    """Rows of evaluation, task and score: last validation losses, SUPERB, linear evaluation, fine-tuning."""
    rows = []
    metrics = exp / "metrics.jsonl"
    if metrics.is_file():
        lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines() if '"valid_' in line]
        rows += [["pre-training, held-out data", name.removeprefix("valid_"), f"{value:.4f}"]
                 for name, value in (lines[-1].items() if lines else ()) if name.startswith("valid_")]
    superb = read_json(exp / "superb" / "results.json", {})
    rows += [[f"SUPERB ({superb['corpus']})", column.upper(), f"{statistics.fmean(scores):.2f} %"]
             for task in superb.get("tasks", {}).values() for column, scores in task["scores"].items()]
    for path in (*sorted(exp.glob("linear/*/result.json")), *sorted(exp.glob("finetune/*/*/result.json"))):
        result = read_json(path)
        spread = "" if result["ci"] is None else f" ± {result['ci']:.1f}"
        rows.append([{"linear": "linear evaluation", "finetune": "fine-tuning"}[result["kind"]],
                     result["task"]["title"], f"{result['mean']:.1f}{spread} %"])
    return rows
