"""Elementwise arithmetic with broadcasting.

Broadcasting repeats an input along the axes where it is 1 long or missing. Its adjoint adds up: the gradient of an
input that was repeated is the sum of the gradients of its copies (`sum_to`). A Python number stays a number, so
``float32 * 0.5`` is float32.
"""

from __future__ import annotations

from minisrgan.autograd import OPERATORS, Function, Gradients, Operand, Scalar, Tensor
from minisrgan.backend import Array, array_module
from minisrgan.errors import ArgumentError
from minisrgan.ops.checks import broadcast_shape, mask, require_number
from minisrgan.ops.reduction import sum_to


class Add(Function):
    """The node of `add`."""

    def forward(self, a: Array, b: Array) -> Array:
        return a + b

    def backward(self, grad_y: Tensor) -> Gradients:
        return (
            sum_to(grad_y, self.shapes[0]) if self.needs_grad[0] else None,
            sum_to(grad_y, self.shapes[1]) if self.needs_grad[1] else None,
        )


def add(a: Operand, b: Operand) -> Tensor:
    """Sum of two tensors, or of a tensor and a number; also written ``a + b``.

    Formula     y = a + b
    Gradient    dy/da = 1 and dy/db = 1, so both gradients are grad_y, summed over broadcast axes.
    Shapes      a, b any two that broadcast; y the broadcast shape.
    Errors      ShapeError if they do not broadcast, DTypeError if float32 meets float64.

    >>> bias = Tensor([10.0, 20.0], requires_grad=True)
    >>> y = add(Tensor([[1.0, 2.0], [3.0, 4.0]]), bias); y.numpy()
    array([[11., 22.], [13., 24.]], dtype=float32)
    >>> y.sum().backward(); bias.grad.numpy()
    array([2., 2.], dtype=float32)
    """
    broadcast_shape("add", a, b)
    return Add.apply(a, b)


class Subtract(Function):
    """The node of `subtract`."""

    def forward(self, a: Array, b: Array) -> Array:
        return a - b

    def backward(self, grad_y: Tensor) -> Gradients:
        return (
            sum_to(grad_y, self.shapes[0]) if self.needs_grad[0] else None,
            sum_to(-grad_y, self.shapes[1]) if self.needs_grad[1] else None,
        )


def subtract(a: Operand, b: Operand) -> Tensor:
    """Difference of two tensors, or of a tensor and a number; also written ``a - b``.

    Formula     y = a - b
    Gradient    dy/da = 1 and dy/db = -1: grad_y and -grad_y, summed over broadcast axes.
    Shapes      a, b any two that broadcast; y the broadcast shape.
    Errors      ShapeError if they do not broadcast, DTypeError if float32 meets float64.

    >>> b = Tensor([1.0], requires_grad=True)
    >>> y = subtract(5.0, b); y.item()
    4.0
    >>> y.backward(); b.grad.item()
    -1.0
    """
    broadcast_shape("subtract", a, b)
    return Subtract.apply(a, b)


class Multiply(Function):
    """The node of `multiply`."""

    def forward(self, a: Array, b: Array) -> Array:
        self.save(a, b)
        return a * b

    def backward(self, grad_y: Tensor) -> Gradients:
        a, b = self.saved
        return (
            sum_to(grad_y * b, self.shapes[0]) if self.needs_grad[0] else None,
            sum_to(grad_y * a, self.shapes[1]) if self.needs_grad[1] else None,
        )


def multiply(a: Operand, b: Operand) -> Tensor:
    """Product of two tensors, or of a tensor and a number; also written ``a * b``.

    Formula     y = a * b
    Gradient    dy/da = b and dy/db = a: each input's gradient is grad_y times the other, summed over broadcast axes.
    Shapes      a, b any two that broadcast; y the broadcast shape.
    Errors      ShapeError if they do not broadcast, DTypeError if float32 meets float64.

    >>> a, b = Tensor([2.0], requires_grad=True), Tensor([5.0], requires_grad=True)
    >>> multiply(a, b).backward(); a.grad.item(), b.grad.item()
    (5.0, 2.0)
    """
    broadcast_shape("multiply", a, b)
    return Multiply.apply(a, b)


class Divide(Function):
    """The node of `divide`."""

    def forward(self, a: Array, b: Array) -> Array:
        self.save(a, b)
        return a / b

    def backward(self, grad_y: Tensor) -> Gradients:
        a, b = self.saved
        return (
            sum_to(grad_y / b, self.shapes[0]) if self.needs_grad[0] else None,
            sum_to(-grad_y * a / (b * b), self.shapes[1]) if self.needs_grad[1] else None,
        )


def divide(a: Operand, b: Operand) -> Tensor:
    """Quotient of two tensors, or of a tensor and a number; also written ``a / b``.

    Formula     y = a / b
    Gradient    dy/da = 1/b and dy/db = -a/b^2, times grad_y, summed over broadcast axes.
    Shapes      a, b any two that broadcast; y the broadcast shape.
    Errors      ShapeError if they do not broadcast, DTypeError if float32 meets float64. Division by 0 gives inf.

    >>> b = Tensor([4.0], requires_grad=True)
    >>> divide(8.0, b).backward(); b.grad.item()
    -0.5
    """
    broadcast_shape("divide", a, b)
    return Divide.apply(a, b)


class Negative(Function):
    """The node of `negative`."""

    def forward(self, x: Array) -> Array:
        return -x

    def backward(self, grad_y: Tensor) -> Gradients:
        return -grad_y


def negative(x: Tensor) -> Tensor:
    """Change of sign; also written ``-x``.

    Formula     y = -x
    Gradient    dy/dx = -1, so grad_x = -grad_y.
    Shapes      x, y any one shape.
    Errors      DTypeError if x is not a float tensor.

    >>> negative(Tensor([1.0, -2.0])).numpy()
    array([-1.,  2.], dtype=float32)
    """
    return Negative.apply(x)


class Power(Function):
    """The node of `power`."""

    def forward(self, x: Array, exponent: Scalar) -> Array:
        self.exponent = exponent
        self.save(x)
        return x**exponent

    def backward(self, grad_y: Tensor) -> Gradients:
        (x,) = self.saved
        if self.exponent == 0:
            return grad_y * 0.0  # the formula would ask for 0 * x^-1, which is not a number at x = 0
        return grad_y * (self.exponent * x ** (self.exponent - 1))


def power(x: Tensor, exponent: Scalar) -> Tensor:
    """Raise to a fixed power; also written ``x ** p``.

    Formula     y = x^p
    Gradient    dy/dx = p * x^(p-1)
    Shapes      x, y any one shape; p a Python number.
    Errors      ArgumentError if p is not a number. A negative x with a fractional p gives NaN.

    >>> x = Tensor([3.0], requires_grad=True)
    >>> power(x, 2).backward(); x.grad.item()
    6.0
    """
    return Power.apply(x, exponent=require_number("power", "the exponent", exponent))


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


OPERATORS.update(
    add=add, subtract=subtract, multiply=multiply, divide=divide, negative=negative, power=power, absolute=absolute
)
