"""Matrix products."""

import math

from minisrgan import kernels
from minisrgan.autograd import Function, Gradients, Tensor
from minisrgan.backend import Array
from minisrgan.errors import ShapeError
from minisrgan.ops.broadcast import gradients
from minisrgan.ops.checks import as_tensor


class Matmul(Function):
    """The node of `matmul`."""

    def forward(self, a: Array, b: Array) -> Array:
        self.save_inputs(0, 1, factors=True)
        return kernels.matmul(a, b)

    def backward(self, grad_y: Tensor) -> Gradients:
        a, b = self.saved
        # (n, k) @ (k, m) and (m, n) @ (n, k)
        return gradients(self, lambda: grad_y @ _turned(b), lambda: _turned(a) @ grad_y)


def _turned(x: Tensor) -> Tensor:
    """Swap the last two axes."""
    return x.transpose(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)


def matmul(a: Tensor | Array, b: Tensor | Array) -> Tensor:
    """Matrix product; also written ``a @ b``.

    Formula     y[i, k] = sum_j a[i, j] b[j, k]
    Gradient    grad_a = grad_y b^T and grad_b = a^T grad_y: b[j, k] is the factor of a[i, j] in y[i, k].
    Shapes      a (..., n, m), b (..., m, k), y (..., n, k); leading axes broadcast, and their gradients are summed.
    Errors      ShapeError if an input has fewer than two axes, or the inner lengths differ.

    >>> a = Tensor([[1.0, 2.0]], requires_grad=True)
    >>> y = matmul(a, Tensor([[3.0], [4.0]])); y.item()
    11.0
    >>> y.backward(); a.grad.numpy()
    array([[3., 4.]], dtype=float32)
    """
    a, b = as_tensor("matmul", "a", a), as_tensor("matmul", "b", b)
    apart = any(1 != n != m != 1 for n, m in zip(a.shape[-3::-1], b.shape[-3::-1], strict=False))  # leading axes
    if a.ndim < 2 or b.ndim < 2 or a.shape[-1] != b.shape[-2] or apart:
        fix = "the last axis of a and the last but one of b have one length; those before them are equal, or 1"
        if a.ndim == 1 or b.ndim == 1:
            fix = "give the vector a second axis: " + ("a[None]" if a.ndim == 1 else "b[:, None]")
        elif a.ndim == b.ndim == 2 and a.shape[-1] == b.shape[-1]:
            fix = "turn the second: b.T"
        raise ShapeError("matmul", expected="(..., n, m) @ (..., m, k)", got=f"{a.shape} @ {b.shape}", fix=fix)
    return Matmul.apply(a, b)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Fully connected layer.

    Formula     y = x W + b
    Gradient    grad_x = grad_y W^T, grad_W = x^T grad_y, grad_b = sum of grad_y over all rows.
    Shapes      x (N, in), W (in, out), b (out,), y (N, out)
    Errors      ShapeError if the rows of x do not have ``in`` entries.
    Source      SRGAN fig. 4: the two dense layers at the end of the discriminator.

    >>> linear(Tensor([[1.0, 2.0]]), Tensor([[3.0], [4.0]]), Tensor([0.5])).numpy()
    array([[11.5]], dtype=float32)
    """
    x, weight = as_tensor("linear", "x", x), as_tensor("linear", "weight", weight)
    features = weight.shape[0] if weight.ndim == 2 else "in"
    if x.ndim < 2 or x.shape[-1] != features:
        fix = "compare the layer before with this one"
        if x.shape == (features,):
            fix = "add the batch axis: x[None]"
        elif weight.ndim == 2 and x.shape[-1:] == weight.shape[1:]:
            fix = "this looks like PyTorch's weight (out, in): weight.T"
        elif x.ndim > 2 and math.prod(x.shape[1:]) == features:
            fix = "flatten all axes but the first: x.reshape(len(x), -1)"
        expected = f"x (N, {features}) for a weight ({features}, out)"
        raise ShapeError("linear", expected=expected, got=f"x {x.shape}, weight {weight.shape}", fix=fix)
    if bias is not None and as_tensor("linear", "bias", bias).shape != weight.shape[1:]:
        raise ShapeError("linear", expected=f"bias {weight.shape[1:]}", got=str(bias.shape), fix="one number an output")
    y = matmul(x, weight)
    return y if bias is None else y + bias
