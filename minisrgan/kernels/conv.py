"""Convolution as one matrix product a block (blocked im2col).

A column matrix holds, for every output pixel, the kh*kw*C inputs under the kernel; then a convolution is

    y (pixels, O) = columns (pixels, kh*kw*C) @ weight (kh*kw*C, O)

The whole matrix would be kh*kw times the input (81 times for the 9x9 layers), so it is never built. The output is cut
into blocks whose columns fit a workspace of about 1 MB, which a core keeps in its cache; a block is padded, copied out
as columns and multiplied, and the workspace is used again. Threads share the blocks, each with a workspace of its own.
The gradients rebuild the columns: none are stored.

Arithmetic of each function: N*Ho*Wo*kh*kw*C*O multiply-adds. Bytes moved: the columns are written and read once in
cache; input, weight and output once each in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from minisrgan.backend import Array, array_module, parallel, workspace_bytes

T = TypeVar("T")
R = TypeVar("R")


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


def output_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """Return the length of an output axis, ``(size + 2*padding - kernel) // stride + 1``."""
    return (size + 2 * padding - kernel) // stride + 1


def _blocks(shape: tuple[int, ...], bytes_per_pixel: int, budget: int) -> list[Block]:
    """Cut an output (N, Ho, Wo, ...) into blocks of at most ``budget`` bytes of columns, but at least one pixel.

    Whole images where they fit, else whole rows of one image, else a part of one row: an 8K-wide row of 9x9x64
    patches is 160 MB. Blocks are as equal as can be, since a small one is a slow product.
    """
    images, rows, cols = shape[0], shape[1], shape[2]
    pixels = max(1, budget // bytes_per_pixel)
    n_step = max(1, pixels // (rows * cols))
    r_step = _even(rows, max(1, pixels // cols))
    c_step = _even(cols, pixels)
    return [
        Block(n, min(n + n_step, images), r, min(r + r_step, rows), c, min(c + c_step, cols))
        for n in range(0, images, n_step)
        for r in range(0, rows, r_step)
        for c in range(0, cols, c_step)
    ]


def _even(length: int, most: int) -> int:
    """Return the step that cuts a length into as few parts as steps of ``most`` do, but of nearly one size."""
    return -(-length // -(-length // most))


def _share(xp: Any, work: Callable[[Sequence[T]], R], items: Sequence[T]) -> list[R]:
    """Share the items out over the threads of the CPU; a GPU has its own."""
    return parallel(work, items) if xp is np else [work(items)]


class _Columns:
    """Cut the columns of one block after another out of an input, in one workspace."""

    def __init__(self, x: Array, kernel: tuple[int, int], stride: int, padding: int) -> None:
        self.xp = array_module(x)
        self.x, self.kernel, self.stride, self.padding = x, kernel, stride, padding
        self.padded = self.xp.empty(0, x.dtype)
        self.columns = self.xp.empty(0, x.dtype)

    def of(self, block: Block) -> Array:
        """Return the columns (pixels, kh*kw*C) of a block; the next call overwrites them."""
        kh, kw = self.kernel
        stride, padding = self.stride, self.padding
        height, width, channels = self.x.shape[1:]
        images, rows, cols = block.n1 - block.n0, block.r1 - block.r0, block.c1 - block.c0

        # The part of the input under this block, with zeros where the kernel hangs over the border.
        top, left = block.r0 * stride - padding, block.c0 * stride - padding
        tall, wide = (rows - 1) * stride + kh, (cols - 1) * stride + kw
        # A block that lies in the padding alone has none: then the slices are empty, 0..0, and not up to a negative.
        r_in = slice(max(top, 0), max(min(top + tall, height), 0))
        c_in = slice(max(left, 0), max(min(left + wide, width), 0))
        source = self.x[block.n0 : block.n1, r_in, c_in]
        if source.shape[1] == tall and source.shape[2] == wide:
            padded = source
        else:
            self.padded = _at_least(self.padded, images * tall * wide * channels, self.xp)
            padded = self.padded[: images * tall * wide * channels].reshape(images, tall, wide, channels)
            padded.fill(0)
            r_at, c_at = r_in.start - top, c_in.start - left
            padded[:, r_at : r_at + source.shape[1], c_at : c_at + source.shape[2]] = source

        if kh == kw == stride == 1 and padded.flags.c_contiguous:
            return padded.reshape(-1, channels)  # a 1x1 kernel's columns are the input itself
        n_step, r_step, c_step, k_step = padded.strides
        windows = self.xp.lib.stride_tricks.as_strided(  # (images, rows, cols, kh, kw, C): a view, no copy
            padded,
            (images, rows, cols, kh, kw, channels),
            (n_step, r_step * stride, c_step * stride, r_step, c_step, k_step),
        )
        length = images * rows * cols * kh * kw * channels
        self.columns = _at_least(self.columns, length, self.xp)
        self.columns[:length].reshape(windows.shape)[...] = windows
        return self.columns[:length].reshape(images * rows * cols, kh * kw * channels)


def _at_least(buffer: Array, length: int, xp: Any) -> Array:
    """Return a flat buffer of at least this length: the one given where it is long enough."""
    if buffer.size >= length:
        return buffer
    return xp.empty(length, buffer.dtype)


def conv2d(x: Array, weight: Array, bias: Array | None = None, *, stride: int = 1, padding: int = 0) -> Array:
    """Convolve x (N, H, W, C) with weight (kh, kw, C, O) to (N, Ho, Wo, O).

    The bias is added while the block is still in cache, which saves one pass over the output.
    """
    xp = array_module(x)
    images, height, width, _ = x.shape
    kh, kw, in_channels, out_channels = weight.shape
    size = output_size(height, kh, stride, padding), output_size(width, kw, stride, padding)
    y = xp.empty((images, *size, out_channels), x.dtype)
    matrix = weight.reshape(-1, out_channels)  # (kh*kw*C, O)

    def work(blocks: Sequence[Block]) -> None:
        columns = _Columns(x, (kh, kw), stride, padding)
        for block in blocks:
            # A block is whole images, whole rows or a part of one row, so its outputs lie in one piece.
            target = block.of(y).reshape(-1, out_channels)
            xp.matmul(columns.of(block), matrix, out=target)  # (pixels, kh*kw*C) @ (kh*kw*C, O)
            if bias is not None:
                target += bias

    _share(xp, work, _blocks(y.shape, kh * kw * in_channels * x.itemsize, workspace_bytes(xp)))
    return y


def conv2d_input_gradient(
    grad_y: Array, weight: Array, input_size: tuple[int, int], *, stride: int = 1, padding: int = 0
) -> Array:
    """Carry grad_y (N, Ho, Wo, O) back through weight (kh, kw, C, O) to the input (N, H, W, C).

    An input pixel collects weight * grad_y from every output whose window covers it. With stride 1 those outputs are a
    window too, so this is a convolution of grad_y with the weight turned by 180 degrees. With a larger stride the
    products are formed as columns and added where they came from (col2im).
    """
    kh, kw, in_channels, out_channels = weight.shape
    if stride == 1 and kh == kw and padding <= kh - 1:
        turned = weight[::-1, ::-1].swapaxes(2, 3)  # (kh, kw, O, C)
        xp = array_module(weight)
        return conv2d(grad_y, xp.ascontiguousarray(turned), padding=kh - 1 - padding)

    xp = array_module(grad_y)
    height, width = input_size
    grad_x = xp.zeros((grad_y.shape[0], height, width, in_channels), grad_y.dtype)
    matrix = weight.reshape(-1, out_channels).T  # (O, kh*kw*C)
    bytes_per_pixel = kh * kw * in_channels * grad_y.itemsize

    def work(images: Sequence[int]) -> None:
        for block in _blocks((len(images), *grad_y.shape[1:]), bytes_per_pixel, workspace_bytes(xp)):
            block = block._replace(n0=block.n0 + images[0], n1=block.n1 + images[0])
            part = block.of(grad_y)
            columns = part.reshape(-1, out_channels) @ matrix  # (pixels, O) @ (O, kh*kw*C)
            columns = columns.reshape(*part.shape[:3], kh, kw, in_channels)
            for i in range(kh):
                r_out, r_in = _meet(block.r0, block.r1, i - padding, stride, height)
                for j in range(kw):
                    c_out, c_in = _meet(block.c0, block.c1, j - padding, stride, width)
                    grad_x[block.n0 : block.n1, r_in, c_in] += columns[:, r_out, c_out, i, j]

    _share(xp, work, range(grad_y.shape[0]))  # whole images: neighbouring blocks of one add to the same pixels
    return grad_x


def _meet(first: int, last: int, offset: int, stride: int, size: int) -> tuple[slice, slice]:
    """Pair outputs first..last with the inputs ``stride*output + offset`` that lie in 0..size.

    Returns the outputs, counted from ``first``, and the inputs.
    """
    low = max(first, -(offset // stride))  # the first output with stride*output + offset >= 0
    high = max(low, min(last, (size - 1 - offset) // stride + 1))
    start = low * stride + offset
    return slice(low - first, high - first), slice(start, start + (high - low) * stride, stride)


def conv2d_weight_gradient(
    x: Array, grad_y: Array, kernel: tuple[int, int], *, stride: int = 1, padding: int = 0
) -> Array:
    """Return the gradient (kh, kw, C, O) in the weight: columns(x) transposed, times grad_y, summed over blocks."""
    xp = array_module(x)
    in_channels, out_channels = x.shape[3], grad_y.shape[3]
    length = kernel[0] * kernel[1] * in_channels
    grad_weight = xp.zeros((length, out_channels), x.dtype)
    # Each block adds a matrix as large as the weight to the sum; columns at least as large keep that a minor cost.
    budget = max(workspace_bytes(xp), grad_weight.nbytes)

    def work(blocks: Sequence[Block]) -> Array:
        columns = _Columns(x, kernel, stride, padding)
        total, product = xp.zeros_like(grad_weight), xp.empty_like(grad_weight)
        for block in blocks:
            part = block.of(grad_y).reshape(-1, out_channels)
            total += xp.matmul(columns.of(block).T, part, out=product)  # (kh*kw*C, pixels) @ (pixels, O)
        return total

    for part in _share(xp, work, _blocks(grad_y.shape, length * x.itemsize, budget)):
        grad_weight += part
    return grad_weight.reshape(*kernel, in_channels, out_channels)
