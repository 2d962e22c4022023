"""Batch normalization, channel by channel. Over the n values x_1 .. x_n of a channel (all images, rows and columns):

    mean = sum of x_k / n                   var = sum of (x_k - mean)^2 / n
    z_k  = (x_k - mean) / sqrt(var + eps)   y_k = weight z_k + bias
    running_mean <- (1 - momentum) running_mean + momentum mean
    running_var  <- (1 - momentum) running_var  + momentum var n / (n - 1)

Evaluation puts the running statistics in place of mean and var, which are then constants. With g_k = dL/dy_k:

    dL/dbias = sum of g_k                   dL/dweight = sum of g_k z_k
    dL/dx_k  = weight / sqrt(var + eps) * g_k                                               evaluation
    dL/dx_k  = weight / sqrt(var + eps) * (g_k - mean of g - z_k * mean of g z)             training

In training every x_k also changes the mean and the variance, and so every y. Adding a constant to all x changes no y,
so dL/dx has no component along (1, .., 1). Scaling all x changes no y (except through eps), so it has none along z.

>>> import numpy as np
>>> y, running_mean, running_var = batch_norm(
...     np.array([[1.0], [3.0]]), np.ones(1), np.zeros(1), np.zeros(1), np.ones(1), training=True, eps=0.0)
>>> y[:, 0], running_mean, running_var
(array([-1.,  1.]), array([0.2]), array([1.1]))
"""

import math

from minisrgan.reference.positions import Array, each
from minisrgan.reference.reduction import mean, sum, variance


def _statistics(x: Array, running_mean: Array, running_var: Array, training: bool) -> tuple[Array, Array]:
    """Return mean and variance (divided by n) of each channel; in evaluation the running ones."""
    axes = tuple(range(x.ndim - 1))
    return (mean(x, axes), variance(x, axes)) if training else (running_mean.copy(), running_var.copy())


def batch_norm(
    x: Array, weight: Array, bias: Array, running_mean: Array, running_var: Array, *,
    training: bool, momentum: float = 0.1, eps: float = 1e-5,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """y = weight (x - mean) / sqrt(var + eps) + bias, and the two running statistics after this batch."""
    m, v = _statistics(x, running_mean, running_var, training)
    y = each(lambda x, m, v, w, b: w * (x - m) / math.sqrt(v + eps) + b, x, m, v, weight, bias)
    if not training:
        return y, m, v
    n = x.size // x.shape[-1]
    new_mean = each(lambda old, m: (1 - momentum) * old + momentum * m, running_mean, m)
    new_var = each(lambda old, v: (1 - momentum) * old + momentum * v * n / (n - 1), running_var, v)
    return y, new_mean, new_var


def batch_norm_grad(
    grad_y: Array, x: Array, weight: Array, bias: Array, running_mean: Array, running_var: Array, *,
    training: bool, momentum: float = 0.1, eps: float = 1e-5,
) -> tuple[Array, Array, Array]:  # fmt: skip
    """(grad_x, grad_weight, grad_bias) by the formulas above; nothing flows back from the running statistics."""
    m, v = _statistics(x, running_mean, running_var, training)
    axes, n = tuple(range(x.ndim - 1)), x.size // x.shape[-1]
    z = each(lambda x, m, v: (x - m) / math.sqrt(v + eps), x, m, v)
    grad_bias = sum(grad_y, axes)
    grad_weight = sum(each(lambda g, z: g * z, grad_y, z), axes)
    grad_z = grad_y
    if training:
        grad_z = each(lambda g, z, b, w: g - b / n - z * w / n, grad_y, z, grad_bias, grad_weight)
    grad_x = each(lambda g, v, w: w / math.sqrt(v + eps) * g, grad_z, v, weight)
    return grad_x, grad_weight, grad_bias
