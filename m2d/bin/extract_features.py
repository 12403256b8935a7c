"""Features of a pre-trained model for a data directory: one .npy file per utterance, or a packed store."""

from __future__ import annotations

from dataclasses import dataclass

from m2d import load_pretrained
from m2d.common import cli
from m2d.common.config import option
from m2d.data.datadir import DataDir
from m2d.pretrained.extraction import extract_features


@dataclass
class Options:
    """Command line of this entry point."""

    data: str = option(help="data directory: wav.scp and perhaps segments, utt2dur")
    out: str = option(help="folder of the features")
    model: str = option(help="model directory, published checkpoint file, or OWNER/NAME on the Hugging Face hub")
    layer: int | None = option(None, "layer, from 0; default: the last")
    pool: bool = option(False, "one vector per utterance, the mean over time, instead of frames")
    packed: bool = option(False, "a packed store, to be merged with m2d.bin.merge_features, instead of single files")
    mean: float | None = option(None, "log-mel mean to normalise with; default: the model's")
    std: float | None = option(None, "log-mel deviation to normalise with; default: the model's")
    job: int = option(1, "this job, from 1")
    jobs: int = option(1, "how many jobs share the work")
    max_bad_share: float = option(0.01, "share of utterances that may be unreadable before the job fails")
    device: str = option("auto", "cpu, cuda:N, or auto: each job the next GPU in turn, the CPU where there is none")
    precision: str = option("float32", "float32, bfloat16 or float16 (autocast)")
    batch_seconds: float = option(120.0, "audio in a batch, padding included; less where memory is short")
    workers: int = option(2, "processes that read audio ahead")


def main(options: Options) -> None:
    """Load the model, set its statistics where others are asked for, extract one job's part."""
    model = load_pretrained(options.model)
    model.set_statistics(model.mean if options.mean is None else options.mean,
                         model.std if options.std is None else options.std)
    extract_features(DataDir.read(options.data), options.out, model, options.model, layer=options.layer,
                     pool=options.pool, packed=options.packed, job=options.job, jobs=options.jobs,
                     max_bad_share=options.max_bad_share, device=options.device, precision=options.precision,
                     batch_seconds=options.batch_seconds, workers=options.workers)


if __name__ == "__main__":
    cli.run(Options, main, __doc__)
