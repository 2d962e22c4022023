"""Learning rates as functions of the step."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from minisrgan.autograd.arguments import require_integer, require_sizes, setting
from minisrgan.errors import ArgumentError

Schedule: TypeAlias = Callable[[int], float]


def piecewise(values: Sequence[float], boundaries: Sequence[int], warmup: int = 0) -> Schedule:
    """Return a schedule of steps: values[0] before boundaries[0], values[1] before boundaries[1], and so on.

    warmup  number of first steps during which the value rises linearly
    Errors  ArgumentError for another number of values, values that are not finite numbers >= 0, boundaries that do not
            rise, or numbers of steps that are not integers.
    Source  SRGAN sec. 3.2: 1e-4 for 100,000 steps, then 1e-5 for as many.

    >>> schedule = piecewise((1e-4, 1e-5), (100_000,))
    >>> schedule(99_999), schedule(100_000)
    (0.0001, 1e-05)
    >>> [round(piecewise((1.0,), (), warmup=4)(step), 2) for step in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    boundaries = require_sizes("piecewise", "boundaries", boundaries, 0)
    require_integer("piecewise", "warmup", warmup, 0)
    values = values if isinstance(values, tuple | list) else (values,)
    values = [setting("piecewise", f"values[{i}]", value) for i, value in enumerate(values)]
    if len(values) != len(boundaries) + 1 or list(boundaries) != sorted(set(boundaries)):
        expected = "one value more than boundaries, and boundaries that rise"
        got = f"values {values}, boundaries {boundaries}"
        fix = "values (1e-4, 1e-5) go with boundaries (100_000,)"
        raise ArgumentError("piecewise", expected=expected, got=got, fix=fix)

    def schedule(step: int) -> float:
        return values[sum(step >= boundary for boundary in boundaries)] * min(1.0, (step + 1) / max(1, warmup))

    return schedule
