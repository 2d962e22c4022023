"""Convolution to few channels: the last layer of the generator, 9x9, 64 -> 3.

Columns would be 81 times the input, and the matrix that they are multiplied by is only 3 wide. Here the product comes
first, with the input itself; then the 81 results are shifted to their places and added:

    P[i, j, o] (pixels) = x (pixels, C) . weight[i, j, :, o]        y[h, w, o] = sum_ij P[i, j, o](h + i - p, w + j - p)

Rows are padded by kw - 1 zero pixels, so that a shift by (i, j) is a shift by i*(W + kw - 1) + j of one long row: only
zeros are shifted beyond the end of a row. Each addition then runs over thousands of consecutive numbers. The shifts by
j are summed in one call, over a view of the products in which row j begins j pixels later.

Arithmetic: N*H*W*kh*kw*C*O multiply-adds in one product, and N*H*W*kh*kw*O additions. Bytes moved: the input is read
once, the products are written and read once in cache, in blocks that fit the workspace.
"""

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minisrgan.backend import Array, parallel, thread_count, workspace_bytes
from minisrgan.kernels.blocks import Pair, block_bytes, patch, scratch


def convolve(x: Array, weight: Array, bias: Array | None, origin: Pair, y: Array) -> None:
    """Write the stride-1 convolution of x with weight (kh, kw, C, O) into y (N, H, W, O); window 0 begins at origin."""
    kh, kw, channels, outputs = weight.shape
    images, height, width = y.shape[:3]
    wide = width + kw - 1  # input pixels of each row that an output row needs
    row = wide * outputs * x.itemsize
    matrix = np.ascontiguousarray(weight.transpose(0, 1, 3, 2)).reshape(-1, channels)  # (kh*kw*O, C)
    # Strips of output rows, each computed from its own inputs. If there are too few images for the threads, the images
    # are cut into equal strips for them, about 12*kh rows high: the kh - 1 input rows that two strips share are read
    # twice. Otherwise a strip is as high as the workspace allows for its sums.
    if images < 2 * thread_count():
        shares = thread_count() * max(1, round(height / (thread_count() * 12 * kh)))
        strip = max(4 * kh, -(-height // shares))
    else:
        strip = max(kh, workspace_bytes() // (8 * row))
    strips = [(n, r, min(r + strip, height)) for n in range(images) for r in range(0, height, strip)]
    step = max(1, block_bytes() // (kh * kw * row))  # input rows per product

    def work(part: Sequence[tuple[int, int, int]]) -> None:
        for n, first, last in part:
            # Input row u contributes to output rows u - i; row kh - 1 of `total` is the first row of the strip.
            rows = last - first + kh - 1
            total = scratch("sums", x.dtype, outputs, (rows + kh) * wide)
            total.fill(0)
            for top in range(0, rows, step):
                count = min(step, rows - top)
                inputs = patch(x, slice(n, n + 1), first + origin[0] + top, origin[1], count, wide)
                flat = inputs.reshape(count * wide, channels)
                p = scratch("products", x.dtype, kh, kw, outputs, count * wide)
                np.matmul(matrix, flat.T, out=p.reshape(-1, count * wide))  # (kh*kw*O, C) @ (C, pixels)
                length = count * wide - kw + 1  # pixels that have kw - 1 neighbours to the right
                i_step, j_step, o_step, pixel = p.strides
                strides = i_step, j_step + pixel, o_step, pixel
                shifted = as_strided(p, (kh, kw, outputs, length), strides)  # p[i, j, o, q + j], a view
                by_row = np.add.reduce(shifted, axis=1, out=scratch("row sums", x.dtype, kh, outputs, length))
                for i in range(kh):
                    start = (top + kh - 1 - i) * wide
                    total[:, start : start + length] += by_row[i]
            strip_rows = total[:, (kh - 1) * wide : (kh - 1 + last - first) * wide]
            result = strip_rows.reshape(outputs, last - first, wide)[:, :, :width].transpose(1, 2, 0)
            y[n, first:last] = result if bias is None else result + bias

    parallel(work, strips)
