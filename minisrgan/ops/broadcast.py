"""Sums over axes, and broadcasting, the adjoint of the sum."""

from collections.abc import Callable

from minisrgan.autograd import Axis, Function, Gradients, Tensor
from minisrgan.autograd.arguments import require_keepdims, require_sizes
from minisrgan.backend import Array, array_module
from minisrgan.errors import ShapeError
from minisrgan.ops.checks import as_tensor, normalized_axes


class Sum(Function):
    """The node of `sum`."""

    def forward(self, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
        self.kept = tuple(1 if axis in axes else length for axis, length in enumerate(x.shape))
        return x.sum(axis=axes, keepdims=keepdims)

    def backward(self, grad_y: Tensor) -> Gradients:
        return broadcast_to(grad_y.reshape(*self.kept), self.shapes[0])


def sum(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Sum over axes, all of them by default.

    Formula     y = sum_i x_i
    Gradient    dy/dx_i = 1: grad_y is repeated along the axes that were summed.
    Shapes      any x; y has its shape without the summed axes, which have length 1 instead if keepdims.
    Errors      ArgumentError for an axis that x lacks.

    >>> x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    >>> y = sum(x, axis=0); y.numpy()
    array([4., 6.], dtype=float32)
    >>> y.backward(Tensor([10.0, 1.0])); x.grad.numpy()
    array([[10.,  1.], [10.,  1.]], dtype=float32)
    """
    x = as_tensor("sum", "x", x)
    return Sum.apply(x, axes=normalized_axes("sum", axis, x.ndim), keepdims=require_keepdims("sum", keepdims))


class BroadcastTo(Function):
    """The node of `broadcast_to`."""

    def forward(self, x: Array, shape: tuple[int, ...]) -> Array:
        return array_module(x).broadcast_to(x, shape)

    def backward(self, grad_y: Tensor) -> Gradients:
        return sum_to(grad_y, self.shapes[0])


def broadcast_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Repeat a tensor along axes that are missing or have length 1, without copying.

    Formula     y[i, j] = x[0, j], if the first axis of x has length 1
    Gradient    every copy adds its gradient: grad_x = sum of grad_y over the repeated axes.
    Shapes      x (1, C) or (C,) for y (N, C), and so on.
    Errors      ShapeError if x does not broadcast to the shape.

    >>> x = Tensor([1.0, 2.0], requires_grad=True)
    >>> broadcast_to(x, (3, 2)).sum().backward(); x.grad.numpy()
    array([3., 3.], dtype=float32)
    """
    x, shape = as_tensor("broadcast_to", "x", x), require_sizes("broadcast_to", "shape", shape, 0)
    _require_broadcast("broadcast_to", x.shape, shape)
    return x if x.shape == shape else BroadcastTo.apply(x, shape=shape)


def sum_to(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Sum over the axes along which ``shape`` would be broadcast to x: the adjoint of `broadcast_to`.

    Formula     y[0, j] = sum_i x[i, j], if the first axis of y has length 1
    Gradient    grad_x = broadcast_to(grad_y, x.shape)
    Shapes      x (N, C) for y (1, C) or (C,), and so on.
    Errors      ShapeError if ``shape`` does not broadcast to x.

    >>> sum_to(Tensor([[1.0, 2.0], [3.0, 4.0]]), (2,)).numpy()
    array([4., 6.], dtype=float32)
    """
    x, shape = as_tensor("sum_to", "x", x), require_sizes("sum_to", "shape", shape, 0)
    if x.shape == shape:
        return x
    _require_broadcast("sum_to", shape, x.shape)
    missing = x.ndim - len(shape)
    axes = (*range(missing), *(missing + i for i, length in enumerate(shape) if length == 1 != x.shape[missing + i]))
    return sum(x, axis=axes).reshape(*shape)


def _require_broadcast(op: str, small: tuple[int, ...], large: tuple[int, ...]) -> None:
    """Check that a shape can be broadcast to another one."""
    missing = len(large) - len(small)
    if missing < 0 or any(a not in (1, b) for a, b in zip(small, large[missing:], strict=True)):
        fix = "counted from the last, each axis has the length of the other shape's, or 1"
        raise ShapeError(op, expected=f"a shape that broadcasts to {large}", got=str(small), fix=fix)


def gradients(node: Function, *each: Callable[[], Tensor]) -> Gradients:
    """Compute the requested gradients of a node's inputs, each summed over the axes where its input was broadcast.

    each  for every input, a function that computes its gradient in the shape of the result or of the input
    """
    inputs = zip(each, node.shapes, node.needs_grad, strict=False)  # a bias is optional
    return tuple(sum_to(gradient(), shape) if needed else None for gradient, shape, needed in inputs)
