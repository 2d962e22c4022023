"""Winograd's minimal filtering F(4x4, 3x3): a 3x3 convolution with a quarter of the multiplications.

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
with whole rows of the image, the second with the channels of six neighbouring pixels, and writes where the next step
or the image wants it.

All of it is linear, so each gradient is the transposed chain: in the input it is the same function with the kernel
turned; in the weight dU = V^T @ (A dY A^T), summed over tiles, and dw = G^T dU G.

Arithmetic: 36 instead of 144 multiply-adds a tile and channel pair, and about 2*6*36*C + (6 + 4)*24*O for the
transforms of a tile. Bytes moved: V and M are written and read once, all within a block.
Accuracy: interpolation at 2 and -2 multiplies by up to 8. Measured against float64, relative to the largest value, over
64 to 256 channels at 24x24: 6e-6 to 1.3e-5, where the plain sum has 3e-7 to 8e-7. Never used for float64.

Source: Winograd 1980; Lavin and Gray 2016, arXiv 1509.09308, sec. 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from minisrgan.backend import Array, parallel
from minisrgan.kernels.im2col import Block, Pair, Workspace, block_bytes, blocks, patch
from minisrgan.kernels.matrix import matmul

BT = np.array([
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
], np.float32)  # fmt: skip
G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
GG = np.kron(G, G).astype(np.float32)  # both sides at once, for weights laid out as (9, C*O)
AT = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]], np.float32)
TILE, REACH = 4, 6  # outputs of a tile along an axis, and the inputs they need

# A block's transformed tiles may outgrow the cache: they are used only once, in long products. But more tiles make no
# product faster, and with few channels these are what stays in cache.
_LARGEST, _TILES = 6 << 20, 144


class _Tiles:
    """The tiles of one block after another, and the memory they pass through, which each step uses again."""

    def __init__(self, dtype: Any) -> None:
        names = "padded", "first", "second", "third"
        self.padded, self.first, self.second, self.third = (Workspace(name, np, dtype) for name in names)

    def inputs(self, x: Array, block: Block, origin: Pair) -> Array:
        """Return V (36, T, C), which is B^T d B of every tile d of x (N, H, W, C)."""
        images, rows, cols, channels = *_extent(block), x.shape[3]
        tall, wide = rows * TILE + 2, cols * TILE + 2
        top, left = block.r0 * TILE + origin[0], block.c0 * TILE + origin[1]
        part = patch(x, block.n0, block.n1, top, left, tall, wide, self.padded)
        n_step, r_step, _, step = part.strides
        windows = as_strided(  # (images, rows, 6, wide*C): a view in which neighbours share two rows
            part, (images, rows, REACH, wide * channels), (n_step, TILE * r_step, r_step, step)
        )
        half = self.first.of(images, rows, REACH, wide, channels)
        np.matmul(BT, windows, out=half.reshape(windows.shape))  # (6, 6) @ (6, wide*C), down the columns
        n_step, r_step, u_step, c_step, step = half.strides
        windows = as_strided(  # (images, rows, 6, cols, 6, C): neighbours share two columns
            half, (images, rows, REACH, cols, REACH, channels), (n_step, r_step, u_step, TILE * c_step, c_step, step)
        )
        v = self.second.of(REACH, REACH, images, rows, cols, channels)
        np.matmul(BT, windows, out=v.transpose(2, 3, 0, 4, 1, 5))  # (6, 6) @ (6, C), along the rows
        return v.reshape(REACH * REACH, -1, channels)

    def outputs(self, m: Array, block: Block, y: Array) -> None:
        """Write A^T m A of every tile m (36, T, O) to its place in y; those at the border may hang over."""
        images, rows, cols, channels = *_extent(block), y.shape[3]
        half = self.second.of(REACH, images, rows, cols, TILE, channels)
        m = m.reshape(REACH, REACH, images, rows, cols, channels)
        np.matmul(AT, m.transpose(0, 2, 3, 4, 1, 5), out=half)  # (4, 6) @ (6, O), along the rows
        half = half.reshape(REACH, images, rows, -1).transpose(1, 2, 0, 3)  # (images, rows, 6, cols*4*O)
        target = y[block.n0 : block.n1, block.r0 * TILE : block.r1 * TILE, block.c0 * TILE : block.c1 * TILE]
        if target.shape[1:3] == (rows * TILE, cols * TILE):
            np.matmul(AT, half, out=target.reshape(images, rows, TILE, -1))  # (4, 6) @ (6, cols*4*O)
        else:
            tiles = np.matmul(AT, half, out=self.third.of(images, rows, TILE, half.shape[3]))
            target[...] = tiles.reshape(images, rows * TILE, cols * TILE, channels)[
                :, : target.shape[1], : target.shape[2]
            ]

    def output_gradients(self, grad_y: Array, block: Block) -> Array:
        """Return (36, T, O), which is A g A^T of every tile g of grad_y (N, H, W, O): `outputs` transposed."""
        images, rows, cols, channels = *_extent(block), grad_y.shape[3]
        top, left, tall, wide = block.r0 * TILE, block.c0 * TILE, rows * TILE, cols * TILE
        part = patch(grad_y, block.n0, block.n1, top, left, tall, wide, self.padded)
        half = self.first.of(images, rows, REACH, cols, TILE, channels)
        # (6, 4) @ (4, wide*O), down the columns
        np.matmul(AT.T, part.reshape(images, rows, TILE, -1), out=half.reshape(images, rows, REACH, -1))
        m = self.third.of(REACH, REACH, images, rows, cols, channels)
        np.matmul(AT.T, half, out=m.transpose(2, 3, 0, 4, 1, 5))  # (6, 4) @ (4, O), along the rows
        return m.reshape(REACH * REACH, -1, channels)


def _extent(block: Block) -> tuple[int, int, int]:
    return block.n1 - block.n0, block.r1 - block.r0, block.c1 - block.c0


def _tile_blocks(y_shape: tuple[int, ...], channels: int) -> list[Block]:
    """Cut the tiles of an output into blocks: images, tile rows, tile columns."""
    images, height, width = y_shape[:3]
    tiles = images, -(-height // TILE), -(-width // TILE)
    size = 4 * REACH * REACH * channels
    return blocks(tiles, size, min(block_bytes(np, _LARGEST), _TILES * size))


def weight_bytes(shape: tuple[int, ...]) -> int:
    """Return the size of U for a weight (3, 3, C, O)."""
    return 4 * REACH * REACH * shape[2] * shape[3]


def convolve(x: Array, weight: Array, bias: Array | None, origin: Pair, y: Array) -> None:
    """Write the stride-1 convolution of x with weight (3, 3, C, O), windows from origin on, into y (N, H, W, O)."""
    x = np.ascontiguousarray(x)
    in_channels, out_channels = weight.shape[2:]
    u = matmul(GG, weight.reshape(9, -1)).reshape(REACH * REACH, in_channels, out_channels)  # (36, 9) @ (9, C*O)

    def work(part: Sequence[Block]) -> None:
        tiles = _Tiles(x.dtype)
        for block in part:
            v = tiles.inputs(x, block, origin)
            m = np.matmul(v, u, out=tiles.first.of(REACH * REACH, v.shape[1], out_channels))  # 36 x (T, C) @ (C, O)
            if bias is not None:
                m[REACH + 1] += bias  # A^T has ones in column 1: what is added to m[1, 1] is added to every output
            tiles.outputs(m, block, y)

    parallel(work, _tile_blocks(y.shape, in_channels + out_channels))


def weight_gradient(x: Array, grad_y: Array, origin: Pair) -> Array:
    """Return the gradient (3, 3, C, O) in the weight."""
    x, grad_y = np.ascontiguousarray(x), np.ascontiguousarray(grad_y)
    in_channels, out_channels = x.shape[3], grad_y.shape[3]

    def work(part: Sequence[Block]) -> Array:
        tiles = _Tiles(x.dtype)
        total = np.zeros((REACH * REACH, in_channels, out_channels), x.dtype)
        product = Workspace("product", np, x.dtype).of(*total.shape)
        for block in part:
            v, m = tiles.inputs(x, block, origin), tiles.output_gradients(grad_y, block)
            total += np.matmul(v.swapaxes(1, 2), m, out=product)  # 36 x (C, T) @ (T, O)
        return total

    totals = parallel(work, _tile_blocks(grad_y.shape, in_channels + out_channels))
    du = sum(totals[1:], totals[0])
    dw = matmul(GG.T, du.reshape(REACH * REACH, -1))  # (9, 36) @ (36, C*O)
    return dw.reshape(3, 3, in_channels, out_channels)
