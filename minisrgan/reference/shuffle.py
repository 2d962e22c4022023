"""Pixel shuffle: r*r channels of one pixel become an r by r square of pixels, in the channel order of PyTorch.

    large[n, r h + i, r w + j, c] = small[n, h, w, c r r + i r + j]         0 <= i, j < r

The two functions move numbers one to one, so each is the other's gradient.

>>> pixel_shuffle(np.arange(8.0).reshape(1, 1, 1, 8), 2)[0, :, :, 1]
array([[4., 5.], [6., 7.]])
"""

from collections.abc import Iterator

import numpy as np

from minisrgan.reference.positions import Array, Pair, Position, add_back, read


def _pairs(large: Position, r: int) -> Iterator[Pair]:
    """Yield each pair (position in the large array, position in the small one)."""
    for n, row, column, c in np.ndindex(large):
        i, j = row % r, column % r
        yield (n, row, column, c), (n, row // r, column // r, c * r * r + i * r + j)


def pixel_shuffle(x: Array, factor: int) -> Array:
    """y[n, r h + i, r w + j, c] = x[n, h, w, c r r + i r + j]."""
    n, h, w, channels = x.shape
    y = np.empty((n, factor * h, factor * w, channels // factor**2), x.dtype)
    return read(x, y, _pairs(y.shape, factor))


def pixel_shuffle_grad(grad_y: Array, x: Array, factor: int) -> tuple[Array, ...]:
    """Unshuffle the gradient."""
    return (pixel_unshuffle(grad_y, factor),)


def pixel_unshuffle(x: Array, factor: int) -> Array:
    """y[n, h, w, c r r + i r + j] = x[n, r h + i, r w + j, c], the inverse of pixel_shuffle."""
    n, h, w, channels = x.shape
    y = np.zeros((n, h // factor, w // factor, channels * factor**2), x.dtype)
    return add_back(x, y, _pairs(x.shape, factor))


def pixel_unshuffle_grad(grad_y: Array, x: Array, factor: int) -> tuple[Array, ...]:
    """Shuffle the gradient."""
    return (pixel_shuffle(grad_y, factor),)
