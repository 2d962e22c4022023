"""Ctrl-C and SIGTERM end a training after the current step, when its state is consistent."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(KeyboardInterrupt):
    """A signal has ended the training; ``status`` is the usual exit status, 130 for SIGINT or 143 for SIGTERM."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.status = 128 + number


@contextmanager
def stop_signals(tell: bool = True) -> Iterator[Callable[[], int]]:
    """Catch SIGINT and SIGTERM during the block; yield a function that returns the number of the signal, or 0.

    The first signal prints a line on stderr if ``tell`` is true. A second one ends the block with a KeyboardInterrupt.
    Outside the main thread signals cannot be handled, and nothing is changed.

    >>> with stop_signals() as asked:
    ...     signal.raise_signal(signal.SIGINT); asked()
    2
    """
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)
        if tell:  # not with print: the signal may have interrupted another print
            os.write(2, b"\nstopping: this step is finished and saved first; once more stops at once\n")

    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM) if main}
    try:
        yield lambda: came[0] if came else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
