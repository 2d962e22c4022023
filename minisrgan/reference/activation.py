"""Activations, number by number:

    relu         y = x if x > 0 else 0              dy/dx = 1 if x > 0 else 0
    leaky_relu   y = x if x > 0 else s x            dy/dx = 1 if x > 0 else s
    prelu        y = x if x > 0 else a x            dy/dx = 1 if x > 0 else a       dy/da = 0 if x > 0 else x
    sigmoid      y = 1 / (1 + e^-x)                 dy/dx = y (1 - y)
    tanh         y = (e^x - e^-x) / (e^x + e^-x)    dy/dx = 1 - y^2
    softplus     y = log(1 + e^x)                   dy/dx = sigmoid x

At the kink x = 0 all take the left slope. e^x overflows for large x, so sigmoid and softplus are written with e^-|x|.

>>> import numpy as np
>>> prelu(np.array([[-2.0, 3.0]]), np.array([0.5, 0.5]))
array([[-1.,  3.]])
"""

import math

from minisrgan.reference.positions import Array, each, each_grad


def relu(x: Array) -> Array:
    """y = x if x > 0 else 0."""
    return each(lambda x: x if x > 0 else 0, x)


def relu_grad(grad_y: Array, x: Array) -> tuple[Array, ...]:
    """dy/dx = 1 if x > 0 else 0."""
    return each_grad(lambda g, x: (g if x > 0 else 0,), grad_y, x)


def leaky_relu(x: Array, negative_slope: float = 0.2) -> Array:
    """y = x if x > 0 else s x."""
    return each(lambda x: x if x > 0 else negative_slope * x, x)


def leaky_relu_grad(grad_y: Array, x: Array, negative_slope: float = 0.2) -> tuple[Array, ...]:
    """dy/dx = 1 if x > 0 else s, where a slope of 0 selects as in relu: 0 even for an infinite g."""
    return each_grad(lambda g, x: (g if x > 0 else negative_slope and g * negative_slope,), grad_y, x)


def prelu(x: Array, slope: Array) -> Array:
    """y = x if x > 0 else a x, with one slope a for each channel or one in all."""
    return each(lambda x, a: x if x > 0 else a * x, x, slope)


def prelu_grad(grad_y: Array, x: Array, slope: Array) -> tuple[Array, ...]:
    """dy/dx = 1 if x > 0 else a; dy/da = 0 if x > 0 else x, summed over all x that share the slope."""
    return each_grad(lambda g, x, a: (g, 0) if x > 0 else (g * a, g * x), grad_y, x, slope)


def _sigmoid(x: float) -> float:
    """1 / (1 + e^-x); for x < 0 as e^x / (1 + e^x), which cannot overflow."""
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


def sigmoid(x: Array) -> Array:
    """y = 1 / (1 + e^-x)."""
    return each(_sigmoid, x)


def sigmoid_grad(grad_y: Array, x: Array) -> tuple[Array, ...]:
    """dy/dx = y (1 - y); 1 - y is sigmoid(-x), which keeps its digits where y is close to 1."""
    return each_grad(lambda g, x: (g * _sigmoid(x) * _sigmoid(-x),), grad_y, x)


def tanh(x: Array) -> Array:
    """y = tanh x."""
    return each(math.tanh, x)


def tanh_grad(grad_y: Array, x: Array) -> tuple[Array, ...]:
    """dy/dx = 1 - y^2."""
    return each_grad(lambda g, x: (g * (1 - math.tanh(x) ** 2),), grad_y, x)


def softplus(x: Array) -> Array:
    """y = log(1 + e^x) = max(x, 0) + log(1 + e^-|x|)."""
    return each(lambda x: max(x, 0) + math.log1p(math.exp(-abs(x))), x)


def softplus_grad(grad_y: Array, x: Array) -> tuple[Array, ...]:
    """dy/dx = sigmoid x."""
    return each_grad(lambda g, x: (g * _sigmoid(x),), grad_y, x)
