"""Elementwise arithmetic with broadcasting.

Broadcasting repeats an input along axes that are missing or have length 1. Its adjoint is a sum: the gradient of an
input that was repeated is the sum of the gradients of its copies (`sum_to`). A Python number stays a number, so
``float32 * 0.5`` is float32.
"""

from minisrgan.autograd import Function, Gradients, Operand, Tensor
from minisrgan.backend import Array, array_module, as_number
from minisrgan.ops.broadcast import gradients
from minisrgan.ops.checks import as_tensor, broadcast_shape
from minisrgan.ops.elementary import log
from minisrgan.ops.select import where


class Add(Function):
    """The node of `add`."""

    def forward(self, a: Array, b: Array) -> Array:
        return a + b

    def backward(self, grad_y: Tensor) -> Gradients:
        return gradients(self, lambda: grad_y, lambda: grad_y)


def add(a: Operand, b: Operand) -> Tensor:
    """Sum of two tensors, or of a tensor and a number; also written ``a + b``.

    Formula     y = a + b
    Gradient    dy/da = 1 and dy/db = 1, so both gradients are grad_y, summed over broadcast axes.
    Shapes      any a and b that broadcast; y has the broadcast shape.
    Errors      ShapeError if they do not broadcast, DTypeError if float32 is mixed with float64.

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
        return gradients(self, lambda: grad_y, lambda: -grad_y)


def subtract(a: Operand, b: Operand) -> Tensor:
    """Difference of two tensors, or of a tensor and a number; also written ``a - b``.

    Formula     y = a - b
    Gradient    dy/da = 1 and dy/db = -1: grad_y and -grad_y, summed over broadcast axes.
    Shapes      any a and b that broadcast; y has the broadcast shape.
    Errors      ShapeError if they do not broadcast, DTypeError if float32 is mixed with float64.

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
        self.save_inputs(0, 1, factors=True)
        return a * b

    def backward(self, grad_y: Tensor) -> Gradients:
        a, b = self.saved
        return gradients(self, lambda: grad_y * b, lambda: grad_y * a)


def multiply(a: Operand, b: Operand) -> Tensor:
    """Product of two tensors, or of a tensor and a number; also written ``a * b``.

    Formula     y = a * b
    Gradient    dy/da = b, dy/db = a: each gradient is grad_y times the other input, summed over broadcast axes.
    Shapes      any a and b that broadcast; y has the broadcast shape.
    Errors      ShapeError if they do not broadcast, DTypeError if float32 is mixed with float64.

    >>> a, b = Tensor([2.0], requires_grad=True), Tensor([5.0], requires_grad=True)
    >>> multiply(a, b).backward(); a.grad.item(), b.grad.item()
    (5.0, 2.0)
    """
    broadcast_shape("multiply", a, b)
    return Multiply.apply(a, b)


class Divide(Function):
    """The node of `divide`."""

    def forward(self, a: Array, b: Array) -> Array:
        self.save_inputs(0, factors=True)
        self.save_inputs(1)
        return a / b

    def backward(self, grad_y: Tensor) -> Gradients:
        a, b = self.saved
        return gradients(self, lambda: grad_y / b, lambda: -grad_y * a / (b * b))


def divide(a: Operand, b: Operand) -> Tensor:
    """Quotient of two tensors, or of a tensor and a number; also written ``a / b``.

    Formula     y = a / b
    Gradient    dy/da = 1/b and dy/db = -a/b^2, times grad_y, summed over broadcast axes.
    Shapes      any a and b that broadcast; y has the broadcast shape.
    Errors      ShapeError if they do not broadcast, DTypeError if float32 is mixed with float64. x / 0 gives inf.

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
    Shapes      any x; y has the shape of x.
    Errors      DTypeError if x is not a float tensor.

    >>> negative(Tensor([1.0, -2.0])).numpy()
    array([-1.,  2.], dtype=float32)
    """
    return Negative.apply(x)


class Power(Function):
    """The node of `power`."""

    def forward(self, x: Array, exponent: Array) -> Array:
        self.save_inputs(0, 1)
        return x**exponent

    def backward(self, grad_y: Tensor) -> Gradients:
        x, p = self.saved
        if isinstance(p, int | float):  # for p = 0 the formula has 0 * x^-1, which is NaN at x = 0
            return (grad_y * (p * x ** (p - 1)) if p else where(False, grad_y, 0.0)), None
        lowered = p - where((x.data == 0) & (p.data == 0), 0.0 * p, 1.0)
        some = x.data != 0
        return gradients(
            self,
            lambda: grad_y * (p * x**lowered),
            lambda: where(some, grad_y, 0.0) * (x**p * log(where(some, x, 1.0))),
        )


def power(x: Operand, exponent: Operand) -> Tensor:
    """Raise to a power p; also written ``x ** p``.

    Formula     y = x^p
    Gradient    dy/dx = p x^(p-1). dy/dp = x^p ln x, since x^p = e^(p ln x); it is 0 where x = 0.
                Both are summed over broadcast axes.
    Shapes      any x and p that broadcast, one of which may be a number; y has the broadcast shape.
    Errors      ShapeError if they do not broadcast, DTypeError if float32 is mixed with float64. A negative x with a
                fractional p gives NaN.

    >>> x = Tensor([3.0], requires_grad=True)
    >>> power(x, 2).backward(); x.grad.item()
    6.0
    >>> (2 ** x).item()
    8.0
    """
    x, exponent = as_number(x), as_number(exponent)
    broadcast_shape("power", x, exponent)
    if isinstance(x, int | float):
        p = as_tensor("power", "exponent", exponent)
        x = Tensor(array_module(p.data).asarray(x, dtype=p.dtype))
    return Power.apply(x, exponent)
