"""The pre-training step: samples/s, milliseconds by part, share of the device's own matrix-product rate, peak memory.

    python -m m2d.bench.step                       on the CPU or the GPU, whichever there is
    python -m m2d.bench.step --settings m2ds_80x608_80x2 --batch 256 --variants bf16,bf16+compile

Needs torch and numpy alone beside `m2d.nn`. On a CPU, our step and the plain one of `m2d.bench.plain` take turns and the
ratio is printed. Before anything is timed, both must give the same loss on the same weights and input.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from m2d.bench.measure import copy_rate, machine, matmul_rate, once, synchronise
from m2d.bench.plain import PlainM2D, plain_name
from m2d.nn import ModelConfig, build_objective
from m2d.nn.summary import step_flops

SETTINGS = {
    "m2d_80x608_16x16": ModelConfig(input_size=[80, 608], patch_size=[16, 16], mask_ratio=0.7),
    "m2ds_80x208_80x4": ModelConfig(input_size=[80, 208], patch_size=[80, 4], mask_ratio=0.6, lambda_off=0.5),
    "m2ds_80x400_80x2": ModelConfig(input_size=[80, 400], patch_size=[80, 2], mask_ratio=0.6, lambda_off=0.5),
    "m2ds_80x608_80x2": ModelConfig(input_size=[80, 608], patch_size=[80, 2], mask_ratio=0.6, lambda_off=0.5),
}
CLIP_NORM, EMA_RATE, LEARNING_RATE = 3.0, 0.99995, 1e-4


class Step:
    """One optimiser step of a model on fixed-shape batches that rotate, so that caches are not flattered."""

    def __init__(self, model: torch.nn.Module, batches: list[dict[str, torch.Tensor]], call: Callable, bf16: bool,
                 compiled: bool, fused: bool):
        self.model, self.batches, self.bf16, self.count = model, batches, bf16, 0
        self.device = batches[0]["x"].device
        self.call = torch.compile(call) if compiled else call
        trainable = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trainable, lr=LEARNING_RATE, betas=(0.9, 0.95), weight_decay=0.05,
                                           fused=True if fused else None)
        self.trainable = trainable

    def forward(self) -> torch.Tensor:
        """Loss of the next batch."""
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
        self.forward().backward()
        self.update()

    def parts(self) -> dict[str, float]:
        """Seconds of forward, backward and update, one after the other."""
        loss: list[torch.Tensor] = []
        forward = once(lambda: loss.append(self.forward()), self.device)
        backward = once(loss[0].backward, self.device)
        return {"forward": forward, "backward": backward, "update": once(self.update, self.device)}


def make_batches(config: ModelConfig, size: int, device: torch.device, count: int) -> list[dict[str, torch.Tensor]]:
    """Random inputs, mask noise and teacher frames of one setting."""
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


def make_models(config: ModelConfig, device: torch.device) -> tuple[torch.nn.Module, PlainM2D]:
    """Our model and the plain one with the same weights."""
    torch.manual_seed(0)
    ours = build_objective(config).to(device)
    plain = PlainM2D(config).to(device)
    weights = {plain_name(name): value for name, value in ours.state_dict().items()}
    missing = plain.load_state_dict(weights, strict=False).missing_keys
    if set(missing) - {"positions", "predictor_positions"}:
        raise RuntimeError(f"the plain variant lacks weights for {missing}")
    return ours, plain


def ours_call(model: torch.nn.Module) -> Callable[[dict[str, torch.Tensor]], torch.Tensor]:
    """Batch -> loss by `m2d.nn`."""
    return lambda batch: model(batch["x"], teacher=batch.get("teacher"), mask_noise=batch["noise"]).loss


def plain_call(model: PlainM2D) -> Callable[[dict[str, torch.Tensor]], torch.Tensor]:
    """Batch -> loss by the plain variant."""
    return lambda batch: model(batch["x"], batch["noise"], batch.get("teacher"))


def check_equal(ours: torch.nn.Module, plain: PlainM2D, batch: dict[str, torch.Tensor]) -> float:
    """Relative difference of the two losses; raises RuntimeError above 1e-4."""
    with torch.no_grad():
        a, b = ours_call(ours)(batch).item(), plain_call(plain)(batch).item()
    if abs(a - b) > 1e-4 * abs(b):
        raise RuntimeError(f"the steps differ before timing: ours {a}, plain {b}")
    return abs(a - b) / abs(b)


def bench_setting(name: str, variants: list[str], batch: int, repeats: int, device: torch.device,
                  rates: dict[str, float]) -> list[dict[str, object]]:
    """One row per variant. The plain variant and the first of ours take turns, so that both see the same machine."""
    config = SETTINGS[name]
    batches = make_batches(config, batch, device, count=2)
    flops = step_flops(config) * batch
    rows = []
    for variant in variants:
        ours, plain_model = make_models(config, device)
        difference = check_equal(ours, plain_model, {key: value[:4] for key, value in batches[0].items()})
        bf16, compiled = "bf16" in variant, "compile" in variant
        if variant == "plain":
            step = Step(plain_model, batches, plain_call(plain_model), bf16=False, compiled=False, fused=False)
        else:
            step = Step(ours, batches, ours_call(ours), bf16, compiled, fused=True)
        del ours, plain_model
        rows.append({"setting": name, "variant": variant, "batch": batch, "step": step, "times": [], "parts": [],
                     "difference": difference, "rate": rates["bf16" if bf16 else "fp32"]})
        if device.type == "cuda":  # memory is scarce: one model at a time
            time_rows(rows[-1:], repeats, device)
    if device.type != "cuda":
        time_rows(rows, repeats, device)
    for row in rows:
        finish(row, flops, config)
    return rows


def time_rows(rows: list[dict], repeats: int, device: torch.device, warmup: int = 2) -> None:
    """Steps of the rows in turn, `repeats` of each after the warm-up."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    for turn in range(warmup + repeats):
        for row in rows:
            duration = once(row["step"], device)
            if turn >= warmup:
                row["times"].append(duration)
    for row in rows:
        row["parts"] = [row["step"].parts() for _ in range(3)]
        row["peak_gib"] = torch.cuda.max_memory_allocated(device) / 2**30 if device.type == "cuda" else None
        del row["step"]
    synchronise(device)
    if device.type == "cuda":
        torch.cuda.empty_cache()


def finish(row: dict, flops: float, config: ModelConfig) -> None:
    """Figures of a row from its times."""
    spent = statistics.median(row.pop("times"))
    parts = row.pop("parts")
    row.update(
        tokens=config.encoder.grid.n_patches, gflop_per_sample=flops / row["batch"] / 1e9, ms=spent * 1e3,
        samples_per_s=row["batch"] / spent, tflops=flops / spent / 1e12, share_of_matmul=flops / spent / row["rate"],
        not_matmul_ms=(spent - flops / row["rate"]) * 1e3,
        **{f"{part}_ms": statistics.median(p[part] for p in parts) * 1e3 for part in parts[0]},
    )


def table(rows: list[dict]) -> str:
    """Markdown."""
    head = ("setting", "variant", "batch", "GFLOP/sample", "ms/step", "forward", "backward", "update", "samples/s",
            "TFLOP/s", "of matmul rate", "x plain", "peak GiB")
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    plain = {row["setting"]: row["ms"] for row in rows if row["variant"] == "plain"}
    for row in rows:
        ratio = f"{plain[row['setting']] / row['ms']:.2f}" if row["setting"] in plain else "-"
        peak = f"{row['peak_gib']:.1f}" if row["peak_gib"] is not None else "-"
        lines.append(
            f"| {row['setting']} | {row['variant']} | {row['batch']} | {row['gflop_per_sample']:.1f} | {row['ms']:.1f} | "
            f"{row['forward_ms']:.1f} | {row['backward_ms']:.1f} | {row['update_ms']:.1f} | {row['samples_per_s']:.1f} | "
            f"{row['tflops']:.3f} | {100 * row['share_of_matmul']:.0f}% | {ratio} | {peak} |")
    return "\n".join(lines)


def main() -> None:
    """Options, ceilings, all settings, the table last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", default=",".join(SETTINGS), help="comma list of " + ", ".join(SETTINGS))
    parser.add_argument("--variants", help="comma list of plain, fp32, bf16, each with +compile (default by device)")
    parser.add_argument("--batch", type=int, help="samples per step (default 8 on a CPU, 256 on a GPU)")
    parser.add_argument("--repeats", type=int, default=5, help="timed steps of each variant, after 2 of warm-up")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, help="write machine, command and rows here as well")
    options = parser.parse_args()
    device = torch.device(options.device)
    on_gpu = device.type == "cuda"
    variants = (options.variants or ("plain,fp32,bf16,bf16+compile" if on_gpu else "plain,fp32")).split(",")
    batch = options.batch or (256 if on_gpu else 8)
    unknown = [name for name in options.settings.split(",") if name not in SETTINGS]
    if unknown:
        parser.error(f"unknown setting {unknown[0]}: one of {', '.join(SETTINGS)}")

    about = machine(device)
    rates = {"fp32": matmul_rate(device, torch.float32)}
    if any("bf16" in variant for variant in variants):
        rates["bf16"] = matmul_rate(device, torch.bfloat16)
    ceilings = {**{f"matmul {name}": f"{rate / 1e12:.3f} TFLOP/s" for name, rate in rates.items()},
                "copy": f"{copy_rate(device) / 1e9:.0f} GB/s"}
    print("; ".join(f"{key} {value}" for key, value in {**about, **ceilings}.items()), flush=True)
    rows = []
    for name in options.settings.split(","):
        start = time.monotonic()
        rows += bench_setting(name, variants, batch, options.repeats, device, rates)
        print(f"{name}: measured in {time.monotonic() - start:.0f} s", flush=True)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({**about, **ceilings, "rows": rows}, indent=1) + "\n", encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
