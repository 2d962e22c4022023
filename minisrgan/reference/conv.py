"""Convolution, its transpose and its weight gradient: one loop over products, used in three ways.

For the output pixel (h, w), the kernel's corner lies at row h s - p and column w s - p of the image (stride s, padding
p), and its element (i, j) at the pixel (h s - p + i, w s - p + j). So image x, weight and result y are used in triples

    y[n, h, w, o]  <-  x[n, h s - p + i, w s - p + j, c]  *  weight[i, j, c, o]

one for each (n, h, w, o, i, j, c) whose pixel lies inside the image, since the padding is zero. `_triples` yields them.
Let T be the sum over the triples of x * weight * y, which is linear in each of the three arrays. The derivative of T
with respect to one array is an operation on the other two:

    conv2d                      y      += x * weight        = dT/dy
    conv2d_transpose            x      += y * weight        = dT/dx
    conv2d_weight_gradient      weight += x * y             = dT/dweight

so the gradients of each of these operations are the other two operations.

>>> x, weight = np.arange(9.0).reshape(1, 3, 3, 1), np.ones((2, 2, 1, 1))
>>> conv2d(x, weight)[0, :, :, 0]
array([[ 8., 12.], [20., 24.]])
>>> conv2d_transpose(np.ones((1, 2, 2, 1)), weight)[0, :, :, 0]
array([[1., 2., 1.], [2., 4., 2.], [1., 2., 1.]])
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np

from minisrgan.reference.positions import Array, Position, Triple, add_products, bias_grad, from_bias, products_grad

Bias: TypeAlias = Array | None
Size: TypeAlias = tuple[int, int]
Pair: TypeAlias = int | tuple[int, int]


def _frame(weight: Position, stride: Pair, padding: Pair | str) -> tuple[Size, Size, Size]:
    """Return, for rows and columns, the stride, the zeros before them and the zeros after them."""
    strides = (stride, stride) if isinstance(stride, int) else stride
    if isinstance(padding, str):  # "same": kernel - 1 zeros in all
        return strides, ((weight[0] - 1) // 2, (weight[1] - 1) // 2), (weight[0] // 2, weight[1] // 2)
    both = (padding, padding) if isinstance(padding, int) else padding
    return strides, both, both


def _triples(x: Position, weight: Position, y: Position, stride: Pair, padding: Pair | str) -> Iterator[Triple]:
    """Yield the positions (in x, in weight, in y) of each product, for arrays of these shapes."""
    (down, right), (top, left), _ = _frame(weight, stride, padding)
    for n, h, w, o in np.ndindex(y):
        for i, j, c in np.ndindex(weight[:3]):
            row, column = h * down - top + i, w * right - left + j
            if 0 <= row < x[1] and 0 <= column < x[2]:
                yield (n, row, column, c), (i, j, c, o), (n, h, w, o)


def _triples_of_transpose(y: Position, weight: Position, x: Position, stride: int, padding: int) -> Iterator[Triple]:
    """Yield the triples (in x, in weight, in y) of a transposed convolution, where y is the image."""
    for in_y, in_weight, in_x in _triples(y, weight, x, stride, padding):
        yield in_x, in_weight, in_y


def _triples_of_weight(x: Position, weight: Position, y: Position, stride: int, padding: int) -> Iterator[Triple]:
    """Yield the triples (in x, in y, in weight) of a weight gradient, where the weight is the result."""
    for in_x, in_weight, in_y in _triples(x, weight, y, stride, padding):
        yield in_x, in_y, in_weight


def conv2d(x: Array, weight: Array, bias: Bias = None, *, stride: Pair = 1, padding: Pair | str = 0) -> Array:
    """y[n, h, w, o] = bias[o] + sum over i, j, c of x[n, h s - p + i, w s - p + j, c] weight[i, j, c, o]."""
    strides, before, after = _frame(weight.shape, stride, padding)
    ho, wo = ((x.shape[1 + k] + before[k] + after[k] - weight.shape[k]) // strides[k] + 1 for k in (0, 1))
    y = from_bias((x.shape[0], ho, wo, weight.shape[3]), bias, like=x)
    return add_products(x, weight, y, _triples(x.shape, weight.shape, y.shape, stride, padding))


def conv2d_grad(
    grad_y: Array, x: Array, weight: Array, bias: Bias = None, *, stride: Pair = 1, padding: Pair | str = 0
) -> tuple[Bias, ...]:
    """Each product x * weight adds g * weight to dL/dx and g * x to dL/dweight."""
    triples = _triples(x.shape, weight.shape, grad_y.shape, stride, padding)
    return *products_grad(grad_y, x, weight, triples), bias_grad(grad_y, bias)


def conv2d_transpose(
    x: Array, weight: Array, bias: Bias = None, *, stride: int = 1, padding: int = 0, output_size: Size | None = None
) -> Array:
    """y[n, h s - p + i, w s - p + j, o] = bias[o] + sum of x[n, h, w, c] weight[i, j, o, c]: x and y exchanged."""
    kh, kw, out_channels, _ = weight.shape
    ho = (x.shape[1] - 1) * stride - 2 * padding + kh
    wo = (x.shape[2] - 1) * stride - 2 * padding + kw
    y = from_bias((x.shape[0], *(output_size or (ho, wo)), out_channels), bias, like=x)
    return add_products(x, weight, y, _triples_of_transpose(y.shape, weight.shape, x.shape, stride, padding))


def conv2d_transpose_grad(
    grad_y: Array, x: Array, weight: Array, bias: Bias = None, *, stride: int = 1, padding: int = 0, **_: Any
) -> tuple[Bias, ...]:
    """Each product x * weight adds g * weight to dL/dx and g * x to dL/dweight; grad_y has the size output_size."""
    triples = _triples_of_transpose(grad_y.shape, weight.shape, x.shape, stride, padding)
    return *products_grad(grad_y, x, weight, triples), bias_grad(grad_y, bias)


def conv2d_weight_gradient(x: Array, grad_y: Array, *, kernel_size: Size, stride: int = 1, padding: int = 0) -> Array:
    """y[i, j, c, o] = sum over n, h, w of x[n, h s - p + i, w s - p + j, c] grad_y[n, h, w, o]."""
    y = np.zeros((*kernel_size, x.shape[-1], grad_y.shape[-1]), x.dtype)
    return add_products(x, grad_y, y, _triples_of_weight(x.shape, y.shape, grad_y.shape, stride, padding))


def conv2d_weight_gradient_grad(
    grad_weight: Array, x: Array, grad_y: Array, *, kernel_size: Size, stride: int = 1, padding: int = 0
) -> tuple[Array, ...]:
    """Each product x * grad_y adds g * grad_y to dL/dx and g * x to dL/d(grad_y), where g = grad_weight."""
    triples = _triples_of_weight(x.shape, grad_weight.shape, grad_y.shape, stride, padding)
    return products_grad(grad_weight, x, grad_y, triples)
