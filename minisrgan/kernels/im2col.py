"""Convolution as one matrix product a block (blocked im2col).

A column matrix holds, for every output pixel, the kh*kw*C inputs under the kernel; then a convolution is

    y (pixels, O) = columns (pixels, kh*kw*C) @ weight (kh*kw*C, O)

The whole matrix would be kh*kw times the input (81 times for the 9x9 layers), so it is never built. The output is cut
into blocks whose columns come to 2 MB, which a core keeps in its cache, or less where the workspace is small; a block
is padded, copied out as columns and multiplied, and the memory is used again. Threads share the blocks, each with
memory of its own. The gradients rebuild the columns: none are stored.

Arithmetic of each function: N*Ho*Wo*kh*kw*C*O multiply-adds. Bytes moved: the columns are written and read once in
cache; input, weight and output once each in memory.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minisrgan.backend import Array, array_module, parallel, workspace_bytes

T = TypeVar("T")
R = TypeVar("R")
Pair = tuple[int, int]


CACHED = 2 << 20  # bytes of columns that a core keeps in its cache


class Block(NamedTuple):
    """A part of the output: images n0..n1, rows r0..r1, columns c0..c1."""

    n0: int
    n1: int
    r0: int
    r1: int
    c0: int
    c1: int

    def of(self, y: Array) -> Array:
        """Return this part of an array (N, Ho, Wo, ...)."""
        return y[self.n0 : self.n1, self.r0 : self.r1, self.c0 : self.c1]


def blocks(shape: tuple[int, ...], bytes_per_pixel: int, budget: int) -> list[Block]:
    """Cut an output (N, Ho, Wo, ...) into blocks of at most ``budget`` bytes of columns, but at least one pixel.

    Whole images where they fit, else whole rows of one image, else a part of one row: an 8K-wide row of 9x9x64
    patches is 160 MB. Blocks are as equal as can be, since a small one is a slow product.
    """
    images, rows, cols = shape[0], shape[1], shape[2]
    pixels = max(1, budget // bytes_per_pixel)
    n_step = _even(images, max(1, pixels // (rows * cols)))
    r_step = _even(rows, max(1, pixels // cols))
    c_step = _even(cols, pixels)
    return [
        Block(n, min(n + n_step, images), r, min(r + r_step, rows), c, min(c + c_step, cols))
        for n in range(0, images, n_step)
        for r in range(0, rows, r_step)
        for c in range(0, cols, c_step)
    ]


def block_bytes(xp: Any, largest: int = CACHED) -> int:
    """Return how large the largest of the three arrays of a block may be: a part of the workspace, and of the cache."""
    part = workspace_bytes(xp) // 6
    return min(part, largest) if xp is np else part


def _even(length: int, most: int) -> int:
    """Return the step that cuts a length into as few parts as steps of ``most`` do, but of nearly one size."""
    return -(-length // -(-length // most))


def share(xp: Any, work: Callable[[Sequence[T]], R], items: Sequence[T]) -> list[R]:
    """Share the items out over the threads of the CPU; a GPU has its own."""
    return parallel(work, items) if xp is np else [work(items)]


_kept = threading.local()


class Workspace:
    """A flat buffer that grows to what is asked of it and is used again.

    Each thread keeps its own by name: memory fresh from the system costs as much to touch as the work done in it. On a
    GPU, CuPy's pool does the same.
    """

    def __init__(self, name: str, xp: Any, dtype: Any) -> None:
        self.key, self.xp, self.dtype = f"{name} {dtype}", xp, dtype

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Workspace) and (self.key, self.xp) == (other.key, other.xp)

    def __hash__(self) -> int:
        return hash(self.key)

    def of(self, *shape: int) -> Array:
        """Return an array of this shape, with whatever numbers were there; the next call overwrites it."""
        length = math.prod(shape)
        if self.xp is not np:
            return self.xp.empty(shape, self.dtype)
        flat = vars(_kept).get(self.key)
        if flat is None or flat.size < length:
            vars(_kept).update({"made": {}, "zeros around": None})  # they hold views of the old buffer
            flat = vars(_kept)[self.key] = np.empty(length, self.dtype)
        return flat[:length].reshape(shape)


def per_thread(make: Callable[..., R], *key: Hashable) -> R:
    """Return ``make(*key)``, made once a thread until one of the thread's workspaces grows: what holds views of them.

    A few dozen at most are kept, more than a network has kinds of layer.
    """
    made: dict[Hashable, R] = vars(_kept).get("made", {})
    if (make, key) not in made:
        value = make(*key)
        made = vars(_kept).setdefault("made", {})  # `make` may have asked for larger workspaces
        if len(made) >= 64:
            made.clear()
        made[make, key] = value
    return made[make, key]


class _Frame:
    """An array in a workspace with a frame of zeros, and the part of it inside the frame."""

    def __init__(self, workspace: Workspace, shape: tuple[int, ...], inside: tuple[int, ...], at: Pair) -> None:
        self.padded = workspace.of(*shape)
        self.inside = self.padded[:, at[0] : at[0] + inside[1], at[1] : at[1] + inside[2]]


def patch(x: Array, n0: int, n1: int, top: int, left: int, tall: int, wide: int, workspace: Workspace) -> Array:
    """Return rows top..top+tall and columns left..left+wide of images n0..n1, zeros where they leave the image.

    A view where they do not leave it, else a copy in the workspace. The zeros are written unless the last patch there
    was of the same form and left them.
    """
    _, height, width, channels = x.shape
    # A patch that lies outside altogether has no rows: then the slice is empty, 0..0, and not up to a negative.
    first_row, first_col = max(top, 0), max(left, 0)
    inside = x[n0:n1, first_row : max(min(top + tall, height), 0), first_col : max(min(left + wide, width), 0)]
    if inside.shape[1] == tall and inside.shape[2] == wide:
        return inside
    key = workspace, (n1 - n0, tall, wide, channels), inside.shape, (first_row - top, first_col - left)
    frame = per_thread(_Frame, *key) if workspace.xp is np else _Frame(*key)
    if vars(_kept).get("zeros around") is not frame:
        frame.padded.fill(0)
        vars(_kept)["zeros around"] = frame if workspace.xp is np else None
    frame.inside[...] = inside
    return frame.padded


class Columns:
    """Cut the columns of one block after another out of an input, in one workspace.

    origin  where the window of output (0, 0) begins in the input: (-padding, -padding) for a convolution
    """

    def __init__(self, x: Array, kernel: Pair, stride: int, origin: Pair) -> None:
        self.xp = array_module(x)
        self.x, self.kernel, self.stride, self.origin = x, kernel, stride, origin
        self.padded, self.columns = (Workspace(name, self.xp, x.dtype) for name in ("padded", "columns"))

    def of(self, block: Block) -> Array:
        """Return the columns (pixels, kh*kw*C) of a block; the next call overwrites them."""
        (kh, kw), stride, channels = self.kernel, self.stride, self.x.shape[3]
        images, rows, cols = block.n1 - block.n0, block.r1 - block.r0, block.c1 - block.c0
        top, left = block.r0 * stride + self.origin[0], block.c0 * stride + self.origin[1]
        tall, wide = (rows - 1) * stride + kh, (cols - 1) * stride + kw
        padded = patch(self.x, block.n0, block.n1, top, left, tall, wide, self.padded)
        if kh == kw == stride == 1 and padded.flags.c_contiguous:
            return padded.reshape(-1, channels)  # a 1x1 kernel's columns are the input itself
        n_step, r_step, c_step, k_step = padded.strides
        windows = self.xp.lib.stride_tricks.as_strided(  # (images, rows, cols, kh, kw, C): a view, no copy
            padded,
            (images, rows, cols, kh, kw, channels),
            (n_step, r_step * stride, c_step * stride, r_step, c_step, k_step),
        )
        columns = self.columns.of(*windows.shape)
        columns[...] = windows
        return columns.reshape(images * rows * cols, kh * kw * channels)


def convolve(x: Array, weight: Array, bias: Array | None, stride: int, origin: Pair, y: Array) -> None:
    """Write into y (N, Ho, Wo, O), which need not be contiguous, the convolution of x with weight (kh, kw, C, O).

    The bias is added while the block is still in cache, which saves one pass over the output.
    """
    xp = array_module(x)
    kh, kw, in_channels, out_channels = weight.shape
    matrix = weight.reshape(-1, out_channels)  # (kh*kw*C, O)

    def work(part: Sequence[Block]) -> None:
        columns, results = Columns(x, (kh, kw), stride, origin), Workspace("results", xp, x.dtype)
        for block in part:
            target = block.of(y)
            # A block is whole images, whole rows or a part of one row: in a contiguous y its outputs lie in one piece.
            whole = y.flags.c_contiguous
            flat = target.reshape(-1, out_channels) if whole else results.of(target[..., 0].size, out_channels)
            xp.matmul(columns.of(block), matrix, out=flat)  # (pixels, kh*kw*C) @ (kh*kw*C, O)
            if bias is not None:
                flat += bias
            if not whole:
                target[...] = flat.reshape(target.shape)

    # The padded input of a block, its columns and its results: as many bytes a pixel as the largest of them has.
    largest = max(kh * kw * in_channels, stride * stride * in_channels, out_channels) * x.itemsize
    share(xp, work, blocks(y.shape, largest, block_bytes(xp)))


def weight_gradient(x: Array, grad_y: Array, kernel: Pair, stride: int, origin: Pair) -> Array:
    """Return the gradient (kh, kw, C, O) in the weight: columns(x) transposed, times grad_y, summed over blocks."""
    xp = array_module(x)
    in_channels, out_channels = x.shape[3], grad_y.shape[3]
    length = kernel[0] * kernel[1] * in_channels
    grad_weight = xp.zeros((length, out_channels), x.dtype)
    # Each block adds a matrix as large as the weight to the sum; columns at least as large keep that a minor cost.
    budget = block_bytes(xp, largest=max(CACHED, grad_weight.nbytes))

    def work(part: Sequence[Block]) -> Array:
        columns = Columns(x, kernel, stride, origin)
        total, product = xp.zeros_like(grad_weight), Workspace("product", xp, x.dtype).of(*grad_weight.shape)
        for block in part:
            grad = block.of(grad_y).reshape(-1, out_channels)
            total += xp.matmul(columns.of(block).T, grad, out=product)  # (kh*kw*C, pixels) @ (pixels, O)
        return total

    largest = max(length, stride * stride * in_channels) * x.itemsize
    for total in share(xp, work, blocks(grad_y.shape, largest, budget)):
        grad_weight += total
    return grad_weight.reshape(*kernel, in_channels, out_channels)
