"""Elementary functions, element by element."""

from __future__ import annotations

from minisrgan.autograd import OPERATORS, Function, Gradients, Operand, Tensor
from minisrgan.backend import Array, array_module
from minisrgan.errors import ArgumentError
from minisrgan.ops.checks import broadcast_shape, mask, require_number
from minisrgan.ops.reduction import sum_to


class Exp(Function):
    """The node of `exp`."""

    def forward(self, x: Array) -> Array:
        y = array_module(x).exp(x)
        self.save(y)
        return y

    def backward(self, grad_y: Tensor) -> Gradients:
        (y,) = self.saved
        return grad_y * y


def exp(x: Tensor) -> Tensor:
    """Exponential function.

    Formula     y = e^x
    Gradient    dy/dx = e^x = y
    Shapes      x, y any one shape.
    Errors      DTypeError if x is not a float tensor. Above 88 (float32) the result is infinite.

    >>> x = Tensor([0.0], requires_grad=True)
    >>> exp(x).backward(); x.grad.item()
    1.0
    """
    return Exp.apply(x)


class Log(Function):
    """The node of `log`."""

    def forward(self, x: Array) -> Array:
        self.save(x)
        return array_module(x).log(x)

    def backward(self, grad_y: Tensor) -> Gradients:
        (x,) = self.saved
        return grad_y / x


def log(x: Tensor) -> Tensor:
    """Natural logarithm.

    Formula     y = ln x
    Gradient    dy/dx = 1/x
    Shapes      x, y any one shape.
    Errors      DTypeError if x is not a float tensor. At 0 the result is -inf, below 0 NaN.

    >>> x = Tensor([4.0], requires_grad=True)
    >>> log(x).backward(); x.grad.item()
    0.25
    """
    return Log.apply(x)


class Sqrt(Function):
    """The node of `sqrt`."""

    def forward(self, x: Array) -> Array:
        y = array_module(x).sqrt(x)
        self.save(y)
        return y

    def backward(self, grad_y: Tensor) -> Gradients:
        (y,) = self.saved
        return grad_y / (2.0 * y)


def sqrt(x: Tensor) -> Tensor:
    """Square root.

    Formula     y = x^(1/2)
    Gradient    dy/dx = 1 / (2y); infinite at 0, so add a small number inside where x may be 0.
    Shapes      x, y any one shape.
    Errors      DTypeError if x is not a float tensor. Below 0 the result is NaN.

    >>> x = Tensor([4.0], requires_grad=True)
    >>> sqrt(x).backward(); x.grad.item()
    0.25
    """
    return Sqrt.apply(x)


class Absolute(Function):
    """The node of `absolute`."""

    def forward(self, x: Array) -> Array:
        self.save(x)
        return array_module(x).abs(x)

    def backward(self, grad_y: Tensor) -> Gradients:
        (x,) = self.saved_arrays
        return grad_y * Tensor(array_module(x).sign(x))


def absolute(x: Tensor) -> Tensor:
    """Absolute value; also written ``abs(x)``.

    Formula     y = |x|
    Gradient    dy/dx = sign(x). At x = 0 the function has a kink; we take 0.
    Shapes      x, y any one shape.
    Errors      DTypeError if x is not a float tensor.

    >>> x = Tensor([-3.0, 0.0, 2.0], requires_grad=True)
    >>> absolute(x).sum().backward(); x.grad.numpy()
    array([-1.,  0.,  1.], dtype=float32)
    """
    return Absolute.apply(x)


class Clip(Function):
    """The node of `clip`."""

    def forward(self, x: Array, low: float, high: float) -> Array:
        self.low, self.high = low, high
        self.save(x)
        return array_module(x).clip(x, low, high)

    def backward(self, grad_y: Tensor) -> Gradients:
        (x,) = self.saved_arrays
        return grad_y * mask((x >= self.low) & (x <= self.high), x)


def clip(x: Tensor, low: float, high: float) -> Tensor:
    """Limit to a range.

    Formula     y = min(max(x, low), high)
    Gradient    dy/dx = 1 where low <= x <= high, else 0: nothing outside the range learns.
    Shapes      x, y any one shape.
    Errors      ArgumentError if low is not below high.

    >>> x = Tensor([-2.0, 0.5, 2.0], requires_grad=True)
    >>> clip(x, 0.0, 1.0).sum().backward(); x.grad.numpy()
    array([0., 1., 0.], dtype=float32)
    """
    low, high = require_number("clip", "low", low), require_number("clip", "high", high)
    if not low < high:
        raise ArgumentError("clip", expected="low < high", got=f"low {low}, high {high}", fix="swap them?")
    return Clip.apply(x, low=float(low), high=float(high))


class Maximum(Function):
    """The node of `maximum`."""

    def forward(self, a: Array, b: Array) -> Array:
        self.save(a, b)
        return array_module(b if isinstance(a, int | float) else a).maximum(a, b)

    def backward(self, grad_y: Tensor) -> Gradients:
        a, b = self.saved_arrays
        share = mask(a > b, grad_y.data) + 0.5 * mask(a == b, grad_y.data)
        return (
            sum_to(grad_y * share, self.shapes[0]) if self.needs_grad[0] else None,
            sum_to(grad_y * (1.0 - share), self.shapes[1]) if self.needs_grad[1] else None,
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


OPERATORS.update(absolute=absolute)
