"""Pooling. With windows of k by k pixels, s pixels apart; rows and columns that fill no window are dropped:

    max_pool2d   y[n, h, w, c] = the largest of x[n, s h + i, s w + j, c]          0 <= i, j < k

The gradient of a maximum goes to the number that was the maximum; of equal numbers, to the first in row-major order.

>>> max_pool2d_grad(np.ones((1, 1, 1, 1)), np.array([1.0, 7.0, 7.0, 2.0]).reshape(1, 2, 2, 1), 2)[0][0, :, :, 0]
array([[0., 1.], [0., 0.]])
"""

from collections.abc import Iterator

import numpy as np

from minisrgan.reference.positions import Array, Pair, Position, add_back, read


def _taken(x: Array, y: Position, size: int, stride: int) -> Iterator[Pair]:
    """Yield each pair (position in y, position of the first largest number of its window in row-major order)."""
    for n, h, w, c in np.ndindex(y):
        window = [(n, stride * h + i, stride * w + j, c) for i, j in np.ndindex(size, size)]
        yield (n, h, w, c), max(window, key=lambda p: float(x[p]))


def max_pool2d(x: Array, size: int, stride: int | None = None) -> Array:
    """y[n, h, w, c] = the largest of x[n, s h + i, s w + j, c]."""
    (n, h, w, c), s = x.shape, stride or size
    y = np.empty((n, (h - size) // s + 1, (w - size) // s + 1, c), x.dtype)
    return read(x, y, _taken(x, y.shape, size, s))


def max_pool2d_grad(grad_y: Array, x: Array, size: int, stride: int | None = None) -> tuple[Array, ...]:
    """dy/dx = 1 at the maximum of a window, else 0; the gradients of overlapping windows are added."""
    return (add_back(grad_y, np.zeros_like(x), _taken(x, grad_y.shape, size, stride or size)),)
