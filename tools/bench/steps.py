"""One pre-training step, ours or the plain one, on rotating batches of fixed shape."""

from collections.abc import Callable
from typing import Any

import torch

from bench.measure import once
from bench.plain import PlainM2D, plain_name
from m2d.nn import ModelConfig, build_objective

CLIP_NORM, EMA_RATE, LEARNING_RATE = 3.0, 0.99995, 1e-4
WORDS = ("plain", "fp32", "bf16", "compile", "graphs")
SETTINGS = {
    "m2ds_80x608_80x2": {"input_size": [80, 608], "patch_size": [80, 2], "mask_ratio": 0.6, "lambda_off": 0.5},
    "m2d_80x608_16x16": {"input_size": [80, 608], "patch_size": [16, 16], "mask_ratio": 0.7},
    "m2ds_80x208_80x4": {"input_size": [80, 208], "patch_size": [80, 4], "mask_ratio": 0.6, "lambda_off": 0.5},
    "m2ds_80x400_80x2": {"input_size": [80, 400], "patch_size": [80, 2], "mask_ratio": 0.6, "lambda_off": 0.5},
    "msm_mae_80x608_16x16": {"objective": "mae", "input_size": [80, 608], "patch_size": [16, 16], "mask_ratio": 0.75},
    "m2d_image_224_16": {"input_size": [224, 224], "patch_size": [16, 16], "in_channels": 3, "mask_ratio": 0.75},
}
"""The goal's own setting first, should the time run out."""
TINY = {"size": "custom", "width": 32, "depth": 2, "heads": 2, "predictor_width": 32, "predictor_depth": 1,
        "predictor_heads": 2}
"""A size at which the benchmarks themselves are tried."""

Batch = dict[str, torch.Tensor]


class Step:
    """One optimiser step of a variant: words of `WORDS` joined by +, such as `fp32`, `plain+bf16`, `bf16+graphs`.

    `plain` is the peer of `bench.plain`, where the objective has one; any other is ours. `compile` is `torch.compile`
    with static shapes, `graphs` the same with CUDA graphs.
    """

    def __init__(self, variant: str, config: ModelConfig, batches: list[Batch]):
        words = variant.split("+")
        self.batches, self.count = batches, 0
        self.device = batches[0]["x"].device
        self.bf16, self.graphs = "bf16" in words, "graphs" in words
        ours, plain = make_models(config, self.device)
        self.difference = None
        if plain is not None:
            self.difference = check_equal(ours, plain, {key: value[:4] for key, value in batches[0].items()})
        self.model, call = (plain, plain_loss(plain)) if "plain" in words else (ours, our_loss(ours))
        if "compile" in words or self.graphs:
            call = torch.compile(call, mode="reduce-overhead" if self.graphs else "default", dynamic=False)
        self.call = call
        self.trainable = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trainable, lr=LEARNING_RATE, betas=(0.9, 0.95), weight_decay=0.05,
                                           fused=None if "plain" in words else True)

    def forward(self) -> torch.Tensor:
        """Loss of the next batch."""
        if self.graphs:
            torch.compiler.cudagraph_mark_step_begin()
        batch = self.batches[self.count % len(self.batches)]
        self.count += 1
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            return self.call(batch)

    def update(self) -> None:
        """Clip, optimiser step, EMA: everything after the backward pass."""
        torch.nn.utils.clip_grad_norm_(self.trainable, CLIP_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.model.update_target(EMA_RATE)

    def __call__(self) -> None:
        """The whole step."""
        self.forward().backward()
        self.update()

    def parts(self, clock: str) -> dict[str, float]:
        """Seconds of forward, backward and update, one after the other."""
        losses: list[torch.Tensor] = []
        forward = once(lambda: losses.append(self.forward()), self.device, clock=clock)
        backward = once(losses[0].backward, self.device, clock=clock)
        return {"forward": forward, "backward": backward, "update": once(self.update, self.device, clock=clock)}


def make_batches(config: ModelConfig, size: int, device: torch.device, count: int = 2) -> list[Batch]:
    """Random inputs, mask noise and teacher frames at the patch rate of one setting."""
    grid = config.encoder.grid
    batches = []
    for seed in range(count):
        generator = torch.Generator().manual_seed(seed)
        batch = {"x": torch.randn(size, config.in_channels, *config.input_size, generator=generator),
                 "noise": torch.rand(size, grid.n_patches, generator=generator)}
        if config.lambda_off:
            batch["teacher"] = torch.randn(size, grid.n_time, config.teacher_width, generator=generator)
        batches.append({name: tensor.to(device) for name, tensor in batch.items()})
    return batches


def settings_of(setting: str, size: str) -> dict[str, Any]:
    """Options of the model of a setting, in the size of an encoder or `tiny`."""
    return {**SETTINGS[setting], **(TINY if size == "tiny" else {"size": size})}


def has_plain(config: ModelConfig) -> bool:
    """Whether there is a plain variant of the objective."""
    return config.objective == "m2d"


def make_models(config: ModelConfig, device: torch.device) -> tuple[torch.nn.Module, PlainM2D | None]:
    """Our model and the plain one, where there is one, with the same weights."""
    torch.manual_seed(0)
    ours = build_objective(config).to(device)
    if not has_plain(config):
        return ours, None
    plain = PlainM2D(config).to(device)
    weights = {plain_name(name): value for name, value in ours.state_dict().items()}
    missing, unknown = plain.load_state_dict(weights, strict=False)
    if unknown or set(missing) - {"positions", "predictor_positions"}:
        raise RuntimeError(f"the plain variant lacks {missing} and does not know {unknown}")
    return ours, plain


def our_loss(model: torch.nn.Module) -> Callable[[Batch], torch.Tensor]:
    """Batch -> loss by `m2d.nn`."""
    return lambda batch: model(mask_noise=batch["noise"], **{k: v for k, v in batch.items() if k != "noise"}).loss


def plain_loss(model: PlainM2D) -> Callable[[Batch], torch.Tensor]:
    """Batch -> loss by the plain variant."""
    return lambda batch: model(batch["x"], batch["noise"], batch.get("teacher"))


def check_equal(ours: torch.nn.Module, plain: PlainM2D, batch: Batch, tolerance: float = 1e-4) -> float:
    """Relative difference of the two losses of a batch; raises RuntimeError if they differ."""
    with torch.no_grad():
        a, b = our_loss(ours)(batch).item(), plain_loss(plain)(batch).item()
    if not abs(a - b) <= tolerance * abs(b):
        raise RuntimeError(f"the steps differ before timing: ours {a}, plain {b}")
    return abs(a - b) / abs(b)
