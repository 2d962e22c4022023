"""Adam against a loop in float64, clipping, and schedules."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, optim
from minisrgan.errors import ArgumentError, WeightsError
from minisrgan.nn import Parameter


def adam_in_loops(
    start: np.ndarray, grads: list[np.ndarray], lr: float, beta1: float, beta2: float, eps: float
) -> np.ndarray:
    """Alg. 1 of Kingma and Ba, number by number."""
    result = start.astype(np.float64)
    for position in np.ndindex(start.shape):
        p, m, v = float(start[position]), 0.0, 0.0
        for t, grad in enumerate(grads, 1):
            g = float(grad[position])
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g * g
            p -= lr * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + eps)
        result[position] = p
    return result


def steps(parameter: Tensor, grads: list[np.ndarray], **options: Any) -> optim.Adam:
    """Let Adam follow given gradients."""
    optimizer = optim.Adam([parameter], **options)
    for grad in grads:
        parameter.grad = Tensor(grad)
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("options", [{}, {"betas": (0.5, 0.9), "eps": 1e-2}])
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 1e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("size", [(3, 5), (70_000,)], ids=["small", "several blocks"])
def test_adam_against_a_loop(options: dict[str, Any], dtype: Any, rtol: float, size: tuple[int, ...]):
    """eps inside the root, or a correction left out, changes the first hundred steps and hides in the rest."""
    rng = np.random.default_rng(0)
    start = rng.standard_normal(size).astype(dtype)
    grads = [(rng.standard_normal(size) * 10.0 ** rng.integers(-4, 2)).astype(dtype) for _ in range(5)]
    parameter = Parameter(start.copy())
    steps(parameter, grads, lr=0.01, **options)
    beta1, beta2 = options.get("betas", (0.9, 0.999))
    part = slice(None) if start.ndim > 1 else slice(0, None, 997)
    expected = adam_in_loops(start[part], [g[part] for g in grads], 0.01, beta1, beta2, options.get("eps", 1e-8))
    np.testing.assert_allclose(parameter.numpy()[part], expected, rtol=rtol, atol=rtol)
    assert parameter.dtype == dtype


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_the_first_step_is_lr(size: float):
    """Without the corrections for starting at 0 it is lr * 0.1 / sqrt(0.001), three times as long."""
    parameter = Parameter([1.0, 1.0])
    steps(parameter, [np.array([size, -size], np.float32)], lr=0.25)
    np.testing.assert_allclose(parameter.numpy(), [0.75, 1.25], rtol=1e-4)


def test_a_parameter_without_gradient_is_left_alone():
    """A zero in its place would go on moving it by its running mean: a frozen layer drifts."""
    moving, frozen = Parameter([1.0]), Parameter([1.0])
    optimizer = optim.Adam([moving, frozen], lr=0.1)
    for parameter in (moving, frozen):
        parameter.grad = Tensor([1.0])
    optimizer.step()
    optimizer.zero_grad()
    assert moving.grad is frozen.grad is None
    before = frozen.item()
    moving.grad = Tensor([1.0])
    optimizer.step()
    assert frozen.item() == before
    assert moving.item() == pytest.approx(0.8, rel=1e-5)


def test_adam_changes_in_place_and_leaves_the_gradient():
    """A new array would leave the state_dict, and every view of the weights, behind."""
    parameter, grad = Parameter([1.0]), np.array([2.0], np.float32)
    array = parameter.data
    steps(parameter, [grad, grad], lr=0.1)
    assert parameter.data is array
    assert grad.tolist() == [2]


def test_adam_follows_a_transposed_parameter():
    """Flattening a transposed array copies it, and the copy would be trained: the weights never move."""
    rng = np.random.default_rng(0)
    start = rng.standard_normal((3, 2)).astype(np.float32)
    grads = [rng.standard_normal((3, 2)).astype(np.float32) for _ in range(3)]
    plain, turned = Parameter(start.copy()), Parameter(start.T.copy().T)
    steps(plain, grads, lr=0.1)
    steps(turned, grads, lr=0.1)
    np.testing.assert_array_equal(turned.numpy(), plain.numpy())


def test_lr_may_change_between_steps():
    """An optimizer that remembers its first lr ignores the schedule."""
    parameter = Parameter([1.0])
    optimizer = steps(parameter, [np.ones(1, np.float32)], lr=0.1)
    optimizer.lr = 0.0
    parameter.grad = Tensor([1.0])
    optimizer.step()
    assert parameter.item() == pytest.approx(0.9)


def test_adam_goes_on_where_it_was():
    """Without the count of steps, the corrections start over: the first steps after a resume are ten times too long."""
    rng = np.random.default_rng(0)
    grads = [rng.standard_normal(4).astype(np.float32) for _ in range(6)]
    whole, first = Parameter(np.ones(4, np.float32)), Parameter(np.ones(4, np.float32))
    steps(whole, grads, lr=0.1)
    saved = steps(first, grads[:3], lr=0.1)
    state = {name: array.copy() for name, array in saved.state_dict().items()}
    second = Parameter(first.numpy().copy())
    optimizer = optim.Adam([second], lr=0.1)
    optimizer.load_state_dict(state, saved.steps)
    for grad in grads[3:]:
        second.grad = Tensor(grad)
        optimizer.step()
    np.testing.assert_array_equal(second.numpy(), whole.numpy())
    with pytest.raises(WeightsError):
        optim.Adam([Parameter([1.0])], lr=0.1).load_state_dict(state, 3)
    with pytest.raises(WeightsError):
        optim.Adam([second, first], lr=0.1).load_state_dict(state, 3)


@pytest.mark.parametrize(
    "options",
    [
        {"parameters": []},
        {"lr": -1e-4},
        {"lr": math.nan},
        {"betas": (1.0, 0.999)},
        {"betas": (0.9, -0.1)},
        {"eps": 0.0},
    ],
)
def test_adam_refuses_what_makes_no_sense(options: dict[str, Any]):
    """A NaN learning rate turns every weight into NaN in one step; an empty list trains nothing, for hours."""
    with pytest.raises(ArgumentError, match="lr >= 0, betas in"):
        optim.Adam(**{"parameters": [Parameter([1.0])], "lr": 1e-4} | options)


def with_gradients(*grads: list[float] | None) -> list[Parameter]:
    """Parameters with these gradients."""
    parameters = []
    for grad in grads:
        parameter = Parameter(np.zeros(2 if grad is None else len(grad), np.float32))
        parameter.grad = None if grad is None else Tensor(grad)
        parameters.append(parameter)
    return parameters


def test_clipping_scales_all_gradients_by_one_factor():
    """Clipped one by one, they change direction, and not only length."""
    parameters = with_gradients([3.0, 0.0], None, [4.0, 12.0])
    assert optim.grad_norm(parameters) == 13
    assert optim.clip_grad_norm(iter(parameters), 6.5) == 13
    assert parameters[0].grad.numpy().tolist() == [1.5, 0]
    assert parameters[2].grad.numpy().tolist() == [2, 6]
    assert parameters[2].grad.dtype == np.float32
    assert optim.clip_grad_norm(parameters, 100.0) == 6.5
    assert parameters[0].grad.numpy().tolist() == [1.5, 0]  # a small gradient is not made larger


def test_norm_of_nothing():
    """The first step of a discriminator that has not been trained yet has no gradients at all."""
    assert optim.grad_norm(with_gradients(None)) == 0
    assert optim.clip_grad_norm(with_gradients(None), 1.0) == 0


def test_schedules():
    """A boundary that is off by one is harmless; one that is never reached trains at 1e-4 to the end."""
    assert [optim.constant(3e-4)(step) for step in (0, 10**9)] == [3e-4, 3e-4]
    schedule = optim.piecewise((1.0, 0.5, 0.1), (10, 20))
    assert [schedule(step) for step in (0, 9, 10, 19, 20, 1000)] == [1, 1, 0.5, 0.5, 0.1, 0.1]


@pytest.mark.parametrize(
    ("values", "boundaries"), [((1.0,), (10,)), ((1.0, 0.5), ()), ((1.0, 0.5, 0.1), (20, 10)), ((1, 2, 3), (5, 5))]
)
def test_schedules_that_make_no_sense(values: tuple[float, ...], boundaries: tuple[int, ...]):
    """Boundaries in the wrong order skip a rate without a word."""
    with pytest.raises(ArgumentError, match="boundaries that rise"):
        optim.piecewise(values, boundaries)
