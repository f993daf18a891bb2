"""How long something may take, in seconds of processor time, whatever else the machine is busy with."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


class OutOfTime(Exception):
    """A block took longer than it may."""


@contextlib.contextmanager
def limit(seconds: float) -> Iterator[None]:
    """Raise OutOfTime in the middle of a block that takes longer, even in the middle of a regular expression.

    Limits count this process alone and may not be nested.  Outside a main thread, and with 0, there is none.
    """
    if not seconds or threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(_: int, __: FrameType | None) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
