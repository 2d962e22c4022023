"""Divide an image into tiles: the division that computes the fewest pixels, and the margins of a tile."""

import itertools
import math
from typing import TypeAlias

Part: TypeAlias = tuple[slice, slice]  # rows and columns of an image

SMALLEST = 18
# The computed part of a tile starts at a multiple of 6, as Winograd's squares of 6x6 pixels do in the whole image, so
# that rounding errors are the same in both as far as possible.
GRID = 6


def cut(part: Part, sides: tuple[int, int]) -> list[Part]:
    """Divide a part into tiles of the given rows and columns, smaller at the lower and right border.

    >>> cut((slice(0, 5), slice(2, 6)), (4, 9))
    [(slice(0, 4, None), slice(2, 6, None)), (slice(4, 5, None), slice(2, 6, None))]
    """
    return list(itertools.product(_pieces(part[0], sides[0]), _pieces(part[1], sides[1])))


def _pieces(whole: slice, side: int) -> list[slice]:
    return [slice(at, min(at + side, whole.stop)) for at in range(whole.start, whole.stop, side)]


def around(part: Part, margin: int, size: tuple[int, ...]) -> Part:
    """Return a part extended by a margin, within the image, that starts on the grid.

    >>> around((slice(24, 36), slice(0, 16)), 3, (100, 18))
    (slice(18, 39, None), slice(0, 18, None))
    """
    return _wider(part[0], margin, size[0]), _wider(part[1], margin, size[1])


def _wider(inner: slice, margin: int, length: int) -> slice:
    return slice(max(0, inner.start - margin) // GRID * GRID, min(inner.stop + margin, length))


def scaled(part: Part, scale: int, within: Part = (slice(0, 0), slice(0, 0))) -> Part:
    """Return the position of a part in the enlargement of another part, by default of the whole image.

    >>> scaled((slice(8, 16), slice(0, 16)), 2, (slice(4, 19), slice(0, 18)))
    (slice(8, 24, None), slice(0, 32, None))
    """
    rows, cols = (
        slice((inner.start - outer.start) * scale, (inner.stop - outer.start) * scale)
        for inner, outer in zip(part, within, strict=True)
    )
    return rows, cols


def best_sides(height: int, width: int, margin: int, pixels: int, tallest: float = math.inf) -> tuple[int, int]:
    """Return (rows, columns) of the tiles for which the fewest pixels are computed, margins included.

    A tile has at most ``tallest`` rows, and at most ``pixels`` pixels with its margins. The whole image is used if it
    fits, and 18 x 18 if nothing larger fits.

    >>> best_sides(270, 480, 40, 130_000), best_sides(270, 480, 40, 80_000), best_sides(270, 480, 40, 100)
    ((270, 480), (270, 240), (18, 18))
    """
    fitting = [
        (all_rows * all_cols, tall, wide)
        for tall, most_rows, all_rows in _ways(height, margin)
        for wide, most_cols, all_cols in _ways(width, margin)
        if most_rows * most_cols <= pixels and tall <= tallest
    ]
    return min(fitting, default=(0, SMALLEST, SMALLEST))[1:]


def _ways(length: int, margin: int) -> list[tuple[int, int, int]]:
    """List the divisions of an axis: side of a tile, its largest side with margins, sum of all sides with margins."""
    ways = []
    for side in {length} | {-(-length // (GRID * n)) * GRID for n in range(2, length // SMALLEST + 1)}:
        parts = [_wider(piece, margin, length) for piece in _pieces(slice(0, length), side)]
        lengths = [part.stop - part.start for part in parts]
        ways.append((side, max(lengths), sum(lengths)))
    return ways
