"""Modes of the engine, each a context variable: recording on or off, and the hunt for the first bad number."""

from __future__ import annotations

import contextlib
import traceback
from contextvars import ContextVar
from pathlib import Path

from minisrgan.backend import setting

_recording: ContextVar[bool] = ContextVar("recording", default=True)
_anomaly: ContextVar[bool] = ContextVar("anomaly", default=False)


def is_grad_enabled() -> bool:
    """Tell whether operations are being recorded for a backward pass.

    >>> is_grad_enabled()
    True
    """
    return _recording.get()


def no_grad() -> contextlib.AbstractContextManager[None]:
    """Do not record what is computed inside: no graph, no saved arrays, no gradient.

    >>> from minisrgan import Tensor
    >>> x = Tensor([1.0], requires_grad=True)
    >>> with no_grad():
    ...     (x * 2.0).requires_grad
    False
    """
    return setting(_recording, False)


def enable_grad() -> contextlib.AbstractContextManager[None]:
    """Record inside, also where an outer block does not."""
    return setting(_recording, True)


def anomaly_mode() -> contextlib.AbstractContextManager[None]:
    """Check every result, forward and backward, and stop at the first infinite or NaN number.

    The error names the operation and the line of your code that called it. Slow; for the hunt only.

    >>> from minisrgan import Tensor, ops
    >>> with anomaly_mode():
    ...     ops.log(Tensor([0.0]))
    Traceback (most recent call last):
    minisrgan.errors.NonFiniteError: NonFiniteError in log
      expected  finite results
      got       1 of 1 values not finite (0 NaN, 1 infinite)
      fix       look at the inputs of this line: ...
    """
    return setting(_anomaly, True)


def is_anomaly_enabled() -> bool:
    """Tell whether every result is being checked."""
    return _anomaly.get()


def calling_line() -> str:
    """Return ``file:line: source`` of the innermost frame outside ``autograd/`` and ``ops/``: the caller's own code."""
    package = Path(__file__).resolve().parents[1]
    rooms = (str(package / "autograd"), str(package / "ops"))
    for frame in reversed(traceback.extract_stack()):
        if not frame.filename.startswith(rooms):
            return f"{frame.filename}:{frame.lineno}: {frame.line}"
    return "unknown line"
