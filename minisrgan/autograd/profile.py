"""Where the time goes: `profile` records what each operation costs, forward and backward.

`Function.apply` and the engine look for a recorder in a context variable; if there is none, they measure nothing.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from minisrgan.backend import setting


@dataclass
class Cost:
    """The cost of one operation: seconds forward and backward, number of calls, and bytes of their results."""

    forward: float = 0.0
    backward: float = 0.0
    calls: int = 0
    bytes: int = 0


@dataclass
class Profile:
    """The record of `profile`; print it to see a table.

    costs    operation -> `Cost`; ``gradients added`` is for the sums where a tensor was used more than once
    seconds  duration of the whole block
    """

    outer: Profile | None = None
    costs: dict[str, Cost] = field(default_factory=lambda: defaultdict(Cost))
    seconds: float = 0.0
    _busy: bool = False

    def timed(self, name: str, phase: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the work and records its time, including the operations that it calls."""
        inner = work if self.outer is None else self.outer.timed(name, phase, work)

        def run(*inputs: Any, **options: Any) -> Any:
            if self._busy:
                return inner(*inputs, **options)
            self._busy, start = True, time.perf_counter()
            try:
                result = inner(*inputs, **options)
                if "cupy" in sys.modules:  # a GPU computes asynchronously
                    sys.modules["cupy"].cuda.get_current_stream().synchronize()
            finally:
                self._busy = False
            cost = self.costs[name]
            setattr(cost, phase, getattr(cost, phase) + time.perf_counter() - start)
            if phase == "forward":
                cost.calls, cost.bytes = cost.calls + 1, cost.bytes + result.nbytes
            return result

        return run

    def rows(self) -> list[tuple[str, float, float, Cost]]:
        """Return name, seconds, share and `Cost` of each operation, slowest first, then the rest: Python, Adam.

        >>> [row[:3] for row in Profile(costs={"relu": Cost(0.5, 1.0)}, seconds=2.0).rows()]
        [('relu', 1.5, 0.75), ('rest', 0.5, 0.25)]
        """
        took = {name: cost.forward + cost.backward for name, cost in self.costs.items()}
        rest = self.seconds - sum(took.values())
        order = [*sorted(took, key=took.__getitem__, reverse=True), "rest"]
        costs, took = self.costs | {"rest": Cost(rest)}, took | {"rest": rest}
        return [(name, took[name], took[name] / (self.seconds or 1.0), costs[name]) for name in order]

    def __str__(self) -> str:
        """Return the rows as a table: the share is that of the whole block, MB are those of the results."""
        lines = [f"{'operation':<24}{'calls':>7}{'forward ms':>12}{'backward ms':>13}{'share':>9}{'MB out':>10}"]
        for name, _, share, cost in self.rows():
            times = f"{cost.forward * 1e3:>12.1f}{cost.backward * 1e3:>13.1f}{share * 100:>7.1f} %"
            lines.append(f"{name:<24}{cost.calls or '':>7}{times}{cost.bytes / 1e6:>10.1f}")
        return "\n".join([*lines, f"{'whole':<24}{self.seconds * 1e3:>19.1f} ms"])


profiler: ContextVar[Profile | None] = ContextVar("profiler", default=None)


@contextlib.contextmanager
def profile() -> Iterator[Profile]:
    """Record the cost of each operation in a with block; an enclosing `profile` records it too.

    On a GPU it waits for every operation, so the program takes longer than without `profile`.

    >>> from minisrgan import Tensor
    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> with profile() as recorded:
    ...     (x * x).sum().backward()
    >>> sorted(recorded.costs), recorded.costs["multiply"].calls
    (['gradients added', 'multiply', 'sum'], 1)
    """
    recorder, start = Profile(profiler.get()), time.perf_counter()
    try:
        with setting(profiler, recorder):
            yield recorder
    finally:
        recorder.seconds = time.perf_counter() - start
