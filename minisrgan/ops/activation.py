"""Activations: without them, a stack of convolutions would be equal to a single convolution."""

from minisrgan import kernels
from minisrgan.autograd import Function, Gradients, Tensor
from minisrgan.autograd.arguments import setting
from minisrgan.backend import Array, array_module
from minisrgan.errors import ShapeError
from minisrgan.ops.broadcast import sum_to
from minisrgan.ops.checks import as_tensor
from minisrgan.ops.select import where


class PReLU(Function):
    """The node of `prelu`."""

    def forward(self, x: Array, slope: Array) -> Array:
        self.save_inputs(0, 1)
        return kernels.prelu(x, slope)

    def backward(self, grad_y: Tensor) -> Gradients:
        x, slope = self.saved
        positive = x.data > 0
        grad_x = grad_y * where(positive, 1.0, slope)
        grad_slope = where(positive, 0.0, grad_y) * where(positive, 0.0, x)
        return grad_x, sum_to(grad_slope, slope.shape)

    def backward_fused(self, grad_y: Array) -> tuple[Array, ...]:
        """Make one pass over the arrays instead of about eight: 0.15 of the time (64 channels, 16 x 24 x 24)."""
        x, slope = self.saved_arrays
        return kernels.prelu_gradient(grad_y, x, slope)


def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """Parametric ReLU: a leaky ReLU that learns its slope a, the weight.

    Formula     y = max(x, 0) + a * min(x, 0)
    Gradient    dy/dx = 1 where x > 0, else a            dy/da = min(x, 0)
                so grad_x = grad_y * (1 or a), and grad_a sums grad_y * min(x, 0) over every axis but the channels.
                At x = 0 the function has a kink; we take the left slope, a.
    Shapes      x, y (..., C); a (C,), one slope for each channel, or (1,), one for all.
    Errors      ShapeError if a has neither C entries nor one.
    Source      He et al. 2015, arXiv 1502.01852, eq. 1 and 3; SRGAN sec. 2.1 uses it throughout the generator.

    >>> x = Tensor([[-2.0, 3.0]], requires_grad=True)
    >>> slope = Tensor([0.5, 0.5], requires_grad=True)
    >>> y = prelu(x, slope); y.numpy()
    array([[-1.,  3.]], dtype=float32)
    >>> y.sum().backward(); slope.grad.numpy()
    array([-2.,  0.], dtype=float32)
    """
    x, weight = as_tensor("prelu", "x", x), as_tensor("prelu", "weight", weight)
    if x.ndim < 1 or x.size == 0 or weight.shape not in ((1,), x.shape[-1:]):
        expected = f"x not empty, and a weight of {x.shape[-1:]}, one slope a channel, or (1,), one in all"
        fix = "channels are the last axis of x"
        raise ShapeError("prelu", expected=expected, got=f"weight {weight.shape} for x {x.shape}", fix=fix)
    return PReLU.apply(x, weight)


class LeakyReLU(Function):
    """The node of `leaky_relu`.

    It keeps y rather than x: both have the same sign, and the layer that follows keeps y anyway.
    """

    def forward(self, x: Array, negative_slope: float) -> Array:
        self.negative_slope = negative_slope
        self.save_output()
        return kernels.leaky_relu(x, negative_slope)

    def backward(self, grad_y: Tensor) -> Gradients:
        (y,) = self.saved_arrays
        return GradientOfLeakyReLU.apply(grad_y, y=y, slope=self.negative_slope)


class GradientOfLeakyReLU(Function):
    """The gradient of `leaky_relu` as an operation.

    Gradient    the same operation: it is linear in grad_y, and multiplies each element by 1 or a
    """

    def forward(self, grad_y: Array, *, y: Array, slope: float) -> Array:
        self.slope = slope
        self.save(y)
        return kernels.leaky_relu_gradient(grad_y, y, slope)

    def backward(self, grad_y: Tensor) -> Gradients:
        (y,) = self.saved_arrays
        return GradientOfLeakyReLU.apply(grad_y, y=y, slope=self.slope)


def leaky_relu(x: Tensor, negative_slope: float = 0.2) -> Tensor:
    """Leaky ReLU: a small slope below zero, so that the discriminator's gradient never becomes 0.

    Formula     y = max(x, 0) + a * min(x, 0), a the negative slope
    Gradient    dy/dx = 1 where x > 0, else a. At x = 0 the function has a kink; we take the left slope, a.
    Shapes      any x; y has the shape of x.
    Errors      ArgumentError if the slope is negative or not finite; `prelu` takes any slope.
    Source      SRGAN sec. 2.1, a = 0.2, throughout the discriminator.

    >>> x = Tensor([-2.0, 3.0], requires_grad=True)
    >>> y = leaky_relu(x); y.numpy()
    array([-0.4,  3. ], dtype=float32)
    >>> y.sum().backward(); x.grad.numpy()
    array([0.2, 1. ], dtype=float32)
    """
    return LeakyReLU.apply(x, negative_slope=setting("leaky_relu", "negative_slope", negative_slope))


class ReLU(LeakyReLU):
    """The node of `relu`: a leaky ReLU of slope 0."""


def relu(x: Tensor) -> Tensor:
    """Rectified linear unit.

    Formula     y = max(x, 0)
    Gradient    dy/dx = 1 where x > 0, else 0. At x = 0 the function has a kink; we take 0.
    Shapes      any x; y has the shape of x.
    Errors      DTypeError if x is not a float tensor.
    Source      Simonyan and Zisserman 2014, arXiv 1409.1556: after every convolution of VGG19.

    >>> x = Tensor([-2.0, 3.0], requires_grad=True)
    >>> relu(x).sum().backward(); x.grad.numpy()
    array([0., 1.], dtype=float32)
    """
    return ReLU.apply(x, negative_slope=0.0)


class Sigmoid(Function):
    """The node of `sigmoid`."""

    def forward(self, x: Array) -> Array:
        xp = array_module(x)
        self.save_output()
        # 1 / (1 + e^-x) where x >= 0, else e^x / (1 + e^x): no exponent is positive, so nothing overflows
        return xp.exp(xp.minimum(x, 0)) / (1 + xp.exp(-xp.abs(x)))

    def backward(self, grad_y: Tensor) -> Gradients:
        (y,) = self.saved
        return grad_y * (y * (1.0 - y))


def sigmoid(x: Tensor) -> Tensor:
    """Logistic function: converts a logit to a probability.

    Formula     y = 1 / (1 + e^-x)
    Gradient    dy/dx = y (1 - y)
    Shapes      any x; y has the shape of x.
    Errors      DTypeError if x is not a float tensor.
    Source      SRGAN fig. 4 ends the discriminator with it; ours returns the logit x, and the losses use softplus.

    >>> sigmoid(Tensor([-1000.0, 0.0, 1000.0])).numpy()
    array([0. , 0.5, 1. ], dtype=float32)
    """
    return Sigmoid.apply(x)


class Tanh(Function):
    """The node of `tanh`."""

    def forward(self, x: Array) -> Array:
        self.save_output()
        return array_module(x).tanh(x)

    def backward(self, grad_y: Tensor) -> Gradients:
        (y,) = self.saved
        return grad_y * (1.0 - y * y)


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent.

    Formula     y = (e^x - e^-x) / (e^x + e^-x)
    Gradient    dy/dx = 1 - y^2
    Shapes      any x; y has the shape of x.
    Errors      DTypeError if x is not a float tensor.

    >>> x = Tensor([0.0], requires_grad=True)
    >>> tanh(x).backward(); x.grad.item()
    1.0
    """
    return Tanh.apply(x)


class Softplus(Function):
    """The node of `softplus`."""

    def forward(self, x: Array) -> Array:
        xp = array_module(x)
        self.save_inputs(0)
        return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))

    def backward(self, grad_y: Tensor) -> Gradients:
        (x,) = self.saved
        return grad_y * sigmoid(x)


def softplus(x: Tensor) -> Tensor:
    """Smooth maximum of 0 and x; softplus(-x) is -ln sigmoid(x), but never computes the logarithm of 0.

    Formula     y = ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|)
    Gradient    dy/dx = 1 / (1 + e^-x) = sigmoid(x)
    Shapes      any x; y has the shape of x.
    Errors      DTypeError if x is not a float tensor.

    >>> softplus(Tensor([-1000.0, 0.0, 1000.0])).numpy().tolist()
    [0.0, 0.6931471824645996, 1000.0]
    """
    return Softplus.apply(x)
