"""Max pooling: the maximum of size*size strided views. The images are distributed over the threads.

Arithmetic: size*size comparisons per window. Bytes moved: input and output once each, image by image.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from minisrgan.backend import Array, parallel
from minisrgan.kernels.blocks import selected


def _phases(x: Array, size: int) -> Iterator[Array]:
    """Yield the elements of x (N, H//size, W//size, C) at each position (i, j) of the windows, row by row."""
    tall, wide = x.shape[1] // size * size, x.shape[2] // size * size
    for i in range(size):
        for j in range(size):
            yield x[:, i:tall:size, j:wide:size]


def max_pool(x: Array, size: int) -> Array:
    """Return the maximum of each window."""
    y = np.empty((x.shape[0], x.shape[1] // size, x.shape[2] // size, x.shape[3]), x.dtype)

    def work(images: Sequence[int]) -> None:
        for n in images:
            phases, out = _phases(x[n : n + 1], size), y[n : n + 1]
            out[...] = next(phases)
            for phase in phases:
                np.maximum(out, phase, out=out)

    parallel(work, range(len(x)))
    return y


def to_first_maximum(values: Array, x: Array, y: Array, size: int) -> Array:
    """Return an array like x that has each window's value at the window's first maximum y, and 0 elsewhere.

    values, y  (N, H//size, W//size, C)
    """
    result = np.empty_like(x)
    result[:, y.shape[1] * size :] = result[:, :, y.shape[2] * size :] = 0  # rows and columns that no window reaches

    def work(images: Sequence[int]) -> None:
        for n in images:
            one = slice(n, n + 1)
            left = values[one]  # values that are not written yet: 0 once they are
            for phase, out in zip(_phases(x[one], size), _phases(result[one], size), strict=True):
                here = phase == y[one]
                out[...] = selected(left, here)
                left = selected(left, ~here)

    parallel(work, range(len(x)))
    return result
