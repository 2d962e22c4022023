"""Ctrl-C and SIGTERM end a training after the step that is being taken, when everything fits together."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Stopped(KeyboardInterrupt):
    """A signal has ended the training; ``status`` is the exit status that is usual for it, 130 or 143."""

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.status = 128 + number


@contextmanager
def stop_signals() -> Iterator[Callable[[], int]]:
    """Note SIGINT and SIGTERM for the block; the function given returns the number of the one that came, or 0.

    The first is answered on stderr at once. A second one ends the block, by KeyboardInterrupt. Outside of the main
    thread, which alone may handle signals, they stay as they are.

    >>> with stop_signals() as asked:
    ...     signal.raise_signal(signal.SIGINT); asked()
    2
    """
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        if came:
            raise KeyboardInterrupt
        came.append(number)
        # Not by print, which may be at work already where the signal has come in between.
        os.write(2, b"\nstopping: this step is finished and saved first; once more stops at once\n")

    main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM) if main}
    try:
        yield lambda: came[0] if came else 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
