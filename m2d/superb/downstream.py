"""s3prl's downstream command line with our upstreams: `python -m m2d.bin.superb_downstream -m train -u m2d_local ...`.

The options are those of `s3prl.run_downstream`. s3prl itself stays as installed.
"""

import argparse
import builtins
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

import torch

from m2d.common.errors import UserError
from m2d.superb import compat
from m2d.superb.registration import register


def run_s3prl(argv: list[str]) -> None:
    """One call of s3prl's runner, in this process.

    Args:
        argv: options of `s3prl.run_downstream`.

    Raises `UserError` for a missing or unknown upstream, task, settings file, checkpoint, device or package.
    """
    register()
    from s3prl import run_downstream

    parse, plain_argv, plain_isinstance = run_downstream.get_downstream_args, sys.argv, builtins.isinstance

    def parse_and_prepare() -> tuple[argparse.Namespace, dict[str, Any], list[str]]:
        """What `-n`, `-e` and `-o` lead to is known only behind s3prl's own parser."""
        try:
            args, config, backup = parse()
        except FileNotFoundError as error:
            raise UserError(f"{error.filename}: no such file. The settings of a task are given with -c, such as "
                            "egs/librispeech_m2ds/conf/superb/TASK.yaml; s3prl's package has none") from error
        except AssertionError as error:
            raise UserError("-e FOLDER: there is no states-*.ckpt in the folder") from error
        _check(args)
        compat.before_downstream(args.downstream, config, Path(args.expdir))
        return args, config, backup

    run_downstream.get_downstream_args = parse_and_prepare
    sys.argv = ["run_downstream", *_ddp_arguments(argv)]
    try:
        run_downstream.main()
    except ModuleNotFoundError as error:
        raise UserError(f"this task of s3prl needs the package '{error.name}': pip install m2d[superb]") from error
    finally:
        # s3prl wraps isinstance anew in each call, which would slow every later one down
        run_downstream.get_downstream_args, sys.argv, builtins.isinstance = parse, plain_argv, plain_isinstance


def _check(args: argparse.Namespace) -> None:
    from s3prl import hub

    if args.upstream is None or args.downstream is None:
        raise UserError("give an upstream (-u) and a task (-d), or an experiment that names them (-e)")
    if args.hub == "torch" and not hasattr(hub, args.upstream):
        raise UserError(f"upstream '{args.upstream}': not on s3prl's hub")
    if not _is_task(args.downstream):
        raise UserError(f"task '{args.downstream}': s3prl has no such downstream module")
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        raise UserError(f"--device {args.device}: there is no GPU; give --device cpu")


def _is_task(name: str) -> bool:
    try:
        return importlib.util.find_spec(f"s3prl.downstream.{name}.expert") is not None
    except ModuleNotFoundError:
        return False


def _ddp_arguments(argv: list[str]) -> list[str]:
    """Torch's launcher passes `--local-rank=N` or only sets LOCAL_RANK; s3prl knows `--local_rank N` alone."""
    argv = [word.replace("--local-rank", "--local_rank") for word in argv]
    if "LOCAL_RANK" in os.environ and not any(word.startswith("--local_rank") for word in argv):
        argv += ["--local_rank", os.environ["LOCAL_RANK"]]
    return argv


def main(argv: list[str] | None = None) -> None:
    """The command; a `UserError` is one line and status 1."""
    try:
        run_s3prl(sys.argv[1:] if argv is None else argv)
    except UserError as error:
        raise SystemExit(f"error: {error}") from None


if __name__ == "__main__":
    main()
