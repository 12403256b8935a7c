"""Teacher features of a data directory, one job of several."""

from dataclasses import dataclass

from m2d.common import cli
from m2d.common.config import option
from m2d.data.datadir import DataDir
from m2d.teacher.extract import extract_teacher
from m2d.teacher.speech_model import load_teacher


@dataclass
class Options:
    """Command line of this entry point."""

    data: str = option(help="data directory")
    out: str = option(help="folder of the features; merge it with m2d.bin.merge_features when all jobs are done")
    model: str = option("facebook/hubert-base-ls960", "folder or hub id of a HuBERT, wav2vec 2.0 or WavLM model")
    layer: int = option(9, "transformer layer whose output is taken, counted from 1")
    job: int = option(1, "this job's number, from 1")
    jobs: int = option(1, "number of jobs")
    max_bad_share: float = option(0.01, "share of unusable utterances above which the job fails")
    dtype: str = option("float16", "how rows are stored: float16, or int8 with a scale per row (half the disk)")
    device: str = option("auto", "cpu, cuda:N, or auto: each job the next GPU in turn, the CPU where there is none")
    precision: str = option("float32", "float32; on GPUs also bfloat16 or float16 (autocast)")
    batch_seconds: float = option(120.0, "audio in a batch, padding included; less where memory is short")
    workers: int = option(2, "processes that read audio ahead")


def main(options: Options) -> None:
    """Load the teacher and extract one job's part."""
    extract_teacher(DataDir.read(options.data), options.out, load_teacher(options.model, options.layer), options.model,
                    job=options.job, jobs=options.jobs, max_bad_share=options.max_bad_share, dtype=options.dtype,
                    device=options.device, precision=options.precision, batch_seconds=options.batch_seconds,
                    workers=options.workers)


if __name__ == "__main__":
    cli.run(Options, main, "Teacher features (stage 2) of one job's part of a data directory; goes on where it was.")
