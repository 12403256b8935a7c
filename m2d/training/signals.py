"""Asking a run to stop: SIGTERM, SIGUSR1 (Slurm's warning before the time limit) and Ctrl-C only raise a flag.

No thread that computes is ever interrupted by a signal. oneDNN's float32 products keep the stack pointer in the heap
while they run (uxlfoundation/oneDNN issue 4845; every torch up to 2.8 at least), so that the frame of a signal handler
lands in the memory of somebody else: the process dies later, at a `free`, or goes on with wrong numbers.
"""

from __future__ import annotations

import signal
import threading
from types import FrameType

STOPPING = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
KEPT_AWAY = {*STOPPING, signal.SIGCHLD}  # torch's loader has a handler for the death of its workers

EXIT_INTERRUPTED = 75
"""Exit status of a run that was asked to stop and left a checkpoint: the same command goes on (EX_TEMPFAIL)."""


class StopFlag:
    """`requested` tells whether one of the signals has come, while the block lasts. A second Ctrl-C ends the process.

    The other signals may well come twice: from Slurm, and passed on by torchrun's agent.

    Enter it in the main thread before the first computation: the threads that torch starts for that inherit from this
    one that signals are not for them. A thread of its own, which only waits, takes them; Python runs the handlers in
    the main thread, between two of its instructions (before Python 3.13 once that has let go of the interpreter's
    lock, which every operation of torch does).
    """

    def __init__(self) -> None:
        self.requested = False
        self._over = threading.Event()
        self._taker = threading.Thread(target=self._take, name="signals", daemon=True)

    def __enter__(self) -> StopFlag:
        self._before = {number: signal.signal(number, self._note) for number in STOPPING}
        self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, KEPT_AWAY)
        self._taker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._taker.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self) -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, KEPT_AWAY)
        self._over.wait()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        if number == signal.SIGINT:
            signal.signal(number, signal.SIG_DFL)
