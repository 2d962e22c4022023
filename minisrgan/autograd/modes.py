"""Modes of the engine, each a context variable: recording on or off, and the search for the first bad number."""

import functools
import inspect
import os
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any

from minisrgan.autograd.arguments import require_function
from minisrgan.errors import ArgumentError

# Each context has a stack of modes, with that of the innermost block first.
_recording: ContextVar[tuple[bool, ...]] = ContextVar("recording", default=(True,))
_anomaly: ContextVar[tuple[bool, ...]] = ContextVar("anomaly", default=(False,))


class Mode:
    """A mode for a with block or a decorated function. One object may be used several times, also nested."""

    def __init__(self, stack: ContextVar[tuple[bool, ...]], on: bool) -> None:
        self._stack, self._on = stack, on

    def __enter__(self) -> None:
        """Set the mode."""
        self._stack.set((self._on, *self._stack.get()))

    def __exit__(self, *error: object) -> None:
        """Restore the previous mode."""
        self._stack.set(self._stack.get()[1:])

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function. A generator runs in the mode, but the code that it yields to does not."""
        asynchronous = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        if not callable(function) or inspect.isclass(function) or asynchronous:
            fix = "open a block inside it: with no_grad(): ..."
            raise ArgumentError("a mode", expected="a function to decorate", got=repr(function), fix=fix)

        @functools.wraps(function)
        def run(*args: Any, **options: Any) -> Any:
            if inspect.isgeneratorfunction(function):
                return self._steps(function(*args, **options))
            with self:
                return function(*args, **options)

        return run

    def _steps(self, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Run a generator in the mode, step by step."""
        step, sent = generator.send, None
        try:
            while True:
                with self:
                    value = step(sent)
                try:
                    step, sent = generator.send, (yield value)
                except BaseException as error:
                    step, sent = generator.throw, error
        except StopIteration as end:
            return end.value


def is_grad_enabled() -> bool:
    """Return whether operations are being recorded for a backward pass.

    >>> is_grad_enabled()
    True
    """
    return _recording.get()[0]


def no_grad(function: Callable[..., Any] | None = None) -> Any:
    """Turn off recording in a with block or a decorated function: no graph, no saved arrays, no gradient.

    >>> from minisrgan import Tensor
    >>> x = Tensor([1.0], requires_grad=True)
    >>> with no_grad():
    ...     (x * 2.0).requires_grad
    False
    """
    return Mode(_recording, False) if function is None else Mode(_recording, False)(function)


def enable_grad() -> Mode:
    """Turn on recording, even inside a `no_grad` block."""
    return Mode(_recording, True)


def anomaly_mode() -> Mode:
    """Check every result, forward and backward, and stop at the first infinite or NaN number.

    The error names the operation and the line of your code that called it. It is slow; use it only to find an error.

    >>> from minisrgan import Tensor, ops
    >>> with anomaly_mode():
    ...     ops.log(Tensor([0.0]))
    Traceback (most recent call last):
    minisrgan.errors.NonFiniteError: NonFiniteError in log
      expected  finite results
      got       1 of 1 values not finite (0 NaN, 1 infinite)
      fix       look at the inputs of this line: ...
    """
    return Mode(_anomaly, True)


def is_anomaly_enabled() -> bool:
    """Return whether every result is being checked."""
    return _anomaly.get()[0]


def add_hook(hooks: dict[object, Any], hook: Any) -> Callable[[], None]:
    """Add a hook to a table; return a function that removes it."""
    require_function("a hook", hook)
    hooks[key := object()] = hook

    def remove() -> None:
        hooks.pop(key, None)

    return remove


def calling_line() -> str:
    """Return ``file:line: source`` of the innermost frame outside ``autograd/`` and ``ops/``: the caller's own code."""
    import traceback  # needed only where an error is being looked for

    package = os.path.dirname(os.path.dirname(__file__))
    rooms = (os.path.join(package, "autograd"), os.path.join(package, "ops"))
    for frame in reversed(traceback.extract_stack()):
        if not frame.filename.startswith(rooms):
            return f"{frame.filename}:{frame.lineno}: {frame.line}"
    return "unknown line"
