"""What a model file is, as a page of text or as settings of pre-training: what `m2d info` prints."""

import math
from pathlib import Path

from m2d.common.errors import UserError, errors_at
from m2d.nn.config import ENCODERS
from m2d.pretrained.features import M2DFeatures
from m2d.pretrained.files import find_file, from_published, load_pretrained
from m2d.pretrained.heads import TokenProjection
from m2d.pretrained.images import ImageFeatures
from m2d.pretrained.published import read_published

LAYOUTS = {
    "A": "published pre-training checkpoint (encoder, target, predictor)",
    "B": "published encoder",
    "C": "published M2D-CLAP checkpoint (encoder, projections of sounds and texts)",
    "D": "published encoder and classifier, fine-tuned on AudioSet",
}


def describe(path: str | Path, heads: int | None = None, sample_rate: int | None = None) -> str:
    """The page. Arguments and errors as for `m2d.load_pretrained`."""
    file = find_file(path)
    if file.is_file():
        published = read_published(file, heads, sample_rate)
        with errors_at(file):
            model = from_published(published)
        return _page(file, f"layout {published.layout}: {LAYOUTS[published.layout]}", model)
    return _page(file, "model directory", load_pretrained(file, heads, sample_rate))


def settings(path: str | Path, heads: int | None = None, seconds: float | None = None) -> list[str]:
    """`KEY=VALUE` words by which pre-training goes on from the weights at `path`: their architecture.

    Args:
        path: as for `load_pretrained`.
        heads: attention heads, for a published checkpoint of unknown size.
        seconds: length of the clips; a shorter input than the model's spares the work on padding. None: the model's.

    Raises `UserError` as `load_pretrained` does, and for weights that are not of audio at 16 kHz.
    """
    file, predictor = find_file(path), {}
    if file.is_file():
        published = read_published(file, heads)
        with errors_at(file):
            model = from_published(published)
        if "predictor.embed.weight" in published.state:
            blocks = {name.split(".")[3] for name in published.state if name.startswith("predictor.transformer.b")}
            predictor = {"predictor_width": len(published.state["predictor.embed.weight"]),
                         "predictor_depth": len(blocks)}
    else:
        model = load_pretrained(file, heads)
    if not isinstance(model, M2DFeatures) or model.sample_rate != 16000:
        raise UserError(f"{path}: pre-training goes on from weights of audio at 16000 Hz only")
    config = model.encoder.config
    (bins, longest), patch = config.input_size, config.patch_size[1]
    frames = longest if seconds is None else min(longest, math.ceil(100 * seconds / patch) * patch)
    size = next((name for name, size in ENCODERS.items() if size == config.size), "custom")
    own = {"width": config.width, "depth": config.depth, "heads": config.heads} if size == "custom" else {}
    words = {"input_size": f"[{bins},{frames}]", "patch_size": f"[{config.patch_size[0]},{patch}]", "size": size, **own,
             **predictor}
    return [f"model.{name}={value}" for name, value in words.items()]


def _page(path: Path, kind: str, model: M2DFeatures | ImageFeatures) -> str:
    config = model.encoder.config
    size = next((f"ViT-{name.capitalize()}" for name, size in ENCODERS.items() if size == config.size), "ViT")
    files = [path] if path.is_file() else list(path.glob("*.safetensors"))
    lines = {
        "file": f"{path} ({sum(file.stat().st_size for file in files) / 2**20:.1f} MiB)",
        "kind": kind,
        "encoder": f"{size}: {config.depth} blocks, width {config.width}, {config.heads} heads, "
                   f"{sum(p.numel() for p in model.encoder.parameters()) / 1e6:.1f} M parameters",
        **(_audio(model) if isinstance(model, M2DFeatures) else _images(model)),
    }
    return "\n".join(f"{name + ':':<12}{text}" for name, text in lines.items())


def _images(model: ImageFeatures) -> dict[str, str]:
    config = model.encoder.config
    return {"input": f"images of {config.input_size[0]} x {config.input_size[1]}, patches of {config.patch_size[0]}",
            "statistics": f"mean {_listed(model.mean)}, deviation {_listed(model.std)} of pixels in 0..1",
            "features": f"{model.n_layers} layers of {model.dim} values for each of {config.grid.n_patches} patches",
            "use": "m2d probe_images, m2d finetune_images"}


def _listed(values: list[float]) -> str:
    return ", ".join(f"{value:.4f}" for value in values)


def _audio(model: M2DFeatures) -> dict[str, str]:
    config, front = model.encoder.config, model.logmel.config
    frame_ms = 1000 * model.samples_per_frame / model.sample_rate
    lines = {
        "input": f"{config.input_size[0]} mel bins x {config.input_size[1]} frames "
                 f"({config.grid.n_time * frame_ms / 1000:.2f} s), patches of {config.patch_size[0]} x "
                 f"{config.patch_size[1]}; longer audio in chunks",
        "front end": f"{front.sample_rate} Hz, window {front.win_length}, hop {front.hop_length}, {front.n_mels} mel "
                     f"bins {front.f_min:g} to {front.f_max:g} Hz, natural logarithm",
        "statistics": f"mean {model.mean:.4f}, deviation {model.std:.4f}",
        "features": f"{model.n_layers} layers of {model.dim} values every {frame_ms:g} ms",
    }
    uses = ["m2d embed"]
    if model.classifier is not None:
        names = model.classifier.names
        is_known = names != [str(index) for index in range(len(names))]
        lines["classifier"] = f"{len(names)} classes" + (
            f" ({', '.join(names[:3])}, ...)" if is_known else " (names not known: give labels=FILE)")
        uses.append("m2d tag")
    if model.clap is not None:
        year = 2025 if isinstance(model.clap.audio, TokenProjection) else 2024
        lines["CLAP"] = f"audio projection of {year}" + ("" if model.clap.text is None else ", text projection")
        uses.append("clap_audio in Python")
    return {**lines, "use": ", ".join(uses)}
