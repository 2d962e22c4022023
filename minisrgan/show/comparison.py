"""Upscaled pictures side by side, with an enlarged detail and the numbers of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from minisrgan.backend import Array
from minisrgan.errors import ArgumentError, ConfigError, ShapeError
from minisrgan.images import rgb_to_y
from minisrgan.images.checks import require_image
from minisrgan.inference.evaluate import Score
from minisrgan.show.scores import shorten
from minisrgan.show.style import _KINDS, PALETTE, SMALL, TEXT, TITLE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Zoom = tuple[int, int, int, int]  # top, left, height, width of a detail in pixels

_COLUMN, _GAP, _MARGIN = 2.2, 0.1, 0.1  # inches: width of a picture, space between two, space at the edge
_SLOT, _LINE, _FOOTNOTE = 3.3, 0.3, 0.3  # inches: width kept for the photo, height of a line of text, of the note
_TALLEST = 2  # columns: taller details are drawn narrower


@dataclass(frozen=True)
class Strip:
    """A row of `strips_figure`: a photo with a box, and what is in the box, name -> detail, with a line below each."""

    title: str
    photo: Array
    zoom: Zoom
    details: Mapping[str, Array]
    captions: Mapping[str, str]


def make_strip(
    title: str, pictures: Mapping[str, Array], scores: Mapping[str, Score], zoom: Zoom | None = None
) -> Strip:
    """Cut the details of pictures for a strip; only the last picture, by custom the original, is kept whole.

    pictures  name -> uint8 picture, (H, W, 3) or (H, W), all of one shape
    scores    PSNR and SSIM (Daala's) for the lines below, of those pictures that have them
    zoom      (top, left, height, width) of the detail in pixels; by default `busy_detail` of the last picture
    Errors    ArgumentError for a detail beyond the picture, ShapeError, DTypeError
    """
    photo = list(pictures.values())[-1]
    zoom = zoom or busy_detail(photo)
    _require_alike("make_strip", pictures, photo.shape, zoom)
    top, left, height, width = zoom
    details = {name: picture[top : top + height, left : left + width].copy() for name, picture in pictures.items()}
    captions = {name: f"{score.psnr:.2f} dB / {score.ssim_daala:.4f}" for name, score in scores.items()}
    return Strip(title, photo, zoom, details, captions)


def strips_figure(strips: Sequence[Strip], note: str = "") -> Figure:
    """Draw strips below each other, as in figures of the SRGAN paper: the photo with its box, then the details.

    strips  at least one
    note    a line at the foot
    Errors  ConfigError if matplotlib is not installed

    >>> ramp = np.arange(0, 192, 4, dtype=np.uint8).reshape(1, 48).repeat(32, axis=0)
    >>> strip = make_strip("ramp", {"darker": ramp // 2, "original": ramp}, {"darker": Score(9.5, 0.75)}, (8, 8, 8, 8))
    >>> [text.get_text() for text in strips_figure([strip]).texts]
    ['ramp', 'darker', '9.50 dB / 0.7500', 'original']
    """
    columns = max(len(strip.details) for strip in strips)
    talls = [_COLUMN * min(strip.zoom[2] / strip.zoom[3], _TALLEST) for strip in strips]
    page_width = 2 * _MARGIN + _SLOT + columns * (_COLUMN + _GAP)
    page_height = sum(talls) + len(strips) * 2 * _LINE + _FOOTNOTE
    figure = new_figure(page_width, page_height)

    def write(text: str, x: float, y: float, size: int, weight: str = "normal") -> None:
        place = (x / page_width, 1 - y / page_height)
        figure.text(*place, text, fontsize=size, weight=weight, ha="center", parse_math=False)

    y = 0.0
    for strip, tall in zip(strips, talls, strict=True):
        y += _LINE
        shrink = min(_SLOT / strip.photo.shape[1], tall / strip.photo.shape[0])  # inches a pixel
        width, height = strip.photo.shape[1] * shrink, strip.photo.shape[0] * shrink
        _draw_framed(figure, strip.photo, (_MARGIN + (_SLOT - width) / 2, y, width, height), strip.zoom)
        write(shorten(strip.title), _MARGIN + _SLOT / 2, y + height + 0.2, TEXT)
        for column, (name, detail) in enumerate(strip.details.items()):
            x = _MARGIN + _SLOT + _GAP + column * (_COLUMN + _GAP)
            wide = tall * detail.shape[1] / detail.shape[0]
            _draw_detail(figure, detail, (x + (_COLUMN - wide) / 2, y, wide))
            write(shorten(name, 22), x + _COLUMN / 2, y - 0.08, TITLE, "bold")
            if name in strip.captions:
                write(strip.captions[name], x + _COLUMN / 2, y + tall + 0.2, TEXT)
        y += tall + _LINE
    if note:
        figure.text(_MARGIN / page_width, 0.1 / page_height, note, fontsize=SMALL, color="0.35")
    return figure


def busy_detail(photo: Array, side: int | None = None) -> Zoom:
    """Choose a square detail with much fine structure, where enlargements differ most.

    The luminance is cut into blocks of 4 x 4 pixels. Of all squares at multiples of 4, the one with the largest sum of
    the blocks' standard deviations is chosen: deviations rather than variances, so that texture all over counts more
    than one hard edge.

    side     by default about a quarter of the shorter side, but 32 to 160 pixels; never more than the shorter side
    Returns  (top, left, height, width)

    >>> photo = np.zeros((64, 96), np.uint8)
    >>> photo[20:52:2, 40:72] = 255
    >>> busy_detail(photo)
    (20, 40, 32, 32)
    """
    shorter = min(photo.shape[:2])
    side = min(side or min(max(shorter // 16 * 4, 32), 160), shorter)
    block = min(4, side)
    rows, cols, count = photo.shape[0] // block, photo.shape[1] // block, side // block
    blocks = rgb_to_y(photo)[: rows * block, : cols * block].reshape(rows, block, cols, block)
    total = np.zeros((rows + 1, cols + 1))
    total[1:, 1:] = blocks.std(axis=(1, 3)).cumsum(axis=0).cumsum(axis=1)  # (rows, cols) from (rows, 4, cols, 4)
    squares = total[count:, count:] - total[:-count, count:] - total[count:, :-count] + total[:-count, :-count]
    top, left = np.unravel_index(squares.round(6).argmax(), squares.shape)
    return int(top) * block, int(left) * block, side, side


def _require_alike(what: str, images: Mapping[str, Array], shape: tuple[int, ...], zoom: Zoom) -> None:
    """Refuse pictures of different shapes, and a detail that is not inside them."""
    for name, image in images.items():
        require_image(what, image)
        if image.shape != shape:
            told, fix = f"pictures of shape {shape}", "enlarge small ones first: nearest(image, 4), imresize(image, 4)"
            raise ShapeError(what, expected=told, got=f"{name} of {image.shape}", fix=fix)
    top, left, height, width = zoom
    if min(top, left) < 0 or min(height, width) < 1 or top + height > shape[0] or left + width > shape[1]:
        told = f"a detail (top, left, height, width) inside a picture of {shape[0]} x {shape[1]} pixels"
        raise ArgumentError(
            what, expected=told, got=f"zoom={zoom}", fix="top and left count from the upper left corner"
        )


def _draw(figure: Figure, image: Array, box: tuple[float, float, float, float]) -> Axes:
    """Show an image; the box is (left, top, width, height) in inches from the upper left corner."""
    page_width, page_height = figure.get_size_inches()
    x, y, width, height = box
    place = (x / page_width, 1 - (y + height) / page_height, width / page_width, height / page_height)
    axes = figure.add_axes(place, xticks=[], yticks=[])
    axes.imshow(image, cmap="gray", vmin=0, vmax=255, aspect="auto")
    return axes


def _draw_framed(figure: Figure, image: Array, box: tuple[float, float, float, float], zoom: Zoom) -> None:
    """Show an image with its detail framed."""
    from matplotlib.patches import Rectangle
    from matplotlib.patheffects import withStroke

    axes, (top, left, height, width) = _draw(figure, image, box), zoom
    corner = (left - 0.5, top - 0.5)  # a pixel is drawn around its whole-numbered centre
    frame = Rectangle(corner, width, height, fill=False, edgecolor=PALETTE[1], linewidth=1.5)
    frame.set_path_effects([withStroke(linewidth=3, foreground="white")])  # seen on orange too
    axes.add_patch(frame)
    axes.spines[:].set(color="0.5", linewidth=0.5)


def _draw_detail(figure: Figure, detail: Array, place: tuple[float, float, float]) -> None:
    """Show a detail with its pixels as squares; the place is (left, top, width) in inches."""
    axes = _draw(figure, detail, (*place, place[2] * detail.shape[0] / detail.shape[1]))
    axes.images[0].set_interpolation("nearest")
    axes.spines[:].set(color=PALETTE[1], linewidth=1.5)


def require_figure(path: Path, *others: str) -> None:
    """Refuse what `save_figure` would refuse, and a missing matplotlib, before long work instead of after it.

    others  further suffixes to name in the error
    Raises ConfigError.

    >>> require_figure(Path("strips.jpg"))
    Traceback (most recent call last):
    minisrgan.errors.ConfigError: ConfigError in require_figure
      expected  a file name that ends in .pdf, .png, .svg
      got       strips.jpg
      fix       .png is for the screen, .pdf for print
    """
    kinds = [f".{kind}" for kind in _KINDS]
    if path.suffix.lower() not in kinds:
        told = f"a file name that ends in {', '.join([*kinds, *others])}"
        raise ConfigError("require_figure", expected=told, got=str(path), fix=".png is for the screen, .pdf for print")
    new_figure(1, 1)
