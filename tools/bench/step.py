"""The pre-training step: samples/s, milliseconds by part, share of the device's own matrix-product rate, peak memory.

    python -m bench.step                       on the CPU or the GPU, whichever there is
    python -m bench.step --settings m2ds_80x608_80x2 --batch 256 --variants bf16,bf16+compile

Needs torch and numpy alone beside `m2d.nn`, so that it runs on any GPU machine as it is: hence argparse here. Before
anything is timed, our step and the plain one of `bench.plain` must give the same loss on the same weights and
input. On a CPU all variants and a matrix product take turns; on a GPU each has the memory to itself.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import torch

from bench.kernels import time_by_kind
from bench.measure import CLOCKS, copy, in_turns, machine, medians, products, rate
from bench.report import leave
from bench.steps import SETTINGS, WORDS, Step, has_plain, make_batches, settings_of
from m2d.nn import ModelConfig
from m2d.nn.summary import summarise
from m2d.training.memory import available_bytes, micro_batch

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
ON_GPU = "plain+fp32,fp32,plain+bf16,bf16,bf16+compile,bf16+graphs"
ON_CPU = "plain+fp32,fp32"
COLUMNS = {"setting": "", "variant": "", "batch": "d", "gflop_per_sample": ".1f", "ms": ".1f", "forward_ms": ".1f",
           "backward_ms": ".1f", "update_ms": ".1f", "steps_per_s": ".2f", "samples_per_s": ".1f", "tflop_per_s": ".3f",
           "of_mm": ".0%", "not_matmul_ms": ".1f", "times_plain": ".2f", "peak_gib": ".1f",
           "note": ""}


def bench_setting(name: str, size: str, options: argparse.Namespace, end: float) -> list[dict[str, Any]]:
    """One row per variant, in batches of `size`, a number or `fill`.

    Those not begun before `end` (monotonic seconds), or too large for the GPU, have a note.
    """
    config = ModelConfig(teacher_width=768, **settings_of(name, options.size))
    device = torch.device(options.device)
    batch = filling(config, device) if size == "fill" else int(size)
    batches = make_batches(config, batch, device)
    gflop = summarise(config).step_flops / 1e9
    variants = [word for word in options.variants.split(",") if has_plain(config) or "plain" not in word]
    rows = []
    for group in [[variant] for variant in variants] if device.type == "cuda" else [variants]:
        new = [{"setting": name, "variant": variant, "batch": batch, "gflop_per_sample": gflop} for variant in group]
        rows += new
        if time.monotonic() > end:
            for row in new:
                row["note"] = "not measured: out of time"
            continue
        try:
            measure(new, config, batches, options)
        except torch.OutOfMemoryError:
            for row in new:
                row["note"] = "does not fit"
        if device.type == "cuda":
            torch._dynamo.reset()
            torch.cuda.empty_cache()
    add_ratios(rows)
    return rows


def filling(config: ModelConfig, device: torch.device) -> int:
    """The micro-batch of a batch of 2,048 that fills the GPU in bf16, as `optim.micro_batch=0` chooses it."""
    def peak(samples: int) -> int:
        torch.cuda.reset_peak_memory_stats(device)
        Step("bf16", config, make_batches(config, samples, device, count=1))()
        return torch.cuda.max_memory_allocated(device)

    size = micro_batch(2048, peak, available_bytes(device))
    torch.cuda.empty_cache()
    return size


def measure(rows: list[dict[str, Any]], config: ModelConfig, batches: list, options: argparse.Namespace) -> None:
    """Fill in the figures of rows that take turns."""
    device, clock = torch.device(options.device), options.clock
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    steps = {row["variant"]: Step(row["variant"], config, batches) for row in rows}
    dtypes = {variant: "bf16" if step.bf16 else "fp32" for variant, step in steps.items()}
    ceilings = {(dtype, name): product for dtype in set(dtypes.values())
                for name, product in products(device, DTYPES[dtype]).items()}
    works = {**steps, **{key: work for key, (work, _) in ceilings.items()}}
    spent = medians(in_turns(works, options.repeats, device, 5 if on_gpu else 1, options.warmup, clock))
    for row in rows:
        step, dtype, seconds = steps[row["variant"]], dtypes[row["variant"]], spent[row["variant"]]
        parts = [step.parts(clock) for _ in range(options.repeats)]
        rates = {name: flops / spent[kind, name] for (kind, name), (_, flops) in ceilings.items() if kind == dtype}
        flops = row["gflop_per_sample"] * 1e9 * row["batch"]
        row.update(
            ms=seconds * 1e3, steps_per_s=1 / seconds, samples_per_s=row["batch"] / seconds,
            tflop_per_s=flops / seconds / 1e12,
            ceilings_tflop_per_s={name: value / 1e12 for name, value in rates.items()},
            of_mm=flops / seconds / rates["mm"], not_matmul_ms=(seconds - flops / rates["mm"]) * 1e3,
            loss_difference=step.difference,
            **{f"{part}_ms": value * 1e3 for part, value in medians(
                {part: [taken[part] for taken in parts] for part in parts[0]}).items()})
        if on_gpu:
            row["peak_gib"] = torch.cuda.max_memory_allocated(device) / 2**30
        row["time_by_kind"] = time_by_kind(step, device)
        kinds = ", ".join(f"{kind} {share:.1%}" for kind, share in row["time_by_kind"].items())
        limits = ", ".join(f"{name} {value / 1e12:.3f} TFLOP/s" for name, value in rates.items())
        print(f"{row['setting']} {row['variant']}: products here {limits}; time goes to {kinds}", flush=True)


def add_ratios(rows: list[dict[str, Any]]) -> None:
    """Speed over the plain variant's of the same precision."""
    plain = {row["variant"].removeprefix("plain+"): row["ms"] for row in rows
             if row["variant"].startswith("plain+") and "ms" in row}
    for row in rows:
        peer = plain.get("bf16" if "bf16" in row["variant"] else "fp32")
        if peer and "ms" in row:
            row["times_plain"] = peer / row["ms"]


def parse(words: list[str] | None = None) -> argparse.Namespace:
    """Options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", default=",".join(SETTINGS), help="comma list of " + ", ".join(SETTINGS))
    parser.add_argument("--variants", help="comma list of words joined by +: " + ", ".join(WORDS) + " (all that apply)")
    parser.add_argument("--size", default="base", help="encoder: small, base, large, or tiny for a trial")
    parser.add_argument("--batch", help="comma list of samples per step; on a GPU also fill, what its memory holds in "
                                        "bf16 (default 8 on a CPU, 128 on a GPU)")
    parser.add_argument("--repeats", type=int, default=5, help="timed turns of each variant")
    parser.add_argument("--warmup", type=int, default=2, help="turns before them")
    parser.add_argument("--minutes", type=float, default=9.0, help="nothing new is begun after this time")
    parser.add_argument("--threads", type=int, help="on a CPU (default: all)")
    parser.add_argument("--clock", default="wall", choices=CLOCKS, help="cpu: for one thread on a busy machine")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--json", type=Path, help="write machine, command and rows here as well")
    options = parser.parse_args(words)
    on_gpu = options.device.startswith("cuda")
    options.variants = options.variants or (ON_GPU if on_gpu else ON_CPU)
    options.batch = options.batch or ("128" if on_gpu else "8")
    for given, known in ((options.settings, SETTINGS), (options.variants.replace("+", ","), WORDS)):
        for name in given.split(","):
            if name not in known:
                parser.error(f"unknown '{name}': one of {', '.join(known)}")
    for size in options.batch.split(","):
        if not (size.isdigit() and int(size)) and (size != "fill" or not on_gpu):
            parser.error(f"--batch {size}: a number, or on a GPU fill")
    if options.clock == "cpu" and (on_gpu or options.threads != 1):
        parser.error("--clock cpu needs --device cpu --threads 1: it adds up what all threads spend")
    return options


def main(words: list[str] | None = None) -> None:
    """All settings, the table last."""
    options = parse(words)
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    about = machine(device)
    about["copy_gb_per_s"] = round(rate(*copy(device), device, options.clock) / 1e9)
    end = time.monotonic() + 60 * options.minutes
    rows = [row for name in options.settings.split(",") for batch in options.batch.split(",")
            for row in bench_setting(name, batch, options, end)]
    leave(about, rows, COLUMNS, options.json)


if __name__ == "__main__":
    main()
