"""s3prl's own downstream command with our upstreams: `python -m m2d.superb.downstream -m train -u m2d_local ...`.

The options are those of `s3prl.run_downstream`.
"""

from __future__ import annotations

import argparse
import builtins
import os
import sys
from pathlib import Path

import torch

from m2d.common.errors import UserError
from m2d.pretrained import s3prl_compat
from m2d.superb import compat, registration


def run_s3prl(argv: list[str]) -> None:
    """One call of s3prl's runner, in this process.

    Args:
        argv: options of `s3prl.run_downstream`, with `-u` and `-d`, absolute paths for `-p -k -g -c`.
    """
    upstream, task, folder = _peek(argv)
    registration.watch()
    if upstream in registration.ENTRIES and "s3prl.hub" not in sys.modules:
        registration.light_hub()
    s3prl_compat.before_s3prl()
    from s3prl import hub, run_downstream

    if upstream is not None and not hasattr(hub, upstream):
        raise UserError(f"model '{upstream}': neither a model directory nor one of s3prl's upstreams")
    compat.before_downstream(task or "", Path(folder or ".") / "s3prl_lists")
    plain_argv, plain_isinstance = sys.argv, builtins.isinstance
    sys.argv = ["run_downstream", *_ddp_arguments(argv)]
    try:
        run_downstream.main()
    finally:
        # s3prl wraps isinstance anew in each call, which would slow every later one down
        sys.argv, builtins.isinstance = plain_argv, plain_isinstance


def _peek(argv: list[str]) -> tuple[str | None, str | None, str | None]:
    """Upstream, task module and experiment folder, given or stored in the checkpoint given; nothing else is judged."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-u", "--upstream")
    parser.add_argument("-d", "--downstream")
    parser.add_argument("-p", "--expdir")
    parser.add_argument("-e", "--past_exp")
    found, _ = parser.parse_known_args(argv)
    if found.past_exp is not None and Path(found.past_exp).is_file():
        s3prl_compat.before_s3prl()
        found = torch.load(found.past_exp, map_location="cpu", weights_only=True)["Args"]
    return found.upstream, found.downstream, found.expdir


def _ddp_arguments(argv: list[str]) -> list[str]:
    """Torch's launcher passes `--local-rank=N` or only sets LOCAL_RANK; s3prl knows `--local_rank N` alone."""
    argv = [word.replace("--local-rank", "--local_rank") for word in argv]
    if "LOCAL_RANK" in os.environ and not any(word.startswith("--local_rank") for word in argv):
        argv += ["--local_rank", os.environ["LOCAL_RANK"]]
    return argv


if __name__ == "__main__":
    try:
        run_s3prl(sys.argv[1:])
    except UserError as error:
        raise SystemExit(f"error: {error}") from None
