"""Modes of the engine, each a context variable: recording on or off, and the hunt for the first bad number."""

import functools
import inspect
import os
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any

from minisrgan.errors import ArgumentError

# The innermost block's choice comes first: a stack in each context, which any number of blocks may share.
_recording: ContextVar[tuple[bool, ...]] = ContextVar("recording", default=(True,))
_anomaly: ContextVar[tuple[bool, ...]] = ContextVar("anomaly", default=(False,))


class Mode:
    """A mode for the block or the function that it governs; one object may be used again, and inside itself."""

    def __init__(self, stack: ContextVar[tuple[bool, ...]], on: bool) -> None:
        self._stack, self._on = stack, on

    def __enter__(self) -> None:
        """Set the mode."""
        self._stack.set((self._on, *self._stack.get()))

    def __exit__(self, *error: object) -> None:
        """Return to what was before."""
        self._stack.set(self._stack.get()[1:])

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorate a function. A generator is governed while it runs, and the code that it yields to is not."""
        if not callable(function) or inspect.isclass(function) or inspect.isasyncgenfunction(function):
            fix = "open a block inside it: with no_grad(): ..."
            raise ArgumentError("a mode", expected="a function to decorate", got=repr(function), fix=fix)

        @functools.wraps(function)
        def run(*args: Any, **options: Any) -> Any:
            if inspect.isgeneratorfunction(function):
                return self._steps(function(*args, **options))
            with self:
                return function(*args, **options)

        @functools.wraps(function)
        async def run_async(*args: Any, **options: Any) -> Any:
            with self:
                return await function(*args, **options)

        return run_async if inspect.iscoroutinefunction(function) else run

    def _steps(self, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Run a generator in the mode, step by step."""
        step, sent = generator.send, None
        try:
            while True:
                with self:
                    value = step(sent)
                try:
                    step, sent = generator.send, (yield value)
                except GeneratorExit:
                    with self:
                        generator.close()
                    raise
                except BaseException as error:
                    step, sent = generator.throw, error
        except StopIteration as end:
            return end.value


def is_grad_enabled() -> bool:
    """Tell whether operations are being recorded for a backward pass.

    >>> is_grad_enabled()
    True
    """
    return _recording.get()[0]


def no_grad(function: Callable[..., Any] | None = None) -> Any:
    """Do not record what is computed inside: no graph, no saved arrays, no gradient. Decorates functions as well.

    >>> from minisrgan import Tensor
    >>> x = Tensor([1.0], requires_grad=True)
    >>> with no_grad():
    ...     (x * 2.0).requires_grad
    False
    """
    return Mode(_recording, False) if function is None else Mode(_recording, False)(function)


def enable_grad() -> Mode:
    """Record inside, also where an outer block does not."""
    return Mode(_recording, True)


def anomaly_mode() -> Mode:
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
    return Mode(_anomaly, True)


def is_anomaly_enabled() -> bool:
    """Tell whether every result is being checked."""
    return _anomaly.get()[0]


def calling_line() -> str:
    """Return ``file:line: source`` of the innermost frame outside ``autograd/`` and ``ops/``: the caller's own code."""
    import traceback  # needed only where an error is being looked for

    package = os.path.dirname(os.path.dirname(__file__))
    rooms = (os.path.join(package, "autograd"), os.path.join(package, "ops"))
    for frame in reversed(traceback.extract_stack()):
        if not frame.filename.startswith(rooms):
            return f"{frame.filename}:{frame.lineno}: {frame.line}"
    return "unknown line"
