"""Upscaled images side by side, with an enlarged detail and the scores of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from minisrgan.backend import Array
from minisrgan.errors import ArgumentError, ShapeError
from minisrgan.images import rgb_to_y
from minisrgan.images.pixels import require_image
from minisrgan.images.quality import correlate, squares
from minisrgan.inference.evaluate import Score
from minisrgan.show.scores import shorten
from minisrgan.show.style import PALETTE, SMALL, TEXT, TITLE, Axes, Figure, new_figure

Zoom = tuple[int, int, int, int]  # top, left, height, width of a detail in pixels

_COLUMN, _GAP, _MARGIN = 2.2, 0.1, 0.1  # inches: width of a picture, space between two, space at the edge
_SLOT, _LINE, _FOOTNOTE = 3.3, 0.3, 0.3  # inches: width kept for the photo, height of a line of text, of the note
_TALLEST = 2  # columns; taller details are drawn narrower


@dataclass(frozen=True)
class Strip:
    """A row of `strips_figure`: a photo with a box, the details in the box by name, and a caption for each detail."""

    title: str
    photo: Array
    zoom: Zoom
    details: Mapping[str, Array]
    captions: Mapping[str, str]


def make_strip(
    title: str, pictures: Mapping[str, Array], scores: Mapping[str, Score], zoom: Zoom | None = None
) -> Strip:
    """Cut the details of images for a strip; the last image, usually the original, is also kept as a whole.

    pictures  name -> uint8 image, (H, W, 3) or (H, W), all of one shape
    scores    PSNR and SSIM (Daala's) for the lines below the images, where available
    zoom      (top, left, height, width) of the detail in pixels; by default `busy_detail` of the last picture
    Errors    ArgumentError for a detail outside the image, ShapeError, DTypeError
    """
    photo = list(pictures.values())[-1]
    zoom = zoom or busy_detail(photo)
    for name, picture in pictures.items():
        require_image("make_strip", picture)
        if picture.shape != photo.shape:
            fix = "enlarge small ones first: nearest(image, 4), imresize(image, 4)"
            expected, got = f"pictures of shape {photo.shape}", f"{name} of {picture.shape}"
            raise ShapeError("make_strip", expected=expected, got=got, fix=fix)
    top, left, height, width = zoom
    rows, columns = photo.shape[:2]
    if min(top, left) < 0 or min(height, width) < 1 or top + height > rows or left + width > columns:
        expected = f"a detail (top, left, height, width) inside a picture of {rows} x {columns} pixels"
        fix = "top and left count from the upper left corner"
        raise ArgumentError("make_strip", expected=expected, got=f"zoom={zoom}", fix=fix)
    details = {name: picture[top : top + height, left : left + width].copy() for name, picture in pictures.items()}
    captions = {name: f"{score.psnr:.2f} dB / {score.ssim_daala:.4f}" for name, score in scores.items()}
    return Strip(title, photo, zoom, details, captions)


def strips_figure(strips: Sequence[Strip], note: str = "") -> Figure:
    """Draw strips below one another, as in the figures of the SRGAN paper: the photo with its box, then the details.

    strips  at least one
    note    a line at the bottom
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
            axes = _draw(figure, detail, (x + (_COLUMN - wide) / 2, y, wide, tall))
            axes.images[0].set_interpolation("nearest")  # pixels as squares
            axes.spines[:].set(color=PALETTE[1], linewidth=1.5)
            write(shorten(name, 22), x + _COLUMN / 2, y - 0.08, TITLE, "bold")
            if name in strip.captions:
                write(strip.captions[name], x + _COLUMN / 2, y + tall + 0.2, TEXT)
        y += tall + _LINE
    if note:
        figure.text(_MARGIN / page_width, 0.1 / page_height, note, fontsize=SMALL, color="0.35")
    return figure


def busy_detail(photo: Array, side: int | None = None) -> Zoom:
    """Choose a square detail with much fine structure, where enlargements differ most.

    The luminance is divided into blocks of 4 x 4 pixels. Of all squares at multiples of 4, the one with the largest sum
    of the blocks' standard deviations is chosen. Standard deviations, not variances, are used so that texture in the
    whole square counts more than one sharp edge.

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
    spreads = squares(rgb_to_y(photo), block).std(axis=(1, 2)).reshape(1, -1, photo.shape[1] // block)
    sums = correlate(spreads, np.ones(side // block))[0]
    top, left = np.unravel_index(sums.round(6).argmax(), sums.shape)
    return int(top) * block, int(left) * block, side, side


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
    corner = (left - 0.5, top - 0.5)  # the centre of a pixel has integer coordinates
    frame = Rectangle(corner, width, height, fill=False, edgecolor=PALETTE[1], linewidth=1.5)
    frame.set_path_effects([withStroke(linewidth=3, foreground="white")])  # visible on orange, too
    axes.add_patch(frame)
    axes.spines[:].set(color="0.5", linewidth=0.5)
