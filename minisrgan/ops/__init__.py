"""The mathematics: every operation with its formula, the derivation of its gradient, forward and backward.

arithmetic   add, subtract, multiply, divide, negative, power
broadcast    sum, broadcast_to, sum_to
select       where, maximum, minimum, clip
elementary   exp, log, sqrt, absolute
reduction    mean, variance, std, max, min
shape        reshape, transpose, getitem, scatter, pad, concatenate, stack
matrix       matmul, linear
conv         conv2d, conv2d_transpose, conv2d_weight_gradient
norm         batch_norm
activation   prelu, leaky_relu, relu, sigmoid, tanh, softplus
shuffle      pixel_shuffle, pixel_unshuffle
pool         max_pool2d
loss         mse, l1, binary_cross_entropy_with_logits, total_variation

`OPERATORS`, at the end, lists those that a Tensor has as operators and methods.
"""

from typing import Any

from minisrgan.autograd import Axis, Tensor
from minisrgan.ops.activation import leaky_relu, prelu, relu, sigmoid, softplus, tanh
from minisrgan.ops.arithmetic import add, divide, multiply, negative, power, subtract
from minisrgan.ops.broadcast import broadcast_to, sum, sum_to
from minisrgan.ops.checks import normalized_axes
from minisrgan.ops.conv import conv2d, conv2d_transpose, conv2d_weight_gradient
from minisrgan.ops.elementary import absolute, exp, log, sqrt
from minisrgan.ops.loss import binary_cross_entropy_with_logits, l1, mse, total_variation
from minisrgan.ops.matrix import linear, matmul
from minisrgan.ops.norm import batch_norm
from minisrgan.ops.pool import max_pool2d
from minisrgan.ops.reduction import max, mean, min, std, variance
from minisrgan.ops.select import clip, maximum, minimum, where
from minisrgan.ops.shape import concatenate, getitem, pad, reshape, scatter, stack, transpose
from minisrgan.ops.shuffle import pixel_shuffle, pixel_unshuffle

__all__ = [
    "absolute", "add", "batch_norm", "binary_cross_entropy_with_logits", "broadcast_to", "clip", "concatenate",
    "conv2d", "conv2d_transpose", "conv2d_weight_gradient", "divide", "exp", "getitem", "l1",
    "leaky_relu", "linear", "log", "matmul", "max", "max_pool2d", "maximum", "mean", "min", "minimum", "mse",
    "multiply", "negative", "pad", "pixel_shuffle", "pixel_unshuffle", "power", "prelu", "relu", "reshape", "scatter",
    "sigmoid", "softplus", "sqrt", "stack", "std", "subtract", "sum", "sum_to", "tanh", "total_variation", "transpose",
    "variance", "where",
]  # fmt: skip


def _unpacked(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return lengths or axes as a tuple; they are given one by one, ``x.reshape(2, 3)``, or as one tuple."""
    return tuple(given[0]) if len(given) == 1 and isinstance(given[0], tuple | list) else given


def _squeezed(x: Tensor, axis: Axis) -> tuple[int, ...]:
    """Return the shape without the axes of length 1, or only without the given ones."""
    ones = {i for i, n in enumerate(x.shape) if n == 1} if axis is None else normalized_axes("squeeze", axis, x.ndim)
    return tuple(n for i, n in enumerate(x.shape) if i not in ones)


# The operators and methods of a Tensor, each with its operation.
OPERATORS: dict[str, Any] = {
    "__add__": add, "__radd__": add,
    "__sub__": subtract, "__rsub__": lambda x, other: subtract(other, x),
    "__mul__": multiply, "__rmul__": multiply,
    "__truediv__": divide, "__rtruediv__": lambda x, other: divide(other, x),
    "__matmul__": matmul, "__rmatmul__": lambda x, other: matmul(other, x),
    "__neg__": negative, "__abs__": absolute, "__getitem__": getitem,
    "__pow__": power, "__rpow__": lambda x, other: power(other, x),
    "abs": absolute, "exp": exp, "log": log, "sqrt": sqrt,
    "sum": sum, "mean": mean, "max": max, "min": min, "var": variance, "std": std,
    "reshape": lambda x, *shape: reshape(x, _unpacked(shape)),
    "flatten": lambda x, first=0: reshape(x, (*x.shape[: normalized_axes("flatten", (first,), x.ndim or 1)[0]], -1)),
    "squeeze": lambda x, axis=None: reshape(x, _squeezed(x, axis)),
    "transpose": lambda x, *axes: transpose(x, _unpacked(axes) or None), "T": property(lambda x: transpose(x)),
}  # fmt: skip

for _name, _operation in OPERATORS.items():
    setattr(Tensor, _name, _operation)
Tensor.operations = frozenset(__all__)
