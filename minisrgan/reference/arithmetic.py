"""Arithmetic, number by number. Each formula and, with g = dL/dy, the gradients of its inputs:

    y = a + b       g, g                        y = x^e         g e x^(e-1), g x^e log x
    y = a - b       g, -g                       y = exp x       g exp x
    y = a b         g b, g a                    y = log x       g / x
    y = a / b       g / b, -g a / b^2           y = sqrt x      g / (2 sqrt x)
    y = -x          -g                          y = |x|         g sign x, 0 at x = 0
    y = max(a, b)   g to the larger,            y = clip x      g where low <= x <= high,
                    g / 2 to each where equal                   else 0
    y = min(a, b)   the same, to the smaller    y = a if c      g to a where c holds, else to b
                                                    else b

Inputs broadcast; the gradient of a stretched input is the sum over its copies (see `positions`).

>>> import numpy as np
>>> multiply_grad(np.ones((2, 3)), np.ones((2, 3)), np.array([1.0, 2.0, 3.0]))
(array([[1., 2., 3.], [1., 2., 3.]]), array([2., 2., 2.]))
"""

import math
from typing import Any

import numpy as np

from minisrgan.reference.positions import Array, each, each_grad, elementwise

add, add_grad = elementwise(lambda a, b: a + b, lambda g, a, b: (g, g))
subtract, subtract_grad = elementwise(lambda a, b: a - b, lambda g, a, b: (g, -g))
multiply, multiply_grad = elementwise(lambda a, b: a * b, lambda g, a, b: (g * b, g * a))
divide, divide_grad = elementwise(lambda a, b: a / b, lambda g, a, b: (g / b, -g * a / b**2))
negative, negative_grad = elementwise(lambda x: -x, lambda g, x: (-g,))
exp, exp_grad = elementwise(math.exp, lambda g, x: (g * math.exp(x),))
log, log_grad = elementwise(math.log, lambda g, x: (g / x,))
sqrt, sqrt_grad = elementwise(math.sqrt, lambda g, x: (g / (2 * math.sqrt(x)),))
absolute, absolute_grad = elementwise(abs, lambda g, x: (g if x > 0 else -g if x < 0 else 0,))
maximum, maximum_grad = elementwise(
    lambda a, b: a if a > b else b, lambda g, a, b: (g, 0) if a > b else (0, g) if a < b else (g / 2, g / 2)
)
minimum, minimum_grad = elementwise(
    lambda a, b: a if a < b else b, lambda g, a, b: (g, 0) if a < b else (0, g) if a > b else (g / 2, g / 2)
)
clip, clip_grad = elementwise(
    lambda x, low, high: low if x < low else high if x > high else x,
    lambda g, x, low, high: (g if low <= x <= high else 0,),
)


def power(x: Array, exponent: Array) -> Array:
    """y = x^e."""
    return each(lambda x, e: x**e, x, _as_array(exponent, x))


def power_grad(grad_y: Array, x: Array, exponent: Array) -> tuple[Array, ...]:
    """dy/dx = e x^(e-1), but 0 for e = 0, even at x = 0; dy/de = x^e log x, but 0 at x = 0."""

    def shares(g: float, x: float, e: float) -> tuple[float, float]:
        to_x = g * e * x ** (e - 1) if e else 0.0
        to_e = g * x**e * math.log(x) if x > 0 else 0.0 if x == 0 else math.nan
        return to_x, to_e

    grads = each_grad(shares, grad_y, x, _as_array(exponent, x))
    return grads if isinstance(exponent, np.ndarray) else grads[:1]


def _as_array(number: Any, like: Array) -> Array:
    """Convert a number to an array; return an array as it is."""
    return number if isinstance(number, np.ndarray) else np.asarray(number, like.dtype)


def where(a: Array, b: Array, condition: Array) -> Array:
    """y = a where the condition holds, else b."""
    return each(lambda a, b, c: a if c else b, a, b, condition)


def where_grad(grad_y: Array, a: Array, b: Array, condition: Array) -> tuple[Array, ...]:
    """(dy/da, dy/db) = (1, 0) where the condition holds, else (0, 1)."""
    return each_grad(lambda g, a, b, c: (g, 0, 0) if c else (0, g, 0), grad_y, a, b, condition)[:2]
