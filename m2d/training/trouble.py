"""Error handling: failures of memory, disk and processes as errors with advice."""

import contextlib
import errno
from collections.abc import Iterator

import torch

from m2d.common.errors import UserError
from m2d.data.loader import is_worker_death, worker_death
from m2d.training.config import PretrainConfig

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextlib.contextmanager
def explained(config: PretrainConfig) -> Iterator[None]:
    """Turn out-of-memory errors, refusals of the disk and a dead loader worker into a `UserError` with advice."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _is_memory(error):
            if not is_worker_death(error):
                raise
            raise worker_death(config.data.speech, error) from error
        said = str(error).splitlines()
        raise UserError(f"out of memory with optim.batch_size={config.optim.batch_size} and "
                        f"optim.micro_batch={config.optim.micro_batch} (0: what fits): {_advice(config)} "
                        f"({said[0] if said else 'no memory'})") from error
    except OSError as error:
        if error.errno == errno.EMFILE:
            raise UserError(f"{error.strerror}: use fewer data.workers, or raise the limit (ulimit -n)") from error
        if error.errno not in NO_ROOM:
            raise
        raise UserError(f"{config.run.exp}: {error.strerror}: nothing more can be written; make room and run the same "
                        "command again, it goes on from the last good checkpoint") from error


def _is_memory(error: Exception) -> bool:
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "DefaultCPUAllocator" in str(error)


def _advice(config: PretrainConfig) -> str:
    changes = ["give a lower optim.micro_batch (the gradient stays that of the whole batch)"]
    if not config.model.activation_checkpointing:
        changes.append("set model.activation_checkpointing=true")
    if config.run.dtype != "bf16":
        changes.append("set run.dtype=bf16")
    return ", or ".join(changes)
