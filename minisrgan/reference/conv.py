"""Convolution and its relatives: one walk, read in three directions.

The kernel lies with its corner at row h s - p and column w s - p of the image (stride s, padding p), and its number
(i, j) covers the pixel (h s - p + i, w s - p + j). So image x, weight w and result y meet in triples of positions,

    y[n, h, w, o]  <-  x[n, h s - p + i, w s - p + j, c]  *  weight[i, j, c, o]

one for each (n, h, w, o, i, j, c) whose pixel lies inside the image, for the padding is zero. `_triples` walks them.
Let T be the sum over the triples of x * weight * y, linear in each of the three. The derivative of T in one of them
is an operation on the other two:

    conv2d                      y      += x * weight        = dT/dy
    conv2d_transpose            x      += y * weight        = dT/dx
    conv2d_weight_gradient      weight += x * y             = dT/dweight

so each gradient of one of these operations is another of them: the family is closed.

>>> x, weight = np.arange(9.0).reshape(1, 3, 3, 1), np.ones((2, 2, 1, 1))
>>> conv2d(x, weight)[0, :, :, 0]
array([[ 8., 12.], [20., 24.]])
>>> conv2d_transpose(np.ones((1, 2, 2, 1)), weight)[0, :, :, 0]
array([[1., 2., 1.], [2., 4., 2.], [1., 2., 1.]])
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from minisrgan.reference.positions import Array, Position


def _triples(
    x: Array, weight: Array, y: Array, stride: int, padding: int
) -> Iterator[tuple[Position, Position, Position]]:
    """Yield the positions (in x, in weight, in y) of each product; only the shapes of the arrays matter."""
    kh, kw, in_channels, _ = weight.shape
    for n, h, w, o in np.ndindex(y.shape):
        for i, j, c in np.ndindex(kh, kw, in_channels):
            row, column = h * stride - padding + i, w * stride - padding + j
            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                yield (n, row, column, c), (i, j, c, o), (n, h, w, o)


def _bias_everywhere(shape: Position, bias: Array | None, like: Array) -> Array:
    """Begin an output: bias[o] at every pixel, or zero."""
    y = np.zeros(shape, like.dtype)
    if bias is not None:
        for position in np.ndindex(shape):
            y[position] = bias[position[-1]]
    return y


def _bias_grad(grad_y: Array, bias: Array | None) -> Array | None:
    """dL/dbias[o] = sum of dL/dy[n, h, w, o] over images and pixels."""
    if bias is None:
        return None
    grad_bias = np.zeros_like(bias)
    for position in np.ndindex(grad_y.shape):
        grad_bias[position[-1]] += grad_y[position]
    return grad_bias


def conv2d(x: Array, weight: Array, bias: Array | None = None, *, stride: int = 1, padding: int = 0) -> Array:
    """y[n, h, w, o] = bias[o] + sum over i, j, c of x[n, h s - p + i, w s - p + j, c] weight[i, j, c, o]."""
    kh, kw, _, out_channels = weight.shape
    ho = (x.shape[1] + 2 * padding - kh) // stride + 1
    wo = (x.shape[2] + 2 * padding - kw) // stride + 1
    y = _bias_everywhere((x.shape[0], ho, wo, out_channels), bias, like=x)
    for in_x, in_weight, in_y in _triples(x, weight, y, stride, padding):
        y[in_y] += x[in_x] * weight[in_weight]
    return y


def conv2d_grad(
    grad_y: Array, x: Array, weight: Array, bias: Array | None = None, *, stride: int = 1, padding: int = 0
) -> tuple[Array | None, ...]:
    """Each product x * weight hands g * weight to x and g * x to weight."""
    grad_x, grad_weight = np.zeros_like(x), np.zeros_like(weight)
    for in_x, in_weight, in_y in _triples(x, weight, grad_y, stride, padding):
        grad_x[in_x] += grad_y[in_y] * weight[in_weight]
        grad_weight[in_weight] += grad_y[in_y] * x[in_x]
    return grad_x, grad_weight, _bias_grad(grad_y, bias)


def conv2d_transpose(
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    output_size: tuple[int, int] | None = None,
) -> Array:
    """y[n, h s - p + i, w s - p + j, o] = bias[o] + sum of x[n, h, w, c] weight[i, j, o, c]: x and y swapped."""
    kh, kw, out_channels, _ = weight.shape
    ho = (x.shape[1] - 1) * stride - 2 * padding + kh
    wo = (x.shape[2] - 1) * stride - 2 * padding + kw
    y = _bias_everywhere((x.shape[0], *(output_size or (ho, wo)), out_channels), bias, like=x)
    for in_y, in_weight, in_x in _triples(y, weight, x, stride, padding):
        y[in_y] += x[in_x] * weight[in_weight]
    return y


def conv2d_transpose_grad(
    grad_y: Array,
    x: Array,
    weight: Array,
    bias: Array | None = None,
    *,
    stride: int = 1,
    padding: int = 0,
    output_size: tuple[int, int] | None = None,
) -> tuple[Array | None, ...]:
    """Each product x * weight hands g * weight to x and g * x to weight."""
    grad_x, grad_weight = np.zeros_like(x), np.zeros_like(weight)
    for in_y, in_weight, in_x in _triples(grad_y, weight, x, stride, padding):
        grad_x[in_x] += grad_y[in_y] * weight[in_weight]
        grad_weight[in_weight] += grad_y[in_y] * x[in_x]
    return grad_x, grad_weight, _bias_grad(grad_y, bias)


def conv2d_weight_gradient(
    x: Array, grad_y: Array, *, kernel_size: tuple[int, int], stride: int = 1, padding: int = 0
) -> Array:
    """y[i, j, c, o] = sum over n, h, w of x[n, h s - p + i, w s - p + j, c] grad_y[n, h, w, o]."""
    y = np.zeros((*kernel_size, x.shape[-1], grad_y.shape[-1]), x.dtype)
    for in_x, in_weight, in_y in _triples(x, y, grad_y, stride, padding):
        y[in_weight] += x[in_x] * grad_y[in_y]
    return y


def conv2d_weight_gradient_grad(
    grad_weight: Array, x: Array, grad_y: Array, *, kernel_size: tuple[int, int], stride: int = 1, padding: int = 0
) -> tuple[Array, ...]:
    """Each product x * grad_y hands g * grad_y to x and g * x to grad_y, where g = grad_weight."""
    grad_x, grad_grad_y = np.zeros_like(x), np.zeros_like(grad_y)
    for in_x, in_weight, in_y in _triples(x, grad_weight, grad_y, stride, padding):
        grad_x[in_x] += grad_weight[in_weight] * grad_y[in_y]
        grad_grad_y[in_y] += grad_weight[in_weight] * x[in_x]
    return grad_x, grad_grad_y
