"""Stop requests: SIGTERM, SIGUSR1 (Slurm's warning before the time limit) and Ctrl-C only set a flag."""

import signal
from types import FrameType

STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class StopFlag:
    """`requested`: a signal came during the block. A second Ctrl-C ends the process; the others may be repeated."""

    def __init__(self) -> None:
        self.requested = False

    def __enter__(self) -> "StopFlag":
        self._before = {number: signal.signal(number, self._note) for number in STOPPING}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
