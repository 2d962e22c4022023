"""Batch normalisation, channel by channel. Over the n values x_1 .. x_n of a channel (all images, rows and columns):

    mean = sum of x_k / n                   var = sum of (x_k - mean)^2 / n
    z_k  = (x_k - mean) / sqrt(var + eps)   y_k = weight z_k + bias
    running_mean <- (1 - momentum) running_mean + momentum mean
    running_var  <- (1 - momentum) running_var  + momentum var n / (n - 1)

Evaluation puts the running statistics in place of mean and var, which are then constants. With g_k = dL/dy_k:

    dL/dbias = sum of g_k                   dL/dweight = sum of g_k z_k
    dL/dx_k  = weight / sqrt(var + eps) * g_k                                               evaluation
    dL/dx_k  = weight / sqrt(var + eps) * (g_k - mean of g - z_k * mean of g z)             training

In training every x_k also moves the mean and the variance of all the others. Moving all x by the same amount changes
no y, so dL/dx has no part along (1, .., 1); scaling all x changes no y (but for eps), so it has none along z.

>>> y, running_mean, running_var = batch_norm(
...     np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), np.zeros(1), np.ones(1), training=True, eps=0.0)
>>> y[:, 0], running_mean, running_var
(array([-1.,  1.]), array([0.2]), array([1.1]))
"""

from __future__ import annotations

import math

import numpy as np

from minisrgan.reference.positions import Array


def _mean_and_variance(values: list[float]) -> tuple[float, float]:
    """Mean and variance of numbers, the variance divided by n."""
    n = len(values)
    mean = sum(values) / n
    return mean, sum((value - mean) ** 2 for value in values) / n


def batch_norm(
    x: Array,
    weight: Array,
    bias: Array,
    running_mean: Array,
    running_var: Array,
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """y = weight (x - mean) / sqrt(var + eps) + bias, and the two running statistics after this batch."""
    y, new_mean, new_var = np.empty_like(x), running_mean.copy(), running_var.copy()
    rows = list(np.ndindex(x.shape[:-1]))
    n = len(rows)
    for c in range(x.shape[-1]):
        mean, var = running_mean[c], running_var[c]
        if training:
            mean, var = _mean_and_variance([x[*row, c] for row in rows])
            new_mean[c] = (1 - momentum) * running_mean[c] + momentum * mean
            new_var[c] = (1 - momentum) * running_var[c] + momentum * var * n / (n - 1)
        for row in rows:
            y[*row, c] = weight[c] * (x[*row, c] - mean) / math.sqrt(var + eps) + bias[c]
    return y, new_mean, new_var


def batch_norm_grad(
    grad_y: Array,
    x: Array,
    weight: Array,
    bias: Array,
    running_mean: Array,
    running_var: Array,
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Array, Array, Array]:
    """(grad_x, grad_weight, grad_bias) by the formulas above; nothing flows back from the running statistics."""
    grad_x, grad_weight, grad_bias = np.empty_like(x), np.zeros_like(weight), np.zeros_like(bias)
    rows = list(np.ndindex(x.shape[:-1]))
    n = len(rows)
    for c in range(x.shape[-1]):
        mean, var = running_mean[c], running_var[c]
        if training:
            mean, var = _mean_and_variance([x[*row, c] for row in rows])
        z = {row: (x[*row, c] - mean) / math.sqrt(var + eps) for row in rows}
        for row in rows:
            grad_bias[c] += grad_y[*row, c]
            grad_weight[c] += grad_y[*row, c] * z[row]
        for row in rows:
            grad_z = grad_y[*row, c]
            if training:
                grad_z = grad_z - grad_bias[c] / n - z[row] * grad_weight[c] / n
            grad_x[*row, c] = weight[c] / math.sqrt(var + eps) * grad_z
    return grad_x, grad_weight, grad_bias
