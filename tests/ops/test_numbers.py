"""Numbers of every kind: a NumPy scalar is a number, and what is none is refused by name and never computed with."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, losses, nn, ops
from minisrgan.backend import as_number
from minisrgan.errors import ArgumentError, DTypeError, MinisrganError

NUMBERS = [
    0.5, np.float64(0.5), np.float32(0.5), np.float16(0.5), np.array(0.5), np.array(0.5, np.float32), 1, True,
    np.int64(1), np.uint8(1), np.bool_(True), np.array(1), np.array(True),
]  # fmt: skip
every_number = pytest.mark.parametrize("number", NUMBERS, ids=lambda n: f"{type(n).__name__} {getattr(n, 'dtype', '')}")


def ones(*shape: int) -> Tensor:
    """A tensor of ones that wants a gradient."""
    return Tensor(np.ones(shape, np.float32), requires_grad=True)


TAKES_A_NUMBER: dict[str, Callable[[Any], Tensor]] = {
    "label": lambda n: ops.binary_cross_entropy_with_logits(ones(2, 1), n),
    "real_label": lambda n: losses.discriminator_loss(ones(2, 1), ones(2, 1), n),
    "leaky_relu": lambda n: ops.leaky_relu(-ones(2), n),
    "nn.LeakyReLU": lambda n: nn.LeakyReLU(n)(-ones(2)),
    "clip": lambda n: ops.clip(ones(2), n - 1, n),
    "power": lambda n: (ones(2) * 4.0) ** n,
    "batch_norm": lambda n: ops.batch_norm(ones(2, 3), ones(3), ones(3), None, None, training=True, eps=n),
}


SETTINGS = ("leaky_relu", "nn.LeakyReLU", "batch_norm")  # where True is a switch in the wrong place


@every_number
@pytest.mark.parametrize("place", TAKES_A_NUMBER)
def test_a_numpy_scalar_is_a_number(place: str, number: Any):
    """np.float64 is a Python float and np.float32 is not: a label computed by NumPy was refused by the luck of that."""
    if place in SETTINGS and isinstance(as_number(number), bool):
        with pytest.raises(ArgumentError, match=r"(?s)as a number.*bool"):
            TAKES_A_NUMBER[place](number)
        return
    expected = TAKES_A_NUMBER[place](number.item() if isinstance(number, np.generic | np.ndarray) else number)
    y = TAKES_A_NUMBER[place](number)
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y.numpy(), expected.numpy())


@pytest.mark.parametrize("number", [n for n in NUMBERS if not isinstance(n, np.ndarray)], ids=repr)
def test_a_numpy_scalar_changes_no_dtype(number: Any):
    """As an operand on either side, and as the gradient that backward begins with."""
    x = ones(2)
    for y in (x * number, number * x, x - number, number - x, x / number, ops.maximum(number, x)):
        assert y.dtype == np.float32
    if isinstance(number, bool | np.bool_):
        return  # backward(True) means a switch
    total = x.sum().reshape(1)
    total.backward(number)
    assert x.grad is not None
    np.testing.assert_array_equal(x.grad.numpy(), [number, number])


NO_NUMBERS: list[tuple[Any, str]] = [
    (np.ones((2, 2), np.float32).view(np.matrix), "matrix"),
    (np.ma.array([[1.0, 2.0], [3.0, 4.0]], np.float32, mask=[[0, 1], [0, 0]]), "MaskedArray"),
    (np.ma.ones((2, 2)), "MaskedArray"),
    (np.ones((2, 2), [("red", np.float32), ("green", np.float32)]), "red"),
    (np.ones((2, 2), [("red", np.float32)]).view(np.recarray), "red"),
    (np.array([[1.0, Fraction(1, 2)], [2, 3]], object), "object"),
    (np.ones((2, 2), complex), "complex128"),
    (np.ones((2, 2), bool), "bool"),
    (np.ones((2, 2), np.float16), "float16"),
    (np.ones((2, 2), np.int64), "int64"),
    (np.array([["1", "2"], ["3", "4"]]), "<U1"),
    (Fraction(1, 2), "Fraction"),
    (Decimal("0.5"), "Decimal"),
    (1j, "complex"),
    (np.complex64(1), "complex"),
    (np.ma.masked, "Masked"),
    ("1", "str"),
    (None, "NoneType"),
    ([[1.0, 2.0], [3.0, 4.0]], "list"),
]
PLACES: dict[str, Callable[[Any], Any]] = {
    "x * v": lambda v: ones(2, 2) * v,
    "v * x": lambda v: v * ones(2, 2),
    "v - x": lambda v: v - ones(2, 2),
    "x @ v": lambda v: ones(2, 2) @ v,
    "maximum": lambda v: ops.maximum(v, ones(2, 2)),
    "mse": lambda v: ops.mse(ones(2, 2), v),
    "label": lambda v: ops.binary_cross_entropy_with_logits(ones(2, 2), v),
    "linear": lambda v: ops.linear(ones(2, 2), ones(2, 2), v),
    "exp": ops.exp,
    "sum": ops.sum,
    "leaky_relu": lambda v: ops.leaky_relu(ones(2), v),
    "backward": lambda v: ones(2, 2).backward(v),
}


@pytest.mark.parametrize(("value", "name"), NO_NUMBERS, ids=[name for _, name in NO_NUMBERS])
@pytest.mark.parametrize("place", PLACES)
def test_what_is_no_number_is_refused_by_name(place: str, value: Any, name: str):
    """A product of matrices where everything else multiplies element by element; a number from behind a mask."""
    if (isinstance(value, list) and place == "backward") or (value is None and place == "linear"):
        return  # a gradient of lists of numbers, and no bias
    with pytest.raises(MinisrganError) as caught:
        PLACES[place](value)
    masked_first = place in ("v * x", "v - x") and "asked" in name  # computes itself, from the Tensor's numbers
    if (value is not None or place != "backward") and not masked_first:  # without a gradient, backward wants a scalar
        assert (type(value).__name__ if place == "leaky_relu" else name) in caught.value.got, caught.value


@pytest.mark.parametrize(("value", "name"), NO_NUMBERS, ids=[name for _, name in NO_NUMBERS])
def test_the_advice_makes_a_tensor(value: Any, name: str):
    """Advice that leads into the next error is worse than none."""
    if isinstance(value, list):
        assert Tensor(value).shape == (2, 2)
        return
    with pytest.raises(DTypeError) as caught:
        Tensor(value)
    assert name in caught.value.got
    fix = caught.value.fix
    if name in ("Masked", "NoneType"):  # nothing can be made of these
        assert fix.startswith("give numbers") or "filled" in fix
        return
    made = eval(fix.partition(": ")[2], {"value": value, "array": value, "np": np, "Tensor": Tensor})
    assert isinstance(made, Tensor | float) or np.asarray(made).dtype.kind == "f"
    assert Tensor(made).dtype in (np.float32, np.float64)


@pytest.mark.parametrize("value", [1e300, [1.0, -1e39], [[0], [1e300]]])
def test_a_number_beyond_float32_is_refused(value: Any):
    """Python's numbers become float32; an infinity that nobody wrote would be met many layers later."""
    with pytest.raises(DTypeError, match=r"3\.4e38") as caught:
        Tensor(value)
    made = eval(caught.value.fix.partition(": ")[2], {"value": value, "np": np, "Tensor": Tensor})
    np.testing.assert_array_equal(made.numpy(), value)
    assert np.isinf(Tensor([np.inf]).numpy()).all()  # an infinity that somebody wrote


def test_a_memory_map_is_an_array(tmp_path: Path):
    """A subclass that computes as all arrays do is taken for what it is, and leaves its class behind."""
    mapped = np.memmap(tmp_path / "x", np.float32, "w+", shape=(2,))
    x = Tensor(mapped, requires_grad=True)
    assert type(x.numpy()) is np.ndarray
    assert np.shares_memory(x.numpy(), mapped)
    (x * mapped).sum().backward()
