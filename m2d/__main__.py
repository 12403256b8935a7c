"""`m2d COMMAND ...`, also `python -m m2d COMMAND ...`: the entry points of `m2d.bin` under one name."""

import runpy
import sys

from m2d import __version__
from m2d.common.cli import quiet_at_closed_pipe
from m2d.common.options import nearest

COMMANDS = {
    "use a model": {
        "info": "what a model file is, what it was trained on, what it can do",
        "embed": "vectors, or frames, of sound files: folders, lists, data directories in; npy, npz, HDF5, parquet out",
        "tag": "the likeliest classes of sound files, with times",
        "predict": "what a model fine-tuned here says of sound files: a table of labels and probabilities",
        "import_published": "a published checkpoint to a model directory",
        "export": "a run's encoder to a model directory, or in the published format",
        "export_onnx": "the encoder as an ONNX file",
    },
    "prepare data": {
        "download": "corpora: fetch, check, unpack",
        "prepare_data": "a corpus as downloaded to a data directory",
        "extract_logmel": "log-mels of a data directory, one job of several",
        "extract_teacher": "teacher features of a data directory, one job of several",
        "extract_features": "a model's features of a data directory, one job of several",
        "merge_features": "one index and the statistics of what the jobs wrote",
        "prepare_images": "list the images of a folder in ImageNet's layout",
        "index_images": "decode every listed image once, take the statistics",
    },
    "pre-train": {
        "plan": "what a setting needs: parameters, memory, disk, hours",
        "pretrain": "M2D, M2D-S, MSM-MAE; resumes a run",
        "compare_runs": "losses and signs of collapse of several runs, side by side",
    },
    "evaluate": {
        "prepare_task": "an official download, or labelled recordings of your own, to a checked evaluation task",
        "linear_eval": "linear evaluation and kNN of one model, all of its layers",
        "finetune": "fine-tuning of one model on one task; the fine-tuned model is kept",
        "finetune_images": "fine-tuning of an image model on labels",
        "probe_images": "linear probe of an image model",
        "report_general": "both, gathered into RESULTS.md",
        "report_own": "one page on recordings of your own: what helped, which clips are hard",
        "report_images": "both of image models, gathered into RESULTS.md",
        "report": "a folder of experiments as one HTML page",
        "show_results": "the tables of such a file for a terminal",
        "superb": "SUPERB's tasks by s3prl",
        "superb_corpora": "whether the corpora of SUPERB's tasks are as s3prl expects them",
        "superb_check": "whether a model works as an s3prl upstream",
        "superb_downstream": "s3prl's run_downstream with our upstreams",
        "superb_results": "one table of several models' SUPERB results",
    },
}


def main() -> None:
    """List the commands, or run `m2d.bin.COMMAND` with the words that follow."""
    words = sys.argv[1:]
    if not words or words[0] in ("-h", "--help", "help"):
        with quiet_at_closed_pipe():
            print(listing())
        return
    if words[0] == "--version":
        print(__version__)
        return
    name = words[0].replace("-", "_")
    known = [name for group in COMMANDS.values() for name in group]
    if name not in known:
        print(f"error: m2d has no command '{words[0]}'{nearest(name, known)} (m2d --help lists them)", file=sys.stderr)
        raise SystemExit(2)
    sys.argv = [f"m2d {name}", *words[1:]]
    runpy.run_module(f"m2d.bin.{name}", run_name="__main__", alter_sys=True)


def listing() -> str:
    """All commands with a line each."""
    width = max(len(name) for group in COMMANDS.values() for name in group)
    lines = ["Masked Modeling Duo. usage: m2d COMMAND --help | m2d COMMAND [key=value ...]"]
    for title, group in COMMANDS.items():
        lines += ["", f"{title}:", *(f"  {name:<{width}}  {text}" for name, text in group.items())]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
