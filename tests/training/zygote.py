"""A process that has imported everything once and forks a run of `m2d.bin.pretrain` for each request.

Requests and answers are JSON lines: {"argv", "log", "env", "limits"} -> {"pid"}; {"wait": pid} -> {"status"}, the
exit code or minus the signal. `limits` are the run's resource limits: {"FSIZE": bytes of one file, "NOFILE": number}.
"""

import json
import os
import resource
import sys

import torch
import torch._dynamo  # the optimiser would import it in each run

from m2d.common import cli
from m2d.evaluation.watch import open_watch
from m2d.training.config import PretrainConfig
from m2d.training.trainer import pretrain


def run(argv: list[str], log: str, env: dict[str, str], limits: dict[str, int]) -> None:
    """Become the run; does not return."""
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    os.setpgid(0, 0)
    os.environ.update(env)
    sys.argv = ["pretrain", *argv]
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    status = 1
    try:
        cli.run(PretrainConfig, lambda config: pretrain(config, open_watch), "")
    except SystemExit as stop:
        status = stop.code
    except BaseException:
        sys.excepthook(*sys.exc_info())
    sys.stderr.flush()
    os._exit(status)


def main() -> None:
    """Serve requests until the input ends."""
    torch.set_num_threads(1)
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            answer = {"status": os.waitstatus_to_exitcode(os.waitpid(request["wait"], 0)[1])}
        else:
            pid = os.fork()
            if pid == 0:
                run(**request)
            answer = {"pid": pid}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
