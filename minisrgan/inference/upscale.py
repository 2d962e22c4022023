"""A photograph through the generator, whole or in tiles that leave no seams."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from minisrgan.autograd import Tensor, no_grad
from minisrgan.backend import Array, array_module, to_numpy
from minisrgan.errors import ArgumentError, ImageError
from minisrgan.models import Generator

_MEMORY = 1 << 30  # what feature maps may take before an image is cut into tiles


def upscale(generator: Generator, image: Array, tile: int | None = None) -> Array:
    """Enlarge a photograph.

    image    uint8 (H, W, 3) RGB
    tile     side of the tiles in pixels of the input; by default the whole image at once where its feature maps fit
             into 1 GB, and else the largest tiles that do
    Returns  uint8 (scale*H, scale*W, 3)
    Errors   ImageError for what is not a uint8 RGB image; ArgumentError for a tile below 1

    Every tile is computed with a margin of the generator's receptive field (40 pixels for the paper's) and the margin
    is cut off, so an output pixel sees what it would have seen in the whole image.

    >>> upscale(Generator(scale=2, channels=4, blocks=1), np.zeros((3, 5, 3), np.uint8)).shape
    (6, 10, 3)
    """
    if getattr(image, "ndim", 0) != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or 0 in image.shape:
        raise ImageError(
            "upscale",
            expected="a uint8 RGB image (H, W, 3)",
            got=f"{getattr(image, 'dtype', type(image).__name__)} {getattr(image, 'shape', '')}".strip(),
            fix="read it with minisrgan.images.read_image",
        )
    if tile is not None and tile < 1:
        raise ArgumentError("upscale", expected="tile >= 1", got=str(tile), fix="256 is a good size")
    scale, margin = generator.scale, math.ceil(generator.receptive_radius)
    height, width = image.shape[:2]
    side = tile or _largest_tile(generator, height, width, margin)
    out = np.empty((height * scale, width * scale, 3), np.uint8)
    modes = [(module, module.training) for _, module in generator.named_modules()]
    generator.eval()
    try:
        for rows, cols in _tiles(height, width, side):
            top, left = max(0, rows.start - margin), max(0, cols.start - margin)
            part = image[top : rows.stop + margin, left : cols.stop + margin]
            large = _generate(generator, part)
            inner = large[(rows.start - top) * scale :, (cols.start - left) * scale :]
            size = ((rows.stop - rows.start) * scale, (cols.stop - cols.start) * scale)
            out[rows.start * scale : rows.stop * scale, cols.start * scale : cols.stop * scale] = inner[
                : size[0], : size[1]
            ]
    finally:
        for module, training in modes:
            module.training = training
    return out


def _generate(generator: Generator, image: Array) -> Array:
    """Turn bytes to [0, 1], run the generator, and turn [-1, 1] back to bytes, rounded."""
    xp = array_module(generator.conv_first.weight.data)
    low = xp.asarray(image[None], dtype=np.float32) / np.float32(255)
    with no_grad():
        high = to_numpy(generator(Tensor(low)).data)[0]
    return ((high + 1) * np.float32(127.5)).round().clip(0, 255).astype(np.uint8)


def _largest_tile(generator: Generator, height: int, width: int, margin: int) -> int:
    """Return the side of tiles that fit the memory: four float32 feature maps at the output's size live at once."""
    pixels = _MEMORY // (4 * 4 * generator.width * generator.scale**2)
    if height * width <= pixels:
        return max(height, width)
    return max(64, math.isqrt(pixels) - 2 * margin)


def _tiles(height: int, width: int, side: int) -> Iterator[tuple[slice, slice]]:
    """Cut an image into squares, smaller at the right and lower border."""
    for top in range(0, height, side):
        for left in range(0, width, side):
            yield slice(top, min(top + side, height)), slice(left, min(left + side, width))
