"""What a mistake gets to read. A NumPy traceback from three calls deep names no operation and no remedy."""

# ruff: noqa: E501  a row a mistake, however long

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, nn, ops
from minisrgan.errors import ArgumentError, DTypeError, MinisrganError, ShapeError


def ones(*shape: int, dtype: type = np.float32) -> Tensor:
    """A tensor of ones."""
    return Tensor(np.ones(shape, dtype))


IMAGES, WEIGHT = ones(2, 4, 5, 3), ones(3, 3, 3, 8)
NORM = {"weight": ones(3), "bias": ones(3), "running_mean": None, "running_var": None, "training": True}


def batch_norm(x: Any = IMAGES, **changed: Any) -> Tensor:
    """Batch norm of three channels, with something changed."""
    return ops.batch_norm(x, **{**NORM, **changed})


# what is wrong, the call, its error, and words of the message: the operation, what was expected, what was given
MISTAKES: list[tuple[str, Callable[[], Any], type[MinisrganError], list[str]]] = [
    ("hook called", lambda: Tensor([1.0], True).register_hook(1.0), ArgumentError, ["a hook", "1.0"]),
    ("hook a class", lambda: Tensor([1.0], True).register_hook(Tensor), ArgumentError, ["a hook", "without calling"]),
    ("label of 255", lambda: ops.binary_cross_entropy_with_logits(IMAGES, 255), ArgumentError, ["targets >= 0 and <= 1"]),
    ("label below 0", lambda: ops.binary_cross_entropy_with_logits(IMAGES, -1.0), ArgumentError, ["targets", "-1.0"]),
    ("masked index of scatter", lambda: ops.scatter(ones(2), np.ma.array([0, 0]), (3,)), DTypeError, ["scatter", "plain"]),
    ("photo without batch", lambda: ops.conv2d(ones(4, 5, 3), WEIGHT), ShapeError, ["conv2d", "(4, 5, 3)", "[None]"]),
    ("too many axes", lambda: ops.conv2d(ones(1, 2, 4, 5, 3), WEIGHT), ShapeError, ["conv2d", "5 axes"]),
    ("wrong channels", lambda: ops.conv2d(ones(2, 4, 5, 7), WEIGHT), ShapeError, ["conv2d", "3 channels", "(2, 4, 5, 7)"]),
    ("NCHW", lambda: ops.conv2d(ones(2, 3, 4, 5), WEIGHT), ShapeError, ["3 channels", "(2, 3, 4, 5)", "(N, C, H, W)"]),
    ("skipped layer", lambda: ops.conv2d(IMAGES, ones(3, 3, 64, 8)), ShapeError, ["64 channels", "the photo itself"]),
    ("OIHW weight", lambda: ops.conv2d(IMAGES, ones(8, 3, 3, 3)[0]), ShapeError, ["(kh, kw, in, out)", "(3, 3, 3)"]),
    ("weight of size 0", lambda: ops.conv2d(IMAGES, ones(0, 3, 3, 8)), ShapeError, ["conv2d", "(0, 3, 3, 8)"]),
    ("wrong bias", lambda: ops.conv2d(IMAGES, WEIGHT, ones(3)), ShapeError, ["bias (8,)", "(3,)"]),
    ("kernel larger than image", lambda: ops.conv2d(ones(1, 2, 5, 3), WEIGHT), ShapeError, ["at least 3 rows", "0 + 2 + 0"]),
    ("and than its width", lambda: ops.conv2d(ones(1, 5, 2, 3), WEIGHT), ShapeError, ["at least 3 columns", "(1, 5, 2, 3)"]),
    ("empty batch", lambda: ops.conv2d(ones(0, 4, 5, 3), WEIGHT), ShapeError, ["at least one", "(0, 4, 5, 3)", "empty"]),
    ("stride 0", lambda: ops.conv2d(IMAGES, WEIGHT, stride=0), ArgumentError, ["stride", ">= 1", "0"]),
    ("stride of three", lambda: ops.conv2d(IMAGES, WEIGHT, stride=(1, 1, 1)), ArgumentError, ["stride", "2 integers", "(1, 1, 1)"]),
    ("stride a pair with 0", lambda: ops.conv2d(IMAGES, WEIGHT, stride=(1, 0)), ArgumentError, ["stride", ">= 1", "(1, 0)"]),
    ("padding 'same' with a stride", lambda: ops.conv2d(IMAGES, WEIGHT, stride=2, padding="same"), ArgumentError, ["padding", "'same' at stride 2", "(1, 1)"]),
    ("padding 'full'", lambda: ops.conv2d(IMAGES, WEIGHT, padding="full"), ArgumentError, ["padding", "'full'"]),
    ("transpose, stride a pair", lambda: ops.conv2d_transpose(ones(1, 2, 2, 8), WEIGHT, stride=(1, 1)), ArgumentError, ["stride", "(1, 1)"]),
    ("transpose, padding 'same'", lambda: ops.conv2d_transpose(ones(1, 2, 2, 8), WEIGHT, padding="same"), ArgumentError, ["padding", "'same'"]),
    ("padding below 0", lambda: ops.conv2d(IMAGES, WEIGHT, padding=-1), ArgumentError, ["padding", ">= 0", "-1"]),
    ("list as x", lambda: ops.conv2d([[1.0]], WEIGHT), DTypeError, ["conv2d", "Tensor", "list"]),
    ("list as weight", lambda: ops.conv2d(IMAGES, [[1.0]]), DTypeError, ["conv2d", "as weight", "list"]),
    ("list as bias", lambda: ops.conv2d(IMAGES, WEIGHT, [0.0] * 8), DTypeError, ["conv2d", "as bias", "list"]),
    ("uint8 photo", lambda: ops.conv2d(np.ones((1, 4, 5, 3), np.uint8), WEIGHT), DTypeError, ["uint8", "/ 255"]),
    ("float64 weight", lambda: ops.conv2d(IMAGES, ones(3, 3, 3, 8, dtype=np.float64)), DTypeError, ["conv2d", "x float32, weight float64"]),
    ("transpose, channels", lambda: ops.conv2d_transpose(IMAGES, WEIGHT), ShapeError, ["conv2d_transpose", "8 channels"]),
    ("transpose, size", lambda: ops.conv2d_transpose(ones(1, 2, 2, 8), WEIGHT, stride=2, output_size=(7, 6)), ShapeError, ["(5, 5) to (6, 6)", "(7, 6)"]),
    ("transpose, one size", lambda: ops.conv2d_transpose(ones(1, 2, 2, 8), WEIGHT, output_size=(4,)), ArgumentError, ["output_size", "2 integers", "(4,)"]),
    ("transpose, nothing left", lambda: ops.conv2d_transpose(ones(1, 1, 1, 8), WEIGHT, padding=2), ShapeError, ["conv2d_transpose", "(-1, -1)"]),
    ("weight gradient, size", lambda: ops.conv2d_weight_gradient(IMAGES, ones(2, 4, 5, 8), kernel_size=(3, 3)), ShapeError, ["(2, 2, 3, O)", "(2, 4, 5, 8)"]),
    ("weight gradient, kernel", lambda: ops.conv2d_weight_gradient(IMAGES, IMAGES, kernel_size=(3,)), ArgumentError, ["kernel_size", "2 integers", "(3,)"]),
    ("norm, channels", lambda: batch_norm(ones(2, 4, 5, 7)), ShapeError, ["batch_norm", "3 channels", "(2, 4, 5, 7)"]),
    ("norm, one value", lambda: batch_norm(ones(1, 1, 1, 3)), ShapeError, ["at least 2 values", "got       1", "eval()"]),
    ("norm, vector", lambda: batch_norm(ones(3)), ShapeError, ["(..., C)", "(3,)"]),
    ("norm, empty", lambda: batch_norm(ones(0, 4, 5, 3)), ShapeError, ["(0, 4, 5, 3)"]),
    ("norm, bias", lambda: batch_norm(bias=ones(4)), ShapeError, ["bias (3,)", "(4,)"]),
    ("norm, no statistics", lambda: batch_norm(training=False), ShapeError, ["running_mean", "None"]),
    ("norm, statistics' shape", lambda: batch_norm(running_mean=np.ones(4, np.float32)), ShapeError, ["running_mean (3,)", "(4,)"]),
    ("norm, statistics' dtype", lambda: batch_norm(running_mean=np.ones(3), running_var=np.ones(3), training=False), DTypeError, ["running_mean", "float32", "float64"]),
    ("norm, statistics a list", lambda: batch_norm(running_var=[1.0] * 3), DTypeError, ["running_var", "list"]),
    ("norm, no weight", lambda: batch_norm(weight=None), DTypeError, ["as weight", "NoneType"]),
    ("norm, eps", lambda: batch_norm(eps=None), ArgumentError, ["eps", "NoneType"]),
    ("prelu, slopes", lambda: ops.prelu(IMAGES, ones(2)), ShapeError, ["prelu", "(3,)", "(2,)", "(1,)"]),
    ("prelu, rank of slopes", lambda: ops.prelu(IMAGES, ones(1, 3)), ShapeError, ["prelu", "(1, 3)"]),
    ("prelu, a number", lambda: ops.prelu(IMAGES, 0.25), DTypeError, ["prelu", "weight", "float"]),
    ("prelu, scalar", lambda: ops.prelu(ones(), ones(1)), ShapeError, ["prelu", "()"]),
    ("prelu, empty", lambda: ops.prelu(ones(0, 3), ones(3)), ShapeError, ["prelu", "(0, 3)"]),
    ("norm, eps below 0", lambda: batch_norm(eps=-1.0), ArgumentError, ["batch_norm", "eps >= 0", "-1.0"]),
    ("norm, momentum", lambda: batch_norm(momentum=5.0), ArgumentError, ["momentum >= 0 and <= 1", "5.0"]),
    ("leaky_relu below 0", lambda: ops.leaky_relu(IMAGES, -0.2), ArgumentError, ["negative_slope >= 0", "-0.2"]),
    ("leaky_relu of words", lambda: ops.leaky_relu(IMAGES, "0.2"), ArgumentError, ["negative_slope", "str"]),
    ("relu of a number", lambda: ops.relu(3.0), DTypeError, ["relu", "at least one Tensor", "3.0"]),
    ("relu of a list", lambda: ops.relu([3.0]), DTypeError, ["relu", "as x", "list"]),
    ("relu of integers", lambda: ops.relu(np.arange(3)), DTypeError, ["float32", "int64"]),
    ("no broadcast", lambda: IMAGES + ones(5), ShapeError, ["add", "(2, 4, 5, 3) and (5,)"]),
    ("no broadcast in maximum", lambda: ops.maximum(ones(2, 3), ones(3, 2)), ShapeError, ["maximum", "(2, 3) and (3, 2)"]),
    ("two dtypes", lambda: IMAGES * ones(3, dtype=np.float64), DTypeError, ["multiply", "a float32, b float64"]),
    ("words", lambda: IMAGES - "1", DTypeError, ["subtract", "as b", "str"]),
    ("numbers only", lambda: ops.maximum(1.0, 2.0), DTypeError, ["maximum", "1.0, 2.0"]),
    ("power of words", lambda: IMAGES ** "2", DTypeError, ["power", "exponent", "str"]),
    ("power to words", lambda: ops.power("2", IMAGES), DTypeError, ["power", "as x", "str"]),
    ("power of numbers", lambda: ops.power(2, 3), DTypeError, ["power", "exponent", "int"]),
    ("power, shapes", lambda: ones(2, 3) ** ones(2), ShapeError, ["power", "(2, 3) and (2,)"]),
    ("where, a tensor", lambda: ops.where(ones(3), ones(3), 0.0), DTypeError, ["where", "array of bool", "Tensor float32"]),
    ("where, a list", lambda: ops.where([True, False], ones(2), 0.0), DTypeError, ["where", "list"]),
    ("where, shapes", lambda: ops.where(np.ones(2, bool), ones(3), 0.0), ShapeError, ["where", "(2,) and (3,)"]),
    ("where, numbers only", lambda: ops.where(True, 1.0, 0.0), DTypeError, ["where", "at least one Tensor"]),
    ("pool stride", lambda: ops.max_pool2d(IMAGES, 2, 0), ArgumentError, ["max_pool2d", "stride", "0"]),
    ("clip swapped", lambda: ops.clip(IMAGES, 1.0, 0.0), ArgumentError, ["low <= high", "low 1.0, high 0.0"]),
    ("clip open", lambda: ops.clip(IMAGES, 0.0, None), ArgumentError, ["clip", "high", "NoneType"]),
    ("axis too large", lambda: IMAGES.sum(axis=4), ArgumentError, ["sum", "-4 to 3", "4"]),
    ("axes one by one", lambda: IMAGES.sum(0, 1), ArgumentError, ["keepdims as True or False", "x.sum((0, 1))"]),
    ("axes of a mean", lambda: IMAGES.mean(0, 1), ArgumentError, ["in mean", "x.mean((0, 1))"]),
    ("axes of a variance", lambda: IMAGES.var(0, 1), ArgumentError, ["in var", "x.var((0, 1))"]),
    ("axes of a deviation", lambda: IMAGES.std(0, 1), ArgumentError, ["in std", "x.std((0, 1))"]),
    ("a seed as rng", lambda: nn.he_normal((2, 3), 7), ArgumentError, ["he_normal", "7", "np.random.default_rng(7)"]),
    ("axis twice", lambda: IMAGES.mean(axis=(1, -3)), ArgumentError, ["mean", "different axes", "(1, -3)"]),
    ("axis a fraction", lambda: IMAGES.max(axis=1.5), ArgumentError, ["max", "1.5"]),
    ("axis a word", lambda: ops.variance(IMAGES, axis="channels"), ArgumentError, ["channels"]),
    ("mean of nothing", lambda: ones(0, 3).mean(), ShapeError, ["mean", "(0, 3)"]),
    ("max of nothing", lambda: ones(0, 3).max(), ShapeError, ["max", "(0, 3)"]),
    ("sum of a list", lambda: ops.sum([1.0]), DTypeError, ["sum", "list"]),
    ("reshape", lambda: IMAGES.reshape(2, 61), ShapeError, ["reshape", "120 elements", "(2, 61)"]),
    ("flatten, axis", lambda: ones(2, 3, 4).flatten(7), ArgumentError, ["flatten", "-3 to 2", "7"]),
    ("flatten, axis below", lambda: ones(2, 3, 4).flatten(-4), ArgumentError, ["flatten", "-3 to 2", "-4"]),
    ("flatten, axes", lambda: ones(2, 3, 4).flatten((0, 1)), ArgumentError, ["flatten", "(0, 1)"]),
    ("reshape by -2", lambda: ones(4).reshape(-2, -2), ArgumentError, ["reshape", "(-2, -2)"]),
    ("reshape by -1 twice", lambda: ones(4).reshape(-1, -1), ShapeError, ["reshape", "(-1, -1)"]),
    ("reshape to a fraction", lambda: ops.reshape(IMAGES, 120.0), ArgumentError, ["reshape", "shape", "120.0"]),
    ("transpose", lambda: IMAGES.transpose(0, 1, 2), ArgumentError, ["transpose", "permutation", "(0, 1, 2)"]),
    ("transpose twice", lambda: IMAGES.transpose(0, 1, 2, 2), ArgumentError, ["transpose", "(0, 1, 2, 2)"]),
    ("broadcast_to", lambda: ops.broadcast_to(ones(3), (3, 2)), ShapeError, ["broadcast_to", "(3, 2)", "(3,)"]),
    ("broadcast_to below 0", lambda: ops.broadcast_to(ones(1), (-1,)), ArgumentError, ["broadcast_to", "(-1,)"]),
    ("sum_to", lambda: ops.sum_to(ones(2, 3), (2,)), ShapeError, ["sum_to", "(2, 3)", "(2,)"]),
    ("index too large", lambda: IMAGES[2], ShapeError, ["getitem", "(2, 4, 5, 3)", "index 2"]),
    ("index too long", lambda: IMAGES[0, 0, 0, 0, 0], ShapeError, ["getitem", "(2, 4, 5, 3)"]),
    ("index a fraction", lambda: IMAGES[0.5:], ShapeError, ["getitem", "integers"]),
    ("mask too short", lambda: ones(3, 2)[np.ones(2, bool)], ShapeError, ["getitem", "(3, 2)", "mask"]),
    ("index a tensor", lambda: ones(3)[ones(3)], DTypeError, ["getitem", "Tensor of float32"]),
    ("scatter, shape", lambda: ops.scatter(ones(1), slice(1, 3), (4,)), ShapeError, ["scatter", "(2,)", "(1,)"]),
    ("scatter, index", lambda: ops.scatter(ones(1), np.array([4]), (4,)), ShapeError, ["scatter", "(4,)", "index 4"]),
    ("pad, axes", lambda: ops.pad(IMAGES, ((1, 1), (1, 1))), ArgumentError, ["pad", "4 pairs", "((1, 1), (1, 1))"]),
    ("pad, below 0", lambda: ops.pad(ones(3), ((-1, 0),)), ArgumentError, ["pad", ">= 0", "(-1, 0)"]),
    ("pad, one number", lambda: ops.pad(ones(3), 1), ArgumentError, ["pad", "1 pairs", "got       1"]),
    ("concatenate nothing", lambda: ops.concatenate([]), ShapeError, ["concatenate", "empty list"]),
    ("concatenate one tensor", lambda: ops.concatenate(IMAGES), ShapeError, ["concatenate", "a list", "Tensor"]),
    ("concatenate sizes", lambda: ops.concatenate([ones(2, 3), ones(2, 4)]), ShapeError, ["but for axis 0", "(2, 3), (2, 4)"]),
    ("concatenate ranks", lambda: ops.concatenate([ones(2, 3), ones(2)], axis=1), ShapeError, ["(2, 3), (2,)"]),
    ("concatenate axis", lambda: ops.concatenate([ones(2), ones(2)], axis=1), ArgumentError, ["concatenate", "-1 to 0"]),
    ("concatenate dtypes", lambda: ops.concatenate([ones(2), ones(2, dtype=np.float64)]), DTypeError, ["concatenate"]),
    ("stack sizes", lambda: ops.stack([ones(2, 3), ones(2, 4)]), ShapeError, ["stack", "(2, 3), (2, 4)"]),
    ("stack axes", lambda: ops.stack([ones(2), ones(2)], axis=(0, 1)), ArgumentError, ["stack", "axis", "(0, 1)"]),
    ("stack numbers", lambda: ops.stack([1.0, 2.0]), DTypeError, ["stack", "entry 0", "float"]),
    ("matmul inner", lambda: ones(2, 3) @ ones(4, 2), ShapeError, ["matmul", "(2, 3) @ (4, 2)"]),
    ("matmul vector", lambda: ones(2, 3) @ ones(3), ShapeError, ["matmul", "(2, 3) @ (3,)"]),
    ("matmul leading", lambda: ones(2, 2, 3) @ ones(4, 3, 2), ShapeError, ["matmul", "(2, 2, 3) @ (4, 3, 2)"]),
    ("matmul number", lambda: ones(2, 3) @ 2.0, DTypeError, ["matmul", "as b", "float"]),
    ("linear inputs", lambda: ops.linear(ones(2, 3), ones(4, 2)), ShapeError, ["linear", "(N, 4)", "(2, 3)"]),
    ("linear unflattened", lambda: ops.linear(ones(3), ones(3, 2)), ShapeError, ["linear", "(3,)", "(3, 2)"]),
    ("linear bias", lambda: ops.linear(ones(2, 3), ones(3, 2), ones(3)), ShapeError, ["linear", "bias (2,)", "(3,)"]),
    ("shuffle channels", lambda: ops.pixel_shuffle(IMAGES, 2), ShapeError, ["pixel_shuffle", "2*2", "3, from (2, 4, 5, 3)"]),
    ("shuffle factor", lambda: ops.pixel_shuffle(IMAGES, 0), ArgumentError, ["pixel_shuffle", "factor", "0"]),
    ("unshuffle size", lambda: ops.pixel_unshuffle(IMAGES, 2), ShapeError, ["pixel_unshuffle", "multiples of 2", "(2, 4, 5, 3)"]),
    ("pool size", lambda: ops.max_pool2d(IMAGES, 5), ShapeError, ["max_pool2d", "5 x 5", "(2, 4, 5, 3)"]),
    ("loss shapes", lambda: ops.mse(ones(2, 1), ones(2)), ShapeError, ["mse", "(2, 1) and (2,)"]),
    ("loss of lists", lambda: ops.l1([1.0], [1.0]), DTypeError, ["l1", "list"]),
    ("loss of integers", lambda: ops.mse(np.arange(3), np.arange(3)), DTypeError, ["int64"]),
    ("loss of nothing", lambda: ops.mse(ones(0), ones(0)), ShapeError, ["mse", "not empty"]),
    ("targets", lambda: ops.binary_cross_entropy_with_logits(ones(2, 1), ones(2)), ShapeError, ["binary_cross_entropy_with_logits", "(2, 1) and (2,)"]),
    ("variation of a photo", lambda: ops.total_variation(ones(4, 5, 3)), ShapeError, ["total_variation", "x[None]"]),
]  # fmt: skip


@pytest.mark.parametrize(("mistake", "call", "error", "words"), MISTAKES, ids=[row[0] for row in MISTAKES])
def test_a_mistake_is_explained(mistake: str, call: Callable[[], Any], error: type[MinisrganError], words: list[str]):
    """Without these checks NumPy complains of what it saw last: 'cannot reshape array of size 480'."""
    with pytest.raises(MinisrganError) as caught:
        call()
    message = str(caught.value)
    assert type(caught.value) is error, message
    for word in words:
        assert word in message
    for part in (caught.value.expected, caught.value.got, caught.value.fix):
        assert part


NONSENSE = [
    *([1.0], [[1.0, 2.0], [3.0]], "abc", None, 3.0, 7, True, 1j, {}, object(), (2, 3), (1, 2, 3, 4, 5), [], (-1, -1), (1.5,)),
    *(np.float32(1), np.float64(1), np.arange(4), np.ones((2, 4, 5, 3), np.uint8), np.ones((2, 4, 5, 3), np.float16), np.ones(3, bool)),
    *(slice(0.5, None), slice(None, None, 0), np.array([0.5]), [99], ((1, 1),), float("nan")),
    *(ones(), ones(0), ones(4, 0), ones(0, 4, 5, 3), ones(2, 3, 0), ones(7), ones(2, 4, 5, 3, dtype=np.float64)),
]  # fmt: skip
PLACES: dict[str, Callable[[Any], Any]] = {
    **{f"{name}(x)": getattr(ops, name) for name in ("relu", "sigmoid", "tanh", "softplus", "exp", "sqrt", "absolute")},
    **{f"{name}(x) ": getattr(ops, name) for name in ("negative", "leaky_relu", "sum", "mean", "max", "variance")},
    **{f"{name}(x)  ": getattr(ops, name) for name in ("transpose", "total_variation", "stack")},
    "concatenate(x)": ops.concatenate,
    "concatenate([x])": lambda v: ops.concatenate([IMAGES, v]),
    "concatenate(axis)": lambda v: ops.concatenate([IMAGES, IMAGES], axis=v),
    "stack([x])": lambda v: ops.stack([v, IMAGES]),
    "stack(axis)": lambda v: ops.stack([IMAGES, IMAGES], axis=v),
    "add": lambda v: ops.add(IMAGES, v),
    "multiply": lambda v: ops.multiply(v, IMAGES),
    "maximum": lambda v: ops.maximum(v, v),
    "power(exponent)": lambda v: ops.power(IMAGES, v),
    "power(x)": lambda v: ops.power(v, IMAGES),
    "minimum": lambda v: ops.minimum(IMAGES, v),
    "min(x)": ops.min,
    "std(axis)": lambda v: ops.std(IMAGES, v),
    "where(condition)": lambda v: ops.where(v, IMAGES, 0.0),
    "where(a)": lambda v: ops.where(True, v, IMAGES),
    "clip(high)": lambda v: ops.clip(IMAGES, 0.0, v),
    "sum(axis)": lambda v: ops.sum(IMAGES, axis=v),
    "max(axis)": lambda v: ops.max(IMAGES, axis=v),
    "reshape(x)": lambda v: ops.reshape(v, (-1,)),
    "reshape(shape)": lambda v: ops.reshape(IMAGES, v),
    "transpose(axes)": lambda v: ops.transpose(IMAGES, v),
    "broadcast_to(x)": lambda v: ops.broadcast_to(v, (2, 4, 5, 3)),
    "broadcast_to(shape)": lambda v: ops.broadcast_to(IMAGES, v),
    "sum_to(shape)": lambda v: ops.sum_to(IMAGES, v),
    "getitem(x)": lambda v: ops.getitem(v, 0),
    "getitem(index)": lambda v: IMAGES[v],
    "scatter(x)": lambda v: ops.scatter(v, 0, (2, 3)),
    "scatter(index)": lambda v: ops.scatter(ones(3), v, (5, 3)),
    "scatter(shape)": lambda v: ops.scatter(ones(3), 0, v),
    "pad(x)": lambda v: ops.pad(v, ((1, 1),)),
    "pad(widths)": lambda v: ops.pad(IMAGES, v),
    "pad(pair)": lambda v: ops.pad(ones(3), (v,)),
    "matmul(a)": lambda v: ops.matmul(v, ones(3, 3)),
    "matmul(b)": lambda v: ops.matmul(IMAGES, v),
    "linear(x)": lambda v: ops.linear(v, ones(3, 2)),
    "linear(weight)": lambda v: ops.linear(ones(2, 3), v),
    "linear(bias)": lambda v: ops.linear(ones(2, 3), ones(3, 2), v),
    "conv2d(x)": lambda v: ops.conv2d(v, WEIGHT),
    "conv2d(weight)": lambda v: ops.conv2d(IMAGES, v),
    "conv2d(bias)": lambda v: ops.conv2d(IMAGES, WEIGHT, v),
    "conv2d(stride)": lambda v: ops.conv2d(IMAGES, WEIGHT, stride=v),
    "conv2d(padding)": lambda v: ops.conv2d(IMAGES, WEIGHT, padding=v),
    "conv2d_transpose(x)": lambda v: ops.conv2d_transpose(v, WEIGHT),
    "conv2d_transpose(bias)": lambda v: ops.conv2d_transpose(ones(1, 2, 2, 8), WEIGHT, v),
    "conv2d_transpose(output_size)": lambda v: ops.conv2d_transpose(ones(1, 2, 2, 8), WEIGHT, output_size=v),
    "conv2d_weight_gradient(x)": lambda v: ops.conv2d_weight_gradient(v, IMAGES, kernel_size=(1, 1)),
    "conv2d_weight_gradient(grad_y)": lambda v: ops.conv2d_weight_gradient(IMAGES, v, kernel_size=(1, 1)),
    "conv2d_weight_gradient(kernel_size)": lambda v: ops.conv2d_weight_gradient(IMAGES, IMAGES, kernel_size=v),
    "batch_norm(x)": batch_norm,
    "batch_norm(weight)": lambda v: batch_norm(weight=v),
    "batch_norm(bias)": lambda v: batch_norm(bias=v),
    "batch_norm(running_mean)": lambda v: batch_norm(
        running_mean=v, running_var=np.ones(3, np.float32), training=False
    ),
    "batch_norm(momentum)": lambda v: batch_norm(momentum=v),
    "batch_norm(eps)": lambda v: batch_norm(eps=v),
    "prelu(x)": lambda v: ops.prelu(v, ones(3)),
    "prelu(weight)": lambda v: ops.prelu(IMAGES, v),
    "prelu(both)": lambda v: ops.prelu(v, v),
    "leaky_relu(slope)": lambda v: ops.leaky_relu(IMAGES, v),
    "pixel_shuffle(x)": lambda v: ops.pixel_shuffle(v, 1),
    "pixel_shuffle(factor)": lambda v: ops.pixel_shuffle(IMAGES, v),
    "pixel_unshuffle(factor)": lambda v: ops.pixel_unshuffle(IMAGES, v),
    "max_pool2d(x)": lambda v: ops.max_pool2d(v, 2),
    "max_pool2d(size)": lambda v: ops.max_pool2d(IMAGES, v),
    "max_pool2d(stride)": lambda v: ops.max_pool2d(IMAGES, 2, v),
    "mse": lambda v: ops.mse(v, v),
    "l1": lambda v: ops.l1(IMAGES, v),
    "binary_cross_entropy_with_logits(logits)": lambda v: ops.binary_cross_entropy_with_logits(v, 1.0),
    "binary_cross_entropy_with_logits(targets)": lambda v: ops.binary_cross_entropy_with_logits(IMAGES, v),
}


@pytest.mark.parametrize("place", PLACES)
def test_nonsense_never_reaches_numpy(place: str):
    """Every input and option of every family, given things of other kinds: an answer, or one of our own errors."""
    for value in NONSENSE:
        try:
            y = PLACES[place](value)
        except MinisrganError:
            continue
        assert isinstance(y, Tensor), f"{place} made a {type(y).__name__} of {value!r}"
        given_float64 = isinstance(value, Tensor | np.ndarray) and value.dtype == np.float64
        assert y.dtype == np.float32 or given_float64, f"{place} made float64 of {value!r}"  # not of a scalar option


def test_running_statistics_may_be_tensors():
    """A Tensor's own `*=` would make a new one: the statistics would never move, and nothing would say so."""
    x = Tensor(np.arange(8.0).reshape(4, 2))
    mean, var = Tensor(np.zeros(2)), Tensor(np.ones(2))
    ops.batch_norm(x, Tensor(np.ones(2)), Tensor(np.zeros(2)), mean, var, training=True)
    np.testing.assert_allclose(mean.numpy(), [0.3, 0.4])


@pytest.mark.parametrize(
    ("channels", "word"), [(1, "grey"), (4, "RGBA"), (3, "photo itself"), (7, "compare the layer before")]
)
def test_the_advice_fits_the_channels(channels: int, word: str):
    """Advice for another mistake sends a student looking in the wrong place."""
    takes = 64 if channels in (3, 7) else 3
    with pytest.raises(ShapeError) as caught:
        ops.conv2d(Tensor(np.ones((1, 9, 8, channels))), Tensor(np.ones((3, 3, takes, 2))))
    assert word in caught.value.fix
