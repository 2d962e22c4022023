"""Matrix products. Every y[i, j] is a sum of products a[i, k] b[k, j]:

    y[i, j] = sum over k of a[i, k] b[k, j]

A product a b hands g b to a and g a to b, so the same walk over (i, j, k) gives both gradients:

    dL/da[i, k] = sum over j of g[i, j] b[k, j]         (= g b^T)
    dL/db[k, j] = sum over i of g[i, j] a[i, k]         (= a^T g)

linear is the same over the last axis of x, plus a bias whose gradient is the sum of g over all rows.

>>> linear(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.array([100.0]))
array([[111.]])
"""

from __future__ import annotations

import numpy as np

from minisrgan.reference.positions import Array, source


def matmul(a: Array, b: Array) -> Array:
    """y[.., i, j] = sum over k of a[.., i, k] b[.., k, j]; the leading axes broadcast."""
    leading = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    y = np.zeros((*leading, a.shape[-2], b.shape[-1]), np.result_type(a, b))
    for *batch, i, j in np.ndindex(y.shape):
        in_a, in_b = source(tuple(batch), a.shape[:-2]), source(tuple(batch), b.shape[:-2])
        for k in range(a.shape[-1]):
            y[*batch, i, j] += a[*in_a, i, k] * b[*in_b, k, j]
    return y


def matmul_grad(grad_y: Array, a: Array, b: Array) -> tuple[Array, ...]:
    """Each product a[i, k] b[k, j] hands g[i, j] b[k, j] to a and g[i, j] a[i, k] to b."""
    grad_a, grad_b = np.zeros_like(a), np.zeros_like(b)
    for *batch, i, j in np.ndindex(grad_y.shape):
        in_a, in_b = source(tuple(batch), a.shape[:-2]), source(tuple(batch), b.shape[:-2])
        for k in range(a.shape[-1]):
            grad_a[*in_a, i, k] += grad_y[*batch, i, j] * b[*in_b, k, j]
            grad_b[*in_b, k, j] += grad_y[*batch, i, j] * a[*in_a, i, k]
    return grad_a, grad_b


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """y[.., o] = bias[o] + sum over i of x[.., i] weight[i, o]."""
    y = np.zeros((*x.shape[:-1], weight.shape[1]), x.dtype)
    for *row, o in np.ndindex(y.shape):
        if bias is not None:
            y[*row, o] = bias[o]
        for i in range(x.shape[-1]):
            y[*row, o] += x[*row, i] * weight[i, o]
    return y


def linear_grad(grad_y: Array, x: Array, weight: Array, bias: Array | None = None) -> tuple[Array | None, ...]:
    """Each product x[i] weight[i, o] hands g[o] weight[i, o] to x and g[o] x[i] to weight; bias[o] gets every g[o]."""
    grad_x, grad_weight = np.zeros_like(x), np.zeros_like(weight)
    grad_bias = None if bias is None else np.zeros_like(bias)
    for *row, o in np.ndindex(grad_y.shape):
        if grad_bias is not None:
            grad_bias[o] += grad_y[*row, o]
        for i in range(x.shape[-1]):
            grad_x[*row, i] += grad_y[*row, o] * weight[i, o]
            grad_weight[i, o] += grad_y[*row, o] * x[*row, i]
    return grad_x, grad_weight, grad_bias
