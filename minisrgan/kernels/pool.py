"""Max pooling as a comparison of size*size strided pictures; one pass over the input for each result."""

from __future__ import annotations

from collections.abc import Iterator

from minisrgan.backend import Array, array_module


def _phases(x: Array, size: int) -> Iterator[Array]:
    """Yield, for each place (i, j) in a window, the elements of x there: (N, H//size, W//size, C), in row order."""
    tall, wide = x.shape[1] // size * size, x.shape[2] // size * size
    for i in range(size):
        for j in range(size):
            yield x[:, i:tall:size, j:wide:size]


def max_pool(x: Array, size: int) -> Array:
    """Return the maximum of each window."""
    phases = _phases(x, size)
    y = next(phases).copy()
    for phase in phases:
        array_module(x).maximum(y, phase, out=y)
    return y


def first_maximum(x: Array, y: Array, size: int) -> Array:
    """Return ones where an element is the first of its window to equal the maximum y, zeros elsewhere."""
    xp = array_module(x)
    chosen = xp.zeros_like(x)
    free = xp.ones(y.shape, bool)  # windows whose maximum has not come up yet
    for phase, out in zip(_phases(x, size), _phases(chosen, size), strict=True):
        here = (phase == y) & free
        out[...] = here
        free &= ~here
    return chosen
