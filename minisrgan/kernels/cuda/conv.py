"""Convolution on a GPU: a matrix product by cuBLAS, with columns gathered before it or scattered after it.

Most 3x3 layers are computed by `winograd` instead: `winograd.suits` chooses.

    gather    im2col: y (pixels, O) = columns of x (pixels, kh*kw*C) @ weight (kh*kw*C, O)
    scatter   col2im: x = sum of columns, which are y (pixels, O) @ weight^T (O, kh*kw*C)

The two are adjoint. At stride 1 a convolution is a transposed convolution with the kernel turned by 180 degrees, so
both methods can compute both. We use the one with the narrower columns: 81*3 numbers per pixel instead of 81*64 for the
last layer of the generator. Columns are made in blocks that fit the workspace (`minisrgan.backend.workspace`), and
again for each gradient: none are stored.

Arithmetic: N*Ho*Wo*kh*kw*C*O multiply-adds each. Bytes moved: columns to the product and from it; the rest once.
"""

import math
from collections.abc import Iterator

from minisrgan.backend import Array, array_module
from minisrgan.kernels.conv import output_size
from minisrgan.kernels.cuda import winograd
from minisrgan.kernels.cuda.graph import product
from minisrgan.kernels.cuda.launch import Pair, blocks, contiguous, over_lines


def _columns(x: Array, kernel: Pair, stride: int, corner: Pair, size: Pair) -> Iterator[tuple[int, Array]]:
    """Yield the first pixel of each block, and the block's columns (pixels, kh*kw*C) of x (N, H, W, C).

    corner   how far outside the image the first window begins: the padding
    size     number of windows in a column and in a row
    """
    (x,) = contiguous(x)
    n, height, width, channels = x.shape
    for first, columns in blocks(x, n * math.prod(size), math.prod(kernel) * channels):
        name, items = _items("im2col", channels, columns, x)
        shape = (len(columns), first, height, width, items, *kernel, *size, stride, *corner)
        lines = (first + len(columns) - 1) // size[1] - first // size[1] + 1
        over_lines(name, (lines, size[1], kernel[1] * items), columns.size, columns, x, *shape)
        yield first, columns


def _items(name: str, channels: int, *arrays: Array) -> tuple[str, int]:
    """Return the kernel that moves 16 bytes at once, if possible, and the number of its items per pixel."""
    items = 16 // arrays[0].itemsize
    fours = channels % items == 0 and all(array.data.ptr % 16 == 0 for array in arrays)
    return (f"{name}_by_16_bytes", channels // items) if fours else (name, channels)


def _gather(x: Array, matrix: Array, kernel: Pair, stride: int, corner: Pair, size: Pair) -> Array:
    """Return columns of x (N, H, W, C) @ matrix (kh*kw*C, O), as (N, *size, O)."""
    xp = array_module(x)
    y = xp.empty((x.shape[0] * math.prod(size), matrix.shape[1]), x.dtype)
    for first, columns in _columns(x, kernel, stride, corner, size):
        product(columns, matrix, out=y[first : first + len(columns)])  # (pixels, kh*kw*C) @ (kh*kw*C, O)
    return y.reshape(x.shape[0], *size, -1)


def _scatter(y: Array, matrix: Array, kernel: Pair, stride: int, corner: Pair, size: Pair) -> Array:
    """Return (N, *size, C), the sum of the columns of all windows: y (N, Ho, Wo, O) @ matrix (O, kh*kw*C)."""
    xp, (n, tall, wide, outputs), (height, _) = array_module(y), y.shape, size
    flat, channels = contiguous(y)[0].reshape(-1, outputs), matrix.shape[1] // math.prod(kernel)
    x = xp.zeros((n, *size, channels), y.dtype)
    for first, columns in blocks(y, len(flat), matrix.shape[1]):
        product(flat[first : first + len(columns)], matrix, out=columns)  # (pixels, O) @ (O, kh*kw*C)
        (n0, h0), (n1, h1) = (divmod(p // wide, tall) for p in (first, first + len(columns) - 1))
        top = n0 * height + min(height, max(0, h0 * stride - corner[0]))
        rows = n1 * height + min(height, max(0, h1 * stride - corner[0] + kernel[0])) - top
        name, items = _items("col2im", channels, x, columns)
        shape = (rows, top, len(columns), first, *size, items, *kernel, tall, wide, stride, *corner)
        over_lines(name, (rows, size[1], items), max(x.size, columns.size), x, columns, *shape)
    return x


def _turned(weight: Array) -> Array:
    """Turn kernels (kh, kw, C, O) by 180 degrees and exchange inputs and outputs: (kh, kw, O, C)."""
    return array_module(weight).ascontiguousarray(weight[::-1, ::-1].swapaxes(2, 3))


def _transposed(weight: Array) -> Array:
    """Return (kh, kw, C, O) as a matrix (O, kh*kw*C)."""
    return weight.transpose(3, 0, 1, 2).reshape(weight.shape[3], -1)


def conv2d(x: Array, weight: Array, bias: Array | None = None, *, stride: int = 1, padding: int = 0) -> Array:
    """Convolve; see `minisrgan.kernels.conv`."""
    (kh, kw, in_channels, out_channels), corner = weight.shape, (padding, padding)
    size = output_size(x.shape[1], kh, stride, padding), output_size(x.shape[2], kw, stride, padding)
    if winograd.suits(x, size, weight.shape, stride, padding):
        return winograd.convolve(x, weight, bias, padding, size)
    if stride == 1 and out_channels < in_channels:
        y = _scatter(x, _transposed(_turned(weight)), (kh, kw), 1, (kh - 1 - padding, kw - 1 - padding), size)
    else:
        y = _gather(x, weight.reshape(-1, out_channels), (kh, kw), stride, corner, size)
    if bias is not None:
        y += bias
    return y


def conv2d_input_gradient(
    grad_y: Array, weight: Array, input_size: Pair, *, stride: int = 1, padding: int = 0
) -> Array:
    """Return the gradient with respect to the input; see `minisrgan.kernels.conv`."""
    kh, kw, in_channels, out_channels = weight.shape
    if winograd.suits(grad_y, input_size, (kh, kw, out_channels, in_channels), stride, kh - 1 - padding):
        return winograd.convolve(grad_y, weight, None, kh - 1 - padding, input_size, turned=True)
    if stride == 1 and out_channels <= in_channels:
        matrix, corner = _turned(weight).reshape(-1, in_channels), (kh - 1 - padding, kw - 1 - padding)
        return _gather(grad_y, matrix, (kh, kw), 1, corner, input_size)
    return _scatter(grad_y, _transposed(weight), (kh, kw), stride, (padding, padding), input_size)


def conv2d_weight_gradient(x: Array, grad_y: Array, kernel: Pair, *, stride: int = 1, padding: int = 0) -> Array:
    """Return the gradient with respect to the weight; see `minisrgan.kernels.conv`."""
    (kh, kw), in_channels, out_channels = kernel, x.shape[3], grad_y.shape[3]
    if winograd.suits(x, grad_y.shape[1:3], (kh, kw, in_channels, out_channels), stride, padding):
        return winograd.weight_gradient(x, grad_y, padding)
    exchanged = stride == 1 and out_channels < in_channels
    corner = (kh - 1 - padding, kw - 1 - padding) if exchanged else (padding, padding)
    source, other = (grad_y, x) if exchanged else (x, grad_y)
    xp, flat = array_module(x), contiguous(other)[0].reshape(-1, other.shape[3])
    weight = xp.empty((kh, kw, source.shape[3], other.shape[3]), x.dtype)
    total = weight.reshape(-1, other.shape[3])
    for first, columns in _columns(source, (kh, kw), stride, corner, other.shape[1:3]):
        part = flat[first : first + len(columns)]
        if first:
            total += product(columns.T, part)  # (kh*kw*C, pixels) @ (pixels, O)
        else:
            product(columns.T, part, out=total)
    return _turned(weight) if exchanged else weight


def conv2d_gradients(
    x: Array, grad_y: Array, weight: Array, *, stride: int = 1, padding: int = 0
) -> tuple[Array, Array]:
    """Return the gradients with respect to input and weight."""
    to_weight = conv2d_weight_gradient(x, grad_y, weight.shape[:2], stride=stride, padding=padding)
    return conv2d_input_gradient(grad_y, weight, x.shape[1:3], stride=stride, padding=padding), to_weight
