"""`p -= 0.1 * p.grad` under no_grad trains; everywhere else a change in place is refused, and says why."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, enable_grad, nn, no_grad, ops, optim
from minisrgan.errors import DTypeError, GradientError, ShapeError

SIGNS: dict[str, tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]] = {
    "+": (operator.iadd, operator.add),
    "-": (operator.isub, operator.sub),
    "*": (operator.imul, operator.mul),
    "/": (operator.itruediv, operator.truediv),
}
OTHERS: dict[str, Callable[[], Any]] = {
    "number": lambda: 3,
    "NumPy's number": lambda: np.float64(0.5),
    "array": lambda: np.array([3.0, 4.0], np.float32),
    "tensor": lambda: Tensor([[3.0, 4.0]]),
    "parameter": lambda: nn.Parameter([3.0, 4.0]),
}


def test_the_update_that_every_tutorial_writes():
    """Bound to the loop's variable, a new tensor would train nothing, and the loss would only fail to fall."""
    net = nn.Linear(2, 1, rng=np.random.default_rng(0))
    x, y = Tensor([[1.0, 2.0], [3.0, -1.0]]), Tensor([[1.0], [2.0]])
    losses = []
    for _ in range(200):
        loss = ops.mse(net(x), y)
        losses.append(loss.item())
        net.zero_grad()
        loss.backward()
        with no_grad():
            for p in net.parameters():
                p -= 0.1 * p.grad
    assert losses[-1] < 1e-3 < losses[0]


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("sign", SIGNS)
def test_the_object_and_its_array_stay(sign: str, other: str):
    """An optimizer, a module and every view of the weights hold the old object and the old array."""
    in_place, plain = SIGNS[sign]
    p = nn.Parameter([[1.0, 2.0], [5.0, -7.0]])
    array, value = p.data, OTHERS[other]()
    with no_grad():
        expected = plain(p, value).numpy()
        q = in_place(p, value)
    assert q is p
    assert p.data is array
    assert p.requires_grad
    assert p.is_leaf
    np.testing.assert_array_equal(p.numpy(), expected)


def test_power_and_matrix_product():
    """Without a method of its own, Python would make w @= m a new tensor behind the parameter's name."""
    p = w = nn.Parameter([[1.0, 2.0], [3.0, 4.0]])
    with no_grad():
        w **= 2
        w @= Tensor([[0.0, 1.0], [1.0, 0.0]])
    assert p is w
    assert p.numpy().tolist() == [[4, 1], [16, 9]]


@pytest.mark.parametrize("sign", [*SIGNS, "**", "@"])
def test_elsewhere_it_is_refused(sign: str):
    """On a recorded result it would change numbers that the graph has saved; on a parameter it would lose it."""
    in_place = {**SIGNS, "**": (operator.ipow, pow), "@": (operator.imatmul, operator.matmul)}[sign][0]
    other = Tensor([[1.0]]) if sign == "@" else 2.0
    p = nn.Parameter([[3.0]])
    result = p * 2.0
    with pytest.raises(GradientError, match="(?s)" + re.escape(f"x {sign}= y") + ".*no_grad"):
        in_place(p, other)
    with pytest.raises(GradientError, match="being recorded"), no_grad(), enable_grad():
        in_place(p, other)
    with pytest.raises(GradientError, match="result of multiply"), no_grad():
        in_place(result, other)
    assert p.item() == 3
    assert result.item() == 6


def test_a_sum_of_losses_is_told_what_to_write():
    """total += loss is the line that everybody writes; the fix is a line as well."""
    total = Tensor(0.0)
    with pytest.raises(GradientError, match=r"x = x \+ y"):
        total += nn.Parameter([1.0]).sum()


def test_a_layer_keeps_its_parameter():
    """layer.weight *= 0.9 assigns what the operator returns: a new tensor would leave state_dict and optimizer."""
    layer = nn.Linear(2, 1, rng=np.random.default_rng(0))
    weight, before = layer.weight, layer.weight.numpy().copy()
    with no_grad():
        layer.weight *= 0.5
        layer.bias += 1.0
    assert layer.weight is weight
    assert sorted(layer.state_dict()) == ["bias", "weight"]
    np.testing.assert_array_equal(layer.weight.numpy(), before / 2)
    with pytest.raises(GradientError):
        layer.weight *= 0.5
    assert layer.weight is weight


def test_parts():
    """w[0] -= 1 calls three methods; one that is missing changes the array and then fails, or changes a copy."""
    p = nn.Parameter([[1.0, 2.0], [3.0, 4.0]])
    with no_grad():
        p[0] -= 1.0
        p[1, 1] *= 10.0
        p[:, 0] = Tensor([7.0, 8.0])
        p[np.array([0, 0]), 1] = [5.0, 6.0]
    assert p.numpy().tolist() == [[7, 6], [8, 40]]
    for change in (lambda: p.__setitem__(0, 1.0), lambda: (p * 1.0).__setitem__(0, 1.0)):
        with pytest.raises(GradientError, match="no_grad"):
            change()
    assert p.numpy().tolist() == [[7, 6], [8, 40]]


@pytest.mark.parametrize("value", [np.ones((3, 2, 2), np.float32), np.ones(3, np.float32)])
def test_a_change_keeps_the_shape(value: Any):
    """NumPy refuses to grow an array in place; a new array would be another shape than the gradient's."""
    p = nn.Parameter(np.ones((2, 2), np.float32))
    with no_grad(), pytest.raises(ShapeError):
        p += value
    with no_grad(), pytest.raises(ShapeError):
        p[:] = value
    assert p.numpy().tolist() == [[1, 1], [1, 1]]


def test_a_change_keeps_the_dtype():
    """float64 written into float32 is rounded without a word."""
    p = nn.Parameter([1.0])
    with no_grad(), pytest.raises(DTypeError):
        p += np.ones(1)
    with no_grad(), pytest.raises(ShapeError, match="float64 into float32"):
        p[:] = np.ones(1)


def test_a_change_in_place_is_seen_by_the_graph():
    """Between forward and backward it would change the factors that the gradient is made of."""
    for change in (lambda w: w.__isub__(1.0), lambda w: w.__setitem__(0, 9.0), lambda w: w.detach().__imul__(2.0)):
        w, p = nn.Parameter([5.0]), nn.Parameter([1.0])
        y = (w * p).sum()
        with no_grad():
            change(w)
        with pytest.raises(GradientError, match="changed in place"):
            y.backward()


def test_gradients_and_optimizers_share_the_rule():
    """p.grad *= 0.5 is a change in place too, and Adam follows what is left."""
    p = nn.Parameter([1.0, 1.0])
    (p * Tensor([3.0, 4.0])).sum().backward()
    grad = p.grad
    with no_grad():
        p.grad *= 0.5
    assert p.grad is grad
    assert grad.numpy().tolist() == [1.5, 2]
    optim.Adam([p], lr=0.1).step()
    np.testing.assert_allclose(p.numpy(), [0.9, 0.9], rtol=1e-5)
