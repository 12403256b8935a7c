"""Training of the mini teacher as HuBERT is trained: masked prediction of clustered units, without any label."""

import logging
import math
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from transformers import HubertModel

from m2d.audio.wave import read_audio
from m2d.common.config import option
from m2d.common.errors import UserError
from m2d.common.files import atomic_directory, read_json, write_json
from m2d.common.progress import progress
from m2d.data.datadir import DataDir
from m2d.teacher.loading import quiet
from m2d.teacher.speech_model import row_count, sample_count
from mini_corpus.alignments import HOP, SAMPLE_RATE
from mini_corpus.teacher import build_feature_extractor, build_mini_hubert
from mini_corpus.units import cluster, mfcc_rows

LOG = logging.getLogger(__name__)


@dataclass
class TrainOptions:
    """Settings of the mini teacher's training; `steps` and `units` have an entry for each round of clustering."""

    steps: list[int] = option(factory=lambda: [2500, 5000], help="optimiser steps of each round")
    units: list[int] = option(factory=lambda: [100, 200], help="clusters of each round; the first are of MFCCs")
    layer: int = option(6, "layer whose features later rounds cluster")
    batch: int = option(8, "crops in a step")
    crop_rows: int = option(150, "rows (20 ms) in a crop")
    lr: float = option(1.2e-3, "peak learning rate")
    warmup: float = option(0.08, "share of the steps in which the learning rate rises")
    mask: float = option(0.8, "rows in masked spans by a crop's rows, where spans overlap counted twice")
    span: int = option(10, "rows in a masked span")
    masked_weight: float = option(0.5, "weight of the masked rows' loss; the others have the rest of 1")
    seed: int = option(0, "initial weights, clusters, masks and order of the crops")


@dataclass
class Clip:
    """Samples at 16 kHz `[N]`, of zero mean and unit variance, and the unit of each row `[T]`."""

    samples: np.ndarray
    units: np.ndarray


class UnitHead(nn.Module):
    """Logits of units: cosine of the projected feature and a unit's embedding, by 0.1 (HuBERT, equation 3)."""

    def __init__(self, width: int, units: int, size: int = 64):
        super().__init__()
        self.projection = nn.Linear(width, size)
        self.embedding = nn.Parameter(torch.randn(units, size))

    def forward(self, features: Tensor) -> Tensor:
        """`[..., width]` to `[..., units]`."""
        return functional.normalize(self.projection(features), dim=-1) @ functional.normalize(self.embedding).T / 0.1


def train_mini_teacher(data: DataDir, valid: DataDir, out: str | Path, options: TrainOptions) -> None:
    """Train on `data`, measure on `valid`, and write a transformers model folder `out`.

    The folder holds what `save_pretrained` writes, in float16, and `training.json`: the settings, and each round's
    share of masked rows whose unit is predicted right. A round that is finished is kept in `OUT.rounds` until all are.
    What was made with the same settings from the same utterances is not made again.

    Raises `UserError` unless there are as many `steps` as `units`.
    """
    rounds = Path(f"{out}.rounds")
    if len(options.steps) != len(options.units):
        raise UserError(f"train.steps={options.steps}, train.units={options.units}: give one of each for every round")
    settings = {"clips": [len(data), len(valid)], "data": data.fingerprint()[:16], **vars(options)}
    if _made_by(settings, Path(out) / "training.json"):
        LOG.info("%s: trained before with these settings", out)
        shutil.rmtree(rounds, ignore_errors=True)
        return
    model = build_mini_hubert(options.seed)
    train, held = _load(data), _load(valid)
    LOG.info("%d clips, %.1f h", len(train), sum(map(len, train)) / SAMPLE_RATE / 3600)
    scores = []
    for number, (steps, count) in enumerate(zip(options.steps, options.units, strict=True)):
        kept = rounds / f"{number}.safetensors"
        record = kept.with_suffix(".json")
        if _made_by(settings, record):
            model.load_state_dict(load_file(kept))
            scores.append(read_json(record)["masked_accuracy"])
            continue
        rows = _rows(model, train + held, options.layer if number else 0)
        units = cluster(rows, count, options.seed)
        clips = [Clip(samples, one) for samples, one in zip(train + held, units, strict=True)]
        torch.manual_seed(options.seed + number)  # so that a round begins alike after an interruption
        head = UnitHead(model.config.hidden_size, count)
        _fit(model, head, clips[:len(train)], steps, options)
        scores.append(masked_accuracy(model, head, clips[len(train):], options))
        LOG.info("round %d: %.1f%% of masked units of unseen speakers right", number + 1, 100 * scores[-1])
        record.unlink(missing_ok=True)
        rounds.mkdir(parents=True, exist_ok=True)
        save_file(model.state_dict(), kept)
        write_json(record, {"masked_accuracy": scores[-1], **settings})
    with atomic_directory(out) as folder, quiet():
        model.half().save_pretrained(folder)
        build_feature_extractor().save_pretrained(folder)
        write_json(folder / "training.json", {"masked_accuracy": scores, **settings})
    shutil.rmtree(rounds)


def _made_by(settings: dict[str, Any], record: Path) -> bool:
    found = read_json(record, {})
    return {name: found.get(name) for name in settings} == settings


def _load(data: DataDir) -> list[np.ndarray]:
    """The samples of all utterances, float16."""
    prepare = build_feature_extractor()

    def load(utterance: str) -> np.ndarray:
        source = data.source(utterance)
        samples = read_audio(source.path, SAMPLE_RATE, source.start, source.duration)
        return prepare(samples, sampling_rate=SAMPLE_RATE).input_values[0].astype(np.float16)

    with ThreadPoolExecutor(2) as pool:
        return list(progress(pool.map(load, data.utterances), "speech", len(data)))


@torch.inference_mode()
def _rows(model: HubertModel, clips: Sequence[np.ndarray], layer: int) -> list[np.ndarray]:
    """What is clustered: MFCCs (`layer` 0), or the layer's features `[T_i, D]`; as many rows as the network gives."""
    model.eval()
    rows = []
    for samples in progress(clips, "features for units"):
        wav = torch.from_numpy(samples).float()
        found = model(wav[None], output_hidden_states=True).hidden_states[layer][0].numpy() if layer else mfcc_rows(wav)
        rows.append(found[:row_count(model.config, len(samples))].astype(np.float32))
    return rows


def _fit(model: HubertModel, head: UnitHead, clips: list[Clip], steps: int, options: TrainOptions) -> None:
    parameters = [*model.parameters(), *head.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=options.lr, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate((step + 1) / steps, options.warmup))
    draw = np.random.default_rng(options.seed)
    model.train()
    for step in progress(range(1, steps + 1), "mini teacher"):
        masked, seen, right = _losses(model, head, *_batch(clips, draw, model, options))
        loss = options.masked_weight * masked + (1 - options.masked_weight) * seen
        optimiser.zero_grad()
        loss.backward()
        clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0 or step == steps:
            LOG.info("step %d: loss %.3f of masked rows (%.1f%% right), %.3f of the others", step, masked.item(),
                     100 * right, seen.item())


def _losses(model: HubertModel, head: UnitHead, wavs: Tensor, units: Tensor,
            mask: Tensor) -> tuple[Tensor, Tensor, float]:
    """Cross-entropy of masked and of other rows (HuBERT, equations 1 and 2), and the share of masked rows right.

    Units are -100 beyond a clip's end.
    """
    logits = head(model(wavs, mask_time_indices=mask).last_hidden_state)  # [B, T, units]
    masked, seen = mask & (units >= 0), ~mask & (units >= 0)
    right = (logits[masked].argmax(1) == units[masked]).double().mean().item()
    loss = functional.cross_entropy
    return loss(logits[masked], units[masked]), loss(logits[seen], units[seen]), right


def _rate(progress_made: float, warmup: float) -> float:
    """Linear warm-up, then half a cosine to 0."""
    if progress_made < warmup:
        return progress_made / warmup
    return 0.5 + 0.5 * math.cos(math.pi * (progress_made - warmup) / (1 - warmup))


def _batch(clips: list[Clip], draw: np.random.Generator, model: HubertModel,
           options: TrainOptions) -> tuple[Tensor, Tensor, Tensor]:
    """Random crops: samples `[B, N]`, units `[B, T]` (-100 beyond the end of a clip), masked rows `[B, T]`."""
    samples = np.zeros((options.batch, sample_count(model.config, options.crop_rows)), np.float32)
    units = np.full((options.batch, options.crop_rows), -100)
    for b, i in enumerate(draw.integers(len(clips), size=options.batch)):
        clip = clips[i]
        start = int(draw.integers(max(0, len(clip.units) - options.crop_rows) + 1))
        rows = clip.units[start:start + options.crop_rows]
        units[b, :len(rows)] = rows
        part = clip.samples[start * HOP:start * HOP + samples.shape[1]]
        samples[b, :len(part)] = part
    mask = np.stack([span_mask(options.crop_rows, options.mask, options.span, draw) for _ in samples])
    return torch.from_numpy(samples), torch.from_numpy(units), torch.from_numpy(mask)


def span_mask(rows: int, share: float, span: int, draw: np.random.Generator) -> np.ndarray:
    """Masked rows `[rows]`: `share * rows / span` spans from different starts; they may overlap (wav2vec 2.0)."""
    starts = draw.choice(rows - span + 1, max(1, round(share * rows / span)), replace=False)
    mask = np.zeros(rows, bool)
    mask[(starts[:, None] + np.arange(span)).flatten()] = True
    return mask


@torch.inference_mode()
def masked_accuracy(model: HubertModel, head: UnitHead, clips: list[Clip], options: TrainOptions) -> float:
    """Share of the masked rows of 50 batches of crops whose unit is predicted right."""
    model.eval()
    draw = np.random.default_rng(options.seed + 1)
    return float(np.mean([_losses(model, head, *_batch(clips, draw, model, options))[2] for _ in range(50)]))
