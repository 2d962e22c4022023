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

from minisrgan.reference.positions import elementwise


def _sigmoid(x: float) -> float:
    """1 / (1 + e^-x); for x < 0 as e^x / (1 + e^x), which cannot overflow."""
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


relu, relu_grad = elementwise(lambda x: x if x > 0 else 0, lambda g, x: (g if x > 0 else 0,))
leaky_relu, leaky_relu_grad = elementwise(
    lambda x, negative_slope=0.2: x if x > 0 else negative_slope * x,
    # With a slope of 0 this is relu: 0 even for an infinite g.
    lambda g, x, negative_slope=0.2: (g if x > 0 else negative_slope and g * negative_slope,),
)
# One slope a per channel, or a single one; its gradient is the sum over all x that share it.
prelu, prelu_grad = elementwise(lambda x, a: x if x > 0 else a * x, lambda g, x, a: (g, 0) if x > 0 else (g * a, g * x))
# 1 - y is sigmoid(-x), which keeps its digits where y is close to 1.
sigmoid, sigmoid_grad = elementwise(_sigmoid, lambda g, x: (g * _sigmoid(x) * _sigmoid(-x),))
tanh, tanh_grad = elementwise(math.tanh, lambda g, x: (g * (1 - math.tanh(x) ** 2),))
softplus, softplus_grad = elementwise(
    lambda x: max(x, 0) + math.log1p(math.exp(-abs(x))), lambda g, x: (g * _sigmoid(x),)
)
