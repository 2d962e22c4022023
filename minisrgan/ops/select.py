"""Operations that choose: of two numbers the larger, of many the largest, of a range its limits.

The gradient goes to what was chosen, and 0 to the rest. It is selected by a mask and never multiplied by one: an
incoming gradient may be infinite, as that of sqrt at 0 is, and 0 * inf is not 0 but NaN.
"""

from __future__ import annotations

from typing import Any

from minisrgan.autograd import Axis, Function, Gradients, Operand, Scalar, Tensor
from minisrgan.backend import Array, array_module
from minisrgan.errors import ArgumentError, ShapeError
from minisrgan.ops.checks import as_tensor, broadcast_shape, normalized_axes, require_number
from minisrgan.ops.reduction import sum_to


class Where(Function):
    """The node of `where`."""

    def forward(self, a: Array, b: Array, *, condition: Array) -> Array:
        self.save(condition)
        return _module(a, b).where(condition, a, b)

    def backward(self, grad_y: Tensor) -> Gradients:
        (condition,) = self.saved
        return (
            sum_to(where(condition, grad_y, 0.0), self.shapes[0]) if self.needs_grad[0] else None,
            sum_to(where(condition, 0.0, grad_y), self.shapes[1]) if self.needs_grad[1] else None,
        )


def where(condition: Array, a: Operand, b: Operand) -> Tensor:
    """Take one of two, element by element.

    Formula     y = a where the condition holds, else b
    Gradient    dy/da = 1 where it holds, else 0; dy/db = 1 - dy/da. Summed over broadcast axes.
    Shapes      condition, a, b any three that broadcast; y the broadcast shape.

    >>> a = Tensor([1.0, 5.0], requires_grad=True)
    >>> y = where(a.data > 2, a, 0.0); y.numpy()
    array([0., 5.], dtype=float32)
    >>> y.sum().backward(); a.grad.numpy()
    array([0., 1.], dtype=float32)
    """
    return Where.apply(a, b, condition=condition)


class Clip(Function):
    """The node of `clip`."""

    def forward(self, x: Array, low: float, high: float) -> Array:
        self.low, self.high = low, high
        self.save_inputs(0)
        return array_module(x).clip(x, low, high)

    def backward(self, grad_y: Tensor) -> Gradients:
        (x,) = self.saved_arrays
        return where((x >= self.low) & (x <= self.high), grad_y, 0.0)


def clip(x: Tensor, low: float, high: float) -> Tensor:
    """Limit to a range.

    Formula     y = min(max(x, low), high)
    Gradient    dy/dx = 1 where low <= x <= high, else 0: nothing outside the range learns.
    Shapes      x, y any one shape.
    Errors      ArgumentError if low is above high.

    >>> x = Tensor([-2.0, 0.5, 2.0], requires_grad=True)
    >>> clip(x, 0.0, 1.0).sum().backward(); x.grad.numpy()
    array([0., 1., 0.], dtype=float32)
    """
    low, high = require_number("clip", "low", low), require_number("clip", "high", high)
    if not low <= high:
        fix = f"swap them: ops.clip(x, {high}, {low})"
        raise ArgumentError("clip", expected="low <= high", got=f"low {low}, high {high}", fix=fix)
    return Clip.apply(x, low=float(low), high=float(high))


class Maximum(Function):
    """The node of `maximum`."""

    def forward(self, a: Array, b: Array) -> Array:
        self.save_inputs(0, 1)
        return _module(a, b).maximum(a, b)

    def backward(self, grad_y: Tensor) -> Gradients:
        a, b = self.saved_arrays
        shared = where(a == b, grad_y * 0.5, grad_y)
        return (
            sum_to(where(a >= b, shared, 0.0), self.shapes[0]) if self.needs_grad[0] else None,
            sum_to(where(a <= b, shared, 0.0), self.shapes[1]) if self.needs_grad[1] else None,
        )


def maximum(a: Operand, b: Operand) -> Tensor:
    """Take the larger of two, element by element.

    Formula     y = max(a, b)
    Gradient    dy/da = 1 where a > b, 1/2 where a = b, else 0; dy/db = 1 - dy/da. Summed over broadcast axes.
    Shapes      a, b any two that broadcast; y the broadcast shape.
    Errors      ShapeError if they do not broadcast, DTypeError if float32 meets float64.

    >>> a = Tensor([1.0, 5.0], requires_grad=True)
    >>> maximum(a, 2.0).sum().backward(); a.grad.numpy()
    array([0., 1.], dtype=float32)
    """
    broadcast_shape("maximum", a, b)
    return Maximum.apply(a, b)


class Max(Function):
    """The node of `max`."""

    def forward(self, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
        self.kept = tuple(1 if axis in axes else length for axis, length in enumerate(x.shape))
        self.axes = axes
        y = x.max(axis=axes, keepdims=keepdims)
        self.save_inputs(0)
        self.save_output()
        return y

    def backward(self, grad_y: Tensor) -> Gradients:
        x, y = self.saved_arrays
        winners = x == y.reshape(self.kept)
        count = winners.sum(axis=self.axes, keepdims=True, dtype=x.dtype)
        return where(winners, grad_y.reshape(*self.kept) / Tensor(count), 0.0)


def max(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Largest element over axes, all of them by default.

    Formula     y = max_i x_i
    Gradient    dy/dx_i = 1 for the largest, else 0; where several are equally large they share it.
    Shapes      as `sum`.
    Errors      ShapeError if there is nothing to choose from.

    >>> x = Tensor([1.0, 5.0, 5.0], requires_grad=True)
    >>> max(x).backward(); x.grad.numpy()
    array([0. , 0.5, 0.5], dtype=float32)
    """
    x = as_tensor("max", "x", x)
    if 0 in x.shape:
        raise ShapeError("max", expected="at least one element", got=str(x.shape), fix="this batch is empty; skip it")
    return Max.apply(x, axes=normalized_axes("max", axis, x.ndim), keepdims=keepdims)


def _module(a: Array | Scalar, b: Array | Scalar) -> Any:
    """Return the array module of two inputs, one of which may be a number."""
    return array_module(b if isinstance(a, int | float) else a)
