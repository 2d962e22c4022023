"""Upscaled pictures side by side, with an enlarged detail and the numbers of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from minisrgan.backend import Array
from minisrgan.errors import ArgumentError, ShapeError
from minisrgan.images import psnr, ssim
from minisrgan.images.checks import require_image
from minisrgan.images.quality import SSIMMethod
from minisrgan.show.style import PALETTE, SMALL, TEXT, TITLE, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMN, _GAP, _MARGIN = 2.2, 0.1, 0.1  # inches: width of a picture, space between two, space at the edge
_HEADING, _FOOTNOTE = 0.5, 0.3  # inches: name and numbers above, the note below


def comparison_figure(
    images: Mapping[str, Array], *, reference: str, zoom: tuple[int, int, int, int], method: SSIMMethod = "daala"
) -> Figure:
    """Draw pictures in a row, each above its enlarged detail, with PSNR and SSIM against the reference.

    images     name -> uint8 picture, (H, W, 3) or (H, W), all of one shape, drawn in this order
    reference  the name of the original, which gets no numbers
    zoom       (top, left, height, width) of the detail in pixels; it is framed in each picture and shown below with
               its pixels left as squares
    method     which SSIM, see `minisrgan.images.ssim`; a footnote names it
    Errors     ArgumentError for an unknown reference or a detail beyond the picture, ShapeError, DTypeError;
               ConfigError if matplotlib is not installed

    >>> import numpy as np
    >>> ramp = np.arange(0, 192, 4, dtype=np.uint8).reshape(1, 48).repeat(32, axis=0)
    >>> images = {"darker": ramp - ramp // 8, "original": ramp}
    >>> figure = comparison_figure(images, reference="original", zoom=(8, 8, 8, 8))
    >>> [text.get_text() for text in figure.texts[:3]]
    ['darker', '25.94 dB / 0.9917', 'original']
    """
    if reference not in images:
        raise ArgumentError(
            "comparison_figure",
            expected=f"a reference out of {', '.join(images) or 'at least one picture'}",
            got=f"reference={reference!r}",
            fix="give the name under which images holds the original",
        )
    shape = images[reference].shape
    for name, image in images.items():
        require_image("comparison_figure", image)
        if image.shape != shape:
            raise ShapeError(
                "comparison_figure",
                expected=f"pictures of the reference's shape, {shape}",
                got=f"{name} of {image.shape}",
                fix="enlarge the small ones first, with nearest(image, 4) or imresize(image, 4)",
            )
    top, left, height, width = zoom
    if min(top, left) < 0 or min(height, width) < 1 or top + height > shape[0] or left + width > shape[1]:
        raise ArgumentError(
            "comparison_figure",
            expected=f"a detail (top, left, height, width) inside a picture of {shape[0]} x {shape[1]} pixels",
            got=f"zoom={zoom}",
            fix="top and left count from the upper left corner",
        )

    # Laid out in inches, from the top down: matplotlib's own layout would leave gaps wherever the shapes differ.
    tall, detail_tall = _COLUMN * shape[0] / shape[1], _COLUMN * height / width
    page_width = 2 * _MARGIN + len(images) * (_COLUMN + _GAP) - _GAP
    page_height = _HEADING + tall + _GAP + detail_tall + _FOOTNOTE
    figure = new_figure(page_width, page_height)
    from matplotlib.patches import Rectangle  # after new_figure, which says what to do where matplotlib is missing
    from matplotlib.patheffects import withStroke

    def draw(image: Array, x: float, y: float, inches: float) -> Axes:
        box = (x / page_width, 1 - (y + inches) / page_height, _COLUMN / page_width, inches / page_height)
        axes = figure.add_axes(box, xticks=[], yticks=[])
        axes.imshow(image, cmap="gray", vmin=0, vmax=255, aspect="auto")
        return axes

    for column, (name, image) in enumerate(images.items()):
        x = _MARGIN + column * (_COLUMN + _GAP)
        picture = draw(image, x, _HEADING, tall)
        corner = (left - 0.5, top - 0.5)  # a pixel is drawn around its whole-numbered centre
        frame = Rectangle(corner, width, height, fill=False, edgecolor=PALETTE[1], linewidth=1.5)
        frame.set_path_effects([withStroke(linewidth=3, foreground="white")])  # seen on orange too
        picture.add_patch(frame)
        picture.spines[:].set(color="0.5", linewidth=0.5)
        detail = draw(image[top : top + height, left : left + width], x, _HEADING + tall + _GAP, detail_tall)
        detail.images[0].set_interpolation("nearest")
        detail.spines[:].set(color=PALETTE[1], linewidth=1.5)

        middle = (x + _COLUMN / 2) / page_width
        figure.text(middle, 1 - 0.22 / page_height, name, fontsize=TITLE, weight="bold", ha="center")
        if name != reference:
            original = images[reference]
            numbers = f"{psnr(image, original):.2f} dB / {ssim(image, original, method=method):.4f}"
            figure.text(middle, 1 - 0.41 / page_height, numbers, fontsize=TEXT, ha="center")
    if len(images) > 1:
        note = f"PSNR / SSIM ({method}) of the luminance against {reference}, 4 px cropped"
        figure.text(_MARGIN / page_width, 0.1 / page_height, note, fontsize=SMALL, color="0.35")
    return figure
