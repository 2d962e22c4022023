"""What a Tensor offers by itself: operators with a number on either side, and methods under NumPy's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, nn, ops, reference
from minisrgan.autograd import grad
from minisrgan.errors import MinisrganError

ARRAY = np.random.default_rng(0).uniform(0.5, 2, (2, 1, 3, 1))
METHODS: dict[str, Callable[[Any], Any]] = {
    "T": lambda x: x.T,
    "exp": lambda x: x.exp() if isinstance(x, Tensor) else np.exp(x),
    "log": lambda x: x.log() if isinstance(x, Tensor) else np.log(x),
    "sqrt": lambda x: x.sqrt() if isinstance(x, Tensor) else np.sqrt(x),
    "abs": lambda x: x.abs() if isinstance(x, Tensor) else np.abs(x),
    "flatten": lambda x: x.flatten(),
    "flatten but the first": lambda x: x.flatten(1) if isinstance(x, Tensor) else x.reshape(2, -1),
    "squeeze": lambda x: x.squeeze(),
    "squeeze one": lambda x: x.squeeze(1),
    "squeeze two": lambda x: x.squeeze((1, -1)),
    "2 ** x": lambda x: 2**x,
    "0.5 ** x": lambda x: 0.5**x,
    "np.float32 ** x": lambda x: np.float32(2) ** x,
    "x ** 2": lambda x: x**2,
    "x ** y": lambda x: x ** (x + 1),
    "array ** x": lambda x: ARRAY.astype(x.dtype) ** x,
    **{f"{name}()": lambda x, name=name: getattr(x, name)() for name in ("sum", "mean", "max", "min", "var", "std")},
    **{f"{name}(2)": lambda x, name=name: getattr(x, name)(2) for name in ("sum", "mean", "max", "min", "var", "std")},
    **{
        f"{name}, kept": lambda x, name=name: getattr(x, name)(axis=(0, 2), keepdims=True)
        for name in ("sum", "mean", "max", "min", "var", "std")
    },
}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_that_of_numpy(name: str):
    """A name that NumPy has too, and that computes something else, is a trap: var divides by n, as there."""
    x = Tensor(ARRAY, requires_grad=True)
    y = METHODS[name](x)
    assert isinstance(y, Tensor)
    np.testing.assert_allclose(y.numpy(), METHODS[name](ARRAY), rtol=1e-12)
    y.sum().backward()
    assert x.grad is not None
    assert METHODS[name](Tensor(ARRAY.astype(np.float32))).dtype == np.float32


def test_what_cannot_be_squeezed():
    """An axis of length 3 left as it is makes the next operation broadcast."""
    for axis in (2, (1, 2), 7):
        with pytest.raises(MinisrganError):
            Tensor(ARRAY).squeeze(axis)


@pytest.mark.parametrize(("x", "p"), [(0, 0), (0, 1), (0, 2.5), (0, 3), (2, 0), (-2, 3), (-2, 0), (1, -1)])
def test_powers_at_their_edges(x: float, p: float):
    """0 * 0^-1 and 0 * ln 0 are NaN, and the gradient of 0^p is not: PyTorch has 0 as well."""
    base, exponent = (Tensor(np.array([float(v)]), requires_grad=True) for v in (x, p))
    ones = np.ones(1)
    to_x, to_p = reference.power_grad(ones, base.numpy(), exponent.numpy())
    for create_graph in (False, True):
        (ours,) = grad(base**exponent.detach(), base, create_graph=create_graph)
        np.testing.assert_array_equal(ours.numpy(), to_x)
        (of_number,) = grad(base**p, base, create_graph=create_graph)
        np.testing.assert_array_equal(of_number.numpy(), to_x)
        if x >= 0:
            (ours,) = grad(base.detach() ** exponent, exponent, create_graph=create_graph)
            np.testing.assert_array_equal(ours.numpy(), to_p)
            (of_number,) = grad(x**exponent, exponent, create_graph=create_graph)
            np.testing.assert_array_equal(of_number.numpy(), to_p)


def test_the_deviation_of_equal_numbers():
    """sqrt has an infinite slope at 0, and a channel may be constant: 0 as in PyTorch, once and twice."""
    x = Tensor(np.array([[3.0, 3.0], [1.0, 2.0]]), requires_grad=True)
    (first,) = grad(x.std(axis=1).sum(), x, create_graph=True)
    np.testing.assert_allclose(first.numpy(), [[0, 0], [-0.5, 0.5]], atol=1e-12)
    (second,) = grad((first * first).sum(), x)
    assert np.isfinite(second.numpy()).all()
    assert np.isnan(Tensor([1.0, np.nan]).std().item())


def test_layers_without_an_rng():
    """The first line of every tutorial makes a layer and nothing else: it works, and the same way every time."""
    for make in (lambda **more: nn.Conv2d(3, 2, 3, **more), lambda **more: nn.Linear(3, 2, **more)):
        layer, same, seeded = make(), make(), make(rng=np.random.default_rng(0))
        for other in (same, seeded):
            np.testing.assert_array_equal(layer.weight.numpy(), other.weight.numpy())


def test_layers_with_frames_and_strides():
    """A layer hands its settings on to the operation, and says them."""
    rng = np.random.default_rng(0)
    x = Tensor(rng.standard_normal((1, 7, 6, 2)).astype(np.float32))
    layer = nn.Conv2d(2, 3, 4, padding="same")
    assert layer(x).shape == (1, 7, 6, 3)
    assert "padding same" in repr(layer)
    layer = nn.Conv2d(2, 3, 3, stride=(2, 1), padding=(1, 0))
    assert layer(x).shape == (1, 4, 4, 3)
    assert "stride (2, 1), padding (1, 0)" in repr(layer)
    pool = nn.MaxPool2d(3, stride=2)
    np.testing.assert_array_equal(pool(x).numpy(), ops.max_pool2d(x, 3, 2).numpy())
    assert pool(x).shape == (1, 3, 2, 2)
    assert "3x3, stride 2" in repr(pool)
    assert nn.MaxPool2d(2)(x).shape == (1, 3, 3, 2)
