"""Divide work into blocks that stay in cache, distribute them over the threads, and reuse memory.

Elementwise kernels process `Rows` with `map_blocks`. Convolutions cut their output into `blocks` and compute each of
them in `scratch` memory; `patch` returns the part of the input that a block needs, with zeros outside the image.
"""

import itertools
import math
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minisrgan.backend import Array, parallel, workspace_bytes

R = TypeVar("R")
Pair = tuple[int, int]
Extent = tuple[int, int, int]  # images, rows, columns

CACHED = 2 << 20  # bytes of columns that a core keeps in its cache
_BLOCK_BYTES = 512 << 10  # per block of an elementwise kernel
_LONG = 1024
_FEW = 16  # with fewer blocks than this, a second thread does not pay


# Elementwise kernels


class Rows:
    """A view of a batch (..., C) as long rows (M/r, r*C) of r pixels each.

    A per-channel vector is repeated r times and then combined with whole rows, so that NumPy's inner loop runs over
    about a thousand numbers. A loop over only 64 channels would take as long to start as to compute.
    """

    def __init__(self, x: Array) -> None:
        self.channels = x.shape[-1]
        pixels = x.size // self.channels
        most = max(1, _LONG // self.channels)
        self.repeat = next(r for r in range(min(most, pixels), 0, -1) if pixels % r == 0)

    def of(self, x: Array) -> Array:
        """Return an array that has the shape of the batch as long rows."""
        return x.reshape(-1, self.repeat * self.channels)

    def widen(self, vector: Array) -> Array:
        """Repeat a per-channel vector (C,) for every pixel of a long row; a vector of one number stays as it is."""
        return vector if vector.size == 1 else vector[None].repeat(self.repeat, axis=0).reshape(-1)

    def total(self, sums: Sequence[Array]) -> Array:
        """Add up the sums of blocks, each (r*C,), to one sum per channel (C,).

        Adding sums of parts keeps precision: a running float32 sum of a batch's 150,000 values would lose digits.
        """
        return np.stack(sums).sum(axis=0).reshape(-1, self.channels).sum(axis=0)


def map_blocks(work: Callable[..., R], *rows: Array) -> list[R]:
    """Cut arrays (M, L) into blocks of about 512 KB, call work on each block of all arrays, and return the results.

    The blocks are distributed over the threads; the results are in the order of the blocks.
    """
    step = max(1, _BLOCK_BYTES // (rows[0].shape[1] * rows[0].itemsize))
    starts = range(0, len(rows[0]), step)

    def each(part: Sequence[int]) -> list[R]:
        return [work(*(array[start : start + step] for array in rows)) for start in part]

    if len(starts) < _FEW:
        return each(starts)
    return [result for share in parallel(each, starts) for result in share]


def selected(values: Array, condition: Array, out: Array | None = None) -> Array:
    """Return the values where a condition holds, 0 elsewhere.

    ``values * condition`` would turn an infinite value into NaN, and `numpy.where` takes seven times as long. A bitwise
    AND with a mask (all bits set, or none) takes as long as the product.
    """
    bits = np.dtype(f"i{values.itemsize}")
    mask = np.negative(condition.view(np.int8))  # -1, which has all bits set, or 0
    return np.bitwise_and(values.view(bits), mask, out=None if out is None else out.view(bits)).view(values.dtype)


# Blocks of a convolution


class Block(NamedTuple):
    """A part of an output: ``y[block]`` is that part of an array y (N, Ho, Wo, ...)."""

    images: slice
    rows: slice
    cols: slice

    @property
    def extent(self) -> Extent:
        """The number of images, rows and columns."""
        images, rows, cols = self
        return images.stop - images.start, rows.stop - rows.start, cols.stop - cols.start


def blocks(shape: tuple[int, ...], bytes_per_pixel: int, budget: int) -> list[Block]:
    """Cut an output (N, Ho, Wo, ...) into blocks of at most ``budget`` bytes of columns, but at least one pixel.

    A block is whole images if they fit, else whole rows of one image, else a part of one row: an 8K-wide row of 9x9x64
    patches takes 160 MB. The blocks are nearly equal in size, since the matrix product of a small block is slow.
    """
    images, rows, cols = shape[:3]
    pixels = max(1, budget // bytes_per_pixel)
    parts = _cut(images, max(1, pixels // (rows * cols))), _cut(rows, max(1, pixels // cols)), _cut(cols, pixels)
    return [Block(*part) for part in itertools.product(*parts)]


def _cut(length: int, most: int) -> list[slice]:
    """Cut a length into as few parts of at most ``most`` as possible, nearly equal in size."""
    step = -(-length // -(-length // most))
    return [slice(start, min(start + step, length)) for start in range(0, length, step)]


def block_bytes(largest: int = CACHED) -> int:
    """Return the allowed bytes of the largest of a block's three arrays: they must fit the workspace and the cache."""
    return min(workspace_bytes() // 6, largest)


# Memory that each thread keeps, since the first access to new memory takes as long as the work done in it. It maps
# names to flat buffers; "made" holds views of them that take long to create.
_kept = threading.local()


def scratch(name: str, dtype: Any, *shape: int) -> Array:
    """Return this thread's array of that name, uninitialized. The next call with that name reuses its memory."""
    length, key = math.prod(shape), f"{name} {np.dtype(dtype).char}"
    flat = vars(_kept).get(key)
    if flat is None or flat.size < length:
        vars(_kept).update({"made": {}, "zeros around": None})  # they hold views of the old buffer
        flat = vars(_kept)[key] = np.empty(length, dtype)
    return flat[:length].reshape(shape)


def per_thread(make: Callable[..., R], *key: Hashable) -> R:
    """Return ``make(*key)``, cached for this thread until one of its buffers grows.

    At most 64 results are cached, which is more than a network has kinds of layers.
    """
    made: dict[Hashable, R] = vars(_kept).get("made", {})
    if (make, key) not in made:
        value = make(*key)
        made = vars(_kept).setdefault("made", {})  # `make` may have made a buffer grow
        if len(made) >= 64:
            made.clear()
        made[make, key] = value
    return made[make, key]


def patch(x: Array, images: slice, top: int, left: int, tall: int, wide: int) -> Array:
    """Return rows top..top+tall and columns left..left+wide of some images, with zeros outside the images.

    The result is a view if the patch lies inside the images, else a copy in scratch memory. The zeros are written only
    if the previous patch in that memory had another form.
    """
    _, height, width, channels = x.shape
    # For a patch outside the image, max(..., 0) makes the slice empty; a negative end would count from the end.
    row, col = max(top, 0), max(left, 0)
    inside = x[images, row : max(min(top + tall, height), 0), col : max(min(left + wide, width), 0)]
    if inside.shape[1] == tall and inside.shape[2] == wide:
        return inside
    form = (len(inside), tall, wide, channels), inside.shape, (row - top, col - left), x.dtype
    padded = scratch("padded", x.dtype, *form[0])
    if vars(_kept).get("zeros around") != form:
        padded.fill(0)
        vars(_kept)["zeros around"] = form
    padded[:, row - top :, col - left :][:, : inside.shape[1], : inside.shape[2]] = inside
    return padded
