"""Exercises of notebook 4: leaky and parametric ReLU."""

from __future__ import annotations

from typing import Any

import numpy as np

from checks import Exercise
from minisrgan import Tensor, ops
from minisrgan.autograd import Function, grad

Array = np.ndarray[Any, Any]


def leaky_gradient(grad_y: Array, x: Array, a: float) -> Array:
    return grad_y * np.where(x > 0, 1, a)


def prelu_gradients(grad_y: Array, x: Array, slope: Array) -> tuple[Array, Array]:
    return grad_y * np.where(x > 0, 1, slope), (grad_y * np.minimum(x, 0)).sum(axis=(0, 1, 2))


def with_kinks(rng: np.random.Generator, *shape: int) -> Array:
    """Draw numbers of which some are exactly 0."""
    x = rng.normal(size=shape)
    x[np.abs(x) < 0.3] = 0
    return x


def slope_of(compute: Any) -> Any:
    """Keep the right grad_x, and compute grad_slope another way."""
    return lambda g, x, slope: (prelu_gradients(g, x, slope)[0], compute(g, x, slope))


class Forgetful(Function):
    """The right value, and the gradient of ReLU."""

    def forward(self, x: Array) -> Array:
        """Leaky ReLU."""
        self.save_inputs(0)
        return np.maximum(x, 0) + 0.2 * np.minimum(x, 0)

    def backward(self, grad_y: Tensor) -> Tensor:
        """Gradient of ReLU."""
        (x,) = self.saved
        return grad_y * Tensor((x.data > 0).astype(x.dtype))


class Passing(Forgetful):
    """The right value, and the gradient of the identity."""

    def backward(self, grad_y: Tensor) -> Tensor:
        """Gradient of the identity."""
        return grad_y


class Derivative(Forgetful):
    """The right value, and the derivative without grad_y."""

    def backward(self, grad_y: Tensor) -> Tensor:
        """Derivative."""
        (x,) = self.saved
        return Tensor(np.where(x.data > 0, 1.0, 0.2).astype(x.dtype))


def twice(answer: Any) -> str:
    """Say whether the gradient can be differentiated again: in grad_y, it is 1 or 0.2."""
    x, grad_y = (Tensor(np.array(values), requires_grad=True) for values in ([-1.0, 2.0], [3.0, 5.0]))
    cut = (
        "value and gradient are right, but the gradient is cut off from the graph: in `backward` compute with the "
        "Tensors grad_y and self.saved, without .data or .numpy() of grad_y."
    )
    try:
        (once,) = grad(answer(x), [x], grad_y, create_graph=True)
        once.sum().backward()
    except Exception:  # nothing to go back through
        return cut
    return "" if grad_y.grad is not None and np.allclose(grad_y.grad.numpy(), [0.2, 1]) else cut


EXERCISES = {
    "4.1": Exercise(
        leaky_gradient,
        lambda rng: (rng.normal(size=(4, 5)), with_kinks(rng, 4, 5), float(rng.uniform(0.1, 0.6))),
        {
            "that is the derivative dy/dx; multiply it with the grad_y that arrives.": lambda g, x, a: np.where(
                x > 0, 1, a
            ),
            "right but for the kink: where x is exactly 0 we take the slope a (x > 0, not x >= 0).": (
                lambda g, x, a: g * np.where(x >= 0, 1, a)
            ),
            "the branches are exchanged: 1 belongs to x > 0.": lambda g, x, a: g * np.where(x > 0, a, 1),
            "that is ReLU's gradient: below 0 a part a still passes.": lambda g, x, a: g * (x > 0),
            "you applied the activation to grad_y. It is the sign of x that chooses the branch.": (
                lambda g, x, a: np.where(g > 0, g, a * g)
            ),
        },
        ["grad_x"],
        terms=lambda g, x, a: [
            {
                f"{name} where x {sign}": value * mask
                for sign, mask in {"> 0": x > 0, "< 0": x < 0, "= 0": x == 0}.items()
                for name, value in {
                    "grad_y": g,
                    "a * grad_y": a * g,
                    "a": np.full_like(g, a),
                    "1": np.ones_like(g),
                }.items()
            }
        ],
    ),
    "4.2": Exercise(
        prelu_gradients,
        lambda rng: (rng.normal(size=(2, 3, 4, 5)), with_kinks(rng, 2, 3, 4, 5), rng.uniform(0.1, 0.6, size=5)),
        {
            "grad_slope is right. grad_x is the derivative dy/dx: multiply it with grad_y.": lambda g, x, slope: (
                np.where(x > 0, 1, slope),
                prelu_gradients(g, x, slope)[1],
            ),
            "grad_slope is right. In grad_x the branches are exchanged: 1 belongs to x > 0.": lambda g, x, slope: (
                g * np.where(x > 0, slope, 1),
                prelu_gradients(g, x, slope)[1],
            ),
            "grad_slope is right. grad_x at x = 0: there we take the slope (x > 0, not x >= 0).": lambda g, x, slope: (
                g * np.where(x >= 0, 1, slope),
                prelu_gradients(g, x, slope)[1],
            ),
            "grad_x is right. grad_slope has to be summed over images, rows and columns: axis=(0, 1, 2).": slope_of(
                lambda g, x, slope: g * np.minimum(x, 0)
            ),
            "grad_x is right. grad_slope: each channel has a slope of its own, so keep the last axis.": slope_of(
                lambda g, x, slope: (g * np.minimum(x, 0)).sum()
            ),
            "grad_x is right. grad_slope: you took the mean; a shared number collects the sum.": slope_of(
                lambda g, x, slope: (g * np.minimum(x, 0)).mean(axis=(0, 1, 2))
            ),
            "grad_x is right. grad_slope: dy/da is min(x, 0), and grad_y is still to be multiplied in.": slope_of(
                lambda g, x, slope: np.minimum(x, 0).sum(axis=(0, 1, 2))
            ),
            "grad_x is right. grad_slope: the slope is used where x is below 0, not above.": slope_of(
                lambda g, x, slope: (g * np.maximum(x, 0)).sum(axis=(0, 1, 2))
            ),
            "grad_x is right. grad_slope: dy/da is x below 0, not y = a x; do not multiply by the slope.": slope_of(
                lambda g, x, slope: (g * np.minimum(x, 0)).sum(axis=(0, 1, 2)) * slope
            ),
        },
        ["grad_x", "grad_slope"],
        terms=lambda g, x, slope: [
            {
                f"{name} where x {sign}": value * mask
                for sign, mask in {"> 0": x > 0, "< 0": x < 0, "= 0": x == 0}.items()
                for name, value in {
                    "grad_y": g,
                    "slope * grad_y": slope * g,
                    "slope": slope + 0 * g,
                    "1": np.ones_like(g),
                }.items()
            },
            {
                "grad_y * x where x < 0": (g * np.minimum(x, 0)).sum(axis=(0, 1, 2)),
                "grad_y * x where x > 0": (g * np.maximum(x, 0)).sum(axis=(0, 1, 2)),
                "x where x < 0": np.minimum(x, 0).sum(axis=(0, 1, 2)),
                "grad_y": g.sum(axis=(0, 1, 2)),
            },
        ],
    ),
    "4.3": Exercise(
        lambda x: ops.leaky_relu(x, 0.2),
        lambda rng: (Tensor(rng.normal(size=(3, 4)), requires_grad=True),),
        {
            "below 0 the gradient is 0.2 grad_y, not 0.": Forgetful.apply,
            "backward hands grad_y on as it is: below 0 only 0.2 of it passes.": Passing.apply,
            "backward returns the derivative: multiply it with grad_y.": Derivative.apply,
            "forward is ReLU: below 0 a part of 0.2 x passes.": ops.relu,
            "forward and backward take 0.1 or another slope, not 0.2.": lambda x: ops.leaky_relu(x, 0.1),
        },
        ["y"],
        also=twice,
    ),
}
