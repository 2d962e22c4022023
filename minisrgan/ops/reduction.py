"""Reductions: mean, variance, standard deviation, largest and smallest element over axes."""

import math

from minisrgan.autograd import Axis, Function, Gradients, Tensor
from minisrgan.autograd.arguments import require_keepdims
from minisrgan.backend import Array
from minisrgan.errors import ShapeError
from minisrgan.ops.broadcast import sum
from minisrgan.ops.checks import as_tensor, normalized_axes
from minisrgan.ops.elementary import sqrt
from minisrgan.ops.select import where


def mean(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Average over axes, all of them by default.

    Formula     y = (1/n) sum_i x_i
    Gradient    dy/dx_i = 1/n, n the number of elements averaged.
    Shapes      as `sum`.
    Errors      ShapeError if there is nothing to average.

    >>> x = Tensor([1.0, 2.0, 6.0], requires_grad=True)
    >>> y = mean(x); y.item()
    3.0
    >>> y.backward(); x.grad.numpy()
    array([0.33333334, 0.33333334, 0.33333334], dtype=float32)
    """
    x = as_tensor("mean", "x", x)
    count = math.prod(x.shape[a] for a in normalized_axes("mean", axis, x.ndim))
    if count == 0:
        raise ShapeError("mean", expected="at least one element", got=str(x.shape), fix="this batch is empty; skip it")
    return sum(x, axis, require_keepdims("mean", keepdims)) * (1.0 / count)


def variance(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Mean squared distance from the mean, over axes.

    Formula     y = (1/n) sum_i (x_i - m)^2, m the mean; divided by n, not n - 1
    Gradient    dy/dx_i = (2/n) (x_i - m). The mean depends on x_i too, which adds nothing: the distances sum to 0.
    Shapes      as `sum`.
    Errors      ShapeError if there is nothing to average.

    >>> x = Tensor([1.0, 3.0], requires_grad=True)
    >>> y = variance(x); y.item()
    1.0
    >>> y.backward(); x.grad.numpy()
    array([-1.,  1.], dtype=float32)
    """
    centred = x - mean(x, axis, keepdims=True)
    return mean(centred * centred, axis, require_keepdims("var", keepdims))


def std(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Standard deviation over axes: the root of the mean squared distance from the mean.

    Formula     y = sqrt((1/n) sum_i (x_i - m)^2), m the mean; divided by n, not n - 1
    Gradient    dy/dx_i = (x_i - m) / (n y). If all x_i are equal, there is a kink at y = 0; we take 0.
    Shapes      as `sum`.
    Errors      ShapeError if there is nothing to average.

    >>> x = Tensor([1.0, 3.0], requires_grad=True)
    >>> y = std(x); y.item()
    1.0
    >>> y.backward(); x.grad.numpy()
    array([-0.5,  0.5], dtype=float32)
    """
    squared = variance(x, axis, require_keepdims("std", keepdims))
    some = squared.data != 0
    return where(some, sqrt(where(some, squared, 1.0)), 0.0)


class Max(Function):
    """The node of `max`; its name is also that of the NumPy function."""

    def forward(self, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
        self.kept = tuple(1 if axis in axes else length for axis, length in enumerate(x.shape))
        self.axes = axes
        self.save_inputs(0)
        self.save_output()
        return getattr(x, self.name)(axis=axes, keepdims=keepdims)

    def backward(self, grad_y: Tensor) -> Gradients:
        x, y = self.saved_arrays
        winners = x == y.reshape(self.kept)
        count = winners.sum(axis=self.axes, keepdims=True, dtype=x.dtype)
        return where(winners, grad_y.reshape(*self.kept) / Tensor(count), 0.0)


def max(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Largest element over axes, all of them by default.

    Formula     y = max_i x_i
    Gradient    dy/dx_i = 1 for the largest, else 0; if k elements are equally large, each gets 1/k.
    Shapes      as `sum`.
    Errors      ShapeError if there is nothing to choose from.

    >>> x = Tensor([1.0, 5.0, 5.0], requires_grad=True)
    >>> max(x).backward(); x.grad.numpy()
    array([0. , 0.5, 0.5], dtype=float32)
    """
    return _extreme(Max, x, axis, keepdims)


class Min(Max):
    """The node of `min`."""


def min(x: Tensor, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """Smallest element over axes, all of them by default.

    Formula     y = min_i x_i
    Gradient    dy/dx_i = 1 for the smallest, else 0; if k elements are equally small, each gets 1/k.
    Shapes      as `sum`.
    Errors      ShapeError if there is nothing to choose from.

    >>> min(Tensor([[3.0, 1.0], [4.0, 5.0]]), axis=1).numpy()
    array([1., 4.], dtype=float32)
    """
    return _extreme(Min, x, axis, keepdims)


def _extreme(node: type[Max], x: Tensor, axis: Axis, keepdims: bool) -> Tensor:
    x = as_tensor(node.name, "x", x)
    if 0 in x.shape:
        expected, fix = "at least one element", "this batch is empty; skip it"
        raise ShapeError(node.name, expected=expected, got=str(x.shape), fix=fix)
    return node.apply(x, axes=normalized_axes(node.name, axis, x.ndim), keepdims=require_keepdims(node.name, keepdims))
