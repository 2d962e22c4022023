"""Loss functions: the distance between a prediction and its target, as a single number.

They are composed of other operations, from which the engine derives their gradients. The docstrings give these
gradients in closed form, and the tests compare the two.
"""

from minisrgan.autograd import Operand, Tensor
from minisrgan.autograd.arguments import setting
from minisrgan.backend import as_number
from minisrgan.errors import ShapeError
from minisrgan.ops.activation import softplus
from minisrgan.ops.checks import as_tensor, require_images
from minisrgan.ops.elementary import absolute


def mse(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean squared error.

    Formula     y = (1/n) sum_i (p_i - t_i)^2
    Gradient    dy/dp_i = (2/n) (p_i - t_i), and dy/dt_i the opposite
    Shapes      prediction and target of one shape, n elements; y a scalar.
    Errors      ShapeError if the shapes differ: broadcasting a target is nearly always a mistake.
    Source      SRGAN eq. 4.

    >>> p = Tensor([1.0, 4.0], requires_grad=True)
    >>> y = mse(p, Tensor([1.0, 2.0])); y.item()
    2.0
    >>> y.backward(); p.grad.numpy()
    array([0., 2.], dtype=float32)
    """
    prediction, target = _pair("mse", prediction=prediction, target=target)
    difference = prediction - target
    return (difference * difference).mean()


def l1(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error.

    Formula     y = (1/n) sum_i |p_i - t_i|
    Gradient    dy/dp_i = sign(p_i - t_i) / n, and dy/dt_i the opposite. Where they are equal we take 0.
    Shapes      prediction and target of one shape, n elements; y a scalar.
    Errors      ShapeError if the shapes differ.

    >>> l1(Tensor([1.0, 4.0]), Tensor([1.0, 2.0])).item()
    1.0
    """
    prediction, target = _pair("l1", prediction=prediction, target=target)
    return absolute(prediction - target).mean()


def binary_cross_entropy_with_logits(logits: Tensor, targets: Operand) -> Tensor:
    """Binary cross-entropy of a prediction that is given as a logit z.

    Formula     y = (1/n) sum_i [-t ln s(z) - (1 - t) ln(1 - s(z))], s the sigmoid
                  = (1/n) sum_i [(1 - t) softplus(z) + t softplus(-z)]
                The shorter form softplus(z) - t z would subtract two large numbers if z is large and correct.
    Gradient    dy/dz_i = (s(z_i) - t_i) / n, and dy/dt_i = -z_i / n
    Shapes      logits and targets of one shape, or one number as the target of all logits; y a scalar.
    Errors      ShapeError if the shapes differ; ArgumentError for a number that is not from 0 to 1.
    Source      SRGAN eq. 2: t = 1 for original images, 0 for generated ones.

    >>> z = Tensor([0.0], requires_grad=True)
    >>> y = binary_cross_entropy_with_logits(z, 1.0); round(y.item(), 4)     # ln 2
    0.6931
    >>> y.backward(); z.grad.item()
    -0.5
    """
    targets = as_number(targets)
    if not isinstance(targets, int | float):
        logits, targets = _pair("binary_cross_entropy_with_logits", logits=logits, targets=targets)
    else:
        setting("binary_cross_entropy_with_logits", "targets", float(targets), 1, closed=True)
    return (softplus(logits) * (1.0 - targets) + softplus(-logits) * targets).mean()


def total_variation(x: Tensor) -> Tensor:
    """Sum of absolute differences between neighbouring pixels, as a mean over the images: small if they are smooth.

    Formula     y = (1/N) sum |x[n, h+1, w, c] - x[n, h, w, c]| + |x[n, h, w+1, c] - x[n, h, w, c]|
    Gradient    each difference adds its sign / N to one pixel and subtracts it from the other; 0 for equal pixels
    Shapes      x (N, H, W, C); y a scalar.
    Errors      ShapeError if x is not a batch of images.
    Source      Aly and Dubois 2005, and Johnson et al. 2016; SRGAN sec. 3.4 uses weight 2e-8 in SRResNet-VGG22.

    >>> total_variation(Tensor([[[[0.0], [1.0]], [[0.0], [3.0]]]])).item()
    6.0
    """
    x = require_images("total_variation", x)
    down = absolute(x[:, 1:] - x[:, :-1]).sum()
    right = absolute(x[:, :, 1:] - x[:, :, :-1]).sum()
    return (down + right) * (1.0 / x.shape[0])


def _pair(op: str, **inputs: Operand) -> tuple[Tensor, Tensor]:
    """Check that two inputs have the same shape; return them as Tensors."""
    (name, a), (other, b) = ((name, as_tensor(op, name, x)) for name, x in inputs.items())
    if a.shape != b.shape or a.size == 0:
        fix = "crop the larger one" if a.size else "this batch is empty; skip it"
        if a.size == b.size > 0:
            fix = f"give both one shape: {other}.reshape({name}.shape)"
        raise ShapeError(op, expected="two tensors of one shape, not empty", got=f"{a.shape} and {b.shape}", fix=fix)
    return a, b
