"""The reference is the yardstick of every operation, so it is checked here against NumPy and by central differences.

None of minisrgan's operations takes part: they are tested against the reference, and a mistake that both share would
pass that comparison unseen.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from minisrgan import reference

RNG = np.random.default_rng(0)


def normal(*shape: int) -> np.ndarray:
    """Normally distributed numbers."""
    return np.asarray(RNG.standard_normal(shape))


def positive(*shape: int) -> np.ndarray:
    """Numbers that have a logarithm and may stand below a fraction."""
    return np.asarray(RNG.uniform(0.5, 2.0, shape))


def distinct(*shape: int) -> np.ndarray:
    """Numbers in -2 .. 2, no two of them equal and none zero, so that a small step crosses no kink."""
    size = int(np.prod(shape))
    steps = np.linspace(-2, 2, size, endpoint=False)
    return (RNG.permutation(steps) + 1.7 / size).reshape(shape)


@dataclass
class Row:
    """A function of the room, inputs to try it on, and its value by other means.

    The gradient of the last ``constants`` inputs is not returned.
    """

    name: str
    inputs: list[np.ndarray]
    expected: Callable[..., Any]
    options: dict[str, Any] = field(default_factory=dict)
    constants: int = 0

    def __str__(self) -> str:
        shapes = ("x".join(map(str, a.shape)) for a in self.inputs)
        return "-".join([self.name, *shapes, *map(str, self.options.values())])

    def forward(self, *inputs: np.ndarray) -> Any:
        """The output, without the running statistics of batch norm."""
        y = getattr(reference, self.name)(*inputs, **self.options)
        return y[0] if self.name == "batch_norm" else y

    def grad(self, grad_y: Any, *inputs: np.ndarray) -> tuple[Any, ...]:
        """The gradients, without the None of a missing bias."""
        grads = getattr(reference, self.name + "_grad")(grad_y, *inputs, **self.options)
        return tuple(grad for grad in grads if grad is not None)


def windows_of(x: Any, kernel_size: Any, stride: Any, padding: Any) -> Any:
    """All windows of a padded batch as one view (N, Ho, Wo, C, kh, kw)."""
    (down, right), frame = np.broadcast_to(stride, 2), [((k - 1) // 2, k // 2) for k in kernel_size]
    if padding != "same":
        frame = [(width, width) for width in np.broadcast_to(padding, 2)]
    padded = np.pad(x, ((0, 0), *frame, (0, 0)))
    return sliding_window_view(padded, kernel_size, axis=(1, 2))[:, ::down, ::right]


def conv2d_by_einsum(x: Any, weight: Any, bias: Any = 0.0, *, stride: Any = 1, padding: Any = 0) -> Any:
    """One sum over the numbers of each window."""
    return np.einsum("nhwcij,ijco->nhwo", windows_of(x, weight.shape[:2], stride, padding), weight) + bias


def weight_gradient_by_einsum(x: Any, grad_y: Any, *, kernel_size: Any, stride: int = 1, padding: int = 0) -> Any:
    """One sum over images and pixels."""
    return np.einsum("nhwcij,nhwo->ijco", windows_of(x, kernel_size, stride, padding), grad_y)


def conv2d_transpose_by_stamping(
    x: Any, weight: Any, bias: Any = 0.0, *, stride: int = 1, padding: int = 0, output_size: Any = None
) -> Any:
    """Each pixel stamps its multiple of the kernel onto a canvas, of which the padding is cut off."""
    (n, h, w, _), (kh, kw, out, _) = x.shape, weight.shape
    ho, wo = output_size or ((h - 1) * stride - 2 * padding + kh, (w - 1) * stride - 2 * padding + kw)
    canvas = np.zeros((n, ho + 2 * padding, wo + 2 * padding, out))
    for row in range(h):
        for column in range(w):
            stamp = np.einsum("nc,ijoc->nijo", x[:, row, column], weight)
            canvas[:, row * stride : row * stride + kh, column * stride : column * stride + kw] += stamp
    return canvas[:, padding : padding + ho, padding : padding + wo] + bias


def batch_norm_by_numpy(x: Any, weight: Any, bias: Any, mean: Any, var: Any, *, training: bool, eps: float) -> Any:
    """The formula in whole arrays."""
    axes = tuple(range(x.ndim - 1))
    if training:
        mean, var = x.mean(axes), x.var(axes)
    return (x - mean) / np.sqrt(var + eps) * weight + bias


def pixel_shuffle_by_transpose(x: Any, factor: int) -> Any:
    """Split the channels, move the two small axes beside rows and columns, merge."""
    n, h, w, c = x.shape
    split = x.reshape(n, h, w, c // factor**2, factor, factor)  # (N, H, W, C, i, j)
    return split.transpose(0, 1, 4, 2, 5, 3).reshape(n, h * factor, w * factor, -1)


def pixel_unshuffle_by_transpose(x: Any, factor: int) -> Any:
    """Split rows and columns, move the two small axes behind the channels, merge."""
    n, h, w, c = x.shape
    split = x.reshape(n, h // factor, factor, w // factor, factor, c)  # (N, H, i, W, j, C)
    return split.transpose(0, 1, 3, 5, 2, 4).reshape(n, h // factor, w // factor, -1)


def max_pool2d_by_windows(x: Any, size: int, stride: int | None = None) -> Any:
    """NumPy's own windows, of which every so many count."""
    step = stride or size
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), (1, 2))[:, ::step, ::step]
    return windows.max((-2, -1))


def cross_entropy_by_probability(logits: Any, targets: Any) -> Any:
    """The textbook formula with probabilities."""
    p = 1 / (1 + np.exp(-logits))
    return np.mean(-targets * np.log(p) - (1 - targets) * np.log(1 - p))


def total_variation_by_diff(x: Any) -> Any:
    """The sum of differences along rows and columns."""
    return (np.abs(np.diff(x, axis=1)).sum() + np.abs(np.diff(x, axis=2)).sum()) / len(x)


def prelu_by_numpy(x: Any, slope: Any) -> Any:
    """The formula of the paper."""
    return np.maximum(x, 0) + slope * np.minimum(x, 0)


BY_NUMPY = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "variance": np.var, "std": np.std}
FIRST = np.array([[True, False, False], [False, True, True]])
ROWS = [
    *(
        Row(name, [distinct(*shape_a), positive(*shape_b)], getattr(np, name))
        for name in ("add", "subtract", "multiply", "divide", "maximum", "minimum")
        for shape_a, shape_b in [((2, 3), (2, 3)), ((2, 3, 2), (3, 1)), ((1, 3), (2, 1)), ((3,), ()), ((), (2, 2))]
    ),
    Row("negative", [normal(2, 3)], np.negative),
    Row("power", [normal(2, 3)], lambda x, exponent: x * x * x, {"exponent": 3}),
    Row("power", [positive(2, 3), normal(3)], np.power),
    Row("where", [normal(2, 3), normal(3)], lambda a, b, condition: np.where(condition, a, b), {"condition": FIRST}),
    Row("power", [positive(2, 3)], lambda x, exponent: 1 / np.sqrt(x), {"exponent": -0.5}),
    Row("exp", [normal(2, 3)], np.exp),
    Row("log", [positive(2, 3)], np.log),
    Row("sqrt", [positive(2, 3)], np.sqrt),
    Row("absolute", [distinct(2, 3)], np.abs),
    Row("clip", [distinct(3, 4)], lambda x, low, high: np.clip(x, low, high), {"low": -0.6, "high": 1.1}),
    *(
        Row(name, [distinct(2, 3, 4)], numpy_function, {"axis": axis, "keepdims": keepdims})
        for name, numpy_function in BY_NUMPY.items()
        for axis, keepdims in [(None, False), (None, True), (1, False), (-1, True), ((0, 2), False), ((-3, 1), True)]
    ),
    Row("sum", [normal()], np.sum),
    Row("broadcast_to", [normal(3, 1)], np.broadcast_to, {"shape": (2, 3, 4)}),
    Row("broadcast_to", [normal()], np.broadcast_to, {"shape": (2, 2)}),
    Row("sum_to", [normal(2, 3, 4)], lambda x, shape: x.sum((0, 2)).reshape(shape), {"shape": (3, 1)}),
    Row("sum_to", [normal(2, 3)], lambda x, shape: x.sum(0), {"shape": (3,)}),
    Row("reshape", [normal(2, 3, 4)], lambda x, shape: x.reshape(shape), {"shape": (4, -1)}),
    Row("transpose", [normal(2, 3, 4)], np.transpose),
    Row("transpose", [normal(2, 3, 4)], np.transpose, {"axes": (1, 2, 0)}),
    Row("transpose", [normal(2, 3, 4)], np.transpose, {"axes": (-1, 0, -2)}),
    *(
        Row("pad", [normal(4, 3)], lambda x, widths: np.pad(x, widths), {"widths": widths})
        for widths in [((1, 2), (2, 0)), ((0, 0), (1, 1)), ((5, 3), (3, 7))]
    ),
    *(
        Row("getitem", [normal(4, 3, 2)], lambda x, index: x[index], {"index": index})
        for index in [
            2,
            (1, -1, 0),
            (slice(None, None, -2), ..., 1),
            (None, slice(1, 3), 0),
            np.array([[0, 3], [3, 3]]),
            (np.array([1, 1, 2]), slice(None), np.array([0, 0, 1])),
        ]
    ),
    Row("scatter", [normal(2, 3)], lambda x, **_: np.pad(x, ((1, 1), (0, 0))), {"index": slice(1, 3), "shape": (4, 3)}),
    Row("scatter", [normal(3)], lambda x, **_: [x[1], x[0] + x[2]], {"index": np.array([1, 0, 1]), "shape": (2,)}),
    *(
        Row("concatenate", [normal(*s) for s in shapes], lambda *xs, axis: np.concatenate(xs, axis), {"axis": axis})
        for shapes, axis in [([(2, 3), (1, 3), (2, 3)], 0), ([(2, 3, 1), (2, 4, 1)], 1), ([(2, 3), (2, 1)], -1)]
    ),
    *(
        Row("stack", [normal(2, 3), normal(2, 3)], lambda *xs, axis: np.stack(xs, axis), {"axis": axis})
        for axis in (0, 1, 2, -1)
    ),
    *(
        Row("matmul", [normal(*a), normal(*b)], np.matmul)
        for a, b in [((2, 3), (3, 4)), ((2, 2, 3), (2, 3, 2)), ((3, 1, 2, 3), (2, 3, 1)), ((2, 3), (2, 3, 2))]
    ),
    Row("linear", [normal(4, 3), normal(3, 2)], np.matmul),
    Row("linear", [normal(2, 2, 3), normal(3, 2), normal(2)], lambda x, weight, bias: x @ weight + bias),
    *(
        Row("conv2d", [normal(*x), normal(*weight)], conv2d_by_einsum, {"stride": stride, "padding": padding})
        for x, weight, stride, padding in [
            ((2, 4, 5, 2), (3, 3, 2, 3), 1, 1),
            ((1, 6, 5, 2), (3, 2, 2, 2), 2, 1),
            ((1, 5, 4, 1), (2, 3, 1, 2), 1, 0),
            ((1, 7, 8, 1), (1, 1, 1, 2), 3, 0),
            ((1, 2, 2, 1), (5, 5, 1, 1), 1, 2),
        ]
    ),
    Row("conv2d", [normal(2, 3, 4, 2), normal(3, 3, 2, 2), normal(2)], conv2d_by_einsum, {"padding": 1}),
    *(
        Row("conv2d", [normal(1, 5, 6, 1), normal(2, 3, 1, 2)], conv2d_by_einsum, {"stride": s, "padding": p})
        for s, p in [(1, "same"), ((2, 1), (1, 0)), (2, (0, 3)), ((3, 2), 1)]
    ),
    *(
        Row("conv2d_transpose", [normal(2, 3, 2, 2), normal(3, 2, 1, 2)], conv2d_transpose_by_stamping, options)
        for options in [
            {},
            {"padding": 1},
            {"stride": 2},
            {"stride": 2, "padding": 1},
            {"stride": 2, "padding": 1, "output_size": (6, 3)},
            {"stride": 3, "output_size": (11, 7)},
        ]
    ),
    Row("conv2d_transpose", [normal(1, 2, 3, 2), normal(2, 2, 3, 2), normal(3)], conv2d_transpose_by_stamping),
    *(
        Row("conv2d_weight_gradient", [normal(*x), normal(*grad_y)], weight_gradient_by_einsum, options)
        for x, grad_y, options in [
            ((2, 4, 3, 2), (2, 4, 3, 2), {"kernel_size": (3, 3), "padding": 1}),
            ((1, 7, 5, 1), (1, 4, 3, 2), {"kernel_size": (3, 2), "stride": 2, "padding": 1}),
            ((1, 4, 4, 2), (1, 3, 2, 1), {"kernel_size": (2, 3)}),
        ]
    ),
    *(
        Row(
            "batch_norm",
            [normal(*shape, 2), positive(2), normal(2), normal(2), positive(2)],
            batch_norm_by_numpy,
            {"training": training, "eps": eps},
            constants=2,
        )
        for shape in [(2, 3, 2), (5,)]
        for training in (True, False)
        for eps in (1e-5, 0.3)
    ),
    Row("relu", [distinct(3, 4)], lambda x: np.maximum(x, 0)),
    Row("leaky_relu", [distinct(3, 4)], lambda x: np.maximum(x, 0.2 * x)),
    Row("leaky_relu", [distinct(3, 4)], lambda x, **_: np.maximum(x, 0.01 * x), {"negative_slope": 0.01}),
    Row("prelu", [distinct(2, 2, 3, 4), normal(4)], prelu_by_numpy),
    Row("prelu", [distinct(2, 2, 3, 4), normal(1)], prelu_by_numpy),
    Row("sigmoid", [distinct(3, 4) * 3], lambda x: 1 / (1 + np.exp(-x))),
    Row("tanh", [normal(3, 4)], np.tanh),
    Row("softplus", [distinct(3, 4) * 3], lambda x: np.logaddexp(0, x)),
    Row("pixel_shuffle", [normal(2, 2, 3, 8)], pixel_shuffle_by_transpose, {"factor": 2}),
    Row("pixel_shuffle", [normal(1, 2, 1, 18)], pixel_shuffle_by_transpose, {"factor": 3}),
    Row("pixel_unshuffle", [normal(2, 4, 6, 2)], pixel_unshuffle_by_transpose, {"factor": 2}),
    Row("max_pool2d", [distinct(2, 5, 4, 2)], max_pool2d_by_windows, {"size": 2}),
    Row("max_pool2d", [distinct(1, 7, 8, 1)], max_pool2d_by_windows, {"size": 3}),
    *(Row("max_pool2d", [distinct(1, 7, 8, 1)], max_pool2d_by_windows, {"size": 2, "stride": s}) for s in (1, 3)),
    Row("mse", [normal(2, 3), normal(2, 3)], lambda a, b: np.mean((a - b) ** 2)),
    Row("l1", [normal(2, 3), normal(2, 3)], lambda a, b: np.mean(np.abs(a - b))),
    Row("binary_cross_entropy_with_logits", [normal(4, 2), positive(4, 2) / 2], cross_entropy_by_probability),
    Row("total_variation", [distinct(2, 3, 4, 2)], total_variation_by_diff),
]

every_row = pytest.mark.parametrize("row", ROWS, ids=str)


def check_gradient(row: Row) -> None:
    """Compare the gradient with (f(x + step) - f(x - step)) / (2 step), one number of one input at a time."""
    inputs = [np.array(x) for x in row.inputs]
    grad_y = np.random.default_rng(7).standard_normal(row.forward(*inputs).shape)
    grads = row.grad(grad_y, *inputs)
    assert len(grads) == len(inputs) - row.constants
    step = 1e-6
    for grad, x in zip(grads, inputs, strict=False):
        numeric = np.empty_like(x)
        for position in np.ndindex(x.shape):
            middle = x[position]
            x[position] = middle + step
            above = row.forward(*inputs)
            x[position] = middle - step
            below = row.forward(*inputs)
            x[position] = middle
            numeric[position] = np.sum(grad_y * (above - below)) / (2 * step)
        np.testing.assert_allclose(grad, numeric, rtol=1e-7, atol=1e-8)


def functions_of_the_room() -> set[str]:
    """The public functions that the files of the room define, each seen to be what `reference` shows by its name."""
    names = set()
    for found in pkgutil.iter_modules(reference.__path__):
        module = importlib.import_module(f"minisrgan.reference.{found.name}")
        for name, function in inspect.getmembers(module, inspect.isfunction):
            made = function.__qualname__.startswith(("elementwise.", "_averaged."))
            own = (function.__module__ == module.__name__ or made) and not name.startswith("_")
            if own and found.name not in ("positions", "cases"):
                assert getattr(reference, name) is function, f"reference.{name} is another function"
                names.add(name)
    return names


def test_every_function_has_a_row():
    """A function that no row of the table names would be a yardstick that nobody has measured."""
    in_the_table = {row.name for row in ROWS}
    assert functions_of_the_room() == in_the_table | {name + "_grad" for name in in_the_table}


def test_the_room_imports_nothing_of_ours():
    """A reference that borrows a line from the operations repeats their mistakes, and the comparison passes."""
    for path in Path(reference.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert not name.startswith("minisrgan") or name.startswith("minisrgan.reference."), (path.name, name)


@every_row
def test_forward_agrees_with_numpy(row: Row):
    """A wrong formula with a matching wrong gradient passes every gradient check."""
    y = row.forward(*row.inputs)
    expected = row.expected(*row.inputs, **row.options)
    assert isinstance(y, np.ndarray)
    assert y.shape == np.shape(expected)
    np.testing.assert_allclose(y, expected, rtol=1e-12, atol=1e-14)


@every_row
def test_gradient_agrees_with_central_differences(row: Row):
    """A wrong gradient here would fail the right one in ops/, or agree with the same mistake there."""
    check_gradient(row)


@every_row
def test_float32_stays_float32(row: Row):
    """A float64 answer to a float32 question would hide that the operation under test has changed its dtype."""
    inputs = [x.astype(np.float32) for x in row.inputs]
    y = row.forward(*inputs)
    grads = row.grad(np.ones_like(y), *inputs)
    assert y.dtype == np.float32
    for grad, x in zip(grads, inputs, strict=False):
        assert isinstance(grad, np.ndarray)
        assert (grad.dtype, grad.shape) == (np.float32, x.shape)


@pytest.mark.parametrize(
    "name", ["multiply", "variance", "conv2d", "conv2d_transpose", "conv2d_weight_gradient", "batch_norm", "mse"]
)
@pytest.mark.parametrize("change", ["twice", "zero", "one number", "reversed"])
def test_the_check_refuses_a_wrong_gradient(name: str, change: str, monkeypatch: pytest.MonkeyPatch):
    """A checker that cannot fail proves nothing: batch norm with dx = 0 passes one that is seeded with ones."""
    right = getattr(reference, name + "_grad")

    def wrong(*arguments: Any, **options: Any) -> tuple[Any, ...]:
        first, *others = right(*arguments, **options)
        if change == "twice":
            first = 2 * first
        elif change == "zero":
            first = 0 * first
        elif change == "one number":
            first.flat[-1] += 1e-4
        else:
            first = first.ravel()[::-1].reshape(first.shape)
        return first, *others

    monkeypatch.setattr(reference, name + "_grad", wrong)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_gradient(next(row for row in ROWS if row.name == name))


def test_a_missing_bias_has_no_gradient():
    """A gradient in the place of no bias would shift the meaning of the tuple."""
    x, weight = normal(1, 3, 3, 2), normal(2, 2, 2, 2)
    assert reference.conv2d_grad(normal(1, 2, 2, 2), x, weight, None)[2] is None
    assert reference.conv2d_transpose_grad(normal(1, 4, 4, 2), x, weight, None)[2] is None
    assert reference.linear_grad(normal(3, 2), normal(3, 4), normal(4, 2), None)[2] is None


@pytest.mark.parametrize(
    ("name", "inputs", "options", "expected"),
    [
        ("absolute", [[-1.0, 0.0, 1.0]], {}, [[-1, 0, 1]]),
        ("clip", [[-1.0, 0.0, 1.0, 2.0, 3.0]], {"low": 0.0, "high": 2.0}, [[0, 1, 1, 1, 0]]),
        ("maximum", [[1.0, 2.0], [1.0, 3.0]], {}, [[0.5, 0], [0.5, 1]]),
        ("max", [[[2.0, 1.0, 2.0], [3.0, 3.0, 3.0]]], {"axis": 1, "keepdims": True}, [[[0.5, 0, 0.5], [1 / 3] * 3]]),
        ("relu", [[-1.0, 0.0, 1.0]], {}, [[0, 0, 1]]),
        ("leaky_relu", [[-1.0, 0.0, 1.0]], {}, [[0.2, 0.2, 1]]),
        ("prelu", [[[-1.0], [0.0], [1.0]], [0.3]], {}, [[[0.3], [0.3], [1]], [-1]]),
        ("max_pool2d", [[[[[1.0], [5.0]], [[5.0], [5.0]]]]], {"size": 2}, [[[[[0], [1]], [[0], [0]]]]]),
        ("l1", [[1.0, 2.0, 3.0, 0.0], [1.0, 3.0, 1.0, 0.0]], {}, [[0, -0.25, 0.25, 0], [0, 0.25, -0.25, 0]]),
        ("total_variation", [[[[[1.0], [1.0], [3.0]]]]], {}, [[[[[0], [-1], [1]]]]]),
    ],
)
def test_at_a_kink(name: str, inputs: list[Any], options: dict[str, Any], expected: list[Any]):
    """Central differences say nothing at a kink, where zeros and ties are common in real pictures."""
    arrays = [np.array(x) for x in inputs]
    y = getattr(reference, name)(*arrays, **options)
    grads = getattr(reference, name + "_grad")(np.ones_like(y), *arrays, **options)
    for grad, right in zip(grads, expected, strict=True):
        np.testing.assert_allclose(grad, right, rtol=1e-15)


def test_convolution_and_its_transpose_are_adjoint():
    """<conv2d(u, w), v> = <u, conv2d_transpose(v, w)>: the swapped weight axes are easily swapped once too often."""
    for stride, padding, size in [(1, 1, (4, 5)), (2, 1, (6, 5)), (2, 0, (5, 8)), (3, 1, (7, 6))]:
        u, weight = normal(2, *size, 3), normal(3, 3, 3, 2)
        y = reference.conv2d(u, weight, stride=stride, padding=padding)
        v = np.random.default_rng(0).standard_normal(y.shape)
        back = reference.conv2d_transpose(v, weight, stride=stride, padding=padding, output_size=size)
        assert np.sum(y * v) == pytest.approx(np.sum(u * back), rel=1e-12)


def test_running_statistics():
    """A biased variance is off by n / (n - 1), a third too small at n = 4; a swapped momentum forgets 90 % a step."""
    x, mean, var = normal(2, 2, 3), normal(3), positive(3)
    weight, bias = np.ones(3), np.zeros(3)
    _, new_mean, new_var = reference.batch_norm(x, weight, bias, mean, var, training=True, momentum=0.25)
    np.testing.assert_allclose(new_mean, 0.75 * mean + 0.25 * x.mean((0, 1)), rtol=1e-12)
    np.testing.assert_allclose(new_var, 0.75 * var + 0.25 * x.var((0, 1), ddof=1), rtol=1e-12)
    _, same_mean, same_var = reference.batch_norm(x, weight, bias, mean, var, training=False)
    np.testing.assert_array_equal(same_mean, mean)
    np.testing.assert_array_equal(same_var, var)


def test_pixel_shuffle_keeps_the_channel_order_of_pytorch():
    """With one output channel the orders (c, i, j) and (i, j, c) are the same; with two they are not."""
    y = reference.pixel_shuffle(np.arange(8.0).reshape(1, 1, 1, 8), 2)
    np.testing.assert_array_equal(y[0, :, :, 0], [[0, 1], [2, 3]])
    np.testing.assert_array_equal(y[0, :, :, 1], [[4, 5], [6, 7]])


def test_large_logits():
    """e^1000 overflows: a discriminator that is sure of itself would stop the training with an error."""
    x = np.array([-1000.0, -40.0, 40.0, 1000.0])
    ones = np.ones(4)
    np.testing.assert_allclose(reference.softplus(x), [0, np.exp(-40), 40, 1000], rtol=1e-12)
    np.testing.assert_allclose(reference.sigmoid(x), [0, np.exp(-40), 1, 1], rtol=1e-12)
    np.testing.assert_allclose(reference.sigmoid_grad(ones, x)[0], [0, np.exp(-40), np.exp(-40), 0], rtol=1e-12)
    assert reference.binary_cross_entropy_with_logits(x, np.array([0.0, 0.0, 1.0, 1.0])) == pytest.approx(0, abs=1e-12)
