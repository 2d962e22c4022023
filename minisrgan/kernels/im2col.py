"""Convolution as one matrix product per block (blocked im2col).

A column matrix holds, for every output pixel, the kh*kw*C inputs under the kernel; then a convolution is

    y (pixels, O) = columns (pixels, kh*kw*C) @ weight (kh*kw*C, O)

The whole matrix would be kh*kw times the input (81 times for the 9x9 layers), so it is never built. The output is cut
into blocks whose columns take 2 MB, which fit a core's cache (more if the weight is large). The input of a
block is padded, copied into columns and multiplied; the next block reuses the memory. The blocks are distributed over
the threads, and each thread has its own memory. The gradients compute the columns again: none are stored.

Arithmetic of each function: N*Ho*Wo*kh*kw*C*O multiply-adds. Bytes moved: the columns are written and read once in
cache; input, weight and output are read or written once in memory.
"""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minisrgan.backend import Array, parallel
from minisrgan.kernels.blocks import CACHED, Block, Pair, block_bytes, blocks, patch, scratch


def _columns(x: Array, block: Block, kernel: Pair, stride: int, origin: Pair) -> Array:
    """Return the columns (pixels, kh*kw*C) of a block in scratch memory; the next call overwrites them.

    origin  where the window of output (0, 0) begins in the input: (-padding, -padding) for a convolution
    """
    (kh, kw), channels, (images, rows, cols) = kernel, x.shape[3], block.extent
    top, left = block.rows.start * stride + origin[0], block.cols.start * stride + origin[1]
    padded = patch(x, block.images, top, left, (rows - 1) * stride + kh, (cols - 1) * stride + kw)
    if kh == kw == stride == 1 and padded.flags.c_contiguous:
        return padded.reshape(-1, channels)  # a 1x1 kernel's columns are the input itself
    n_step, r_step, c_step, k_step = padded.strides
    strides = n_step, r_step * stride, c_step * stride, r_step, c_step, k_step
    windows = as_strided(padded, (images, rows, cols, kh, kw, channels), strides)  # a view, no copy
    columns = scratch("columns", x.dtype, *windows.shape)
    columns[...] = windows
    return columns.reshape(images * rows * cols, kh * kw * channels)


def convolve(x: Array, weight: Array, bias: Array | None, stride: int, origin: Pair, y: Array) -> None:
    """Write the convolution of x with weight (kh, kw, C, O) into y (N, Ho, Wo, O), which need not be contiguous.

    The bias is added while the block is still in cache, which saves one pass over the output.
    """
    kh, kw, in_channels, out_channels = weight.shape
    matrix = weight.reshape(-1, out_channels)  # (kh*kw*C, O)
    # A block is whole images, whole rows or a part of one row: its outputs are contiguous if y is.
    whole = y.flags.c_contiguous

    def work(part: Sequence[Block]) -> None:
        for block in part:
            target = y[block]
            pixels = target[..., 0].size
            flat = target.reshape(pixels, -1) if whole else scratch("results", x.dtype, pixels, out_channels)
            columns = _columns(x, block, (kh, kw), stride, origin)
            np.matmul(columns, matrix, out=flat)  # (pixels, kh*kw*C) @ (kh*kw*C, O)
            if bias is not None:
                flat += bias
            if not whole:
                target[...] = flat.reshape(target.shape)

    # Bytes per pixel of the largest of three arrays: the padded input of a block, its columns and its results.
    largest = max(kh * kw * in_channels, stride * stride * in_channels, out_channels) * x.itemsize
    parallel(work, blocks(y.shape, largest, block_bytes()))


def weight_gradient(x: Array, grad_y: Array, kernel: Pair, stride: int, origin: Pair) -> Array:
    """Return the gradient (kh, kw, C, O) for the weight: columns(x) transposed, times grad_y, summed over blocks."""
    in_channels, out_channels = x.shape[3], grad_y.shape[3]
    length = kernel[0] * kernel[1] * in_channels

    def work(part: Sequence[Block]) -> Array:
        total = np.zeros((length, out_channels), x.dtype)
        product = scratch("product", x.dtype, *total.shape)
        for block in part:
            grad = grad_y[block].reshape(-1, out_channels)
            columns = _columns(x, block, kernel, stride, origin)
            total += np.matmul(columns.T, grad, out=product)  # (kh*kw*C, pixels) @ (pixels, O)
        return total

    # Each block adds a matrix as large as the weight to the sum: little work if its columns are at least as large.
    budget = block_bytes(largest=max(CACHED, length * out_channels * x.itemsize))
    largest = max(length, stride * stride * in_channels) * x.itemsize
    totals = parallel(work, blocks(grad_y.shape, largest, budget))
    return sum(totals[1:], totals[0]).reshape(*kernel, in_channels, out_channels)
