"""Pixel shuffle and its inverse, each one strided copy. Arithmetic: none. Bytes moved: input and output once."""

from collections.abc import Sequence

import numpy as np

from minisrgan.backend import Array, parallel


def pixel_shuffle(x: Array, factor: int) -> Array:
    """Move channels (N, H, W, C*r*r) to pixels (N, r*H, r*W, C); channel c*r*r + i*r + j goes to row i, column j."""
    n, h, w, channels = x.shape
    c = channels // factor**2
    split = x.reshape(n, h, w, c, factor, factor)  # (N, H, W, C, i, j)
    return _copy(split.transpose(0, 1, 4, 2, 5, 3)).reshape(n, h * factor, w * factor, c)  # (N, H, i, W, j, C)


def pixel_unshuffle(x: Array, factor: int) -> Array:
    """Move pixels (N, r*H, r*W, C) back to channels (N, H, W, C*r*r)."""
    n, tall, wide, c = x.shape
    h, w = tall // factor, wide // factor
    split = x.reshape(n, h, factor, w, factor, c)  # (N, H, i, W, j, C)
    return _copy(split.transpose(0, 1, 3, 5, 2, 4)).reshape(n, h, w, c * factor**2)  # (N, H, W, C, i, j)


def _copy(moved: Array) -> Array:
    """Return a contiguous copy of a transposed view; the images are distributed over the threads."""
    out = np.empty(moved.shape, moved.dtype)

    def work(images: Sequence[int]) -> None:
        part = slice(images[0], images[-1] + 1)
        out[part] = moved[part]

    parallel(work, range(len(moved)))
    return out
