"""Winograd's minimal filtering: a 3x3 convolution with a quarter of the multiplications or less, half at stride 2.

One dimension first. A tile of 4 outputs of a 3-tap filter w needs 6 inputs d: 12 products. A product of two polynomials
with 4 and 3 coefficients needs the same 12 products, but can be computed with 6: a polynomial is determined by its
values at a few points, so evaluate both polynomials at 0, 1, -1, 2, -2 and infinity, multiply the 6 pairs of values,
and interpolate. Filtering is the transpose of multiplying polynomials, so the transposed algorithm filters the tile:

    y = A^T [ (G w) * (B^T d) ]          A^T (4, 6), G (6, 3), B^T (6, 6), * element by element

where G evaluates w, and transposition turns interpolation into B^T and the other evaluation into A^T. In two
dimensions every transform acts on the columns and on the rows, Y = A^T [(G w G^T) * (B^T d B)] A. Channels are summed
before the last transform, so the 36 products are 36 matrix products over tiles:

    V (36, T, C) = B^T d B       U (36, C, O) = G w G^T       M = V @ U       Y (T, 4, 4, O) = A^T M A

Tiles of 6x6 take 64 products instead of 324, with 1/2 and -1/2 as two more points. `plain_scheme` chooses the tiles.

The tiles are not copied for that: each half of a transform is the product of a small matrix with a strided view, first
of whole rows of the image, then of the channels of neighbouring pixels. The result is written to the place where the
next step or the image needs it.

At stride 2 the taps 0 and 2 meet only the even inputs of a tile, and tap 1 only the odd ones. So a two-tap filter needs
5 multiplications for 4 outputs, at the points 0, 1, -1, 2 and infinity, and a one-tap filter needs 4 more. Stacked,
they form one scheme of 9 multiplications with 9 inputs, whose tiles begin 8 inputs apart: 81 products instead of 144.

All steps are linear, so each gradient is computed by the transposed steps. For the input at stride 1 it is the same
function with the kernel turned by 180 degrees. At stride 2 the middle tap gives the gradient of the even inputs, and
the other two that of the odd ones: again 4 and 5 multiplications, for 8 pixels of the input from 5 of grad_y. For the
weight it is dU = V^T @ (A dY A^T), summed over tiles, and dw = G^T dU G.

Arithmetic for n points and m*m outputs: n*n multiply-adds per tile and channel pair instead of 9*m*m, and about
2*n*n*n*C + (n + m)*m*n*O for the transforms of a tile. Bytes moved: V and M are written and read once, within a block.
Accuracy: interpolation at 2 and -2 multiplies by up to 8, or 32 for tiles of 6x6. Errors measured against float64,
relative to the largest value, over 64 to 256 channels at 24x24 and 48x48: 4e-6 to 1.5e-5 for tiles of 4x4, 4e-6 to
2.1e-5 for 6x6; plain sums: 3e-7 to 8e-7. Never used for float64.

Source: Winograd 1980; Lavin and Gray 2016, arXiv 1509.09308, sec. 4.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minisrgan.backend import Array, parallel, thread_count
from minisrgan.kernels.blocks import CACHED, Block, Extent, Pair, block_bytes, blocks, patch, per_thread, scratch
from minisrgan.kernels.matrix import matmul
from minisrgan.kernels.schemes import Scheme

# The transformed tiles of a block may exceed the cache, since they are used only once, and a product needs many tiles
# to make up for reading the weight of a wide layer. More than 144 tiles make no product faster; with few channels, 144
# tiles fit the cache.
_LARGEST, _TILES = 12 << 20, 144

# Names of the memory that each step writes. A step needs only the result of the previous one, so two buffers are used
# in turn. With a separate buffer for each array everything took 1.05 times as long, since the buffers displaced one
# another from the cache.
_HALF_INPUTS = _HALF_GRADIENTS = _PRODUCTS = "half-transformed inputs, half-transformed gradients, products"
_INPUTS = _HALF_RESULTS = "transformed inputs, half-transformed results"
_GRADIENTS, _RESULTS = "transformed gradients", "results"


# The transforms of blocks of one extent (images, tile rows, tile columns). Their constructors create all views, once
# per thread: creating a view in Python takes longer than a small product in BLAS, and the other threads wait meanwhile,
# as only one thread can run Python.


class _Tiles:
    """B^T d B of every tile d of an input or, with ``of_gradient``, A g A^T of every tile g of an output's gradient."""

    def __init__(self, scheme: Scheme, of_gradient: bool, extent: Extent, channels: int) -> None:
        names = (_HALF_GRADIENTS, _GRADIENTS) if of_gradient else (_HALF_INPUTS, _INPUTS)
        self.matrix, self.step = (scheme.at.T, len(scheme.at)) if of_gradient else (scheme.bt, scheme.step)
        (n, self.reach), step, (images, self.rows, cols) = self.matrix.shape, self.step, extent
        self.wide = (cols - 1) * step + self.reach
        half = scratch(names[0], np.float32, images, self.rows, n, self.wide, channels)
        self.down = half.reshape(images, self.rows, n, -1)
        n_step, r_step, u_step, c_step, size = half.strides
        strides = n_step, r_step, u_step, step * c_step, c_step, size  # neighbours may share columns
        self.along = as_strided(half, (*half.shape[:3], cols, self.reach, channels), strides)
        v = scratch(names[1], np.float32, n, n, images, self.rows, cols, channels)
        self.v, self.tiles = v.reshape(n * n, -1, channels), v.transpose(2, 3, 0, 4, 1, 5)

    def of(self, x: Array, block: Block, origin: Pair = (0, 0)) -> Array:
        """Return the transformed tiles (n*n, T, C) of a block of x (N, H, W, C)."""
        matrix, step = self.matrix, self.step
        top, left = block.rows.start * step + origin[0], block.cols.start * step + origin[1]
        part = patch(x, block.images, top, left, (self.rows - 1) * step + self.reach, self.wide)
        n_step, r_step, _, size = part.strides
        strides = n_step, step * r_step, r_step, size  # neighbours may share rows
        windows = as_strided(part, (len(part), self.rows, self.reach, self.wide * x.shape[3]), strides)
        np.matmul(matrix, windows, out=self.down)  # (n, reach) @ (reach, wide*C), down the columns
        np.matmul(matrix, self.along, out=self.tiles)  # (n, reach) @ (reach, C), along the rows
        return self.v


class _Outputs:
    """A^T m A of the products m (n*n, T, O) of every tile."""

    def __init__(self, scheme: Scheme, extent: Extent, channels: int) -> None:
        (side, n), (images, rows, cols) = scheme.at.shape, extent
        self.at, self.shape = scheme.at, (images, rows * side, cols * side, channels)
        self.m = scratch(_PRODUCTS, np.float32, n * n, images * rows * cols, channels)
        self.m_ones = self.m[n + 1]  # A^T has ones in column 1: what is added to m[1, 1] is added to every output
        self.m_rows = self.m.reshape(n, n, images, rows, cols, channels).transpose(0, 2, 3, 4, 1, 5)
        self.half = scratch(_HALF_RESULTS, np.float32, n, images, rows, cols, side, channels)
        self.half_rows = self.half.reshape(n, images, rows, -1).transpose(1, 2, 0, 3)  # (images, rows, n, cols*side*O)

    def write(self, block: Block, y: Array) -> None:
        """Write the results to their place in y, without those beyond its border."""
        side, shape = len(self.at), (*self.half_rows.shape[:2], -1, self.half_rows.shape[3])
        np.matmul(self.at, self.m_rows, out=self.half)  # (side, n) @ (n, O), along the rows
        rows, cols = (slice(part.start * side, part.stop * side) for part in block[1:])
        target = y[block.images, rows, cols]
        whole = target.shape == self.shape
        tiles = target if whole else scratch(_RESULTS, np.float32, *self.shape)
        np.matmul(self.at, self.half_rows, out=tiles.reshape(shape))  # (side, n) @ (n, cols*side*O), down the columns
        if not whole:
            target[...] = tiles[:, : target.shape[1], : target.shape[2]]


def _tile_blocks(scheme: Scheme, y_shape: tuple[int, ...], channels: int) -> list[Block]:
    """Cut the tiles of an output into blocks: images, tile rows, tile columns.

    There is at least one block per thread, unless all tiles fit one core's cache: then one thread is faster than two
    (64 tiles of 64 channels: 0.5 ms with one thread, 0.6 with two).
    """
    (side, n), (images, height, width) = scheme.at.shape, y_shape[:3]
    shape, size = (images, -(-height // side), -(-width // side)), 4 * n * n * channels
    tiles = math.prod(shape)
    most = min(_TILES, tiles if tiles * size <= CACHED else -(-tiles // thread_count())) * size
    return blocks(shape, size, min(block_bytes(_LARGEST), most))


def convolve(scheme: Scheme, x: Array, weight: Array, bias: Array | None, origin: Pair, y: Array) -> None:
    """Write the convolution of x with weight (3, 3, C, O) into y (N, H, W, O); the first window begins at origin."""
    x = np.ascontiguousarray(x)
    in_channels, out_channels = weight.shape[2:]
    u = matmul(scheme.gg, weight.reshape(9, -1)).reshape(-1, in_channels, out_channels)  # (n*n, 9) @ (9, C*O)

    def work(part: Sequence[Block]) -> None:
        for block in part:
            outputs = per_thread(_Outputs, scheme, block.extent, out_channels)
            v = per_thread(_Tiles, scheme, False, block.extent, in_channels).of(x, block, origin)
            np.matmul(v, u, out=outputs.m)  # n*n of (T, C) @ (C, O)
            if bias is not None:
                np.add(outputs.m_ones, bias, out=outputs.m_ones)
            outputs.write(block, y)

    parallel(work, _tile_blocks(scheme, y.shape, in_channels + out_channels))


def weight_gradient(scheme: Scheme, x: Array, grad_y: Array, origin: Pair) -> Array:
    """Return the gradient with respect to the weight (3, 3, C, O)."""
    x, grad_y = np.ascontiguousarray(x), np.ascontiguousarray(grad_y)
    in_channels, out_channels = x.shape[3], grad_y.shape[3]

    def work(part: Sequence[Block]) -> Array:
        total = np.empty((len(scheme.gg), in_channels, out_channels), x.dtype)
        product = scratch("product", np.float32, *total.shape)
        for count, block in enumerate(part):
            v = per_thread(_Tiles, scheme, False, block.extent, in_channels).of(x, block, origin)
            m = per_thread(_Tiles, scheme, True, block.extent, out_channels).of(grad_y, block)
            np.matmul(v.swapaxes(1, 2), m, out=product if count else total)  # n*n of (C, T) @ (T, O)
            if count:
                total += product
        return total

    totals = parallel(work, _tile_blocks(scheme, grad_y.shape, in_channels + out_channels))
    du = sum(totals[1:], totals[0])
    dw = matmul(scheme.gg.T, du.reshape(len(du), -1))  # (9, n*n) @ (n*n, C*O)
    return dw.reshape(3, 3, in_channels, out_channels)
