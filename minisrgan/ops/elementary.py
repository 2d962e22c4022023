"""Elementary functions, element by element."""

from minisrgan.autograd import Function, Gradients, Tensor
from minisrgan.backend import Array, array_module
from minisrgan.ops.select import where


class Exp(Function):
    """The node of `exp`."""

    def forward(self, x: Array) -> Array:
        self.save_output()
        return array_module(x).exp(x)

    def backward(self, grad_y: Tensor) -> Gradients:
        (y,) = self.saved
        return grad_y * y


def exp(x: Tensor) -> Tensor:
    """Exponential function.

    Formula     y = e^x
    Gradient    dy/dx = e^x = y
    Shapes      any x; y has the shape of x.
    Errors      DTypeError if x is not a float tensor. Above 88 (float32) the result is infinite.

    >>> x = Tensor([0.0], requires_grad=True)
    >>> exp(x).backward(); x.grad.item()
    1.0
    """
    return Exp.apply(x)


class Log(Function):
    """The node of `log`."""

    def forward(self, x: Array) -> Array:
        self.save_inputs(0)
        return array_module(x).log(x)

    def backward(self, grad_y: Tensor) -> Gradients:
        (x,) = self.saved
        return grad_y / x


def log(x: Tensor) -> Tensor:
    """Natural logarithm.

    Formula     y = ln x
    Gradient    dy/dx = 1/x
    Shapes      any x; y has the shape of x.
    Errors      DTypeError if x is not a float tensor. At 0 the result is -inf, below 0 NaN.

    >>> x = Tensor([4.0], requires_grad=True)
    >>> log(x).backward(); x.grad.item()
    0.25
    """
    return Log.apply(x)


class Sqrt(Function):
    """The node of `sqrt`."""

    def forward(self, x: Array) -> Array:
        self.save_output()
        return array_module(x).sqrt(x)

    def backward(self, grad_y: Tensor) -> Gradients:
        (y,) = self.saved
        return grad_y / (2.0 * y)


def sqrt(x: Tensor) -> Tensor:
    """Square root.

    Formula     y = x^(1/2)
    Gradient    dy/dx = 1 / (2y); infinite at 0, so add a small number inside where x may be 0.
    Shapes      any x; y has the shape of x.
    Errors      DTypeError if x is not a float tensor. Below 0 the result is NaN.

    >>> x = Tensor([4.0], requires_grad=True)
    >>> sqrt(x).backward(); x.grad.item()
    0.25
    """
    return Sqrt.apply(x)


class Absolute(Function):
    """The node of `absolute`."""

    def forward(self, x: Array) -> Array:
        self.save_inputs(0)
        return array_module(x).abs(x)

    def backward(self, grad_y: Tensor) -> Gradients:
        (x,) = self.saved_arrays
        return where(x > 0, grad_y, where(x < 0, -grad_y, 0.0))


def absolute(x: Tensor) -> Tensor:
    """Absolute value; also written ``abs(x)``.

    Formula     y = |x|
    Gradient    dy/dx = sign(x). At x = 0 the function has a kink; we take 0.
    Shapes      any x; y has the shape of x.
    Errors      DTypeError if x is not a float tensor.

    >>> x = Tensor([-3.0, 0.0, 2.0], requires_grad=True)
    >>> absolute(x).sum().backward(); x.grad.numpy()
    array([-1.,  0.,  1.], dtype=float32)
    """
    return Absolute.apply(x)
