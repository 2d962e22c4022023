"""Strips as in the paper's figures: the photo with a box, and the details under each method."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from minisrgan.errors import ArgumentError, ConfigError, ShapeError
from minisrgan.images import imresize, nearest
from minisrgan.inference.evaluate import Score
from minisrgan.show.comparison import busy_detail, make_strip, strips_figure
from minisrgan.show.style import require_figure

pytest.importorskip("matplotlib")


def pictures(height: int = 40, width: int = 60) -> dict[str, np.ndarray]:
    """Two enlargements and their original."""
    original = np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)
    small = imresize(original, 1 / 4)
    return {"nearest": nearest(small, 4), "bicubic": imresize(small, 4), "original": original}


SCORES = {"nearest": Score(20.0, 0.5), "bicubic": Score(float("inf"), 1.0)}


def test_strip_shows_what_is_in_the_box() -> None:
    """Details of another place than the frame shows, or numbers below another method."""
    images = pictures()
    strip = make_strip(r"$\frac$.png", images, SCORES, (8, 4, 10, 20))
    figure = strips_figure([strip], "a note")
    assert all(text.get_window_extent().width > 0 for text in figure.texts)  # a name is no formula, which may be wrong
    photo, *details = figure.axes
    assert np.array_equal(photo.images[0].get_array(), images["original"])
    assert photo.patches[0].get_bbox().bounds == (3.5, 7.5, 20, 10)
    for detail, image in zip(details, images.values(), strict=True):
        assert np.array_equal(detail.images[0].get_array(), image[8:18, 4:24])
        assert detail.images[0].get_interpolation() == "nearest"
    texts = [text.get_text() for text in figure.texts]
    assert texts == [r"$\frac$.png", "nearest", "20.00 dB / 0.5000", "bicubic", "inf dB / 1.0000", "original", "a note"]


def test_a_strip_keeps_only_what_it_shows() -> None:
    """Views into every enlargement of every photo would hold them all in memory until the figure is drawn."""
    strip = make_strip("a", pictures(), SCORES, (8, 4, 10, 20))
    assert all(detail.base is None for detail in strip.details.values())


@pytest.mark.parametrize("shape", [(40, 160), (160, 40), (48, 48)])
def test_nothing_overlaps(shape: tuple[int, int]) -> None:
    """Panorama, portrait and square, flat and very tall details, names too long: all inside, none over another."""
    images = pictures(*shape) | {"a_model_with_a_very_long_name_of_its_own": pictures(*shape)["bicubic"]}
    zooms = [(4, 4, 8, 30), (4, 4, 30, 30), (0, 0, 36, 2)]
    figure = strips_figure([make_strip("photo " * 10, images, SCORES, zoom) for zoom in zooms], "note")
    figure.canvas.draw()
    assert figure.get_figheight() < 12  # no page as long as the tallest detail would have it
    for axes in figure.axes:
        box, (rows, cols) = axes.get_window_extent(), axes.images[0].get_array().shape[:2]
        assert box.height / box.width == pytest.approx(rows / cols, rel=1e-3)
    boxes = [part.get_window_extent() for part in (*figure.axes, *figure.texts)]
    for number, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.width
        assert box.y1 <= figure.bbox.height
        assert not any(box.overlaps(other) for other in boxes[number + 1 :])


def test_busy_detail_prefers_texture_to_a_hard_edge() -> None:
    """Chosen by variance alone, the detail would be a black and white edge that every method gets right."""
    photo = np.full((120, 200), 40, np.uint8)
    photo[:, 102:] = 255  # one edge of full contrast, through the blocks
    photo[60:92, 20:52] = np.random.default_rng(0).integers(40, 140, (32, 32))
    top, left, height, width = busy_detail(photo)
    assert (top, left, height, width) == (60, 20, 32, 32)


@pytest.mark.parametrize("shape", [(3, 5, 3), (31, 90, 3), (64, 64), (1000, 700, 3)])
def test_busy_detail_lies_inside(shape: tuple[int, ...]) -> None:
    """Small photos and odd sizes: a square beyond the border would be refused, without an option given."""
    photo = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    for side in (None, 8, 4000):
        top, left, height, width = busy_detail(photo, side)
        assert min(top, left) >= 0
        assert 1 <= height == width <= 160 or side == 4000
        assert top + height <= shape[0]
        assert left + width <= shape[1]


def test_refused(tmp_path: Path) -> None:
    """A detail beyond the border would be cut without a word; a bad file name is found after the work."""
    with pytest.raises(ArgumentError, match="zoom"):
        make_strip("a", pictures(), {}, (38, 0, 4, 4))
    with pytest.raises(ShapeError, match="small"):
        make_strip("a", {"small": np.zeros((9, 9, 3), np.uint8)} | pictures(), {}, (0, 0, 4, 4))
    with pytest.raises(ConfigError, match=r"\.html"):
        require_figure(tmp_path / "a.jpg", ".html")
    require_figure(tmp_path / "a.PDF")
