"""The same questions to every row of the table: is the operation what its reference says, and its gradient too?"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, ops, reference
from minisrgan.autograd import Function, grad, gradcheck, gradgradcheck
from minisrgan.backend import ALGORITHMS, algorithm, workspace
from minisrgan.kernels import blocks
from tests.ops.table import EDGES, TABLE, Row

every_row = pytest.mark.parametrize("row", TABLE, ids=str)


def kind(row: Row) -> tuple[Any, ...]:
    """Return what selects the code that computes a row; sizes and values do not."""
    axes = [np.ndim(x) if isinstance(x, np.ndarray) else None for x in row.inputs]
    return (row.name, *axes, *sorted(row.options))


# Finite differences, second derivatives and memory layouts are checked with one row of each kind, and with all others
# under slow. A second derivative is composed of operations that are rows themselves, each compared with its reference.
EACH_KIND = list({kind(row): row for row in reversed(TABLE)}.values())[::-1]
OTHERS = [row for row in TABLE if all(row is not one for one in EACH_KIND)]
IN_KERNELS = ("conv2d", "prelu", "relu", "leaky", "batch_norm", "pixel", "max_pool")  # they read memory directly
LAID_OUT = [row for row in TABLE if row.name.startswith(IN_KERNELS) or any(row is one for one in EACH_KIND)]
each_kind = pytest.mark.parametrize("row", EACH_KIND, ids=str)


@functools.cache
def _expected(position: int) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    row = TABLE[position]
    y = row.expected(*row.inputs)
    grad_y = np.asarray(row.random().standard_normal(y.shape))
    grad_y.flags.writeable = False  # it is used again, and must come back from each backward as it went in
    return y, grad_y, row.expected_gradients(grad_y, *row.inputs)


def expected(row: Row) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Return y, a random grad_y and the gradients of the arrays; the loops are slow, so they run once a row."""
    return _expected(next(i for i, other in enumerate(TABLE) if other is row))


def run(
    row: Row,
    inputs: list[Any],
    grad_y: np.ndarray,
    wanted: Callable[[int], bool] = lambda i: True,
    create_graph: bool = False,
) -> tuple[np.ndarray, list[np.ndarray | None]]:
    """Return the result and the gradient of each array, None where it is not wanted or no path leads there."""
    given = [Tensor(x, requires_grad=wanted(i)) if isinstance(x, np.ndarray) else x for i, x in enumerate(inputs)]
    y = row.op(*given)
    y.backward(Tensor(grad_y), create_graph=create_graph)
    return y.data, [None if x.grad is None else x.grad.data for x in given if isinstance(x, Tensor)]


def agree(ours: Any, theirs: np.ndarray, rtol: float) -> None:
    """Compare in relation to the largest number, in which all the others are known."""
    assert ours is not None
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=rtol * max(1.0, abs(theirs).max(initial=0)))


def test_every_operation_is_in_the_table():
    """An operation without a row is an operation that nobody has compared with anything."""
    names = {row.name for row in TABLE}
    assert names == set(ops.__all__)
    for name in names:
        assert callable(getattr(reference, name))
        assert callable(getattr(reference, name + "_grad"))


def test_a_second_gradient_says_what_it_saves():
    """Two forms of one gradient are two places for a mistake: the second must be worth it, by a measured figure."""
    ours = [cls for cls in Function.__subclasses__() if cls.__module__.startswith("minisrgan.ops")]
    both = [cls for cls in ours if cls.backward_fused]
    assert [cls.name for cls in both if not re.search(r"0\.\d+ of the time", cls.backward_fused.__doc__ or "")] == []
    assert {cls.name for cls in both} == {"batch_norm_training", "conv2d", "prelu"}


@every_row
def test_forward_is_the_reference(row: Row):
    """A wrong formula with a matching gradient passes every gradient check."""
    y, _, _ = expected(row)
    ours = row.op(*(Tensor(x) if isinstance(x, np.ndarray) else x for x in row.inputs))
    assert ours.dtype == np.float64
    assert not ours.requires_grad
    agree(ours.data, y, 1e-12)


@pytest.mark.parametrize("create_graph", [False, True])
@every_row
def test_gradient_is_the_reference(row: Row, create_graph: bool):
    """Differences are blind at ties and kinks, where pictures are full of zeros; the loops are not."""
    y, grad_y, grads = expected(row)
    ours, our_grads = run(row, list(row.inputs), grad_y, create_graph=create_graph)
    agree(ours, y, 1e-12)
    for our_grad, right in zip(our_grads, grads, strict=True):
        agree(our_grad, right, 1e-11)


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("row", EDGES, ids=str)
def test_gradient_at_an_edge_is_the_reference(row: Row, create_graph: bool):
    """0 * 0^-1 and 0 * ln 0 are NaN, and the gradient of 0^p is not."""
    grad_y = np.asarray(row.random().standard_normal(row.inputs[0].shape))
    ours, our_grads = run(row, list(row.inputs), grad_y, create_graph=create_graph)
    np.testing.assert_array_equal(ours, row.expected(*row.inputs))
    np.testing.assert_allclose(our_grads, row.expected_gradients(grad_y, *row.inputs), rtol=1e-12)


@every_row
def test_each_gradient_alone(row: Row):
    """A frozen weight or a constant input takes another branch of backward: it may return the wrong one of two."""
    _, grad_y, grads = expected(row)
    arrays = [i for i, x in enumerate(row.inputs) if isinstance(x, np.ndarray)]
    for position, i in enumerate(arrays):
        _, our_grads = run(row, list(row.inputs), grad_y, wanted=i.__eq__)
        assert [g is not None for g in our_grads] == [k == position for k in range(len(arrays))]
        agree(our_grads[position], grads[position], 1e-11)


def _tensors(row: Row) -> list[Any]:
    return [Tensor(x, requires_grad=True) if isinstance(x, np.ndarray) else x for x in row.inputs]


@each_kind
def test_gradcheck(row: Row):
    """The reference could share a mistake with the operation; differences share nothing with either."""
    gradcheck(row.op, _tensors(row), rng=row.random())


@each_kind
def test_gradgradcheck(row: Row):
    """A backward that computes on plain arrays where it should record is right once, and wrong in every penalty."""
    gradgradcheck(row.op, _tensors(row), rng=row.random())


@pytest.mark.slow
@pytest.mark.parametrize("row", OTHERS, ids=str)
def test_differences_of_all_other_rows(row: Row):
    """As above; a size or an axis at which a second derivative is another one is rare."""
    test_gradcheck(row)
    test_gradgradcheck(row)
    test_second_derivative_of_float32(row)


@every_row
def test_inputs_are_left_alone(row: Row):
    """An operation that works in place on what it was given spoils what other operations saved."""
    _, grad_y, _ = expected(row)
    inputs = [np.array(x) if isinstance(x, np.ndarray) else x for x in row.inputs]
    given_grad = grad_y.copy()
    for create_graph in (False, True):
        _, our_grads = run(row, inputs, given_grad, create_graph=create_graph)
        np.testing.assert_array_equal(given_grad, grad_y)
        for x, original in zip(inputs, row.inputs, strict=True):
            np.testing.assert_array_equal(x, original)
        for g in our_grads:
            assert create_graph or g is None or not any(np.shares_memory(g, x) for x in (*inputs, given_grad))


def fortran(x: np.ndarray) -> np.ndarray:
    """The first axis lies together, as after a transpose."""
    return x.copy(order="F")


def sliced(x: np.ndarray) -> np.ndarray:
    """Every second element of a larger array, walked backwards along the first axis."""
    if x.ndim == 0:
        return x
    part = np.full([2 * n for n in x.shape], np.nan)[tuple(slice(1, None, 2) for _ in x.shape)][::-1]
    part[...] = x
    return part


def swapped(x: np.ndarray) -> np.ndarray:
    """The last two axes lie the other way round, as in a weight that was imported."""
    return x.swapaxes(-1, -2).copy().swapaxes(-1, -2) if x.ndim > 1 else x


def repeated(x: np.ndarray) -> np.ndarray:
    """One element for the whole first axis: a stride of 0, and memory that must not be written."""
    return np.broadcast_to(x[:1], x.shape) if x.ndim else x


@pytest.mark.parametrize("layout", [fortran, sliced, swapped, repeated])
@pytest.mark.parametrize("row", LAID_OUT, ids=str)
def test_the_layout_in_memory_does_not_matter(row: Row, layout: Callable[[np.ndarray], np.ndarray]):
    """A kernel that takes an array for contiguous is right until somebody transposes or crops."""
    _, grad_y, _ = expected(row)
    laid_out = [layout(x) if isinstance(x, np.ndarray) else x for x in row.inputs]
    plain = [x.copy() if isinstance(x, np.ndarray) else x for x in laid_out]
    y, grads = run(row, laid_out, layout(grad_y))
    right, right_grads = run(row, plain, layout(grad_y).copy())
    agree(y, right, 1e-12)
    for ours, theirs in zip(grads, right_grads, strict=True):
        assert theirs is not None
        agree(ours, theirs, 1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("layout", [fortran, sliced, swapped, repeated])
@pytest.mark.parametrize("row", OTHERS, ids=str)
def test_the_layout_of_all_other_rows(row: Row, layout: Callable[[np.ndarray], np.ndarray]):
    """As above, where NumPy's own functions compute."""
    test_the_layout_in_memory_does_not_matter(row, layout)


@pytest.mark.parametrize("size", [1, 600, 2000])
@pytest.mark.parametrize("row", [row for row in TABLE if row.name.startswith("conv2d")], ids=str)
def test_convolution_in_blocks(row: Row, size: int):
    """In a workspace of 1 MB every picture here is one block; cut into single pixels and part rows, edges show."""
    y, grad_y, grads = expected(row)
    with workspace(size):
        ours, our_grads = run(row, list(row.inputs), grad_y)
    agree(ours, y, 1e-12)
    for our_grad, right in zip(our_grads, grads, strict=True):
        agree(our_grad, right, 1e-11)


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("row", [row for row in TABLE if row.name.startswith("conv2d")], ids=str)
def test_convolution_by_every_algorithm(row: Row, name: str):
    """The layers here are too small for the fast algorithms to be chosen: without force none would be tested."""
    y, grad_y, grads = expected(row)
    for dtype, digits in ((np.float64, 1e-11), (np.float32, 1e-5)):
        inputs = [x.astype(dtype) if isinstance(x, np.ndarray) else x for x in row.inputs]
        with algorithm(name), workspace(300):
            ours, our_grads = run(row, inputs, grad_y.astype(dtype))
        agree(ours, y, digits)
        for our_grad, right in zip(our_grads, grads, strict=True):
            agree(our_grad, right, digits)


@pytest.mark.parametrize("size", [1, 100])
@pytest.mark.parametrize("row", [row for row in TABLE if row.name in ("prelu", "batch_norm")], ids=str)
def test_elementwise_kernels_in_blocks(row: Row, size: int, monkeypatch: pytest.MonkeyPatch):
    """In 256 KB every batch here is one block: sums that forget all but one pass until the pictures are real."""
    y, grad_y, grads = expected(row)
    monkeypatch.setattr(blocks, "_BLOCK_BYTES", size)
    monkeypatch.setattr(blocks, "_LONG", size)
    ours, our_grads = run(row, list(row.inputs), grad_y)
    agree(ours, y, 1e-12)
    for our_grad, right in zip(our_grads, grads, strict=True):
        agree(our_grad, right, 1e-11)


@pytest.mark.parametrize("constant", [0.1, 1000 / 3])
@pytest.mark.parametrize("row", [r for r in TABLE if r.name == "batch_norm" and r.options["training"]], ids=str)
def test_a_channel_of_constants(row: Row, constant: float):
    """What rounding leaves of its mean is not 0, and batch norm divides it by sqrt(eps)."""
    x, weight, bias = (array.astype(np.float32) for array in row.inputs)
    x[..., 0] = constant
    grad_y = np.random.default_rng(0).standard_normal(x.shape, np.float32)
    for create_graph in (False, True):
        y, (_, grad_weight, _) = run(row, [x, weight, bias], grad_y, create_graph=create_graph)
        assert grad_weight is not None
        assert abs(y[..., 0] - bias[0]).max() < 1e-6
        assert abs(grad_weight[0]) < 1e-6


@every_row
def test_float32_stays_float32(row: Row, monkeypatch: pytest.MonkeyPatch):
    """One float64 constant doubles the memory and halves the speed of all that comes after it, unseen."""
    y, grad_y, grads = expected(row)
    dtypes = set()
    make = Tensor.__init__

    def watched(self: Tensor, array: Any, requires_grad: bool = False) -> None:
        make(self, array, requires_grad)
        dtypes.add(self.data.dtype)

    monkeypatch.setattr(Tensor, "__init__", watched)
    inputs = [x.astype(np.float32) if isinstance(x, np.ndarray) else x for x in row.inputs]
    for create_graph in (False, True):
        ours, our_grads = run(row, inputs, grad_y.astype(np.float32), create_graph=create_graph)
        assert ours.dtype == np.float32
        assert dtypes == {np.dtype(np.float32)}
        agree(ours, y, 1e-5)
        for our_grad, right in zip(our_grads, grads, strict=True):
            assert our_grad is not None
            assert our_grad.dtype == np.float32
            agree(our_grad, right, 1e-4)


@each_kind
def test_second_derivative_of_float32(row: Row):
    """The recorded backward is other code than the fused one, with constants of its own."""
    _, grad_y, _ = expected(row)
    given = [Tensor(x.astype(np.float32), True) if isinstance(x, np.ndarray) else x for x in row.inputs]
    leaves = [x for x in given if isinstance(x, Tensor)]
    seed = Tensor(grad_y.astype(np.float32), requires_grad=True)
    firsts = grad(row.op(*given), leaves, seed, create_graph=True)
    total = sum((first * first).sum() for first in firsts)
    assert isinstance(total, Tensor)
    total.backward()
    for x in (*leaves, seed):
        assert x.grad is None or x.grad.dtype == np.float32


@pytest.mark.parametrize("momentum", [0.1, 0.75])
def test_running_statistics(momentum: float):
    """A biased variance is a third too small at n = 4, a swapped momentum forgets 90 % a step; eval would show it."""
    x, mean, var = (np.random.default_rng(5).uniform(0.5, 2.0, shape) for shape in ((2, 2, 3), (3,), (3,)))
    weight, bias = np.ones(3), np.zeros(3)
    ours = mean.copy(), var.copy()
    ops.batch_norm(Tensor(x), Tensor(weight), Tensor(bias), *ours, training=True, momentum=momentum)
    _, *theirs = reference.batch_norm(x, weight, bias, mean, var, training=True, momentum=momentum)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    ops.batch_norm(Tensor(x), Tensor(weight), Tensor(bias), *ours, training=False)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_statistics_that_move_on_change_no_gradient():
    """Training may go on between a forward in evaluation and its backward; the gradient belongs to the forward."""
    rng = np.random.default_rng(5)
    x, weight, bias, grad_y = (Tensor(rng.standard_normal(shape), True) for shape in ((4, 3), (3,), (3,), (4, 3)))
    mean, var = rng.standard_normal(3), rng.uniform(0.5, 2.0, 3)
    right = reference.batch_norm_grad(
        grad_y.data, x.data, weight.data, bias.data, mean.copy(), var.copy(), training=False
    )
    y = ops.batch_norm(x, weight, bias, mean, var, training=False)
    mean += 1
    var *= 2
    for ours, theirs in zip(grad(y, [x, weight, bias], grad_y), right, strict=False):
        np.testing.assert_allclose(ours.data, theirs, rtol=1e-12)


def test_a_convolution_learns_from_a_constant_input():
    """Photographs ask for no gradient, and the first layer has to learn all the same, recorded or not."""
    rng = np.random.default_rng(0)
    x, weight, bias = (Tensor(rng.standard_normal(shape)) for shape in ((2, 5, 6, 3), (3, 3, 3, 4), (4,)))
    for wanted in ([weight, bias], [x], [x, weight], [bias]):
        for tensor in (x, weight, bias):
            tensor.requires_grad = any(tensor is one for one in wanted)
        recorded, fused = (
            grad(ops.conv2d(x, weight, bias, padding=1).sum(), wanted, create_graph=graph) for graph in (True, False)
        )
        for one, other in zip(recorded, fused, strict=True):
            np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12)
