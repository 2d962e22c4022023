"""Winograd's minimal filtering: a 3x3 convolution with a quarter of the multiplications, or half of them at stride 2.

One dimension first. A tile of 4 outputs of a 3-tap filter w needs 6 inputs d. Seen as polynomials, the products of all
pairs d_i w_j are the coefficients of d(t) w(t); and a polynomial is known from its values at a few points, where a
product of polynomials is just a product of numbers. So: evaluate both at the points 0, 1, -1, 2, -2 and infinity,
multiply 6 numbers instead of 12, and interpolate. Transposed, which turns multiplication of polynomials into
filtering, this is

    y = A^T [ (G w) * (B^T d) ]          A^T (4, 6), G (6, 3), B^T (6, 6), * element by element

with G the evaluation of w, and the other two what transposition makes of evaluation and interpolation. In two
dimensions every transform acts down the columns and along the rows, Y = A^T [(G w G^T) * (B^T d B)] A. Channels sum
before the last transform, so the 36 products are 36 matrix products over tiles:

    V (36, T, C) = B^T d B       U (36, C, O) = G w G^T       M = V @ U       Y (T, 4, 4, O) = A^T M A

Nothing is gathered for that: each side of a transform is a product of a small matrix with a strided view, the first
with whole rows of the image, the second with the channels of neighbouring pixels, and writes where the next step or
the image wants it.

Stride 2 sees the even inputs through the taps 0 and 2 and the odd ones through tap 1: a filter of two taps, 5
multiplications for 4 outputs at the points 0, 1, -1, 2 and infinity, beside one of a single tap, 4 more. Stacked, both
are one scheme of 9 multiplications with 9 inputs, 8 apart from tile to tile: 81 products instead of 144.

All of it is linear, so each gradient is the transposed chain. In the input, at stride 1, it is the same function with
the kernel turned. At stride 2 the even inputs come from the middle tap alone and the odd ones from the other two:
again 5 and 4 multiplications, for 8 pixels of the input from 5 of the gradient. In the weight it is
dU = V^T @ (A dY A^T), summed over tiles, and dw = G^T dU G.

Arithmetic for n points: n*n multiply-adds a tile and channel pair instead of 144, and about 2*n*n*n*C + (n + 4)*4*n*O
for the transforms of a tile. Bytes moved: V and M are written and read once, all within a block.
Accuracy: interpolation at 2 and -2 multiplies by up to 8. Measured against float64, relative to the largest value, over
64 to 256 channels at 24x24: 5e-6 to 1.6e-5, where the plain sum has 3e-7 to 8e-7. Never used for float64.

Source: Winograd 1980; Lavin and Gray 2016, arXiv 1509.09308, sec. 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minisrgan.backend import Array, parallel
from minisrgan.kernels.im2col import Block, Pair, Workspace, block_bytes, blocks, patch, per_thread
from minisrgan.kernels.matrix import matmul

# A block's transformed tiles may outgrow the cache: they are used only once, in long products. But more tiles make no
# product faster, and with few channels these are what stays in cache.
_LARGEST, _TILES = 6 << 20, 144


@dataclass(frozen=True, eq=False)
class Scheme:
    """The matrices of one algorithm with n points, and how far apart its tiles lie.

    bt    B^T (n, inputs of a tile)
    gg    G x G (n*n, 9): both sides at once, for weights laid out as (9, C*O)
    at    A^T (outputs of a tile, n); its column 1, that of the point 1, is all ones
    step  inputs from one tile to the next
    """

    bt: Array
    gg: Array
    at: Array
    step: int


def toom_cook(points: Sequence[int], taps: int) -> tuple[Array, Array, Array]:
    """Return B^T, G and A^T of a filter with so many taps, from values at whole points and at infinity.

    With N(t) the product of t - q over all points q, row p of B^T holds the coefficients of N(t) / (t - p), row p of G
    the powers of p over the value of that polynomial at p, and column p of A^T the powers of p. Infinity stands for the
    leading coefficient: N itself, and ones at the end.

    >>> toom_cook((0, 1), taps=2)[2]  # y_0 and y_1 from the values at 0, 1 and infinity
    array([[1., 1., 0.],
           [0., 1., 1.]])
    """
    n, outputs = len(points) + 1, len(points) + 2 - taps
    bt, g, at = np.zeros((n, n)), np.zeros((n, taps)), np.zeros((outputs, n))
    for row, p in enumerate(points):
        others = [q for q in points if q != p]
        bt[row, : n - 1] = np.poly(others)[::-1]
        g[row] = [p**k / np.prod([p - q for q in others]) for k in range(taps)]
        at[:, row] = [p**k for k in range(outputs)]
    bt[-1], g[-1, -1], at[-1, -1] = np.poly(points)[::-1], 1, 1
    return bt, g, at


def _scheme(bt: Array, g: Array, at: Array, step: int) -> Scheme:
    return Scheme(bt.astype(np.float32), np.kron(g, g).astype(np.float32), at.astype(np.float32), step)


def _strided_schemes() -> tuple[Scheme, Scheme]:
    """Return those of stride 2: forward, and for the gradient in the input, where 1 row of zeros is around it."""
    bt, g, at = toom_cook((0, 1, -1, 2), taps=2)
    taps = np.zeros((9, 3))
    taps[:5, ::2], taps[5:, 1] = g, 1
    from_input = np.zeros((9, 9))
    from_input[:5, ::2], from_input[5:, 1::2] = bt, np.eye(4)
    to_input = np.zeros((8, 9))
    to_input[1::2, :5], to_input[::2, 5:] = at, np.eye(4)
    forward = _scheme(from_input, taps, np.hstack([at, np.eye(4)]), step=8)
    return forward, _scheme(np.vstack([bt, np.eye(4, 5)]), taps, to_input, step=4)


PLAIN = _scheme(*toom_cook((0, 1, -1, 2, -2), taps=3), step=4)
STRIDED, STRIDED_GRADIENT = _strided_schemes()
OUTPUTS = 4  # of a tile along an axis, for the two that go forward


class _Tiles:
    """The transforms of blocks with so many images, tile rows and tile columns, and the memory that they pass through.

    All views are made here, once a thread. To make one takes Python longer than a small product takes BLAS, and while
    one thread of Python does it the others must wait. `first`, `second` and `third` are used again from step to step.
    """

    def __init__(self, scheme: Scheme, extent: tuple[int, int, int], in_channels: int, out_channels: int) -> None:
        self.scheme, self.extent = scheme, extent
        (n, self.reach), (side, _), step = scheme.bt.shape, scheme.at.shape, scheme.step
        images, rows, cols = extent
        self.wide = wide = (cols - 1) * step + self.reach
        self.padded, first, second, third = (
            Workspace(name, np, np.float32) for name in ("padded", "first", "second", "third")
        )
        half = first.of(images, rows, n, wide, in_channels)
        self.down = half.reshape(images, rows, n, -1)
        n_step, r_step, u_step, c_step, size = half.strides
        self.along = as_strided(  # (images, rows, n, cols, reach, C): neighbours share columns
            half,
            (images, rows, n, cols, self.reach, in_channels),
            (n_step, r_step, u_step, step * c_step, c_step, size),
        )
        v = second.of(n, n, images, rows, cols, in_channels)
        self.v, self.v_tiles = v.reshape(n * n, -1, in_channels), v.transpose(2, 3, 0, 4, 1, 5)

        self.m = first.of(n * n, images * rows * cols, out_channels)
        self.m_ones = self.m[n + 1]  # A^T has ones in column 1: what is added to m[1, 1] is added to every output
        self.m_rows = self.m.reshape(n, n, images, rows, cols, out_channels).transpose(0, 2, 3, 4, 1, 5)
        self.half = second.of(n, images, rows, cols, side, out_channels)
        self.half_rows = self.half.reshape(n, images, rows, -1).transpose(1, 2, 0, 3)  # (images, rows, n, cols*side*O)
        self.result = third.of(images, rows, side, cols * side * out_channels)

        grad = first.of(images, rows, n, cols, side, out_channels)
        self.grad_down, self.grad_along = grad.reshape(images, rows, n, -1), grad
        m = third.of(n, n, images, rows, cols, out_channels)
        self.grad_m, self.grad_tiles = m.reshape(n * n, -1, out_channels), m.transpose(2, 3, 0, 4, 1, 5)

    def inputs(self, x: Array, block: Block, origin: Pair) -> Array:
        """Return V (n*n, T, C), which is B^T d B of every tile d of x (N, H, W, C)."""
        bt, step, (images, rows, _) = self.scheme.bt, self.scheme.step, self.extent
        top, left, tall = block.r0 * step + origin[0], block.c0 * step + origin[1], (rows - 1) * step + self.reach
        part = patch(x, block.n0, block.n1, top, left, tall, self.wide, self.padded)
        n_step, r_step, _, size = part.strides
        windows = as_strided(  # (images, rows, reach, wide*C): a view in which neighbours share rows
            part, (images, rows, self.reach, self.wide * x.shape[3]), (n_step, step * r_step, r_step, size)
        )
        np.matmul(bt, windows, out=self.down)  # (n, reach) @ (reach, wide*C), down the columns
        np.matmul(bt, self.along, out=self.v_tiles)  # (n, reach) @ (reach, C), along the rows
        return self.v

    def outputs(self, block: Block, y: Array) -> None:
        """Write A^T m A of every tile of m (n*n, T, O) to its place in y; those at the border may hang over."""
        at, (images, rows, cols) = self.scheme.at, self.extent
        side, channels = len(at), y.shape[3]
        np.matmul(at, self.m_rows, out=self.half)  # (side, n) @ (n, O), along the rows
        target = y[block.n0 : block.n1, block.r0 * side : block.r1 * side, block.c0 * side : block.c1 * side]
        if target.shape[1:3] == (rows * side, cols * side):
            np.matmul(at, self.half_rows, out=target.reshape(self.result.shape))  # (side, n) @ (n, cols*side*O)
        else:
            np.matmul(at, self.half_rows, out=self.result)
            tiles = self.result.reshape(images, rows * side, cols * side, channels)
            target[...] = tiles[:, : target.shape[1], : target.shape[2]]

    def output_gradients(self, grad_y: Array, block: Block) -> Array:
        """Return (n*n, T, O), which is A g A^T of every tile g of grad_y (N, H, W, O): `outputs` transposed."""
        a, (images, rows, cols) = self.scheme.at.T, self.extent
        side = a.shape[1]
        top, left, tall, wide = block.r0 * side, block.c0 * side, rows * side, cols * side
        part = patch(grad_y, block.n0, block.n1, top, left, tall, wide, self.padded)
        np.matmul(a, part.reshape(self.result.shape), out=self.grad_down)  # (n, side) @ (side, wide*O), down
        np.matmul(a, self.grad_along, out=self.grad_tiles)  # (n, side) @ (side, O), along the rows
        return self.grad_m


def _extent(block: Block) -> tuple[int, int, int]:
    return block.n1 - block.n0, block.r1 - block.r0, block.c1 - block.c0


def _tile_blocks(scheme: Scheme, y_shape: tuple[int, ...], channels: int) -> list[Block]:
    """Cut the tiles of an output into blocks: images, tile rows, tile columns."""
    (side, n), (images, height, width) = scheme.at.shape, y_shape[:3]
    size = 4 * n * n * channels
    return blocks((images, -(-height // side), -(-width // side)), size, min(block_bytes(np, _LARGEST), _TILES * size))


def weight_bytes(scheme: Scheme, shape: tuple[int, ...]) -> int:
    """Return the size of U for a weight (3, 3, C, O)."""
    return 4 * len(scheme.gg) * shape[2] * shape[3]


def convolve(scheme: Scheme, x: Array, weight: Array, bias: Array | None, origin: Pair, y: Array) -> None:
    """Write the convolution of x with weight (3, 3, C, O), windows from origin on, into y (N, H, W, O)."""
    x = np.ascontiguousarray(x)
    in_channels, out_channels = weight.shape[2:]
    u = matmul(scheme.gg, weight.reshape(9, -1)).reshape(-1, in_channels, out_channels)  # (n*n, 9) @ (9, C*O)

    def work(part: Sequence[Block]) -> None:
        for block in part:
            tiles = per_thread(_Tiles, scheme, _extent(block), in_channels, out_channels)
            v = tiles.inputs(x, block, origin)
            np.matmul(v, u, out=tiles.m)  # n*n of (T, C) @ (C, O)
            if bias is not None:
                np.add(tiles.m_ones, bias, out=tiles.m_ones)
            tiles.outputs(block, y)

    parallel(work, _tile_blocks(scheme, y.shape, in_channels + out_channels))


def weight_gradient(scheme: Scheme, x: Array, grad_y: Array, origin: Pair) -> Array:
    """Return the gradient (3, 3, C, O) in the weight."""
    x, grad_y = np.ascontiguousarray(x), np.ascontiguousarray(grad_y)
    in_channels, out_channels = x.shape[3], grad_y.shape[3]

    def work(part: Sequence[Block]) -> Array:
        total = np.empty((len(scheme.gg), in_channels, out_channels), x.dtype)
        product = Workspace("product", np, x.dtype).of(*total.shape)
        for count, block in enumerate(part):
            tiles = per_thread(_Tiles, scheme, _extent(block), in_channels, out_channels)
            v, m = tiles.inputs(x, block, origin), tiles.output_gradients(grad_y, block)
            np.matmul(v.swapaxes(1, 2), m, out=product if count else total)  # n*n of (C, T) @ (T, O)
            if count:
                total += product
        return total

    totals = parallel(work, _tile_blocks(scheme, grad_y.shape, in_channels + out_channels))
    du = sum(totals[1:], totals[0])
    dw = matmul(scheme.gg.T, du.reshape(len(du), -1))  # (9, n*n) @ (n*n, C*O)
    return dw.reshape(3, 3, in_channels, out_channels)
