"""A mask selects and does not multiply: an infinite gradient, as of sqrt at 0, is 0 where it is not let through."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, nn, ops
from minisrgan.autograd import grad
from tests.ops.table import TABLE, Row

# Operations that hand each number of grad_y on or hold it back, perhaps divided among several.
SELECTING = {
    "absolute", "broadcast_to", "clip", "concatenate", "getitem", "l1", "leaky_relu", "max",
    "max_pool2d", "maximum", "mean", "min", "minimum", "negative", "pad", "pixel_shuffle", "pixel_unshuffle", "prelu",
    "relu", "reshape", "scatter", "stack", "sum", "sum_to", "total_variation", "transpose", "where",
}  # fmt: skip
# Operations whose derivative is a number like any other, where 0 * inf is the NaN that it is everywhere.
MULTIPLYING = {
    "add", "batch_norm", "binary_cross_entropy_with_logits", "conv2d", "conv2d_transpose", "conv2d_weight_gradient",
    "divide", "exp", "linear", "log", "matmul", "mse", "multiply", "power", "sigmoid", "softplus", "sqrt", "std",
    "subtract", "tanh", "variance",
}  # fmt: skip

# The gradient in prelu's slope is x itself, and 0 * inf where that is 0; the other two take inf from inf.
HONEST_NAN = {"prelu", "total_variation", "l1"}

ROWS = [row for row in TABLE if row.name in SELECTING or (row.name == "power" and row.options.get("exponent") == 0)]
every_row = pytest.mark.parametrize("row", ROWS, ids=str)
either_way = pytest.mark.parametrize("create_graph", [False, True], ids=["fused", "recorded"])
silently = np.errstate(all="ignore")  # NumPy warns of the infinity that is meant here


def leaves_of(row: Row, dtype: type) -> list[Any]:
    """The row's inputs, all of which want a gradient."""
    return [Tensor(x.astype(dtype), requires_grad=True) if isinstance(x, np.ndarray) else x for x in row.inputs]


def infinite(row: Row, shape: tuple[int, ...]) -> np.ndarray:
    """A gradient of which about half is infinite: all of it in a scalar."""
    rng = row.random()
    return np.where(rng.random(shape) < (0.5 if shape else 1), np.inf, rng.standard_normal(shape))


def test_every_operation_is_classified():
    """A new operation with a mask would escape the questions below."""
    assert set() == SELECTING & MULTIPLYING
    assert set(ops.__all__) == SELECTING | MULTIPLYING


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@either_way
@every_row
@silently
def test_an_infinite_gradient_is_selected(row: Row, create_graph: bool, dtype: type):
    """0 * inf is NaN: one dead unit under a square root, and all that lies before it learns NaN."""
    inputs = leaves_of(row, dtype)
    y = row.op(*inputs)
    grad_y = infinite(row, y.shape)
    y.backward(Tensor(grad_y.astype(dtype)), create_graph=create_graph)
    expected = row.expected_gradients(grad_y, *row.inputs)
    for ours, right in zip([x.grad for x in inputs if isinstance(x, Tensor)], expected, strict=True):
        assert ours is not None
        np.testing.assert_allclose(ours.data, right, rtol=1e-5, atol=1e-5)
        assert row.name in HONEST_NAN or not np.isnan(right).any()


@every_row
def test_a_selected_gradient_has_its_transpose(row: Row):
    """<v, grad of g> = <second derivative by v, g>: the same numbers at ties too, where no difference can tell."""
    inputs = leaves_of(row, np.float64)
    leaves = [x for x in inputs if isinstance(x, Tensor)]
    y = row.op(*inputs)
    grad_y = np.asarray(row.random().standard_normal(y.shape))
    seed = Tensor(grad_y, requires_grad=True)
    firsts = grad(y, leaves, seed, create_graph=True)
    vs = [np.asarray(row.random().standard_normal(x.shape)) for x in leaves]
    (back,) = grad(firsts, seed, [Tensor(v) for v in vs])
    there = sum((v * right).sum() for v, right in zip(vs, row.expected_gradients(grad_y, *row.inputs), strict=True))
    np.testing.assert_allclose((back.data * grad_y).sum(), there, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cotangent", ["finite", "infinite"])
@every_row
@silently
def test_an_infinite_gradient_is_selected_in_the_second_derivative(row: Row, cotangent: str):
    """A gradient that selects is linear in grad_y: its own gradient is the same mask again, whatever grad_y is."""

    def second(grad_y: np.ndarray) -> tuple[np.ndarray, list[np.ndarray | None]]:
        """The gradients of sum(v * first gradients), v random, in grad_y and in the inputs."""
        inputs, seed = leaves_of(row, np.float64), Tensor(grad_y, requires_grad=True)
        leaves = [x for x in inputs if isinstance(x, Tensor)]
        firsts = grad(row.op(*inputs), leaves, seed, create_graph=True)
        for first in firsts:
            v = infinite(row, first.shape) if cotangent == "infinite" else row.random().standard_normal(first.shape)
            first.backward(Tensor(v), retain_graph=True)
        assert seed.grad is not None
        return seed.grad.data, [None if x.grad is None else x.grad.data for x in leaves]

    shape = row.op(*(Tensor(x) if isinstance(x, np.ndarray) else x for x in row.inputs)).shape
    of_finite, _ = second(row.random().standard_normal(shape))
    of_infinite, in_inputs = second(infinite(row, shape))
    np.testing.assert_array_equal(of_infinite, of_finite)
    if row.name not in HONEST_NAN:
        assert not any(np.isnan(found).any() for found in (of_infinite, *in_inputs) if found is not None)


DEAD: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": ops.relu,
    "leaky_relu": lambda x: ops.leaky_relu(x, 0.0),
    "clip": lambda x: ops.clip(x, 0.0, 9.0),
    "maximum": lambda x: ops.maximum(x, 0.0),
    "maximum, other side": lambda x: ops.maximum(0.0, x),
    "max": lambda x: ops.max(ops.stack([x, Tensor(np.zeros_like(x.data))]), axis=0),
    "ReLU": nn.ReLU(),
    "minimum": lambda x: -ops.minimum(-x, 0.0),
    "min": lambda x: -ops.min(ops.stack([-x, Tensor(np.zeros_like(x.data))]), axis=0),
    "where": lambda x: ops.where(x.data > 0, x, 0.0),
}


@either_way
@pytest.mark.parametrize("name", DEAD)
@silently
def test_square_root_of_a_dead_unit(name: str, create_graph: bool):
    """The line of the bug report: sqrt(relu(-1)) has gradient 0, not NaN."""
    x = Tensor([-1.0, 4.0, -2.0], requires_grad=True)
    ops.sqrt(DEAD[name](x)).sum().backward(create_graph=create_graph)
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), [0, 0.25, 0])
