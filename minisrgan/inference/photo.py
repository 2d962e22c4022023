"""A photograph with all that belongs to it: grey, 16 bits, transparency, any factor."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np

from minisrgan.backend import Array
from minisrgan.errors import ArgumentError
from minisrgan.images import imresize
from minisrgan.images.photo import Photo
from minisrgan.inference.upscale import Progress, upscale
from minisrgan.models import Generator


def upscale_photo(
    generator: Generator, photo: Photo, factor: float | None = None, *, progress: Progress | None = None, **options: Any
) -> Photo:
    """Enlarge a photograph: pixels by the generator, transparency by bicubic; profile and EXIF are passed on.

    factor    by default the generator's scale. For any other, 1 or more, the generator runs as often as it takes to
              reach it, and bicubic shrinks the result: x2 and x3 are one run of an x4 generator, x6 and x16 are two.
    options   tile, overlap, memory and ensemble of `upscale`; the memory is that of a run, without the shrinking
    progress  called as by `upscale`, with the pixels of all runs
    Errors    those of `upscale`; ArgumentError for a factor below 1

    >>> large = upscale_photo(Generator(4, channels=4, blocks=1), Photo(np.zeros((3, 5, 1), np.uint16)), 2.5)
    >>> large.pixels.shape, large.pixels.dtype.name
    ((8, 13, 1), 'uint16')
    """
    factor = generator.scale if factor is None else factor
    if not 1 <= factor < math.inf:
        raise ArgumentError("upscale_photo", expected="a factor from 1 on", got=f"{factor:g}", fix="2 doubles the size")
    runs = next(count for count in itertools.count(1) if generator.scale**count >= factor)
    area, pixels = photo.pixels.shape[0] * photo.pixels.shape[1], photo.pixels
    areas = [area * generator.scale ** (2 * run) for run in range(runs)]
    for run in range(runs):

        def advance(done: int, _: int, before: int = sum(areas[:run])) -> None:
            if progress:
                progress(before + done, sum(areas))

        pixels = upscale(generator, pixels, progress=advance, **options)
    pixels = _resize(pixels, factor / generator.scale**runs)
    return replace(photo, pixels=pixels, alpha=None if photo.alpha is None else _resize(photo.alpha, factor))


def _resize(levels: Array, factor: float) -> Array:
    """Resize 8 or 16 bits by bicubic."""
    if factor == 1 or levels.dtype == np.uint8:
        return levels if factor == 1 else imresize(levels, factor)
    return imresize(levels.astype(np.float32), factor).round().clip(0, np.iinfo(levels.dtype).max).astype(levels.dtype)
