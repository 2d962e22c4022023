"""The cut of an image into tiles."""

from __future__ import annotations

import numpy as np
import pytest

from minisrgan.inference.tiles import GRID, SMALLEST, around, best_sides, cut, scaled


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (33, 17), (64, 64)])
@pytest.mark.parametrize("sides", [(16, 16), (5, 90), (64, 3)])
def test_every_pixel_belongs_to_one_tile(size: tuple[int, int], sides: tuple[int, int]) -> None:
    """A row that no tile has is left as it was in memory; a row of two is computed twice."""
    count = np.zeros(size, int)
    for part in cut((slice(0, size[0]), slice(0, size[1])), sides):
        count[part] += 1
        outer = around(part, 10, size)
        assert all(o.start % GRID == 0 for o in outer)
        for inner, wider, length in zip(part, outer, size, strict=True):
            assert wider.start <= max(0, inner.start - 10)
            assert wider.stop == min(length, inner.stop + 10)
        assert scaled(part, 2, part) == tuple(slice(0, 2 * (s.stop - s.start)) for s in part)
    assert (count == 1).all()


@pytest.mark.parametrize("size", [(270, 480), (480, 270), (1080, 1920), (1, 20_000), (500, 500)])
@pytest.mark.parametrize("pixels", [10_000, 40_000, 90_000])
def test_the_best_tiles_fit_and_no_square_is_better(size: tuple[int, int], pixels: int) -> None:
    """A tile over the limit breaks the promise of --memory; wide margins around small tiles double the time."""

    def computed(sides: tuple[int, int]) -> list[int]:
        parts = [around(part, 40, size) for part in cut((slice(0, size[0]), slice(0, size[1])), sides)]
        return [(rows.stop - rows.start) * (cols.stop - cols.start) for rows, cols in parts]

    found = computed(best_sides(*size, 40, pixels))
    assert max(found) <= pixels
    squares = [computed((side, side)) for side in range(SMALLEST, 300, GRID)]
    assert sum(found) <= min(sum(areas) for areas in squares if max(areas) <= pixels)


def test_an_image_that_fits_is_not_cut() -> None:
    """Photographs of common sizes would take longer for nothing."""
    assert best_sides(270, 480, 40, 270 * 480) == (270, 480)
    assert best_sides(3, 1, 40, 3) == (3, 1)
