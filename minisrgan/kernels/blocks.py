"""How elementwise kernels walk over an array: in blocks of rows that stay in cache between two passes."""

from __future__ import annotations

from collections.abc import Iterator

from minisrgan.backend import Array

_BLOCK_BYTES = 256 << 10


def channel_rows(x: Array) -> Array:
    """See (..., C) as rows (M, C) of one value a channel."""
    return x.reshape(-1, x.shape[-1])


def row_blocks(rows: Array) -> Iterator[slice]:
    """Cut (M, C) into blocks of about 256 KB."""
    step = max(1, _BLOCK_BYTES // (rows.shape[1] * rows.itemsize))
    for start in range(0, len(rows), step):
        yield slice(start, start + step)
