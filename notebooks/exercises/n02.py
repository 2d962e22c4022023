"""Exercises of notebook 2: gradients by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from checks import Exercise
from minisrgan import Tensor, ops

Array = np.ndarray[Any, Any]


def tanh(grad_y: Array, x: Array) -> tuple[Array, Array]:
    return np.tanh(x), grad_y * (1 - np.tanh(x) ** 2)


def sum_to(g: Array, shape: tuple[int, ...]) -> Array:
    return ops.sum_to(Tensor(g), shape).numpy()


def sum_inputs(rng: np.random.Generator) -> tuple[Array, tuple[int, ...]]:
    g = rng.normal(size=(2, 4, 3))
    return g, (3,)


EXERCISES = {
    "2.1": Exercise(
        tanh,
        lambda rng: (rng.normal(size=(2, 3)), rng.normal(size=(2, 3))),
        {
            "the value is right; the pull forgot g: multiply the gradient that arrives by the derivative.": (
                lambda g, x: (np.tanh(x), 1 - np.tanh(x) ** 2)
            ),
            "the value is right; 1 - y^2 takes the result y = tanh(x), not x.": (
                lambda g, x: (np.tanh(x), g * (1 - x**2))
            ),
            "the value is right; the derivative is 1 - y^2, not 1 - y.": lambda g, x: (
                np.tanh(x),
                g * (1 - np.tanh(x)),
            ),
            "the value is right, but no gradient arrives: give the parents and the pulls to Value.": (
                lambda g, x: (np.tanh(x), 0 * g)
            ),
        },
        ["y", "the gradient of a"],
        terms=lambda g, x: [
            {"tanh(x)": np.tanh(x), "x": x},
            {
                f"{first}{name}".strip(" *") or "1": by * value
                for first, by in {"g * ": g, "": np.ones_like(g)}.items()
                for name, value in {
                    "": np.ones_like(x),
                    "y": np.tanh(x),
                    "y^2": np.tanh(x) ** 2,
                    "x": x,
                    "x^2": x**2,
                    "tanh(y)^2": np.tanh(np.tanh(x)) ** 2,
                    "1 / cosh(x)": 1 / np.cosh(x),
                }.items()
            },
        ],
    ),
    "2.2": Exercise(
        sum_to,
        sum_inputs,
        {
            "you took a mean. Each copy hands back its whole gradient, so they add up.": lambda g, shape: (
                sum_to(g, shape) * np.prod(shape) / g.size
            ),
            "you summed everything.": lambda g, shape: np.full(shape, g.sum()),
            "you took one copy and left out the others.": lambda g, shape: g[0, 0] if shape == (3,) else g[0, :, :1],
            "an axis of length 1 was dropped or never summed: keepdims=True keeps it.": lambda g, shape: (
                sum_to(g, shape) if shape == (3,) else g.sum(axis=(0, 2))
            ),
        },
        ["the sum"],
        cases={
            "to (4, 1)": lambda rng: (rng.normal(size=(2, 4, 3)), (4, 1)),
            "to (2, 1, 3)": lambda rng: (rng.normal(size=(2, 4, 3)), (2, 1, 3)),
            "to the shape that it has": lambda rng: (rng.normal(size=(2, 3)), (2, 3)),
            "to (), a single number": lambda rng: (rng.normal(size=(2, 3)), ()),
        },
    ),
    "2.3": Exercise(
        lambda grad_y: grad_y - grad_y.mean(axis=0),
        lambda rng: (rng.normal(size=(5, 2)),),
        {
            "that is the broken one: it takes the mean for a constant.": lambda g: g,
            "each x_k is in the mean with 1/n only: subtract the mean of grad_y, not its sum.": lambda g: (
                g - g.sum(axis=0)
            ),
            "the mean is over the rows of each column: axis=0.": lambda g: g - g.mean(),
            "the sign: the mean was subtracted, so its gradient is too.": lambda g: g + g.mean(axis=0),
        },
        ["grad_x"],
        terms=lambda g: [{"grad_y": g, "mean of grad_y": g.mean(axis=0)}],
    ),
}
