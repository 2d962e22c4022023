"""Winograd's minimal filtering F(4x4, 3x3): a 3x3 convolution with a quarter of the multiplications.

One dimension first. A tile of 4 outputs of a 3-tap filter w needs 6 inputs d. Seen as polynomials, the products of all
pairs d_i w_j are the coefficients of d(t) w(t); and a polynomial is known from its values at a few points, where a
product of polynomials is just a product of numbers. So: evaluate both at the points 0, 1, -1, 2, -2 and infinity,
multiply 6 numbers instead of 12, and interpolate. Transposed, which turns multiplication of polynomials into
filtering, this is

    y = A^T [ (G w) * (B^T d) ]          A^T (4, 6), G (6, 3), B^T (6, 6), * element by element

with G the evaluation of w, and the other two what transposition makes of evaluation and interpolation. In two
dimensions every transform acts on rows and on columns, Y = A^T [(G w G^T) * (B^T d B)] A, which on flattened tiles is
one product with a Kronecker matrix, (B^T x B^T) vec(d). Channels sum before the last transform, so the 36 products
are 36 matrix products over tiles:

    V (36, T, C) = (B^T x B^T) d       U (36, C, O) = (G x G) w       M = V @ U       Y (16, T, O) = (A^T x A^T) M

All of it is linear, so each gradient is the transposed chain: in the input it is the same function with the kernel
turned; in the weight dU = V^T @ (A x A) dY, summed over tiles, and dw = (G x G)^T dU.

Arithmetic: 36 instead of 144 multiply-adds a tile and channel pair, and 36*36*C + 16*36*O for the transforms of a
tile. Bytes moved: each input is copied 36/16 times, V and M are written and read once, all within a block.
Accuracy: interpolation at 2 and -2 multiplies by up to 8. Measured against float64, relative to the largest value, over
64 to 256 channels at 24x24: 6e-6 to 1.3e-5, where the plain sum has 3e-7 to 8e-7. Never used for float64.

Source: Winograd 1980; Lavin and Gray 2016, arXiv 1509.09308, sec. 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from minisrgan.backend import Array, array_module, workspace_bytes
from minisrgan.kernels.im2col import Block, Pair, Workspace, blocks, patch, share
from minisrgan.kernels.matrix import matmul

BT = np.array([
    [4, 0, -5, 0, 1, 0],
    [0, -4, -4, 1, 1, 0],
    [0, 4, -4, -1, 1, 0],
    [0, -2, -1, 2, 1, 0],
    [0, 2, -1, -2, 1, 0],
    [0, 4, 0, -5, 0, 1],
])  # fmt: skip
G = np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24
AT = np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]])
TILE, REACH = 4, 6  # outputs of a tile along an axis, and the inputs they need

# A block's transformed tiles may take several workspaces: they are used only once, in long products. But more tiles
# make no product faster, and with few channels these are what stays in cache.
_WORKSPACES, _TILES = 3, 144


@cache
def _kronecker(which: str, xp: Any) -> Array:
    matrix = {"B": BT, "G": G, "A": AT}[which]
    return xp.asarray(np.kron(matrix, matrix), dtype=np.float32)


def _tile_blocks(y_shape: tuple[int, ...], channels: int) -> list[Block]:
    """Cut the tiles of an output into blocks: images, tile rows, tile columns."""
    images, height, width = y_shape[:3]
    tiles = images, -(-height // TILE), -(-width // TILE)
    size = 4 * REACH * REACH * channels
    return blocks(tiles, size, min(_WORKSPACES * workspace_bytes(), _TILES * size))


def _workspaces(xp: Any, dtype: Any) -> tuple[Workspace, Workspace, Workspace]:
    return Workspace("padded", xp, dtype), Workspace("first", xp, dtype), Workspace("second", xp, dtype)


def _inputs(x: Array, block: Block, origin: Pair, spaces: tuple[Workspace, ...]) -> Array:
    """Return V (36, T, C): the transformed input tiles of a block."""
    padding, gathered, transformed = spaces
    xp, channels = array_module(x), x.shape[3]
    images, rows, cols = block.n1 - block.n0, block.r1 - block.r0, block.c1 - block.c0
    top, left = block.r0 * TILE + origin[0], block.c0 * TILE + origin[1]
    part = patch(x, block.n0, block.n1, top, left, rows * TILE + 2, cols * TILE + 2, padding)
    n_step, r_step, c_step, k_step = part.strides
    windows = xp.lib.stride_tricks.as_strided(  # (6, 6, images, rows, cols, C): a view, no copy
        part,
        (REACH, REACH, images, rows, cols, channels),
        (r_step, c_step, n_step, TILE * r_step, TILE * c_step, k_step),
    )
    tiles = gathered.of(*windows.shape)
    tiles[...] = windows
    count = images * rows * cols
    v = transformed.of(REACH * REACH, count * channels)
    xp.matmul(_kronecker("B", xp), tiles.reshape(REACH * REACH, -1), out=v)  # (36, 36) @ (36, T*C)
    return v.reshape(REACH * REACH, count, channels)


def convolve(x: Array, weight: Array, bias: Array | None, origin: Pair, y: Array) -> None:
    """Write the stride-1 convolution of x with weight (3, 3, C, O), windows from origin on, into y (N, H, W, O)."""
    xp = array_module(x)
    in_channels, out_channels = weight.shape[2:]
    u = matmul(_kronecker("G", xp), weight.reshape(9, -1))  # (36, 9) @ (9, C*O)
    u = u.reshape(REACH * REACH, in_channels, out_channels)

    def work(part: Sequence[Block]) -> None:
        inputs = padding, first, second = _workspaces(xp, x.dtype)
        for block in part:
            v = _inputs(x, block, origin, inputs)
            # Each step writes over what the step before has read: two arrays stay in cache where four would not.
            m = xp.matmul(v, u, out=first.of(REACH * REACH, v.shape[1], out_channels))  # 36 x (T, C) @ (C, O)
            out = second.of(TILE * TILE, v.shape[1] * out_channels)
            xp.matmul(_kronecker("A", xp), m.reshape(REACH * REACH, -1), out=out)  # (16, 36) @ (36, T*O)
            _untile(out, block, y, bias)

    share(xp, work, _tile_blocks(y.shape, in_channels + out_channels))


def _untile(out: Array, block: Block, y: Array, bias: Array | None) -> None:
    """Lay tiles (16, T*O) side by side into y; those at the lower and right border may hang over."""
    xp, channels = array_module(y), y.shape[3]
    images, rows, cols = block.n1 - block.n0, block.r1 - block.r0, block.c1 - block.c0
    tiles = out.reshape(TILE, TILE, images, rows, cols, channels).transpose(2, 3, 0, 4, 1, 5)
    target = y[block.n0 : block.n1, block.r0 * TILE : block.r1 * TILE, block.c0 * TILE : block.c1 * TILE]
    if target.shape[1:3] == (rows * TILE, cols * TILE) and target.flags.c_contiguous:
        target = target.reshape(tiles.shape)  # (images, rows, 4, cols, 4, O)
    else:
        tiles = tiles.reshape(images, rows * TILE, cols * TILE, channels)[:, : target.shape[1], : target.shape[2]]
    if bias is None:
        target[...] = tiles
    else:
        xp.add(tiles, bias, out=target)


def weight_gradient(x: Array, grad_y: Array, origin: Pair) -> Array:
    """Return the gradient (3, 3, C, O) in the weight."""
    xp = array_module(x)
    in_channels, out_channels = x.shape[3], grad_y.shape[3]

    def work(part: Sequence[Block]) -> Array:
        inputs = padding, gathered, _ = _workspaces(xp, x.dtype)
        transformed = Workspace("third", xp, x.dtype)
        total = xp.zeros((REACH * REACH, in_channels, out_channels), x.dtype)
        product = Workspace("product", xp, x.dtype).of(*total.shape)
        for block in part:
            v = _inputs(x, block, origin, inputs)
            images, rows, cols = block.n1 - block.n0, block.r1 - block.r0, block.c1 - block.c0
            top, left = block.r0 * TILE, block.c0 * TILE
            grad = patch(grad_y, block.n0, block.n1, top, left, rows * TILE, cols * TILE, padding)
            grad = grad.reshape(images, rows, TILE, cols, TILE, out_channels).transpose(2, 4, 0, 1, 3, 5)
            tiles = gathered.of(*grad.shape)  # (4, 4, images, rows, cols, O)
            tiles[...] = grad
            m = transformed.of(REACH * REACH, v.shape[1] * out_channels)
            xp.matmul(_kronecker("A", xp).T, tiles.reshape(TILE * TILE, -1), out=m)  # (36, 16) @ (16, T*O)
            m = m.reshape(REACH * REACH, v.shape[1], out_channels)
            total += xp.matmul(v.swapaxes(1, 2), m, out=product)  # 36 x (C, T) @ (T, O)
        return total

    totals = share(xp, work, _tile_blocks(grad_y.shape, in_channels + out_channels))
    du = sum(totals[1:], totals[0])
    dw = matmul(_kronecker("G", xp).T, du.reshape(REACH * REACH, -1))  # (9, 36) @ (36, C*O)
    return dw.reshape(3, 3, in_channels, out_channels)
