"""Upscale a photograph with the generator, as a whole or in tiles without visible seams."""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any, Literal, TypeAlias, TypedDict, Unpack

import numpy as np

from minisrgan import backend
from minisrgan.autograd import Tensor, no_grad
from minisrgan.autograd.arguments import is_integer
from minisrgan.backend import Array, is_array
from minisrgan.errors import ArgumentError, ImageError, NonFiniteError
from minisrgan.inference.fold import folded
from minisrgan.inference.mix import Margins, self_ensemble
from minisrgan.inference.tiles import GRID, SMALLEST, Part, around, best_sides, cut, scaled
from minisrgan.models import Generator

Progress: TypeAlias = Callable[[int, int], None]

MEMORY = 10**9
_HEAD_REACH = 3  # margin of the layers from the upsampling on, in input pixels
_HEAD_PIXELS = 48 * 48  # minimum for those layers


class Options(TypedDict, total=False):
    """The keyword arguments of `upscale`, which explains them."""

    overlap: int | None
    memory: int
    ensemble: bool
    progress: Progress | None


def upscale(
    generator: Generator, image: Array, tile: int | Literal["auto"] | None = "auto", **options: Unpack[Options]
) -> Array:
    """Enlarge a photograph of any size.

    image     uint8 or uint16 (H, W, 3) RGB, or (H, W, 1) grey: computed as three equal channels, and their mean is
              rounded
    tile      side of the tiles in input pixels; "auto" (or None): the whole image if it fits into the memory, else the
              tiles, square or not, that compute the fewest pixels
    overlap   input pixels that are computed around a tile and cut off again. By default the radius of the generator's
              receptive field (40 for the paper's): an output pixel then depends on the same input pixels as in the
              whole image, and floats differ by less than 1e-5. A smaller overlap is faster, but leaves seams.
    memory    bytes that may be used besides the image, including the result; by default 1 GB
    ensemble  average over eight rotations and reflections (`self_ensemble`)
    progress  called with the number of input pixels that are done, and their total
    Returns   (scale*H, scale*W, C) of the image's dtype
    Errors    ImageError for an array that is not an image, and if the memory is too small or runs out; ArgumentError
              for what is no Generator, or for sizes that are not integers in their range; NonFiniteError for NaN in the
              result

    The layers up to the last residual block need memory for 5 feature maps of the input's size, the later layers for
    2.25 of the output's size, which is 7 times as much for x4. Therefore the first layers are computed in large tiles,
    and the later layers from their result in small tiles, which need a margin of only 3 pixels. If memory runs out
    nevertheless, tiles are halved, down to 18 pixels.

    >>> upscale(Generator(scale=2, channels=4, blocks=1), np.zeros((3, 5, 3), np.uint8)).shape
    (6, 10, 3)
    """
    return next(upscale_bands(generator, image, tile, whole=True, **options))


def upscale_bands(
    generator: Generator, image: Array, tile: int | Literal["auto"] | None = "auto", *, overlap: int | None = None,
    memory: int = MEMORY, ensemble: bool = False, progress: Progress | None = None, whole: bool = False,
) -> Iterator[Array]:  # fmt: skip
    """Enlarge a photograph as `upscale` does, and return the result in bands of rows, from the top down.

    As the result need not be in memory as a whole, it may have any height. Everything else is as in `upscale`.

    whole   return the result in a single band

    >>> bands = upscale_bands(Generator(scale=2, channels=4, blocks=1), np.zeros((20, 5, 3), np.uint8), 16)
    >>> [band.shape for band in bands]
    [(32, 10, 3), (8, 10, 3)]
    """
    _check(generator, image, tile, overlap, memory)
    scale, (height, width, channels) = generator.scale, image.shape
    margin = math.ceil(generator.receptive_radius) if overlap is None else overlap
    pixel = max(_deep_bytes(generator, ensemble), 2 * _held_bytes(generator, ensemble))
    least = pixel * min(height, SMALLEST + 2 * margin) * min(width, SMALLEST + 2 * margin)
    # A third is reserved for BLAS's buffers and for fragmentation: not all freed memory can be reused.
    least = max(least, 2 * min(_HEAD_PIXELS, height * width) * _head_bytes(generator)) * 3 // 2
    xp = backend.array_module(generator.conv_first.weight.data)
    threads = backend.thread_count() if xp is np else 1
    weights = sum(parameter.data.nbytes for parameter in generator.parameters())  # for a copy without batch norms
    row = image.nbytes // height * scale**2  # of the result, for a row of the image

    def plan(memory: int) -> tuple[int, int, int]:
        """Return the bytes of columns for each thread, the rows of a band, and the bytes that are not for tiles."""
        columns = max(1, min(backend.workspace_bytes(xp), memory // (8 * threads)))
        fixed = columns * threads + weights
        # A band takes an eighth of the memory, and as much again while it is written.
        tallest = height if whole else min(height, max(SMALLEST, (memory - fixed) // 8 // row // GRID * GRID))
        return columns, tallest, fixed + row * tallest * (1 if whole else 2)

    columns, tallest, fixed = plan(memory)
    if memory < fixed + least:
        needed = memory
        while needed < (more := plan(needed)[2] + least):  # columns and bands grow with the memory
            needed = more
        expected = f"{_mb(needed)} for a photograph of {width} x {height} pixels, or more"
        got = f"{memory // 10**6:,} MB of memory"  # rounded down, so that it differs from what is expected
        raise ImageError("upscale", expected=expected, got=got, fix="allow more memory, or enlarge a part")
    room = (memory - fixed) * 2 // 3
    sides = best_sides(height, width, margin, room // pixel, tallest)
    if is_integer(tile):
        sides = min(tile, tallest), min(tile, width)
    done, generator = 0.0, folded(generator)

    def advance(pixels: float) -> None:
        nonlocal done
        done += pixels
        if progress:
            progress(min(round(done), height * width), height * width)

    for across in cut((slice(0, height), slice(0, width)), (height if whole else sides[0], width)):
        rows = across[0].stop - across[0].start
        out = np.empty((rows * scale, width * scale, channels), image.dtype)
        todo = cut(across, sides)
        while todo:
            before = done
            try:
                # Without a name for the result: it would keep the floats of this tile while the next one is computed.
                with backend.workspace(columns):
                    out[scaled(todo[0], scale, across)] = _to_levels(
                        enlarge_tile(generator, image, todo[0], margin, room, ensemble, advance), image.dtype
                    )
                del todo[0]
                continue
            except MemoryError:  # CuPy's error is a subclass of it
                if max(sides) <= SMALLEST:
                    expected = f"{_mb(least)} for a tile of {SMALLEST} x {SMALLEST} pixels and {margin} around them"
                    fix = "close other programs, or compute with fewer threads: MINISRGAN_THREADS=1"
                    raise ImageError("upscale", expected=expected, got="out of memory", fix=fix) from None
            # Outside the except block, where the error would still keep the tile's arrays alive.
            sides, room, done = (max(SMALLEST, sides[0] // 2), max(SMALLEST, sides[1] // 2)), room // 4, before
            todo = [small for part in todo for small in cut(part, sides)]
        yield out


def enlarge_tile(
    generator: Generator, image: Array, part: Part, margin: int, room: int, ensemble: bool = False,
    advance: Callable[[float], None] = lambda pixels: None,
) -> Array:  # fmt: skip
    """Enlarge a part of an image: float32 (scale*h, scale*w, C), black -1, white 1, neither rounded nor clipped.

    margin   pixels of the image around the part that are also computed
    room     bytes of memory for the computation
    advance  called with the number of pixels of the part done since the last call
    """
    outer = around(part, margin, image.shape)
    low = np.broadcast_to(image[outer], (*image[outer].shape[:2], 3)) / np.float32(np.iinfo(image.dtype).max)
    rows, cols = ((i.start - o.start, o.stop - i.stop) for i, o in zip(part, outer, strict=True))
    pixels = (part[0].stop - part[0].start) * (part[1].stop - part[1].start) / (8 if ensemble else 1)
    room -= low.shape[0] * low.shape[1] * _held_bytes(generator, ensemble)
    enlarge = partial(_enlarge, generator, room, lambda share: advance(share * pixels))
    large = self_ensemble(enlarge, low, (rows, cols)) if ensemble else enlarge(low, (rows, cols))
    return large if image.shape[2] == 3 else large.mean(axis=2, keepdims=True)


def _enlarge(generator: Generator, room: int, advance: Callable[[float], None], low: Array, margins: Margins) -> Array:
    """Compute `Generator.forward` of low (h, w, 3) without its margins, with the last layers in tiles."""
    scale, (height, width, _) = generator.scale, low.shape
    (top, bottom), (left, right) = margins
    inner = slice(top, height - bottom), slice(left, width - right)
    out = np.empty(((height - top - bottom) * scale, (width - left - right) * scale, 3), np.float32)
    with no_grad(), ExitStack() as hooks:
        for block in generator.blocks:
            hooks.callback(block.register_forward_hook(lambda *_: advance(0.5 / generator.depth)))
        batch = backend.to_device(np.ascontiguousarray(low[None]), backend.device_of(generator.conv_first.weight.data))
        maps = generator.trunk(Tensor(batch)).data  # (1, h, w, C)
        pixels = max(_HEAD_PIXELS, room // _head_bytes(generator))
        for part in cut(inner, best_sides(height, width, _HEAD_REACH, pixels)):
            rows, cols = outer = around(part, _HEAD_REACH, (height, width))
            large = generator.head(Tensor(maps[:, rows, cols])).data[0]
            target = out[scaled(part, scale, inner)]
            target[...] = backend.to_numpy(large[scaled(part, scale, outer)])
            advance(0.5 * target.size / out.size)
    return out


def _deep_bytes(generator: Generator, ensemble: bool) -> int:
    """Return the bytes per pixel of the layers up to the last block: 5 maps, the input twice, 2 sums of an ensemble."""
    return 4 * (5 * generator.width + 6 + 2 * ensemble * 3 * generator.scale**2)


def _held_bytes(generator: Generator, ensemble: bool) -> int:
    """Return the bytes per pixel kept while the last layers run: a map, and the result."""
    return 4 * (generator.width + (1 + 2 * ensemble) * 3 * generator.scale**2)


def _head_bytes(generator: Generator) -> int:
    """Return the bytes per pixel of the last layers: 2.25 maps of the output's size, and one of the input's."""
    return 4 * generator.width * (9 * generator.scale**2 // 4 + 1)


def _to_levels(large: Array, dtype: Any) -> Array:
    """Convert [-1, 1] to integers starting at 0, rounded; NaN would become black."""
    if np.isnan(large).any():
        expected, fix = "numbers in the result", "the weights are damaged, or of a training that went wrong"
        raise NonFiniteError("upscale", expected=expected, got="NaN", fix=fix)
    top = np.iinfo(dtype).max
    return ((large + 1) * np.float32(top / 2)).round().clip(0, top).astype(dtype)


def _mb(count: int) -> str:
    return f"{math.ceil(count / 1e6):,} MB of memory"


def _check(generator: Generator, image: Array, tile: int | str | None, overlap: int | None, memory: int) -> None:
    """Check that the generator, the image and the sizes are valid."""
    if not isinstance(generator, Generator):
        got, fix = type(generator).__name__, "load one: minisrgan.weights.load_generator(path)"
        raise ArgumentError("upscale", expected="a Generator first", got=got, fix=fix)
    fits = is_array(image) and image.ndim == 3 and image.shape[2] in (1, 3) and image.size > 0
    if not fits or image.dtype not in (np.uint8, np.uint16):
        told = "a uint8 RGB image (H, W, 3), or grey (H, W, 1), or either in uint16"
        got = f"{getattr(image, 'dtype', type(image).__name__)} {getattr(image, 'shape', '')}".strip()
        raise ImageError("upscale", expected=told, got=got, fix="read it with minisrgan.images.read_image")
    if not is_integer(memory):
        raise ArgumentError("upscale", expected="memory in bytes", got=repr(memory), fix="10**9 is 1 GB")
    if tile not in ("auto", None) and not (is_integer(tile) and int(tile) >= 1):
        raise ArgumentError("upscale", expected='tile >= 1 or "auto"', got=f"tile {tile!r}", fix="256 is a good size")
    if overlap is not None and (not is_integer(overlap) or overlap < 0):
        raise ArgumentError("upscale", expected="overlap >= 0", got=f"overlap {overlap!r}", fix="leave it out")
