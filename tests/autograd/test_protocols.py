"""Python's and NumPy's protocols: a line that looks right is right, or says what to write instead."""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest

from minisrgan import Tensor, grad, nn, ops
from minisrgan.errors import DTypeError, GradientError, ShapeError

mpl.use("Agg")
import matplotlib.pyplot as plt

X = np.array([[1.0, -2.0], [3.0, 0.5]], np.float32)


def needing() -> Tensor:
    return Tensor(X.copy(), requires_grad=True)


# Python


@pytest.mark.parametrize("shape", [(), (1,), (1, 1)])
@pytest.mark.parametrize("make", [Tensor, lambda a: nn.Parameter(a) * 1.0], ids=["plain", "with history"])
def test_one_element_is_a_number(shape: tuple[int, ...], make: Any):
    """float(loss) and f"{loss:.3f}" are how a loss is printed."""
    x = make(np.full(shape, 2.75, np.float32))
    assert float(x) == x.item() == 2.75
    assert int(x) == 2
    assert math.sqrt(x) == math.sqrt(2.75)
    assert round(x, 1) == 2.8
    assert round(x) == 3
    assert f"{x:.3f}|{x:8.1f}|{x:e}" == "2.750|     2.8|2.750000e+00"
    assert f"{x:.0%}" == "275%"
    assert f"{x}" == str(x) == repr(x)
    assert "%.2f" % x == "2.75"  # noqa: UP031
    assert bool(x) is True
    assert bool(x * 0.0) is False
    assert not make(np.full(shape, -0.0, np.float32))


@pytest.mark.parametrize("call", [float, int, bool, round, math.sqrt, lambda x: f"{x:.3f}", lambda x: x and 1])
@pytest.mark.parametrize("array", [X, np.ones(2, np.float32), np.ones(0, np.float32)], ids=["4", "2", "0"])
def test_several_elements_are_no_number(call: Callable[[Any], Any], array: np.ndarray):
    """bool of a tensor was True whenever it was not empty, that of zeros too."""
    with pytest.raises(ShapeError, match=r"(?s)one element.*got +\(.*mean"):
        call(Tensor(array))


COMPARISONS = [operator.eq, operator.ne, operator.lt, operator.le, operator.gt, operator.ge]
OTHERS: dict[str, Any] = {
    "tensor": lambda: Tensor(X.T.copy()), "array": lambda: X.T.copy(), "number": lambda: 0.5, "int": lambda: 1,
    "NumPy's number": lambda: np.float64(0.5), "row": lambda: Tensor([1.0, 0.5]), "list": lambda: [1.0, 0.5],
}  # fmt: skip


@pytest.mark.parametrize("compare", COMPARISONS)
@pytest.mark.parametrize("other", OTHERS)
def test_comparisons_are_element_by_element(compare: Callable[[Any, Any], Any], other: str):
    """a == b was the identity of two objects: False for equal tensors, and one bool for all elements."""
    y = OTHERS[other]()
    plain = y.numpy() if isinstance(y, Tensor) else y
    for x in (Tensor(X), needing()):
        for got, expected in ((compare(x, y), compare(X, plain)), (compare(y, x), compare(plain, X))):
            assert isinstance(got, np.ndarray)
            assert got.dtype == bool
            np.testing.assert_array_equal(got, expected)


def test_comparisons_with_what_is_no_number():
    """== with None is False in Python; an order with it is a TypeError."""
    x = Tensor([1.0])
    for other in (None, "1.0", object(), {}):
        assert (x == other) is False
        assert (x != other) is True
        with pytest.raises(TypeError):
            _ = x < other
    with pytest.raises(ShapeError, match=r"\(2, 2\) == \(3,\)"):
        _ = Tensor(X) == np.ones(3, np.float32)


def test_tensors_of_one_element_are_ordered():
    """The best of several losses: by identity there was no order at all."""
    losses = [Tensor(3.0), nn.Parameter([1.0]).sum(), Tensor([2.0])]
    assert min(losses) is losses[1]
    assert [x.item() for x in sorted(losses)] == [1, 2, 3]
    best = math.inf
    for loss in losses:
        if loss < best:
            best = loss.item()
    assert best == 1


def test_tensors_stay_keys():
    """Optimizers and notebooks keep tensors in dicts and sets; equality by elements must not undo that."""
    x, y = Tensor([1.0]), Tensor([1.0])
    assert len({x, y}) == 2
    assert {x: 1}[x] == 1
    assert x in [y, x]
    assert 1.0 in x
    assert 2.0 not in x


# To NumPy


def test_asarray():
    """An array of objects, one a pixel, took 1.7 s for a photo, and computed with Tensors from there on."""
    x = Tensor(X)
    array = np.asarray(x)
    assert array.dtype == np.float32
    np.testing.assert_array_equal(array, X)
    assert np.shares_memory(array, X)
    assert not np.shares_memory(np.array(x), X)
    assert np.asarray(x, np.float64).dtype == np.float64
    assert np.asarray([Tensor(1.0), Tensor(2.0)]).tolist() == [1, 2]
    assert np.asarray(needing().detach()).shape == (2, 2)
    start = time.thread_time()
    np.asarray(Tensor(np.zeros((1000, 1000, 3), np.float32)))
    assert time.thread_time() - start < 0.1


@pytest.mark.parametrize("call", [np.asarray, np.array, lambda x: np.asarray([x, x]), lambda x: np.asarray(x * 2.0)])
def test_asarray_of_a_tensor_that_needs_a_gradient(call: Callable[[Tensor], Any]):
    """Taken out of the graph in silence, it would teach nothing."""
    with pytest.raises(GradientError, match=r"x\.detach\(\) or x\.numpy\(\)"):
        call(needing())


ARITHMETIC: list[Callable[[Any, Any], Any]] = [operator.add, operator.sub, operator.mul, operator.truediv]


@pytest.mark.parametrize("compute", [*ARITHMETIC, np.add, np.subtract, np.multiply, operator.matmul, np.matmul])
def test_arithmetic_with_arrays_is_recorded(compute: Callable[[Any, Any], Any]):
    """array * tensor is the operation, whichever stands first; computed by NumPy it would have no gradient."""
    a = np.array([[4.0, 5.0], [6.0, 7.0]], np.float32)
    for y, expected in ((compute(a, needing()), compute(a, X)), (compute(needing(), a), compute(X, a))):
        assert isinstance(y, Tensor)
        assert y.requires_grad
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6)
    assert isinstance(compute(a, Tensor(X)), Tensor)


@pytest.mark.parametrize("compute", ARITHMETIC)
@pytest.mark.parametrize("number", [np.float32(1.5), np.float64(1.5), np.int64(2)])
def test_arithmetic_with_numpy_numbers_keeps_the_dtype(compute: Callable[[Any, Any], Any], number: Any):
    """np.float64(0.5) * tensor must stay float32, and recorded."""
    x = needing()
    y = compute(number, x)
    assert isinstance(y, Tensor)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.numpy(), compute(number, X), rtol=1e-6)
    grad(y.sum(), x)


FUNCTIONS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "exp": (np.exp, "ops.exp"),
    "log": (lambda x: np.log(abs(x) + 1.0), "ops.log"),
    "sqrt": (lambda x: np.sqrt(x * x), "ops.sqrt"),
    "tanh": (np.tanh, "ops.tanh"),
    "abs": (np.abs, "ops.absolute"),
    "maximum": (lambda x: np.maximum(x, 0), "ops.maximum"),
    "sin": (np.sin, r"x.detach\(\)"),
    "sum": (np.sum, "ops.sum"),
    "mean of an axis": (lambda x: np.mean(x, axis=0), "ops.mean"),
    "max": (np.max, "ops.max"),
    "std": (np.std, "x.detach|ops.std"),
    "dot": (lambda x: np.dot(x, x), "ops.matmul"),
    "concatenate": (lambda x: np.concatenate([x, x], axis=1), "ops.concatenate"),
    "stack": (lambda x: np.stack((x, x)), "ops.stack"),
    "reshape": (lambda x: np.reshape(x, (4,)), "ops.reshape"),
    "transpose": (np.transpose, "ops.transpose"),
    "clip": (lambda x: np.clip(x, 0, 1), "ops.clip"),
    "pad": (lambda x: np.pad(x, 1), "ops.pad"),
    "where": (lambda x: np.where(X > 0, x, 0), "x.detach|ops.where"),
    "norm": (np.linalg.norm, r"x.detach\(\)"),
    "split": (lambda x: np.split(x, 2)[0], r"x.detach\(\)"),
    "add.reduce": (np.add.reduce, "ops.add"),
    "keyword": (lambda x: np.sum(a=x), "ops.sum"),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_of_numpy(name: str):
    """On numbers they compute; where a gradient would be lost, the error names the operation that keeps it."""
    compute, words = FUNCTIONS[name]
    np.testing.assert_allclose(np.asarray(compute(Tensor(X))), compute(X), rtol=1e-6)
    with pytest.raises(GradientError, match=f"(?s)numpy.*needs a gradient.*{words}"):
        compute(needing())


def test_functions_whose_result_has_no_gradient():
    """Shapes, places and truths lose nothing: refusing them would only be in the way."""
    x = needing()
    assert np.argmax(x) == 2
    assert np.isfinite(x).all()
    assert np.shape(x) == (2, 2)
    assert np.ndim(x) == 2
    assert np.allclose(x, X)
    assert np.array_equal(x, X)
    assert np.any(np.signbit(x))


def test_out():
    """out=tensor would write past the version; array += tensor is a change of the array."""
    a = np.ones((2, 2), np.float32)
    a += Tensor(X)
    np.testing.assert_array_equal(a, X + 1)
    with pytest.raises(GradientError, match=r"ops\.add"):
        a += needing()
    with pytest.raises(GradientError, match="arrays as out"):
        np.multiply(X, 2, out=Tensor(X.copy()))


def test_a_list_of_tensors_is_told_of_stack():
    """Through NumPy it would be an array of numbers, without any of their histories."""
    a, b = Tensor([1.0]), nn.Parameter([2.0])
    for given in ([a, b], (a, a), [[a], [b]], [1.0, a]):
        with pytest.raises(DTypeError, match=r"(?s)tensors in a list.*ops\.stack"):
            Tensor(given)
    assert ops.stack([a, b]).requires_grad


# To matplotlib


def test_figures_of_tensors():
    """imshow of a tensor and plot of a list of losses are the first lines of every notebook."""
    photo = Tensor(np.random.default_rng(0).random((4, 5, 3), np.float32))
    figure, axes = plt.subplots()
    image = axes.imshow(photo)
    np.testing.assert_array_equal(np.asarray(image.get_array()), photo.numpy())
    (line,) = axes.plot([Tensor(3.0), Tensor(2.0), Tensor(1.5)])
    assert line.get_ydata().tolist() == [3, 2, 1.5]
    (line,) = axes.plot(Tensor([1.0, 2.0]), Tensor([5.0, 4.0]))
    assert line.get_xydata().tolist() == [[1, 5], [2, 4]]
    counts, *_ = axes.hist(Tensor(X.ravel()))
    assert counts.sum() == 4
    axes.scatter(Tensor([1.0]), Tensor([2.0]))
    axes.axhline(Tensor(0.5))
    figure.canvas.draw()
    plt.close(figure)
    loss = nn.Parameter([1.0, 2.0]) * 1.0
    for draw in (axes.imshow, axes.plot, axes.hist, lambda y: axes.plot([y.sum(), y.sum()])):
        with pytest.raises(GradientError, match="detach"):
            draw(loss)
