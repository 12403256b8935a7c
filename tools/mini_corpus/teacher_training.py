"""Training of the mini teacher: frame phones from the 9th and the last layer of a small HuBERT."""

import logging
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils import clip_grad_norm_
from transformers import HubertConfig, HubertModel

from m2d.common.config import option
from m2d.common.files import atomic_directory, write_json
from m2d.common.progress import progress
from m2d.data.datadir import DataDir
from m2d.teacher.loading import quiet
from m2d.teacher.speech_model import row_count, sample_count
from mini_corpus.alignments import (
    HOP,
    SAMPLE_RATE,
    AlignedClip,
    Alignment,
    load_aligned,
    phone_set,
    read_alignments,
)
from mini_corpus.teacher import PhoneHeads, build_feature_extractor, build_mini_hubert

LOG = logging.getLogger(__name__)

LAYERS = (9, 12)
"""Layers with a phone classifier: the one that stage 2 uses, and the last, so that those between are trained too."""

@dataclass
class TrainOptions:
    """Settings of the mini teacher's training."""

    steps: int = option(500, "optimiser steps")
    batch: int = option(12, "crops in a step")
    crop_rows: int = option(100, "rows (20 ms) in a crop")
    lr: float = option(4e-3, "peak learning rate")
    warmup: float = option(0.05, "share of the steps in which the learning rate rises")
    seed: int = option(0, "initial weights and order of the crops")


def train_mini_teacher(data: DataDir, valid: DataDir, alignments: str | Path, out: str | Path,
                       options: TrainOptions) -> dict[str, float]:
    """Train on the utterances of `data` that have phone times; write a transformers model folder `out`.

    The folder holds what `save_pretrained` writes (safetensors, config.json, preprocessor_config.json) and
    `training.json`: phones, settings and the share of the frames of `valid` (unseen speakers) each trained layer's
    classifier gets right, which is also returned, as `layer9` and `layer12`.

    Raises `UserError` when no utterance of `data` or `valid` has phone times.
    """
    times = read_alignments(alignments)
    phones = phone_set(times)
    model = build_mini_hubert(options.seed)
    heads = PhoneHeads(LAYERS, model.config.hidden_size, len(phones))
    clips = _load(data, times, model)
    LOG.info("%d utterances with phone times, %.1f min, %d phones", len(clips),
             sum(len(clip.samples) for clip in clips) / SAMPLE_RATE / 60, len(phones))
    _fit(model, heads, clips, options)
    scores = frame_accuracy(model, heads, _load(valid, times, model))
    LOG.info("frame phones of unseen speakers right: %s", ", ".join(f"{k} {100 * v:.1f}%" for k, v in scores.items()))
    with atomic_directory(out) as folder, quiet():
        model.save_pretrained(folder)
        build_feature_extractor().save_pretrained(folder)
        write_json(folder / "training.json", {"accuracy": scores, "phones": phones, **vars(options)})
    return scores


def _load(data: DataDir, times: dict[str, Alignment], model: HubertModel) -> list[AlignedClip]:
    """The aligned utterances of `data`, with samples as the network takes them, and a phone for each row it gives."""
    prepare = build_feature_extractor()
    clips = []
    for clip in load_aligned(data, times):
        samples = prepare(clip.samples, sampling_rate=SAMPLE_RATE).input_values[0]
        clips.append(AlignedClip(samples, clip.phones[:row_count(model.config, len(samples))]))
    return clips


def _fit(model: HubertModel, heads: PhoneHeads, clips: list[AlignedClip], options: TrainOptions) -> None:
    parameters = [*model.parameters(), *heads.parameters()]
    optimiser = torch.optim.AdamW(parameters, lr=options.lr, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate((step + 1) / options.steps, options))
    draw = np.random.default_rng(options.seed)
    model.train()
    for step in progress(range(1, options.steps + 1), "mini teacher"):
        wavs, phones = _batch(clips, draw, options, model.config)
        logits = heads(model(wavs, output_hidden_states=True).hidden_states)
        loss = sum(functional.cross_entropy(one.flatten(0, 1), phones.flatten(), label_smoothing=0.05)
                   for one in logits) / len(logits)
        optimiser.zero_grad()
        loss.backward()
        clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0 or step == options.steps:
            LOG.info("step %d: loss %.3f", step, loss.item())
    model.eval()


def _rate(progress_made: float, options: TrainOptions) -> float:
    """Linear warm-up, then half a cosine to 0."""
    if progress_made < options.warmup:
        return progress_made / options.warmup
    return 0.5 + 0.5 * math.cos(math.pi * (progress_made - options.warmup) / (1 - options.warmup))


def _batch(clips: list[AlignedClip], draw: np.random.Generator, options: TrainOptions,
           config: HubertConfig) -> tuple[Tensor, Tensor]:
    """Random crops: samples `[B, N]` and phones `[B, rows]`; rows beyond the end of a clip are -100 and ignored."""
    samples = np.zeros((options.batch, sample_count(config, options.crop_rows)), np.float32)
    phones = np.full((options.batch, options.crop_rows), -100)
    for b, i in enumerate(draw.integers(len(clips), size=options.batch)):
        clip = clips[i]
        start = int(draw.integers(max(0, len(clip.phones) - options.crop_rows) + 1))
        rows = clip.phones[start:start + options.crop_rows]
        phones[b, :len(rows)] = rows
        part = clip.samples[start * HOP:start * HOP + samples.shape[1]]
        samples[b, :len(part)] = part
    return torch.from_numpy(samples), torch.from_numpy(phones)


@torch.inference_mode()
def frame_accuracy(model: HubertModel, heads: PhoneHeads, clips: list[AlignedClip]) -> dict[str, float]:
    """Share of the frames of `clips` that each trained layer's classifier gets right."""
    right = dict.fromkeys(heads.layers, 0)
    for clip in clips:
        states = model(torch.from_numpy(clip.samples)[None], output_hidden_states=True).hidden_states
        for layer, logits in zip(heads.layers, heads(states), strict=True):
            right[layer] += int((logits[0].argmax(-1).numpy() == clip.phones).sum())
    total = sum(len(clip.phones) for clip in clips)
    return {f"layer{layer}": count / total for layer, count in right.items()}
