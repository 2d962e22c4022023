"""Upscale a photograph of any kind: grey, 16 bits, with transparency, and by any factor."""

import itertools
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Unpack

import numpy as np

from minisrgan.backend import Array
from minisrgan.errors import ArgumentError, ImageError
from minisrgan.images import imresize
from minisrgan.images.pixels import Photo, continue_colours
from minisrgan.inference.upscale import MEMORY, Options, upscale, upscale_bands
from minisrgan.models import Generator


def upscale_photo(
    generator: Generator, photo: Photo, factor: float | None = None, tile: int | None = None, **options: Unpack[Options]
) -> Photo:
    """Enlarge a photograph: the pixels with the generator, transparency with bicubic; its metadata are kept.

    All pages or frames are enlarged. Fully transparent pixels first get the colours around them.

    factor    by default the generator's scale. For any other factor, 1 or more, the generator runs repeatedly until its
              result is large enough, and bicubic shrinks it: x2 and x3 need one run of a x4 generator, x6 and x16 two.
    tile, options
              as for `upscale`; the memory is that of one run, without the shrinking, and progress is called with the
              pixels of all runs
    Errors    those of `upscale`; ImageError before the first run if a later one needs more memory; ArgumentError for a
              factor below 1

    >>> large = upscale_photo(Generator(4, channels=4, blocks=1), Photo(np.zeros((3, 5, 1), np.uint16)), 2.5)
    >>> large.pixels.shape, large.pixels.dtype.name
    ((8, 13, 1), 'uint16')
    """
    factor = generator.scale if factor is None else factor
    if not 1 <= factor < math.inf:
        raise ArgumentError("upscale_photo", expected="a factor from 1 on", got=f"{factor:g}", fix="2 doubles the size")
    runs = next(count for count in itertools.count(1) if generator.scale**count >= factor)
    size, memory = photo.pixels.nbytes * generator.scale ** (2 * runs), options.get("memory", MEMORY)
    if runs > 1 and size > memory:  # for a single run, `upscale` raises this error
        expected, got = f"a result of at most {memory / 1e6:,.0f} MB", f"{size / 1e6:,.0f} MB, before it is shrunk"
        raise ImageError("upscale_photo", expected=expected, got=got, fix="a smaller factor, or more memory")
    pages = photo, *photo.more
    areas = [page.pixels[..., 0].size * generator.scale ** (2 * run) for page in pages for run in range(runs)]
    large, finished, progress = list[Photo](), 0, options.get("progress")
    for page in pages:
        pixels, alpha = page.pixels, page.alpha
        if alpha is not None:
            pixels, alpha = continue_colours(pixels, alpha), _resize(alpha, factor)
        for _ in range(runs):

            def advance(done: int, _: int, before: int = finished) -> None:
                if progress:
                    progress(before + done, sum(areas))

            finished += pixels[..., 0].size
            options["progress"] = advance
            pixels = upscale(generator, pixels, tile, **options)
        large.append(replace(page, pixels=_resize(pixels, factor / generator.scale**runs), alpha=alpha, more=()))
    return replace(large[0], more=tuple(large[1:]))


def photo_bands(
    generator: Generator, photo: Photo, tile: int | None = None, **options: Unpack[Options]
) -> Iterator[Photo]:
    """Enlarge a photograph of one page by the generator's scale, and return the result in bands of rows.

    As `upscale_photo`, but the result need not be in memory as a whole.

    tile, options
              as for `upscale`

    >>> bands = photo_bands(Generator(2, channels=4, blocks=1), Photo(np.zeros((20, 5, 1), np.uint8)), tile=16)
    >>> [band.pixels.shape for band in bands]
    [(32, 10, 1), (8, 10, 1)]
    """
    pixels, alpha, top = photo.pixels, photo.alpha, 0
    if alpha is not None:
        pixels = continue_colours(pixels, alpha)
    for band in upscale_bands(generator, pixels, tile, **options):
        end, clear = top + len(band) // generator.scale, None
        if alpha is not None:  # bicubic looks 2 pixels further
            above = min(top, 4)
            large = _resize(alpha[top - above : end + 4], generator.scale)
            clear = large[above * generator.scale :][: len(band)]
        yield replace(photo, pixels=band, alpha=clear)
        top = end


def _resize(levels: Array, factor: float) -> Array:
    """Resize an 8-bit or 16-bit array with bicubic."""
    if factor == 1 or levels.dtype == np.uint8:
        return levels if factor == 1 else imresize(levels, factor)
    return imresize(levels.astype(np.float32), factor).round().clip(0, np.iinfo(levels.dtype).max).astype(levels.dtype)
