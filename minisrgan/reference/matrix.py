"""Matrix products. Every y[i, j] is a sum of products a[i, k] b[k, j]:

    y[i, j] = sum over k of a[i, k] b[k, j]

A product a b adds g b to the gradient of a and g a to that of b, so one loop over (i, j, k) gives both gradients:

    dL/da[i, k] = sum over j of g[i, j] b[k, j]         (= g b^T)
    dL/db[k, j] = sum over i of g[i, j] a[i, k]         (= a^T g)

linear is the same over the last axis of x, plus a bias whose gradient is the sum of g over all rows.

>>> linear(np.array([[1.0, 2.0]]), np.array([[3.0], [4.0]]), np.array([100.0]))
array([[111.]])
"""

from collections.abc import Iterator

import numpy as np

from minisrgan.reference.positions import Array, Position, bias_grad, each, source


def _triples(a: Position, b: Position, y: Position) -> Iterator[tuple[Position, Position, Position]]:
    """Yield the positions (in a, in b, in y) of each product; the leading axes broadcast."""
    for *batch, i, j in np.ndindex(y):
        in_a, in_b = source(tuple(batch), a[:-2]), source(tuple(batch), b[:-2])
        for k in range(a[-1]):
            yield (*in_a, i, k), (*in_b, k, j), (*batch, i, j)


def matmul(a: Array, b: Array) -> Array:
    """y[.., i, j] = sum over k of a[.., i, k] b[.., k, j]; the leading axes broadcast."""
    leading = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    y = np.zeros((*leading, a.shape[-2], b.shape[-1]), np.result_type(a, b))
    for in_a, in_b, in_y in _triples(a.shape, b.shape, y.shape):
        y[in_y] += a[in_a] * b[in_b]
    return y


def matmul_grad(grad_y: Array, a: Array, b: Array) -> tuple[Array, ...]:
    """Each product a[i, k] b[k, j] adds g[i, j] b[k, j] to dL/da[i, k] and g[i, j] a[i, k] to dL/db[k, j]."""
    grad_a, grad_b = np.zeros_like(a), np.zeros_like(b)
    for in_a, in_b, in_y in _triples(a.shape, b.shape, grad_y.shape):
        grad_a[in_a] += grad_y[in_y] * b[in_b]
        grad_b[in_b] += grad_y[in_y] * a[in_a]
    return grad_a, grad_b


def linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    """y[.., o] = bias[o] + sum over i of x[.., i] weight[i, o]."""
    y = matmul(x, weight)
    return y if bias is None else each(lambda y, b: y + b, y, bias)


def linear_grad(grad_y: Array, x: Array, weight: Array, bias: Array | None = None) -> tuple[Array | None, ...]:
    """dL/dx[i] sums g[o] weight[i, o], dL/dweight[i, o] sums g[o] x[i], and dL/dbias[o] sums g[o]."""
    return *matmul_grad(grad_y, x, weight), bias_grad(grad_y, bias)
