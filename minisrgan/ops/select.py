"""Operations that choose one of two numbers, by a condition or by their size.

The chosen number gets the gradient, the other one gets 0. The gradient is selected by a mask, not multiplied by it:
an incoming gradient may be infinite, as that of sqrt is at 0, and 0 * inf is NaN.
"""

import operator
from typing import Any

import numpy as np

from minisrgan.autograd import Function, Gradients, Operand, Scalar, Tensor
from minisrgan.autograd.arguments import require_number
from minisrgan.backend import Array, array_module, is_array
from minisrgan.errors import ArgumentError, DTypeError
from minisrgan.ops.broadcast import gradients
from minisrgan.ops.checks import as_tensor, broadcast_shape


class Where(Function):
    """The node of `where`."""

    def forward(self, a: Array, b: Array, *, condition: Array) -> Array:
        xp = _module(a, b)
        condition = xp.asarray(condition)
        self.save(condition)
        return xp.where(condition, a, b)

    def backward(self, grad_y: Tensor) -> Gradients:
        (condition,) = self.saved
        return gradients(self, lambda: where(condition, grad_y, 0.0), lambda: where(condition, 0.0, grad_y))


def where(condition: Array, a: Operand, b: Operand) -> Tensor:
    """Choose from two inputs, element by element.

    Formula     y = a where the condition holds, else b
    Gradient    dy/da = 1 where it holds, else 0; dy/db = 1 - dy/da. Summed over broadcast axes.
    Shapes      any condition, a and b that broadcast; y has the broadcast shape. The condition is an array of bool.
    Errors      ShapeError if they do not broadcast, DTypeError if the condition is not bool.

    >>> a = Tensor([1.0, 5.0], requires_grad=True)
    >>> y = where(a.data > 2, a, 0.0); y.numpy()
    array([0., 5.], dtype=float32)
    >>> y.sum().backward(); a.grad.numpy()
    array([0., 1.], dtype=float32)
    """
    numbers = isinstance(condition, Tensor) or is_array(condition)
    if not isinstance(condition, bool | np.bool_) and not (numbers and condition.dtype == bool):
        got = f"{type(condition).__name__} {getattr(condition, 'dtype', '')}"
        fix = "compare it: condition > 0" if numbers else "make it an array: np.array(condition)"
        raise DTypeError("where", expected="condition as an array of bool", got=got, fix=fix)
    for pair in ((a, b), (condition, a), (condition, b)):
        broadcast_shape("where", *pair)
    return Where.apply(a, b, condition=condition)


def clip(x: Tensor, low: float, high: float) -> Tensor:
    """Limit every element to a range.

    Formula     y = min(max(x, low), high)
    Gradient    dy/dx = 1 where low <= x <= high, else 0: elements outside the range get no gradient.
    Shapes      any x; y has the shape of x.
    Errors      ArgumentError if low is above high.

    >>> x = Tensor([-2.0, 0.5, 2.0], requires_grad=True)
    >>> clip(x, 0.0, 1.0).sum().backward(); x.grad.numpy()
    array([0., 1., 0.], dtype=float32)
    """
    x = as_tensor("clip", "x", x)
    low, high = require_number("clip", "low", low), require_number("clip", "high", high)
    if not low <= high:
        fix = f"swap them: ops.clip(x, {high}, {low})"
        raise ArgumentError("clip", expected="low <= high", got=f"low {low}, high {high}", fix=fix)
    inside = (x.data >= low) & (x.data <= high)
    return where(inside, x, array_module(x.data).clip(x.data, low, high))  # the limits are constants


class Maximum(Function):
    """The node of `maximum`; its name is also that of the NumPy function."""

    chosen = staticmethod(operator.ge)

    def forward(self, a: Array, b: Array) -> Array:
        self.save_inputs(0, 1)
        return getattr(_module(a, b), self.name)(a, b)

    def backward(self, grad_y: Tensor) -> Gradients:
        a, b = self.saved_arrays
        shared = where(a == b, grad_y * 0.5, grad_y)
        return gradients(
            self, lambda: where(self.chosen(a, b), shared, 0.0), lambda: where(self.chosen(b, a), shared, 0.0)
        )


def maximum(a: Operand, b: Operand) -> Tensor:
    """Choose the larger of two inputs, element by element.

    Formula     y = max(a, b)
    Gradient    dy/da = 1 where a > b, 1/2 where a = b, else 0; dy/db = 1 - dy/da. Summed over broadcast axes.
    Shapes      any a and b that broadcast; y has the broadcast shape.
    Errors      ShapeError if they do not broadcast, DTypeError if float32 is mixed with float64.

    >>> a = Tensor([1.0, 5.0], requires_grad=True)
    >>> maximum(a, 2.0).sum().backward(); a.grad.numpy()
    array([0., 1.], dtype=float32)
    """
    broadcast_shape("maximum", a, b)
    return Maximum.apply(a, b)


class Minimum(Maximum):
    """The node of `minimum`."""

    chosen = staticmethod(operator.le)


def minimum(a: Operand, b: Operand) -> Tensor:
    """Choose the smaller of two inputs, element by element.

    Formula     y = min(a, b)
    Gradient    dy/da = 1 where a < b, 1/2 where a = b, else 0; dy/db = 1 - dy/da. Summed over broadcast axes.
    Shapes      any a and b that broadcast; y has the broadcast shape.
    Errors      ShapeError if they do not broadcast, DTypeError if float32 is mixed with float64.

    >>> minimum(Tensor([1.0, 5.0]), 2.0).numpy()
    array([1., 2.], dtype=float32)
    """
    broadcast_shape("minimum", a, b)
    return Minimum.apply(a, b)


def _module(a: Array | Scalar, b: Array | Scalar) -> Any:
    """Return the array module of two inputs, one of which may be a number."""
    return array_module(b if isinstance(a, int | float) else a)
