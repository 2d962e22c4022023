"""How elementwise kernels walk over an array: in blocks of rows that stay in cache between two passes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from minisrgan.backend import Array, array_module, parallel

R = TypeVar("R")
_BLOCK_BYTES = 512 << 10
_LONG = 1024
_FEW = 16  # blocks for which it is not worth waking a second thread


class Rows:
    """Batches (..., C) seen as long rows (M/r, r*C) of r pixels each.

    A number a channel, repeated r times, then meets a whole row, and NumPy's inner loop runs over about a thousand
    numbers; over 64 channels it would spend as long on beginning as on computing.
    """

    def __init__(self, x: Array) -> None:
        self.xp, self.channels = array_module(x), x.shape[-1]
        pixels = x.size // self.channels
        most = max(1, _LONG // self.channels)
        self.repeat = next(r for r in range(min(most, pixels), 0, -1) if pixels % r == 0)

    def of(self, x: Array) -> Array:
        """Return an array of the batch's shape as long rows."""
        return x.reshape(-1, self.repeat * self.channels)

    def widen(self, vector: Array) -> Array:
        """Repeat a number a channel (C,) for every pixel of a long row; one number in all stays one."""
        return vector if vector.size == 1 else self.xp.tile(vector, self.repeat)

    def total(self, sums: Sequence[Array]) -> Array:
        """Add up sums of blocks (r*C,) to a number a channel (C,).

        Sums of sums: in float32 a single running sum over the 150,000 values of a batch would lose its last digits.
        """
        return self.xp.stack(sums).sum(axis=0).reshape(-1, self.channels).sum(axis=0)


def selected(values: Array, condition: Array, out: Array | None = None) -> Array:
    """Return the values where a condition holds, 0 elsewhere.

    ``values * condition`` would make NaN of an infinite value, and `numpy.where` takes seven times as long. Bit by bit,
    values & (all bits set, or none) takes as long as the product.
    """
    xp, bits = array_module(values), np.dtype(f"i{values.itemsize}")
    mask = xp.negative(condition.view(np.int8))  # -1, which has all bits set, or 0
    return xp.bitwise_and(values.view(bits), mask, out=None if out is None else out.view(bits)).view(values.dtype)


def map_blocks(work: Callable[[slice], R], rows: Array) -> list[R]:
    """Call work on blocks of about 512 KB of (M, L), shared out over the threads; return its results in order."""
    step = max(1, _BLOCK_BYTES // (rows.shape[1] * rows.itemsize))
    blocks = [slice(start, start + step) for start in range(0, len(rows), step)]

    def each(part: Sequence[slice]) -> list[R]:
        return [work(block) for block in part]

    if array_module(rows) is not np or len(blocks) < _FEW:
        return each(blocks)
    return [result for share in parallel(each, blocks) for result in share]
