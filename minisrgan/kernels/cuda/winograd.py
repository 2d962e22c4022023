"""Winograd's convolution on a GPU: 3x3, stride 1, float32, in tiles of 4x4 results.

`minisrgan.kernels.winograd` explains the algorithm, and `minisrgan.kernels.schemes` has its matrices. The transforms
are in ``sources/winograd.cu``; between them cuBLAS computes all 36 products in one call. Both factors are transformed
in one launch, and the bias is added while the results are written, so a convolution takes three launches, which is what
im2col needs: columns, product and bias.

Arithmetic: 36 multiply-adds per tile and channel pair, instead of 144. Bytes moved: see `pays`. Accuracy: the CPU's.
"""

import math
from collections.abc import Iterator

import numpy as np

from minisrgan.backend import Array, array_module, forced_algorithm, tf32, workspace_bytes
from minisrgan.kernels.cuda.graph import product
from minisrgan.kernels.cuda.launch import Pair, blocks, contiguous, each

_BYTES = 2 * 36 * 4  # of dU and of what a block adds to it, per channel pair; forward, of U, half as many


def suits(x: Array, size: Pair, weight_shape: tuple[int, ...], stride: int, padding: int) -> bool:
    """Return whether to use the algorithm for a layer with results of this size; see `minisrgan.kernels.conv.choose`.

    With TF32 it is never used: products then take a fraction of the time, and transforms would lose digits of 10 bits.
    """
    kh, kw, in_channels, out_channels = weight_shape
    possible = (kh, kw, stride) == (3, 3, 1) and 0 <= padding < 3 and x.dtype == np.float32 and not tf32()
    if not possible or (forced := forced_algorithm()):
        return possible and forced == "winograd"
    fits = _BYTES * in_channels * out_channels <= workspace_bytes(array_module(x)) // 2
    return fits and pays(len(x), size, in_channels, out_channels)


def pays(images: int, size: Pair, in_channels: int, out_channels: int) -> bool:
    """Return whether a layer takes less time than with im2col: by arithmetic, as it has not been measured on a GPU.

    Let P pixels of the result be T tiles. Winograd saves (18 P - 72 T) C O operations. It moves more bytes for each
    tile, 4 (16 + 36 + 36) (C + O), since V and M are written and read, and for the transformed weight, 4 * 2 * 36 C O.
    It moves fewer for the columns, 4 * 18 P min(C, O), and for what im2col reads and writes besides, 4 P (C + O).

    In the time of moving one byte a GPU computes 14 operations in float32 (H200: 67 TFLOP/s, 4.8 TB/s), 35 (RTX 3060:
    12.7 TFLOP/s, 0.36 TB/s), 55 (RTX 4060: 15.1 and 0.27) or 82 (RTX 4090: 82.6 and 1.01). The more it computes, the
    less the saved operations are worth, so what pays at 82 pays everywhere:

        (18 P - 72 T) C O > 82 * (bytes more - bytes fewer)

    For full tiles, with m = min(C, O), that is T (3 C O / 82 + 16 m - 4 (C + O)) > 4 C O. With C = O it pays from a few
    dozen tiles on, which share the weight: 25 for 64 channels, 77 for 512. With O = 4 C it takes at least 28 channels,
    and it never pays for the first layers, with 3. It does not pay either for VGG's last layers, at 6x6 pixels, where
    the tiles are little more than half full.
    """
    tiles, pixels = images * -(-size[0] // 4) * -(-size[1] // 4), images * size[0] * size[1]
    both, pairs = in_channels + out_channels, in_channels * out_channels
    more = 352 * tiles * both + 288 * pairs - 4 * pixels * (18 * min(in_channels, out_channels) + both)
    return (18 * pixels - 72 * tiles) * pairs > 82 * more


def _blocks(x: Array, size: Pair, outputs: int) -> Iterator[tuple[Array, Array, tuple[int, ...]]]:
    """Cut the tiles into blocks; yield memory for V (36, T, C) and M (36, T, O), and what the kernels need to know."""
    (images, height, width, channels), down, across = x.shape, -(-size[0] // 4), -(-size[1] // 4)
    for first, block in blocks(x, images * down * across, 36 * (channels + outputs), _BYTES * channels * outputs):
        tiles, flat, end = len(block), block.reshape(-1), 36 * len(block) * channels
        sizes = tiles, first, height, width, channels, down, across
        yield flat[:end].reshape(36, tiles, channels), flat[end:].reshape(36, tiles, outputs), sizes


def convolve(x: Array, weight: Array, bias: Array | None, padding: int, size: Pair, turned: bool = False) -> Array:
    """Convolve x (N, H, W, C) with weight (3, 3, C, O) to (N, *size, O).

    turned   weight is (3, 3, O, C), and its kernels are turned by 180 degrees
    """
    (x, weight), xp, channels, outputs = contiguous(x, weight), array_module(x), x.shape[3], weight.shape[3 - turned]
    added = weight if bias is None else contiguous(bias)[0]
    y, u = xp.empty((len(x), *size, outputs), x.dtype), xp.empty((36, channels, outputs), x.dtype)
    for v, m, sizes in _blocks(x, size, outputs):
        tiles, first, *_, down, across = sizes
        pairs, n = 0 if first else channels * outputs, tiles * outputs
        numbers = *sizes, padding, outputs, pairs, int(turned)
        each("winograd_factors", tiles * channels + pairs, v, u, x, weight, *numbers)
        product(v, u, out=m)  # 36 of (T, C) @ (C, O)
        each("winograd_results", n, y, m, added, n, first, *size, outputs, down, across, int(bias is not None))
    return y


def weight_gradient(x: Array, grad_y: Array, padding: int) -> Array:
    """Return the gradient with respect to the weight (3, 3, C, O)."""
    (x, grad_y), xp, pairs = contiguous(x, grad_y), array_module(x), (x.shape[3], grad_y.shape[3])
    du, dw = xp.empty((36, *pairs), x.dtype), xp.empty((3, 3, *pairs), x.dtype)
    for v, m, sizes in _blocks(x, grad_y.shape[1:3], pairs[1]):
        tiles, first, *_ = sizes
        each("winograd_gradient_factors", tiles * sum(pairs), v, m, x, grad_y, *sizes, padding, *grad_y.shape[1:])
        if first:
            du += product(v.swapaxes(1, 2), m)  # 36 of (C, T) @ (T, O)
        else:
            product(v.swapaxes(1, 2), m, out=du)
    each("winograd_weight_gradient", math.prod(pairs), dw, du, math.prod(pairs))
    return dw
