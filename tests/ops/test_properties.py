"""What a mathematician would ask of the operations: identities that hold for every input, put to inputs nobody chose.

Hypothesis draws shapes, options, numbers and the blocks of the convolutions; where a property fails it looks for the
smallest example and prints it. The examples are the same in every run. An identity needs no reference: it compares an
operation with itself elsewhere, or with another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from minisrgan import Tensor, ops
from minisrgan.autograd import grad
from minisrgan.backend import threads, workspace
from minisrgan.models import Generator
from minisrgan.nn import BatchNorm2d, Parameter
from minisrgan.optim import Adam
from tests.ops.table import TABLE, Row, output_shape

Array = np.ndarray
Rng = np.random.Generator

examples = settings(  # as many as the profile says, see tests/conftest.py
    report_multiple_bugs=False,  # one assertion, not a group of them
    suppress_health_check=[HealthCheck.too_slow],  # a matter of the machine
)
few = settings(examples, max_examples=examples.max_examples // 5)  # of each operation of the table

rngs = st.integers(0, 2**32 - 1).map(np.random.default_rng)
sizes, few_channels = st.integers(1, 7), st.integers(1, 3)
shapes = npst.array_shapes(min_dims=0, max_dims=4, max_side=4)
dtypes = st.sampled_from([np.float32, np.float64])


@st.composite
def images(draw: Any, channels: Any = few_channels, side: Any = sizes) -> Array:
    """Draw a batch (N, H, W, C) of normally distributed numbers."""
    shape = draw(st.integers(1, 2)), draw(side), draw(side), draw(channels)
    return np.asarray(draw(rngs).standard_normal(shape))


@st.composite
def numbers(draw: Any, largest: float = 1000.0) -> Array:
    """Draw a vector of either dtype, with zeros, subnormal numbers and the largest among them."""
    dtype = np.dtype(draw(dtypes))
    elements = st.floats(-largest, largest, width=dtype.itemsize * 8)
    return np.asarray(draw(npst.arrays(dtype, draw(st.integers(1, 6)), elements=elements)))


def close(ours: Any, theirs: Any, tolerance: float = 1e-10) -> None:
    """Compare in relation to the largest number, but for numbers below 1."""
    ours, theirs = np.asarray(getattr(ours, "data", ours)), np.asarray(getattr(theirs, "data", theirs))
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * max(1.0, abs(theirs).max(initial=0)))


def inner(a: Any, b: Any) -> float:
    """Return <a, b>, the sum of the products."""
    a, b = np.asarray(getattr(a, "data", a)), np.asarray(getattr(b, "data", b))
    assert a.shape == b.shape
    return float((a * b).sum())


def adjoint(there: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor], x: Array, rng: Rng) -> None:
    """Check <there(x), y> = <x, back(y)> for a random y, and that the gradient of each is the other."""
    one = Tensor(x, requires_grad=True)
    image = there(one)
    y = Tensor(np.asarray(rng.standard_normal(image.shape)), requires_grad=True)
    other = back(y)
    close(inner(image, y), inner(one, other))
    if image is not one:  # a broadcast to its own shape is no operation
        close(grad(image, one, y.detach())[0], other)
        close(grad(other, y, one.detach())[0], image)


# Convolution


@dataclass
class Convolution:
    """An input, a weight and a result's gradient that fit together, and what to compute them with."""

    x: Array
    weight: Array
    y: Array
    options: dict[str, int]
    budget: int
    threads: int
    rng: Rng

    def conv2d(self, x: Array, weight: Array, *bias: Array) -> Array:
        with workspace(self.budget), threads(self.threads):
            return ops.conv2d(Tensor(x), Tensor(weight), *map(Tensor, bias), **self.options).numpy()

    def transposed(self, y: Array, weight: Array) -> Array:
        size = self.x.shape[1:3]
        with workspace(self.budget), threads(self.threads):
            return ops.conv2d_transpose(Tensor(y), Tensor(weight), output_size=size, **self.options).numpy()

    def weight_gradient(self, x: Array, y: Array) -> Array:
        size = self.weight.shape[:2]
        with workspace(self.budget), threads(self.threads):
            return ops.conv2d_weight_gradient(Tensor(x), Tensor(y), kernel_size=size, **self.options).numpy()

    def family(self) -> list[tuple[Callable[[Array, Array], Array], Array, Array]]:
        """Return the three operations, each with its two inputs."""
        return [
            (self.conv2d, self.x, self.weight),
            (self.transposed, self.y, self.weight),
            (self.weight_gradient, self.x, self.y),
        ]

    def turned(self) -> Convolution:
        """Exchange rows and columns of everything."""
        x, weight, y = self.x.swapaxes(1, 2), self.weight.swapaxes(0, 1), self.y.swapaxes(1, 2)
        return replace(self, x=x, weight=weight, y=y)


@st.composite
def convolutions(draw: Any) -> Convolution:
    """Draw kernels of 1 to 5, square or not, strides and threads of 1 to 3, paddings to 3, workspaces to 1 MB."""
    kernel = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    stride, padding = draw(st.integers(1, 3)), draw(st.integers(0, 3))
    size = (draw(st.integers(max(1, k - 2 * padding), 8)) for k in kernel)
    x = (draw(st.integers(1, 2)), *size, draw(st.integers(1, 3)))
    weight = (*kernel, x[3], draw(st.integers(1, 3)))
    budget = draw(st.integers(0, 20).map(lambda power: 1 << power))
    rng = draw(rngs)
    arrays = (np.asarray(rng.standard_normal(s)) for s in (x, weight, output_shape(x, weight, stride, padding)))
    return Convolution(*arrays, {"stride": stride, "padding": padding}, budget, draw(st.integers(1, 3)), rng)


@given(case=convolutions())
@examples
def test_convolution_is_bilinear(case: Convolution):
    """Padding with anything but zeros, or a block that is added twice, shows in f(a u + b v) = a f(u) + b f(v)."""
    a, b = case.rng.uniform(-2, 2, 2)
    for f, first, second in case.family():
        other = case.rng.standard_normal(first.shape)
        close(f(a * first + b * other, second), a * f(first, second) + b * f(other, second))
        other = case.rng.standard_normal(second.shape)
        close(f(first, a * second + b * other), a * f(first, second) + b * f(first, other))


@given(case=convolutions())
@examples
def test_convolution_of_a_single_one(case: Convolution):
    """A kernel that is 1 in one place moves the picture. Bilinear and right here is right; the kernel is not turned."""
    kernel = np.zeros_like(case.weight)
    i, j, c, o = (int(case.rng.integers(n)) for n in kernel.shape)
    kernel[i, j, c, o] = 1
    stride, padding = case.options["stride"], case.options["padding"]
    framed = np.pad(case.x[..., c], ((0, 0), (padding, padding), (padding, padding)))
    expected = np.zeros_like(case.y)
    expected[..., o] = framed[:, i::stride, j::stride][:, : case.y.shape[1], : case.y.shape[2]]
    np.testing.assert_array_equal(case.conv2d(case.x, kernel), expected)


@given(case=convolutions())
@examples
def test_convolution_and_its_two_adjoints(case: Convolution):
    """<conv(x, w), y> = <x, conv_transpose(y, w)> = <w, weight_gradient(x, y)>: or training goes another way."""
    for dtype, tolerance in ((np.float64, 1e-10), (np.float32, 1e-5)):
        x, weight, y = (a.astype(dtype) for a in (case.x, case.weight, case.y))
        image, back, in_weight = case.conv2d(x, weight), case.transposed(y, weight), case.weight_gradient(x, y)
        assert {image.dtype, back.dtype, in_weight.dtype} == {np.dtype(dtype)}
        scale = float(np.linalg.norm(image) * np.linalg.norm(y)) + 1
        close(inner(x, back) / scale, inner(image, y) / scale, tolerance)
        close(inner(weight, in_weight) / scale, inner(image, y) / scale, tolerance)


@given(case=convolutions())
@examples
def test_convolution_does_not_depend_on_its_blocks(case: Convolution):
    """Workspace and threads are there for speed: cut into single pixels or part rows, the numbers are the same."""
    bias = case.rng.standard_normal(case.weight.shape[3])
    ours = [f(first, second) for f, first, second in case.family()] + [case.conv2d(case.x, case.weight, bias)]
    case.budget, case.threads = 1 << 30, 1
    whole = [f(first, second) for f, first, second in case.family()] + [case.conv2d(case.x, case.weight) + bias]
    for one, other in zip(ours, whole, strict=True):
        close(one, other, 1e-12)


@given(case=convolutions())
@examples
def test_convolution_has_no_favourite_axis(case: Convolution):
    """Rows and columns exchanged before are rows and columns exchanged after; square pictures hide a mix-up."""
    turned = case.turned()
    close(turned.conv2d(turned.x, turned.weight), case.conv2d(case.x, case.weight).swapaxes(1, 2))
    close(turned.transposed(turned.y, turned.weight), case.transposed(case.y, case.weight).swapaxes(1, 2))
    close(turned.weight_gradient(turned.x, turned.y), case.weight_gradient(case.x, case.y).swapaxes(0, 1))


@given(case=convolutions())
@examples
def test_convolution_moves_with_the_picture(case: Convolution):
    """A picture moved by whole strides gives a result moved as far, where the padding is not seen."""
    (kh, kw), stride, padding = case.weight.shape[:2], case.options["stride"], case.options["padding"]
    down, right = (int(n) for n in case.rng.integers(0, 3, 2))
    # From kernel + stride - 1 pixels on, at least one window lies inside.
    height, width = (k + stride - 1 + int(case.rng.integers(0, 4)) for k in (kh, kw))
    shape = (1, height + 2 * stride, width + 2 * stride, case.x.shape[3])
    whole = case.rng.standard_normal(shape)
    part = whole[:, stride * down : stride * down + height, stride * right : stride * right + width]
    first = -(-padding // stride)  # the first window without padding
    rows, cols = ((n + padding - k) // stride + 1 - first for n, k in ((height, kh), (width, kw)))
    assert min(rows, cols) > 0
    ours = case.conv2d(part, case.weight)[:, first:, first:][:, :rows, :cols]
    theirs = case.conv2d(whole, case.weight)[:, first + down :, first + right :][:, :rows, :cols]
    close(ours, theirs)


# Moving numbers


@given(x=images(channels=st.sampled_from([36, 72])), factor=st.sampled_from([1, 2, 3, 6]), rng=rngs)
@examples
def test_pixel_shuffle_and_back(x: Array, factor: int, rng: Rng):
    """Both directions lose nothing, and each is the other's gradient: the shuffle is a permutation."""
    shuffled = ops.pixel_shuffle(Tensor(x), factor).numpy()
    np.testing.assert_array_equal(ops.pixel_unshuffle(Tensor(shuffled), factor).numpy(), x)
    np.testing.assert_array_equal(np.sort(shuffled, axis=None), np.sort(x, axis=None))
    adjoint(lambda t: ops.pixel_shuffle(t, factor), lambda t: ops.pixel_unshuffle(t, factor), x, rng)


@given(
    x=images(channels=st.sampled_from([4, 8])),
    more=st.sampled_from([4, 8, 12]),
    down=st.integers(0, 2),
    right=st.integers(0, 2),
    rng=rngs,
)
@examples
def test_pixel_shuffle_keeps_groups_and_places(x: Array, more: int, down: int, right: int, rng: Rng):
    """Colours shuffle apart from one another, (c, i, j) and not (i, j, c), and a pixel's block lies where it lay."""
    other = rng.standard_normal((*x.shape[:3], more))
    both = ops.pixel_shuffle(Tensor(np.concatenate([x, other], axis=-1)), 2).numpy()
    apart = [ops.pixel_shuffle(Tensor(a), 2).numpy() for a in (x, other)]
    np.testing.assert_array_equal(both, np.concatenate(apart, axis=-1))
    moved = ops.pixel_shuffle(Tensor(np.roll(x, (down, right), (1, 2))), 2).numpy()
    np.testing.assert_array_equal(moved, np.roll(apart[0], (2 * down, 2 * right), (1, 2)))


@st.composite
def indexed(draw: Any) -> tuple[tuple[int, ...], Any]:
    """Draw a shape and an index into it: slices, integers, None, ..., masks, arrays with a position twice."""
    shape = draw(npst.array_shapes(max_dims=3, max_side=4))
    masks = npst.arrays(bool, shape[: draw(st.integers(1, len(shape)))])
    kinds = npst.basic_indices(shape, allow_newaxis=True), npst.integer_array_indices(shape), masks
    return shape, draw(st.one_of(*kinds))


@given(case=indexed(), rng=rngs)
@examples
def test_getitem_and_scatter_are_adjoint(case: tuple[tuple[int, ...], Any], rng: Rng):
    """An element taken twice gets two gradients, and one not taken gets none."""
    shape, index = case
    adjoint(lambda t: ops.getitem(t, index), lambda t: ops.scatter(t, index, shape), rng.standard_normal(shape), rng)


@given(shape=shapes, rng=rngs)
@examples
def test_broadcast_to_and_sum_to_are_adjoint(shape: tuple[int, ...], rng: Rng):
    """A bias repeated over a batch collects the gradient of every copy: summed, not averaged, over the right axes."""
    small = tuple(1 if rng.random() < 0.5 else n for n in shape)
    small = small[int(rng.integers(len(shape) + 1)) if set(small) <= {1} else 0 :]
    adjoint(lambda t: ops.broadcast_to(t, shape), lambda t: ops.sum_to(t, small), rng.standard_normal(small), rng)


@given(shape=npst.array_shapes(max_dims=4, max_side=4), rng=rngs)
@examples
def test_padding_has_its_adjoint(shape: tuple[int, ...], rng: Rng):
    """A border of zeros is cut off again."""
    x = rng.standard_normal(shape)
    widths = tuple((int(rng.integers(n)), int(rng.integers(n))) for n in shape)
    inside = tuple(slice(before, before + n) for (before, _), n in zip(widths, shape, strict=True))
    adjoint(lambda t: ops.pad(t, widths), lambda t: t[inside], x, rng)
    framed, ones = ops.pad(Tensor(x), widths).numpy(), ops.pad(Tensor(np.ones(shape)), widths).numpy()
    np.testing.assert_array_equal(framed[inside], x)
    assert not framed[ones == 0].any()


@given(shape=npst.array_shapes(max_dims=4, max_side=4), rng=rngs)
@examples
def test_what_is_joined_or_turned_comes_apart_again(shape: tuple[int, ...], rng: Rng):
    """transpose, reshape, concatenate and stack only move numbers: whatever they do can be taken back."""
    x, axis = rng.standard_normal(shape), int(rng.integers(len(shape)))
    axes = tuple(int(a) for a in rng.permutation(len(shape)))
    back = tuple(int(a) for a in np.argsort(axes))
    adjoint(lambda t: ops.transpose(t, axes), lambda t: ops.transpose(t, back), x, rng)
    np.testing.assert_array_equal(Tensor(x).transpose(*axes).transpose(*back).numpy(), x)
    adjoint(lambda t: ops.reshape(t, (-1,)), lambda t: ops.reshape(t, shape), x, rng)
    np.testing.assert_array_equal(ops.reshape(Tensor(x), (-1,)).numpy(), [*x.flat])
    cut = int(rng.integers(1, shape[axis] + 1))
    left, right = np.split(x, [cut], axis=axis)
    np.testing.assert_array_equal(ops.concatenate([Tensor(left), Tensor(right)], axis).numpy(), x)
    slices = [Tensor(np.take(x, i, axis)) for i in range(shape[axis])]
    np.testing.assert_array_equal(ops.stack(slices, axis).numpy(), x)


# Every operation


def shuffled(row: Row, rng: Rng) -> list[Any]:
    """Return a row's inputs in another order: whatever kept its numbers legal, positive or tied, still does."""
    return [x.ravel()[rng.permutation(x.size)].reshape(x.shape) if isinstance(x, np.ndarray) else x for x in row.inputs]


def gradients(row: Row, inputs: list[Any], grad_y: Array, create_graph: bool) -> list[Array]:
    """Return the gradient of every input that is an array."""
    leaves = [Tensor(x, requires_grad=True) if isinstance(x, np.ndarray) else x for x in inputs]
    arrays = [x for x in leaves if isinstance(x, Tensor)]
    return [g.data for g in grad(row.op(*leaves), arrays, Tensor(grad_y), create_graph=create_graph)]


def rows_of(name: str) -> Any:
    """Draw a row of an operation."""
    return st.sampled_from([row for row in TABLE if row.name == name])


def arrays_only(row: Row) -> bool:
    """Tell whether no input is a Python number, which would keep its scale."""
    return all(isinstance(x, np.ndarray) for x in row.inputs)


every_operation = pytest.mark.parametrize("name", ops.__all__)


@every_operation
@given(data=st.data(), rng=rngs, create_graph=st.booleans())
@few
def test_gradient_is_linear_in_what_comes_back(name: str, data: Any, rng: Rng, create_graph: bool):
    """The chain rule is a product of matrices: a backward that clips, or looks at the sign of grad_y, is none."""
    row = data.draw(rows_of(name))
    inputs = shuffled(row, rng)
    shape = row.op(*inputs).shape
    a, b = rng.uniform(-3, 3, 2)
    one, other = np.asarray(rng.standard_normal(shape)), np.asarray(rng.standard_normal(shape))
    both = gradients(row, inputs, a * one + b * other, create_graph)
    parts = [gradients(row, inputs, g, create_graph) for g in (one, other)]
    for ours, of_one, of_other in zip(both, *parts, strict=True):
        close(ours, a * of_one + b * of_other)


@every_operation
@given(data=st.data(), rng=rngs, create_graph=st.booleans())
@few
def test_nothing_is_written_into_the_inputs(name: str, data: Any, rng: Rng, create_graph: bool):
    """An operation that works in place on what it was given spoils what other operations saved, -0.0 included."""
    row = data.draw(rows_of(name))
    inputs = shuffled(row, rng)
    before = [np.asarray(x).tobytes() for x in inputs]
    grad_y = np.asarray(rng.standard_normal(row.op(*inputs).shape))
    before.append(grad_y.tobytes())
    gradients(row, inputs, grad_y, create_graph)
    assert [np.asarray(x).tobytes() for x in (*inputs, grad_y)] == before


# name: (powers of t that scale the inputs, the power that then scales the result). Where inputs can be scaled against
# one another they are, so that each input's gradient is asked for by itself.
SCALING: dict[str, tuple[tuple[float, ...], float]] = {
    **dict.fromkeys(("add", "subtract", "maximum", "minimum", "where", "l1"), ((1, 1), 1)),
    **dict.fromkeys(("multiply", "matmul", "linear", "conv2d"), ((2, -1, 1), 1)),
    **dict.fromkeys(("conv2d_transpose", "conv2d_weight_gradient"), ((2, -1, 1), 1)),
    **dict.fromkeys(("negative", "absolute", "sum", "mean", "max", "min", "std", "broadcast_to", "sum_to"), ((1,), 1)),
    **dict.fromkeys(("reshape", "transpose", "getitem", "scatter", "pad", "relu", "leaky_relu"), ((1,), 1)),
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle", "max_pool2d"), ((1,), 1)),
    **dict.fromkeys(("concatenate", "stack"), ((1, 1, 1), 1)),
    "divide": ((2, -1), 3),
    "sqrt": ((2,), 1),
    "variance": ((1,), 2),
    "mse": ((1, 1), 2),
    "prelu": ((1, 0), 1),
    "batch_norm": ((0, 1, 1), 1),
    "total_variation": ((1,), 1),
    "power": ((1,), math.nan),  # the exponent is the row's own
}
NOT_HOMOGENEOUS = {"exp", "log", "clip", "sigmoid", "tanh", "softplus", "binary_cross_entropy_with_logits"}


def test_every_operation_has_its_scaling():
    """A new operation has a scaling law, or stands with those that have none; unlisted it would be asked nothing."""
    assert SCALING.keys() | NOT_HOMOGENEOUS == set(ops.__all__)
    assert not SCALING.keys() & NOT_HOMOGENEOUS


@pytest.mark.parametrize("name", SCALING)
@given(data=st.data(), rng=rngs, create_graph=st.booleans(), t=st.floats(0.25, 4.0))
@few
def test_scaling_and_eulers_theorem(name: str, data: Any, rng: Rng, create_graph: bool, t: float):
    """f(t^k x) = t^m f(x) for every t > 0, and therefore (Euler) k <x, grad_x> = m <y, grad_y>, summed over inputs."""
    row = data.draw(rows_of(name).filter(lambda row: arrays_only(row) and (name != "power" or row.options)))
    powers, result = SCALING[name]
    result = row.options["exponent"] if name == "power" else result
    inputs = shuffled(row, rng)
    y = row.op(*inputs)
    scaled = [np.asarray(t**k * x) for k, x in zip(powers, inputs, strict=False)]
    close(row.op(*scaled), t**result * y.data)
    grad_y = np.asarray(rng.standard_normal(y.shape))
    grads = gradients(row, inputs, grad_y, create_graph)
    total = sum(k * inner(x, g) for k, x, g in zip(powers, inputs, grads, strict=False))
    close(total, result * inner(y, grad_y))


# Sums and products


@given(shape=npst.array_shapes(max_dims=4, max_side=4), rng=rngs, keepdims=st.booleans())
@examples
def test_gradient_of_a_sum_is_ones(shape: tuple[int, ...], rng: Rng, keepdims: bool):
    """However the axes are summed, in one go or two: every element counts once. In a mean, each counts 1/n."""
    x = Tensor(rng.standard_normal(shape), requires_grad=True)
    axes = tuple(axis for axis in range(len(shape)) if rng.random() < 0.5)
    total = x.sum(axis=axes, keepdims=keepdims).sum()
    np.testing.assert_array_equal(grad(total, x)[0].data, np.ones(shape))
    mean = x.mean(axis=axes, keepdims=keepdims).mean()
    close(mean.item(), x.numpy().mean())
    close(grad(mean, x)[0], np.full(shape, 1 / x.size))


@given(shape=npst.array_shapes(max_dims=4, max_side=4), rng=rngs)
@examples
def test_variance_is_a_variance(shape: tuple[int, ...], rng: Rng):
    """Never negative, blind to a shift, quadratic in scale, and E[x^2] - E[x]^2 over any axes."""
    x, (scale, shift) = rng.standard_normal(shape), rng.uniform(-3, 3, 2)
    axes = tuple(axis for axis in range(len(shape)) if rng.random() < 0.5)
    y = ops.variance(Tensor(x), axes)
    assert (y.numpy() >= 0).all()
    close(ops.variance(Tensor(scale * x + shift), axes), scale**2 * y.data)
    close(y, ops.mean(Tensor(x * x), axes).data - ops.mean(Tensor(x), axes).data ** 2)


@given(n=st.tuples(*[st.integers(1, 5)] * 4), batch=st.integers(1, 3), rng=rngs)
@examples
def test_matrices_multiply_like_matrices(n: tuple[int, ...], batch: int, rng: Rng):
    """(a b) c = a (b c), (a b)^T = b^T a^T, and <a b, y> = <a, y b^T> = <b, a^T y>: axes mixed up fit none."""
    a, b, c = (Tensor(rng.standard_normal(s), True) for s in ((batch, *n[:2]), n[1:3], (batch, *n[2:])))
    close((a @ b) @ c, (a @ (b @ c)).data)
    close((a @ b).transpose(0, 2, 1), (b.transpose() @ a.transpose(0, 2, 1)).data)
    y = Tensor(rng.standard_normal((batch, n[0], n[2])))
    grad_a, grad_b = grad(a @ b, [a, b], y)
    close(inner(a, grad_a), inner(a @ b, y))
    close(inner(b, grad_b), inner(a @ b, y))
    bias = Tensor(rng.standard_normal(n[2]), True)
    close(ops.linear(a, b, bias), (a @ b).data + bias.data)


@given(x=numbers(20.0), rng=rngs)
@examples
def test_exp_turns_sums_into_products(x: Array, rng: Rng):
    """e^(a+b) = e^a e^b, ln e^x = x, ln(ab) = ln a + ln b, (sqrt x)^2 = x, x^p x^q = x^(p+q)."""
    x = x.astype(np.float64)
    a, b = Tensor(x), Tensor(rng.uniform(-3, 3, x.shape))
    np.testing.assert_allclose(ops.exp(a + b).data, (ops.exp(a) * ops.exp(b)).data, rtol=1e-12)
    close(ops.log(ops.exp(a)), x)
    close(ops.log(ops.exp(a) * ops.exp(b)), (a + b).data)
    size = ops.absolute(a)
    np.testing.assert_allclose((ops.sqrt(size) ** 2).data, abs(x), rtol=1e-12, atol=1e-300)
    p, q = rng.uniform(-2, 2, 2)
    base = ops.exp(b)
    np.testing.assert_allclose((base**p * base**q).data, (base ** (p + q)).data, rtol=1e-12)


@given(x=numbers(), rng=rngs)
@examples
def test_order_is_a_lattice(x: Array, rng: Rng):
    """max + min = a + b with min = -max(-a, -b), |x| = max(x, -x), clip = max and min, and clip twice is clip once."""
    a, b = Tensor(x, True), Tensor(rng.permutation(x), True)  # equal in some places
    larger, smaller = ops.maximum(a, b), -ops.maximum(-a, -b)
    np.testing.assert_array_equal(np.sort([larger.data, smaller.data], 0), np.sort([a.data, b.data], 0))
    assert (larger.data >= smaller.data).all()
    shares, turned = (grad(ops.maximum(*pair).sum(), [a, b]) for pair in ((a, b), (b, a)))
    np.testing.assert_array_equal([g.data for g in shares], [g.data for g in turned])
    np.testing.assert_array_equal((shares[0] + shares[1]).data, np.ones_like(x))
    np.testing.assert_array_equal(ops.absolute(a).data, ops.maximum(a, -a).data)
    low, high = sorted(rng.uniform(-100, 100, 2).astype(np.float32).tolist())
    clipped = ops.clip(a, low, high)
    np.testing.assert_array_equal(clipped.data, (-ops.maximum(-ops.maximum(a, low), -high)).data)
    np.testing.assert_array_equal(ops.clip(clipped, low, high).data, clipped.data)
    assert ops.max(a).item() == x.max()


# Activations


@given(x=numbers(), power=st.integers(-8, 8), slope=st.floats(-4.0, 4.0, width=32))
@examples
def test_rectifiers_are_homogeneous(x: Array, power: int, slope: float):
    """f(t x) = t f(x) for t > 0: the only kink is at 0. f(x) - f(-x) = (1 + a) x and f(x) + f(-x) = (1 - a) |x|."""
    tolerance = 1e-6 if x.dtype == np.float32 else 1e-14
    for a, f in (
        (0.0, ops.relu),
        (abs(slope), lambda t: ops.leaky_relu(t, abs(slope))),
        (slope, lambda t: ops.prelu(t, Tensor(np.array([slope], x.dtype)))),
    ):
        y, opposite, t = f(Tensor(x)), f(Tensor(-x)), 2.0**power
        assert y.dtype == x.dtype
        np.testing.assert_allclose(f(Tensor(x * t)).data, y.data * t, rtol=tolerance, atol=1e-30)
        size = max(1.0, float(abs(x).max()))  # of what is subtracted, which may be more than what is left
        close((y - opposite).data / size, (1 + a) * x / size, tolerance)
        close((y + opposite).data / size, (1 - a) * abs(x) / size, tolerance)


@given(x=numbers())
@examples
def test_sigmoids_are_symmetric(x: Array):
    """Half of these formulas overflow where x is large, or lose all digits where it is small, and look right at 1."""
    tolerance = 1e-6 if x.dtype == np.float32 else 1e-12
    plus, minus = Tensor(x, True), Tensor(-x)
    s, soft, th = ops.sigmoid(plus), ops.softplus(plus), ops.tanh(plus)
    assert {s.dtype, soft.dtype, th.dtype} == {x.dtype}
    close(s + ops.sigmoid(minus), np.ones_like(x), tolerance)
    close(soft - ops.softplus(minus), x, tolerance)
    close(ops.exp(-soft), ops.sigmoid(minus).data, tolerance)  # softplus(x) = -ln sigmoid(-x)
    np.testing.assert_array_equal(th.data, -ops.tanh(minus).data)
    close(th, (2.0 * ops.sigmoid(2.0 * plus) - 1.0).data, tolerance)
    assert ((s.data >= 0) & (s.data <= 1)).all()
    assert (soft.data >= np.maximum(x, 0)).all()
    close(grad(soft.sum(), plus)[0], s.data, tolerance)  # softplus' = sigmoid
    rising = np.argsort(x)
    assert all((np.diff(y.data[rising]) >= 0).all() for y in (s, soft, th))


# Batch norm


@dataclass
class Batch:
    """A batch of at least 3 values a channel, whose channels have scales and means of their own."""

    x: Array
    weight: Array
    bias: Array
    rng: Rng

    def norm(self, x: Array | Tensor, eps: float, *running: Array, **options: Any) -> Tensor:
        given_x = x if isinstance(x, Tensor) else Tensor(x)
        options = {"training": True, **options}
        return ops.batch_norm(
            given_x, Tensor(self.weight), Tensor(self.bias), *(running or (None, None)), eps=eps, **options
        )


@st.composite
def batches(draw: Any) -> Batch:
    """Draw a batch (N, C) or (N, H, W, C)."""
    leading = draw(st.sampled_from([(3,), (4,), (9,), (2, 2, 1), (1, 3, 3), (2, 4, 3)]))
    channels, rng = draw(st.integers(1, 4)), draw(rngs)
    x = rng.standard_normal((*leading, channels)) * rng.uniform(0.5, 3, channels) + rng.uniform(-5, 5, channels)
    return Batch(x, rng.uniform(-2, 2, channels), rng.uniform(-2, 2, channels), rng)


@given(batch=batches(), eps=st.sampled_from([1e-5, 1e-3, 0.1]))
@examples
def test_batch_norm_does_not_see_scale_and_shift(batch: Batch, eps: float):
    """The brightness and contrast of a batch are gone: BN(a x + b) = BN(x), exactly so where eps is scaled too."""
    channels = batch.weight.size
    shift, scale = batch.rng.uniform(-10, 10, channels), float(batch.rng.uniform(0.1, 10))
    y = batch.norm(batch.x, eps)
    close(batch.norm(scale * batch.x + shift, scale**2 * eps), y.data)
    close(batch.norm(-scale * batch.x + shift, scale**2 * eps), 2 * batch.bias - y.data)
    each = batch.rng.uniform(0.5, 10, channels)
    close(batch.norm(each * batch.x + shift, 0.0), batch.norm(batch.x, 0.0).data)


@given(batch=batches(), eps=st.sampled_from([1e-5, 1e-3, 0.1]))
@examples
def test_batch_norm_normalises(batch: Batch, eps: float):
    """Each channel has mean 0 and variance 1 (with eps: v / (v + eps)) before weight and bias; in float32 too."""
    axes = tuple(range(batch.x.ndim - 1))
    var = batch.x.var(axis=axes)
    y = batch.norm(batch.x, eps).numpy()
    close(y.mean(axis=axes), batch.bias)
    close(y.var(axis=axes), batch.weight**2 * var / (var + eps))
    ones, zeros = np.ones_like(batch.weight, np.float32), np.zeros_like(batch.weight, np.float32)
    bright = Batch((batch.x + 100).astype(np.float32), ones, zeros, batch.rng)
    z = bright.norm(bright.x, 1e-5).numpy()
    assert z.dtype == np.float32
    close(z.mean(axis=axes), zeros, 1e-3)  # 100 in float32 is known to 1e-5, the deviation may be 0.05
    close(z.var(axis=axes), ones, 2e-2)


@given(batch=batches(), create_graph=st.booleans())
@examples
def test_batch_norm_gradient_is_orthogonal(batch: Batch, create_graph: bool):
    """No gradient along 1 or x_hat, as shift and scale change nothing; all else is there."""
    axes = tuple(range(batch.x.ndim - 1))
    x = Tensor(batch.x, requires_grad=True)
    grad_y = Tensor(batch.rng.standard_normal(batch.x.shape))
    (grad_x,) = grad(batch.norm(x, 0.0), x, grad_y, create_graph=create_graph)
    std = batch.x.std(axis=axes)
    x_hat = (batch.x - batch.x.mean(axis=axes)) / std
    scaled = grad_x.data * std  # as large as grad_y
    close(scaled.sum(axis=axes), 0 * std)
    close((scaled * x_hat).sum(axis=axes), 0 * std)
    along = grad_y.data.mean(axis=axes) + x_hat * (grad_y.data * x_hat).mean(axis=axes)
    close(scaled, batch.weight * (grad_y.data - along))  # and all that is orthogonal is there


@given(batch=batches(), eps=st.sampled_from([1e-5, 0.1]))
@examples
def test_batch_norm_in_training_and_evaluation_agree(batch: Batch, eps: float):
    """With momentum 1 the running statistics are the batch's, its variance by n - 1; evaluation then does the same."""
    n = batch.x.size // batch.weight.size
    mean, var = batch.rng.standard_normal((2, batch.weight.size))
    y = batch.norm(batch.x, eps, mean, var, momentum=1.0)
    kept = mean.copy(), var * (n - 1) / n
    close(batch.norm(batch.x, eps, *kept, training=False), y.data)
    other = batch.rng.standard_normal(batch.x.shape)  # affine: there are no statistics left in it
    ours = batch.norm(0.25 * batch.x + 0.75 * other, eps, *kept, training=False)
    close(ours, 0.25 * y.data + 0.75 * batch.norm(other, eps, *kept, training=False).data)


# Pooling


@given(x=images(side=st.integers(6, 9)), size=st.integers(1, 3), again=st.integers(1, 2), rng=rngs)
@examples
def test_max_pool_is_monotone(x: Array, size: int, again: int, rng: Rng):
    """Larger pixels never give less, the largest is one of the window, -max(-x) its smallest, and pools compose."""
    y = ops.max_pool2d(Tensor(x), size).numpy()
    brighter = ops.max_pool2d(Tensor(x + rng.uniform(0, 1, x.shape) * (rng.random(x.shape) < 0.5)), size).numpy()
    assert (brighter >= y).all()
    n, h, w, c = y.shape
    windows = x[:, : h * size, : w * size].reshape(n, h, size, w, size, c)
    np.testing.assert_array_equal(-ops.max_pool2d(Tensor(-x), size).numpy(), windows.min(axis=(2, 4)))
    np.testing.assert_array_equal(y, windows.max(axis=(2, 4)))
    twice = ops.max_pool2d(Tensor(y), again).numpy()
    np.testing.assert_array_equal(twice, ops.max_pool2d(Tensor(x), size * again).numpy())


@given(x=images(side=st.integers(3, 8)), size=st.integers(1, 3), rng=rngs)
@examples
def test_pooling_hands_on_the_whole_gradient(x: Array, size: int, rng: Rng):
    """Every window gives its gradient away once, to pixels inside it, with or without ties; an average to all alike."""
    tied = Tensor(np.round(x), requires_grad=True)
    y = ops.max_pool2d(tied, size)
    grad_y = rng.standard_normal(y.shape)
    g = grad(y, tied, Tensor(grad_y))[0].data
    n, h, w, c = y.shape
    assert (g != 0).sum() == grad_y.size
    inside = g[:, : h * size, : w * size].reshape(n, h, size, w, size, c)
    close(inside.sum(axis=(2, 4)), grad_y)


# Losses


@given(x=images(), rng=rngs)
@examples
def test_total_variation(x: Array, rng: Rng):
    """0 for a constant picture and no other; blind to flips, turns and brightness, whose gradient is therefore 0."""
    flat = np.broadcast_to(rng.standard_normal((len(x), 1, 1, x.shape[3])), x.shape)
    assert ops.total_variation(Tensor(flat)).item() == 0
    given_x = Tensor(x, requires_grad=True)
    y = ops.total_variation(given_x)
    assert y.item() > 0 or x.shape[1:3] == (1, 1)
    for same in (x[:, ::-1], x[:, :, ::-1], x.swapaxes(1, 2), x + 7.0, -x, np.concatenate([x, x])):
        close(ops.total_variation(Tensor(same)), y.data)
    for axis in (1, 2, 3):  # beside its mirror image, or as channels of its own, a picture counts twice
        close(ops.total_variation(Tensor(np.concatenate([x, np.flip(x, axis)], axis))), 2 * y.data)
    if y.item() > 0:
        close(grad(y, given_x)[0].data.sum(axis=(1, 2)), np.zeros((len(x), x.shape[3])))


@given(shape=npst.array_shapes(max_dims=4, max_side=4), rng=rngs)
@examples
def test_mse_and_l1_are_distances(shape: tuple[int, ...], rng: Rng):
    """Zero for what is equal and nothing else, symmetric; l1 has the triangle inequality, mse the law of cosines."""
    p, t, u = (Tensor(rng.standard_normal(shape)) for _ in range(3))
    nearly = t.numpy().copy()
    nearly.flat[int(rng.integers(t.size))] += 1e-3
    for distance in (ops.mse, ops.l1):
        assert distance(p, Tensor(p.numpy().copy())).item() == 0
        assert distance(t, Tensor(nearly)).item() > 0
        close(distance(p, t), distance(t, p).data)
        close(distance(p + u, t + u), distance(p, t).data)
    assert ops.l1(p, t).item() <= ops.l1(p, u).item() + ops.l1(u, t).item() + 1e-12
    assert ops.l1(p, t).item() ** 2 <= ops.mse(p, t).item() + 1e-12
    cosine = 2 * inner(p - u, t - u) / p.size
    close(ops.mse(p, t), ops.mse(p, u).data + ops.mse(t, u).data - cosine)


@given(z=numbers(), rng=rngs)
@examples
def test_cross_entropy(z: Array, rng: Rng):
    """Not negative, blind to exchanging yes and no, least where the answer is the label, with gradient (s(z) - t)/n."""
    tolerance = 1e-6 if z.dtype == np.float32 else 1e-12
    t = Tensor(rng.integers(1, 1024, z.shape).astype(z.dtype) / 1024)  # so that 1 - t is exact
    logits = Tensor(z, True)
    y = ops.binary_cross_entropy_with_logits(logits, t)
    assert y.item() >= 0
    assert y.dtype == z.dtype
    close(ops.binary_cross_entropy_with_logits(-logits, 1.0 - t), y.data, tolerance)
    close(grad(y, logits)[0], (ops.sigmoid(logits) - t).data / z.size, tolerance)
    right = ops.binary_cross_entropy_with_logits(logits, Tensor((z > 0).astype(z.dtype)))  # small, but not by rounding
    np.testing.assert_allclose(right.data, np.log1p(np.exp(-abs(z))).mean(), rtol=1e-5, atol=1e-30)
    best = ops.log(t) - ops.log(1.0 - t)  # the logit of t
    assert ops.binary_cross_entropy_with_logits(best, t).item() <= y.item() + tolerance * max(1, y.item())


# What is built from them


@given(
    size=st.integers(1, 8),
    lr=st.floats(1e-6, 1.0),
    betas=st.tuples(*[st.floats(0.0, 0.999)] * 2),
    dtype=dtypes,
    rng=rngs,
)
@examples
def test_first_step_of_adam_is_at_most_lr(size: int, lr: float, betas: tuple[float, float], dtype: Any, rng: Rng):
    """Whatever the gradient's size, against its sign, and by all of lr where eps does not count; nothing moves at 0."""
    g = (rng.choice([-1, 0, 1], size) * 10 ** rng.uniform(-12, 10, size)).astype(dtype)
    p = Parameter(np.zeros(size, dtype))
    p.grad = Tensor(g)
    Adam([p], lr, betas).step()
    slack = 1e-4 if dtype == np.float32 else 1e-10
    assert p.dtype == dtype
    assert (abs(p.data) <= lr * (1 + slack)).all()
    np.testing.assert_array_equal(np.sign(p.data), -np.sign(g))
    np.testing.assert_allclose(p.data[abs(g) > 1e-2], -lr * np.sign(g[abs(g) > 1e-2]), rtol=1e-5 + slack)


@given(scale=st.sampled_from([2, 4]), down=st.integers(0, 2), right=st.integers(0, 2), rng=rngs)
@settings(examples, max_examples=examples.max_examples // 2)
def test_generator_moves_with_the_picture(scale: int, down: int, right: int, rng: Rng):
    """Beyond the receptive radius an upscaled tile is the upscaled picture: what tiles without seams rest on."""
    generator = Generator(scale, channels=3, blocks=1, rng=rng).astype(np.float64).eval()
    for _, layer in generator.named_modules():
        if isinstance(layer, BatchNorm2d):
            layer.running_mean[...] = rng.standard_normal(3)
            layer.running_var[...] = rng.uniform(0.5, 2, 3)
            layer.bias.data[...] = rng.standard_normal(3)
    margin = math.ceil(generator.receptive_radius)
    side = 2 * margin + 2
    whole = rng.random((1, side + 2, side + 2, 3))
    part = whole[:, down : down + side, right : right + side]
    tile, picture = (generator(Tensor(low)).numpy() for low in (part, whole))
    inside = slice(scale * margin, scale * (side - margin))
    there = picture[:, scale * down :, scale * right :][:, inside, inside]
    close(tile[:, inside, inside], there)
    assert tile[:, inside, inside].shape == (1, 2 * scale, 2 * scale, 3)


@pytest.mark.parametrize("index", [((0, 0, 2),), ((1, 1), (0, 2)), ((0, 0), slice(None))], ids=str)
def test_positions_in_a_tuple_add_up(index: Any):
    """An inner tuple is a list of positions; one that came twice got the gradient of its last element only."""
    x = Tensor(np.ones((3, 3) if len(index) > 1 else 3, np.float32), requires_grad=True)
    x[index].sum().backward()
    expected = np.zeros(x.shape, np.float32)
    np.add.at(expected, index, 1)
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), expected)
