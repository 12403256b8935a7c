"""A model as a folder that transformers loads without this package: weights, settings, our own source files."""

import importlib
import re
from dataclasses import asdict
from pathlib import Path

import safetensors.torch

from m2d.common.files import atomic_directory, write_json, write_text
from m2d.pretrained import hf_model
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.model_card import Card

IMPORT = re.compile(r"^from m2d\.(\S+) import ", re.MULTILINE)


def export_hf(model: M2DFeatures, directory: str | Path, card: Card) -> None:
    """Write the folder; one that is there is replaced.

    `AutoModel.from_pretrained(directory, trust_remote_code=True)` loads it where only torch, torchaudio and
    transformers are installed; so does `load_pretrained` here.
    """
    kinds = {"AutoConfig": "M2DConfig", "AutoModel": "M2DModel",
             "AutoModelForAudioClassification": "M2DForAudioClassification"}
    labels = {}
    if model.classifier is not None:
        names = model.classifier.names
        labels = {"id2label": dict(enumerate(names)), "label2id": {name: index for index, name in enumerate(names)},
                  "classifier_width": model.classifier.linear.in_features,
                  "problem_type": "multi_label_classification"}
    config = hf_model.M2DConfig(
        asdict(model.encoder.config), asdict(model.logmel.config), {"mean": model.mean, "std": model.std}, **labels,
        architectures=["M2DForAudioClassification" if labels else "M2DModel"], auto_map=_auto_map(kinds))
    extractor = hf_model.M2DFeatureExtractor(sampling_rate=model.sample_rate)
    with atomic_directory(directory) as folder:
        for name, text in source_files().items():
            write_text(folder / name, text)
        config.save_pretrained(folder)
        settings = extractor.to_dict() | {"auto_map": _auto_map({"AutoFeatureExtractor": "M2DFeatureExtractor"})}
        write_json(folder / "preprocessor_config.json", settings)
        weights = {f"features.{name}": value.detach().float().cpu().contiguous()
                   for name, value in model.state_dict().items()}
        safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        for name, figure in card.figures.items():
            (folder / name).write_bytes(figure.read_bytes())
        write_text(folder / "README.md", card.text(Path(directory).name))


def source_files() -> dict[str, str]:
    """`hf_model` and what it needs of this package, m2d.A.B as A_B.py: name -> text with relative imports."""
    entry = hf_model.__name__.removeprefix("m2d.")
    texts: dict[str, str] = {}
    wanted = [entry]
    while wanted:
        module = wanted.pop()
        if module not in texts:
            text = Path(importlib.import_module(f"m2d.{module}").__file__).read_text(encoding="utf-8")
            wanted += IMPORT.findall(text)
            texts[module] = IMPORT.sub(lambda found: f"from .{_flat(found[1])} import ", text)
    # of a local folder, transformers 4 copies only the files that the first one names itself
    texts[entry] += "".join(f"from .{_flat(module)} import __name__ as _\n" for module in texts if module != entry)
    return {f"{_flat(module)}.py": text for module, text in texts.items()}


def _flat(module: str) -> str:
    return module.replace(".", "_")


def _auto_map(kinds: dict[str, str]) -> dict[str, str]:
    module = _flat(hf_model.__name__.removeprefix("m2d."))
    return {auto: f"{module}.{kind}" for auto, kind in kinds.items()}
