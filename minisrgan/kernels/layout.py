"""Pixel shuffle and its inverse, each one strided copy. Arithmetic: none. Bytes moved: input and output once."""

from __future__ import annotations

from minisrgan.backend import Array, array_module


def pixel_shuffle(x: Array, factor: int) -> Array:
    """Move channels (N, H, W, C*r*r) to pixels (N, r*H, r*W, C); channel c*r*r + i*r + j goes to row i, column j."""
    n, h, w, channels = x.shape
    c = channels // factor**2
    split = x.reshape(n, h, w, c, factor, factor)  # (N, H, W, C, i, j)
    moved = split.transpose(0, 1, 4, 2, 5, 3)  # (N, H, i, W, j, C)
    return array_module(x).ascontiguousarray(moved).reshape(n, h * factor, w * factor, c)


def pixel_unshuffle(x: Array, factor: int) -> Array:
    """Move pixels (N, r*H, r*W, C) back to channels (N, H, W, C*r*r)."""
    n, tall, wide, c = x.shape
    h, w = tall // factor, wide // factor
    split = x.reshape(n, h, factor, w, factor, c)  # (N, H, i, W, j, C)
    moved = split.transpose(0, 1, 3, 5, 2, 4)  # (N, H, W, C, i, j)
    return array_module(x).ascontiguousarray(moved).reshape(n, h, w, c * factor**2)
