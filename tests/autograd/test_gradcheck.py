"""The checker is checked on gradients that are wrong on purpose: one that cannot refuse proves nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, ops
from minisrgan.autograd import Function, Gradients, Report, grad, gradcheck, gradgradcheck
from minisrgan.errors import DTypeError, GradientError


def normal(*shape: int, requires_grad: bool = True) -> Tensor:
    """Normally distributed numbers, the same for the same shape."""
    return Tensor(np.random.default_rng(3).standard_normal(shape), requires_grad=requires_grad)


class Cube(Function):
    """y = x^3, right: what the wrong ones below depart from."""

    def forward(self, x: Any) -> Any:
        self.save(x)
        return x**3

    def backward(self, grad_y: Tensor) -> Gradients:
        (x,) = self.saved
        return grad_y * 3.0 * x * x


class ZeroGradient(Cube):
    """The gradient is 0."""

    def backward(self, grad_y: Tensor) -> Gradients:
        return grad_y * 0.0


class ScaledGradient(Cube):
    """The gradient is 0.1 % too large."""

    def backward(self, grad_y: Tensor) -> Gradients:
        (x,) = self.saved
        return grad_y * 3.003 * x * x


class FlippedGradient(Cube):
    """The gradient has the wrong sign."""

    def backward(self, grad_y: Tensor) -> Gradients:
        (x,) = self.saved
        return grad_y * -3.0 * x * x


class OneWrongElement(Cube):
    """The gradient is right but for its last element, off by 0.1 %."""

    def backward(self, grad_y: Tensor) -> Gradients:
        (x,) = self.saved
        error = np.ones(x.shape)
        error.flat[-1] = 1.001
        return grad_y * 3.0 * x * x * error


class ReversedGradient(Cube):
    """Right numbers in the wrong places."""

    def backward(self, grad_y: Tensor) -> Gradients:
        (x,) = self.saved
        return (grad_y * 3.0 * x * x)[::-1]


class NotANumber(Cube):
    """A gradient of NaN, which compares as neither larger nor smaller than what is allowed."""

    def backward(self, grad_y: Tensor) -> Gradients:
        return grad_y * np.nan


class WrongFused(Cube):
    """The recorded backward is right, the fast one is off in the ninth digit: less than differences can see."""

    def backward_fused(self, grad_y: Any) -> Any:
        (x,) = self.saved_arrays
        return grad_y * 3 * x * x * (1 + 1e-9)


class WrongSecond(Cube):
    """The first derivative is right, but computed from plain arrays, so that it looks constant in x."""

    def backward(self, grad_y: Tensor) -> Gradients:
        (x,) = self.saved_arrays
        return grad_y * (3.0 * x * x)


class WrongSecondInGradOutput(Cube):
    """The first derivative is right in value, but its own derivative in grad_output is cut off."""

    def backward(self, grad_y: Tensor) -> Gradients:
        (x,) = self.saved
        return grad_y.detach() * 3.0 * x * x


class BatchNormWithoutGradient(Function):
    """Every output moves when one input does, so that the sum of all is constant: ones cannot tell this dx = 0."""

    def forward(self, x: Any) -> Any:
        return (x - x.mean(axis=0)) / x.std(axis=0)

    def backward(self, grad_y: Tensor) -> Gradients:
        return grad_y * 0.0


class BroadcastSlope(Function):
    """y = x * slope, where the gradient of a broadcast slope has the right shape and forgets to sum."""

    def forward(self, x: Any, slope: Any) -> Any:
        self.save(x, slope)
        return x * slope

    def backward(self, grad_y: Tensor) -> Gradients:
        x, slope = self.saved
        return grad_y * slope, (grad_y * x)[0]


class NotSummed(BroadcastSlope):
    """The same with the shape of the result."""

    def backward(self, grad_y: Tensor) -> Gradients:
        x, slope = self.saved
        return grad_y * slope, grad_y * x


def numbers_in(message: str) -> tuple[float, float]:
    """Return the value expected and the value got of a refusal."""
    right = re.search(r"expected .*: (\S+) \(", message)
    wrong = re.search(r"got +(\S+) from", message)
    assert right
    assert wrong
    return float(right[1]), float(wrong[1])


@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_a_right_gradient_passes(check: Callable[..., Report]):
    """A checker that refuses everything would pass every other test here."""
    report = check(Cube.apply, [normal(3, 2)])
    assert max(report.errors) < 1e-7
    assert report.inputs[0] == "input 0 (x)"
    assert report.name == "cube"
    assert report.moves == 0


@pytest.mark.parametrize(
    "wrong", [ZeroGradient, ScaledGradient, FlippedGradient, OneWrongElement, ReversedGradient, NotANumber]
)
@pytest.mark.parametrize("shape", [(4,), (5, 3), (30, 40)])
def test_a_wrong_gradient_is_refused(wrong: type[Function], shape: tuple[int, ...]):
    """Small inputs go element by element, large ones along a random direction; either alone could be blind."""
    with pytest.raises(GradientError, match=r"gradcheck of .*\n.*input 0 \(x\), "):
        gradcheck(wrong.apply, [normal(*shape)])


def test_the_message_names_input_element_and_values():
    """'Gradient check failed' sends a student through every line of a backward that has one wrong element."""
    x, y = normal(3, 2, requires_grad=False), normal(3, 2)
    with pytest.raises(GradientError) as caught:
        gradcheck(lambda left, right: left + OneWrongElement.apply(right), [x, y])
    message = str(caught.value)
    right, wrong = numbers_in(message)
    assert "input 1 (right), element (2, 1): " in message
    assert wrong == pytest.approx(1.001 * right, rel=1e-6)


def test_batch_norm_without_gradient():
    """With ones for dL/dy this dx = 0 is exactly right; only random numbers find it out."""
    x = normal(5, 3)
    (seeded_with_ones,) = grad(ops.batch_norm(x, *_affine(), None, None, training=True).sum(), x)
    assert abs(seeded_with_ones.data).max() < 1e-12
    with pytest.raises(GradientError, match=r"input 0 \(x\)"):
        gradcheck(BatchNormWithoutGradient.apply, [x])


def _affine() -> tuple[Tensor, Tensor]:
    return Tensor(np.ones(3)), Tensor(np.zeros(3))


def test_a_gradient_that_is_not_summed_over_a_broadcast_axis():
    """The commonest mistake of all; with the input's own shape the engine cannot see it."""
    with pytest.raises(GradientError, match=r"input 1 \(slope\)"):
        gradcheck(BroadcastSlope.apply, [normal(4, 3), normal(3)])
    with pytest.raises(GradientError, match="sum the gradient over the axes"):
        gradcheck(NotSummed.apply, [normal(4, 3), normal(3)])


def test_a_fused_backward_that_differs():
    """Training runs the fused one, second derivatives the other: a difference is seen by no test of either alone."""
    with pytest.raises(GradientError, match=r"\(backward\)\n.*backward_fused"):
        gradcheck(WrongFused.apply, [normal(3, 2)])


@pytest.mark.parametrize(
    ("wrong", "named"), [(WrongSecond, r"input 0 \(x\)"), (WrongSecondInGradOutput, r"input 1 \(grad_output\)")]
)
def test_a_wrong_second_derivative(wrong: type[Function], named: str):
    """The first derivative is right, so everything trains; only a gradient penalty would be silently wrong."""
    gradcheck(wrong.apply, [normal(3, 2)])
    with pytest.raises(GradientError, match=f"gradgradcheck of .*\n.*{named}"):
        gradgradcheck(wrong.apply, [normal(3, 2)])


def test_a_jump_is_stepped_away_from():
    """At a tie maximum halves the gradient, midway between 0 and 1: both sides differ alike, and no bend shows."""
    tie = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    assert gradgradcheck(ops.maximum, [tie, Tensor(np.array([1.0, 3.0]), requires_grad=True)]).moves >= 1


class FlippedReLU(Function):
    """A relu whose gradient has the wrong sign."""

    def forward(self, x: Any) -> Any:
        self.save(x)
        return np.maximum(x, 0)

    def backward(self, grad_y: Tensor) -> Gradients:
        (x,) = self.saved_arrays
        return grad_y * np.where(x > 0, -1.0, 0.0)


@pytest.mark.parametrize("distance", [0.0, 1e-9, 3e-7, 2 / 3 * 1e-6, -9e-7])
@pytest.mark.parametrize("check", [gradcheck, gradgradcheck])
def test_a_kink_is_stepped_away_from(check: Callable[..., Report], distance: float):
    """A check that cries wolf at every kink gets switched off, or its tolerance raised until it proves nothing."""
    report = check(ops.relu, [Tensor(np.array([-1.0, distance, 2.0]), requires_grad=True)])
    assert report.moves >= 1
    assert max(report.errors) < 1e-6


@pytest.mark.parametrize("distance", [0.0, 1e-9, 3e-7])
def test_a_kink_does_not_excuse_a_wrong_gradient(distance: float):
    """Were every difference near a kink forgiven, a wrong relu would pass on data with zeros."""
    with pytest.raises(GradientError, match="from backward"):
        gradcheck(FlippedReLU.apply, [Tensor(np.array([-1.0, distance, 2.0]), requires_grad=True)])


def test_curvature_is_not_a_kink():
    """A slope that changes by more than the error within eps, but smoothly, must not pass for a kink."""

    def steep(op: type[Function]) -> Callable[[Tensor], Tensor]:
        return lambda x: op.apply(ops.exp(x * 3000.0))

    x = Tensor(np.linspace(-1e-3, 1e-3, 3), requires_grad=True)
    assert gradcheck(steep(Cube), [x], rtol=1e-4).moves == 0
    with pytest.raises(GradientError, match="from backward"):
        gradcheck(steep(ScaledGradient), [x], rtol=1e-4)


def test_kinks_everywhere():
    """Without a limit the check would move for ever."""
    noise = np.random.default_rng(0)
    with pytest.raises(GradientError, match="in each of 8 places"):
        gradcheck(lambda x: x * 2.0 + noise.standard_normal(3), [normal(3)])


def test_float32_is_refused():
    """In float32 the difference of two results has two digits left: any tolerance that passes it passes a wrong one."""
    with pytest.raises(DTypeError, match=r"float64 inputs\n.*input 0 \(x\) float32"):
        gradcheck(ops.tanh, [Tensor([1.0], requires_grad=True)])


def test_nothing_to_check_is_refused():
    """A check of no input passes, and its author believes that something was checked."""
    with pytest.raises(GradientError, match="requires_grad=True"):
        gradcheck(ops.tanh, [normal(2, requires_grad=False)])


def test_an_input_that_backward_cannot_reach():
    """A detached path has no gradient at all, which is not the same as a gradient of 0."""
    with pytest.raises(GradientError, match=r"input 1 \(b\)"):
        gradcheck(lambda a, b: a + b.detach(), [normal(3), normal(3)])


def test_scalars_tuples_and_constants():
    """A function may return a number or several arrays, and take what needs no gradient."""
    x, constant = normal(3, 2), normal(3, 2, requires_grad=False)
    assert gradcheck(lambda x, t: ops.mse(x, t), [x, constant]).inputs == ("input 0 (x)",)
    assert gradcheck(lambda x, axis: (x.sum(axis=axis), (x * x).sum()), [x, 1]).inputs == ("input 0 (x)",)
    assert gradgradcheck(ops.mse, [x, constant]).inputs == ("input 0 (prediction)", "input 2 (grad_output)")
    with pytest.raises(GradientError):
        gradcheck(lambda x: (x * 2.0, ScaledGradient.apply(x)), [x])


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_the_tolerance_follows_the_scale(scale: float):
    """A fixed absolute tolerance passes any gradient of a loss with a weight of 1e-12, refuses a right one of 1e12."""
    gradcheck(lambda x: Cube.apply(x) * scale, [normal(3, 2)])
    with pytest.raises(GradientError):
        gradcheck(lambda x: ZeroGradient.apply(x) * scale, [normal(3, 2)])


def test_the_inputs_are_left_alone():
    """A check in the middle of a notebook must not shift the numbers of the cells after it, or leave gradients."""
    x = normal(3, 2)
    before = x.data.copy()
    gradcheck(Cube.apply, [x])
    gradgradcheck(Cube.apply, [x])
    np.testing.assert_array_equal(x.data, before)
    assert x.grad is None


def test_a_detached_twin_of_an_input_stays_a_constant():
    """x and x.detach() share one array. Taken for one another, d/dx of -sg(x)/x^2 loses its 2 sg(x)/x^3."""
    x = Tensor(np.array([2.0]), requires_grad=True)
    (first,) = grad(x.detach() / x, x, Tensor(np.ones(1)), create_graph=True)
    (second,) = grad(first.sum(), x)
    assert second.item() == pytest.approx(2 * 2 / 2**3)
    (first,) = grad(NotSummed.apply(x, x.detach()), x, Tensor(np.ones(1)), create_graph=True)
    assert not first.requires_grad  # d/dx of x * sg(x) is sg(x)


def test_a_leaf_owns_the_gradient_that_is_added_to():
    """After create_graph=True a gradient may be a view or belong to another leaf; adding to it must not spread."""
    a, b, grad_y = normal(3), normal(3), Tensor(np.ones(3))
    (a + b).backward(grad_y, create_graph=True)
    (a * 2.0).backward(grad_y)
    a.sum().backward(create_graph=True)
    a.sum().backward()
    assert a.grad is not None
    assert b.grad is not None
    np.testing.assert_array_equal(a.grad.data, [5, 5, 5])
    np.testing.assert_array_equal(b.grad.data, [1, 1, 1])
    np.testing.assert_array_equal(grad_y.data, [1, 1, 1])
    c = normal(3)
    c.sum().backward(create_graph=True)  # a view of one number
    c.sum().backward()
    assert c.grad is not None
    np.testing.assert_array_equal(c.grad.data, [2, 2, 2])
