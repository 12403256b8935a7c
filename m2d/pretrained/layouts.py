"""What the tensors of a published file are: the layouts of the M2D family, told by parameter names.

A: a pre-training checkpoint (encoder, target, predictor). B: the encoder alone; saved from a run-time wrapper, every
name of it begins with `backbone.`. C: A or B with the projections of M2D-CLAP. D: fine-tuned on AudioSet, the encoder
inside a wrapper and a classifier beside it.
"""

import pathlib
from dataclasses import dataclass

import torch

from m2d.audio.logmel import LogMelConfig

# Our prefix of a parameter's name, and the published one.
RENAMES = (
    ("encoder.patch_embed.", "patch_embed."),
    ("encoder.cls_token", "cls_token"),
    ("encoder.transformer.blocks.", "blocks."),
    ("encoder.transformer.norm.", "norm."),
    ("target.blocks.", "target_blocks."),
    ("target.norm.", "target_norm."),
    ("predictor.mask_token", "mask_token"),
    ("predictor.embed.", "decoder_embed."),
    ("predictor.transformer.blocks.", "decoder_blocks."),
    ("predictor.transformer.norm.", "decoder_norm."),
    ("predictor.head.", "decoder_pred."),
    ("offline.", "offline_predictor."),
)
CLASSIFIER_RENAMES = (
    ("norm.mean", "module.head.norm.running_mean"),
    ("norm.variance", "module.head.norm.running_var"),
    ("linear.", "module.head.mlp.mlp.0."),
)
CLAP_RENAMES = (
    ("audio.token", "audio_proj.sem_token"),
    ("audio.blocks.", "audio_proj.sem_blocks."),
    ("audio.", "audio_proj."),
    ("text.", "text_proj."),
)
RUNTIME, FINE_TUNED, HEAD = "backbone.", "module.ar.runtime.backbone.", "module.head."
FRONT_ENDS = {
    16000: LogMelConfig(),
    32000: LogMelConfig(sample_rate=32000, n_fft=800, win_length=800, hop_length=320, f_max=16000.0),
}


@dataclass
class Parts:
    """Tensors of a published file by what they belong to."""

    layout: str  # A, B, C or D
    model: dict[str, torch.Tensor]  # under the published names, without a prefix
    classifier: dict[str, torch.Tensor]  # under the names of `m2d.pretrained.heads.Classifier`
    clap: dict[str, torch.Tensor]  # under the names of `m2d.pretrained.heads.Clap`


def separate(tensors: dict[str, torch.Tensor]) -> Parts:
    """Take the tensors of a file apart. Raises ValueError for a classifier's parameter of no known name.

    What lies beside a wrapped encoder (tables of its front end) is left out.
    """
    if any(name.startswith(FINE_TUNED) for name in tensors):
        head = {name: value for name, value in tensors.items()
                if name.startswith(HEAD) and not name.endswith(".num_batches_tracked")}
        return Parts("D", _below(tensors, FINE_TUNED), _renamed(head, CLASSIFIER_RENAMES), {})
    if any(name.startswith(RUNTIME) for name in tensors):
        tensors = _below(tensors, RUNTIME)
    clap = {name: value for name, value in tensors.items() if name.startswith(("audio_proj.", "text_proj."))}
    model = {name: value for name, value in tensors.items() if name not in clap}
    whole = any(name.startswith("decoder_") for name in model)
    return Parts("C" if clap else "A" if whole else "B", model, {}, _renamed(clap, CLAP_RENAMES))


def front_end_for(path: str | pathlib.Path, sample_rate: int | None) -> LogMelConfig:
    """The published front end of a rate; 16 kHz where none is given.

    No tensor tells the rate. Raises ValueError for a rate that no published model has, and where a folder's or file's
    name says `p32k` and no rate is given.
    """
    if sample_rate is None:
        if named_32k(path):
            raise ValueError("the name says p32k, weights for audio of 32 kHz, which the file itself does not "
                            "tell: give sample_rate=32000 (16000 if the name is wrong)")
        sample_rate = 16000
    if sample_rate not in FRONT_ENDS:
        raise ValueError(f"sample_rate={sample_rate}: published models take {' or '.join(map(str, FRONT_ENDS))} Hz")
    return FRONT_ENDS[sample_rate]


def named_32k(path: str | pathlib.Path) -> bool:
    """Whether a path, as given or behind links, has the `p32k` of published models for audio of 32 kHz."""
    places = (pathlib.Path(path).absolute(), pathlib.Path(path).resolve())
    return any("p32k" in part.lower() for place in places for part in place.parts)


def to_published(name: str) -> str | None:
    """The published name of one of our parameters; None for one that has none."""
    return next((theirs + name[len(ours):] for ours, theirs in RENAMES if name.startswith(ours)), None)


def from_published(name: str) -> str | None:
    """Our name of a published parameter; None for one we do not know."""
    return next((ours + name[len(theirs):] for ours, theirs in RENAMES if name.startswith(theirs)), None)


def _below(tensors: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    return {name[len(prefix):]: value for name, value in tensors.items() if name.startswith(prefix)}


def _renamed(tensors: dict[str, torch.Tensor], renames: tuple[tuple[str, str], ...]) -> dict[str, torch.Tensor]:
    renamed = {}
    for name, value in tensors.items():
        ours = next((ours + name[len(theirs):] for ours, theirs in renames if name.startswith(theirs)), None)
        if ours is None:
            raise ValueError(f"parameter '{name}' belongs to no published classifier")
        renamed[ours] = value
    return renamed
