"""Exercises of notebook 5: batch normalization."""

from __future__ import annotations

from typing import Any

import numpy as np

from checks import Exercise

Array = np.ndarray[Any, Any]
AXES = (0, 1, 2)
OTHER_AXES = ((1, 2, 3), (0, 1), (0, 2), (1,), (2,), (3,), (0, 1, 3), (1, 3), (2, 3))


def batch_norm(x: Array, weight: Array, bias: Array, eps: float = 1e-5) -> Array:
    return weight * (x - x.mean(axis=AXES)) / np.sqrt(x.var(axis=AXES) + eps) + bias


def over(axes: tuple[int, ...]) -> Any:
    """Take the statistics over other axes."""
    return lambda x, w, b: (
        w * (x - x.mean(axis=axes, keepdims=True)) / np.sqrt(x.var(axis=axes, keepdims=True) + 1e-5) + b
    )


def gradients(grad_y: Array, x: Array, weight: Array, eps: float = 1e-5) -> tuple[Array, Array, Array]:
    n, std = x[..., 0].size, np.sqrt(x.var(axis=AXES) + eps)
    x_hat = (x - x.mean(axis=AXES)) / std
    grad_bias, grad_weight = grad_y.sum(axis=AXES), (grad_y * x_hat).sum(axis=AXES)
    return weight / std * (grad_y - grad_bias / n - x_hat * grad_weight / n), grad_weight, grad_bias


def grad_x_of(compute: Any) -> Any:
    """Keep the right gradients of weight and bias, and compute grad_x another way, from average values."""

    def wrong(g: Array, x: Array, weight: Array, eps: float = 1e-5) -> tuple[Array, Array, Array]:
        _, grad_weight, grad_bias = gradients(g, x, weight, eps)
        std = np.sqrt(x.var(axis=AXES) + eps)
        x_hat = (x - x.mean(axis=AXES)) / std
        return compute(g, x_hat, weight, std), grad_weight, grad_bias

    return wrong


def updated(mean: Array, var: Array, x: Array, momentum: float = 0.1) -> tuple[Array, Array]:
    keep = 1 - momentum
    return keep * mean + momentum * x.mean(axis=AXES), keep * var + momentum * x.var(axis=AXES, ddof=1)


def swapped(mean: Array, var: Array, x: Array, momentum: float = 0.1) -> tuple[Array, Array]:
    return updated(mean, var, x, 1 - momentum)


def backward_terms(g: Array, x: Array, weight: Array, eps: float = 1e-5) -> list[dict[str, Array]]:
    """Split the gradients of batch norm into terms."""
    std = np.sqrt(x.var(axis=AXES) + eps)
    x_hat, scale = (x - x.mean(axis=AXES)) / std, weight / std
    along = {
        "grad_y": g,
        "average(grad_y)": g.mean(axis=AXES),
        "x_hat * average(x_hat * grad_y)": x_hat * (g * x_hat).mean(axis=AXES),
    }
    return [
        {f"weight / std * {name}": scale * term for name, term in along.items()},
        {
            "sum of grad_y * x_hat": (g * x_hat).sum(axis=AXES),
            "sum of grad_y": g.sum(axis=AXES),
            "sum of grad_y * x": (g * x).sum(axis=AXES),
            "sum of grad_y * (x - mean)": (g * x_hat * std).sum(axis=AXES),
            "sum of x_hat": x_hat.sum(axis=AXES) + x.sum(axis=AXES),
        },
        {"sum of grad_y": g.sum(axis=AXES), "sum of grad_y * x_hat": (g * x_hat).sum(axis=AXES)},
    ]


def with_variance(mean: Array, var: Array, x: Array, new: Array) -> tuple[Array, Array]:
    """Update the mean correctly, and the variance by this one of the batch."""
    return updated(mean, var, x)[0], 0.9 * var + 0.1 * new


def images(rng: np.random.Generator) -> Array:
    """Draw a small batch whose first channel is small, so that eps is seen."""
    return rng.normal(1.0, 1.0, size=(2, 3, 2, 3)) * np.array([0.01, 1.0, 2.0])


EXERCISES = {
    "5.1": Exercise(
        batch_norm,
        lambda rng: (images(rng), rng.uniform(0.5, 2, size=3), rng.normal(size=3)),
        {
            "you divided by n - 1 in the variance. Here it is n: the batch is normalized by its own spread.": (
                lambda x, w, b: w * (x - x.mean(axis=AXES)) / np.sqrt(x.var(axis=AXES, ddof=1) + 1e-5) + b
            ),
            "each image has statistics of its own: average over axis 0 as well.": lambda x, w, b: (
                w * (x - x.mean(axis=(1, 2), keepdims=True)) / np.sqrt(x.var(axis=(1, 2), keepdims=True) + 1e-5) + b
            ),
            "each pixel has statistics of its own: average over rows and columns too, axis=(0, 1, 2).": (
                lambda x, w, b: w * (x - x.mean(axis=0)) / np.sqrt(x.var(axis=0) + 1e-5) + b
            ),
            "the channels are mixed: keep the last axis out of mean and var.": lambda x, w, b: (
                w * (x - x.mean()) / np.sqrt(x.var() + 1e-5) + b
            ),
            **{f"average over axes (0, 1, 2), yours averages over {axes}.": over(axes) for axes in OTHER_AXES},
            "you divided by the square of the variance: take its square root.": lambda x, w, b: (
                w * (x - x.mean(axis=AXES)) / x.var(axis=AXES) ** 2 + b
            ),
            "you divided by the variance: take its square root.": lambda x, w, b: (
                w * (x - x.mean(axis=AXES)) / (x.var(axis=AXES) + 1e-5) + b
            ),
            "eps is added to the variance, inside of the root.": lambda x, w, b: (
                w * (x - x.mean(axis=AXES)) / (x.std(axis=AXES) + 1e-5) + b
            ),
            "eps is missing.": lambda x, w, b: w * (x - x.mean(axis=AXES)) / x.std(axis=AXES) + b,
            "that is x_hat: scale it by weight and shift it by bias.": lambda x, w, b: batch_norm(x, 1, 0),
        },
        ["y"],
        rtol=1e-6,
        cases={"for eps = 0.01": lambda rng: (images(rng), rng.uniform(0.5, 2, size=3), rng.normal(size=3), 0.01)},
    ),
    "5.2": Exercise(
        gradients,
        lambda rng: (rng.normal(size=(2, 3, 2, 3)), images(rng), rng.uniform(0.5, 2, size=3)),
        {
            "grad_weight and grad_bias are right. grad_x takes mean and var for constants; that is evaluation.": (
                grad_x_of(lambda g, x_hat, w, std: w / std * g)
            ),
            "grad_weight and grad_bias are right. In grad_x the part along x_hat is not removed: var moves too.": (
                grad_x_of(lambda g, x_hat, w, std: w / std * (g - g.mean(axis=AXES)))
            ),
            "grad_weight and grad_bias are right. In grad_x the average of grad_y is not removed: mean moves too.": (
                grad_x_of(lambda g, x_hat, w, std: w / std * (g - x_hat * (g * x_hat).mean(axis=AXES)))
            ),
            "grad_weight and grad_bias are right. grad_x has sums where averages belong: divide by n.": (
                grad_x_of(
                    lambda g, x_hat, w, std: w / std * (g - g.sum(axis=AXES) - x_hat * (g * x_hat).sum(axis=AXES))
                )
            ),
            "grad_weight and grad_bias are right. grad_x lacks the factor weight.": grad_x_of(
                lambda g, x_hat, w, std: (g - g.mean(axis=AXES) - x_hat * (g * x_hat).mean(axis=AXES)) / std
            ),
            "grad_weight and grad_bias are right. grad_x lacks the division by std.": grad_x_of(
                lambda g, x_hat, w, std: w * (g - g.mean(axis=AXES) - x_hat * (g * x_hat).mean(axis=AXES))
            ),
            "grad_weight takes x_hat, the normalized x, not x.": lambda g, x, w: (
                gradients(g, x, w)[0],
                (g * x).sum(axis=AXES),
                g.sum(axis=AXES),
            ),
            "grad_weight and grad_bias are averages in yours: numbers that all pixels share collect sums.": (
                lambda g, x, w: (gradients(g, x, w)[0], *(a / x[..., 0].size for a in gradients(g, x, w)[1:]))
            ),
        },
        ["grad_x", "grad_weight", "grad_bias"],
        terms=backward_terms,
        cases={
            "for eps = 0.01": lambda rng: (
                rng.normal(size=(2, 3, 2, 3)),
                images(rng),
                rng.uniform(0.5, 2, size=3),
                0.01,
            )
        },
    ),
    "5.3": Exercise(
        updated,
        lambda rng: (rng.normal(size=3), rng.uniform(1, 2, size=3), images(rng)),
        {
            "momentum is the other way round: the batch replaces a tenth, not nine tenths.": swapped,
            "the running variance is made with n - 1, and yours with n (ddof=1 helps).": lambda m, v, x: (
                updated(m, v, x)[0],
                0.9 * v + 0.1 * x.var(axis=AXES),
            ),
            "that is the batch alone: nine tenths of what was there stay.": lambda m, v, x: (
                x.mean(axis=AXES),
                x.var(axis=AXES, ddof=1),
            ),
            "the channels are mixed: average over axes (0, 1, 2), which leaves one number a channel.": lambda m, v, x: (
                0.9 * m + 0.1 * x.mean(),
                0.9 * v + 0.1 * x.var(ddof=1),
            ),
            "the old values are not reduced: (1 - momentum) of them stay.": lambda m, v, x: (
                m + 0.1 * x.mean(axis=AXES),
                v + 0.1 * x.var(axis=AXES, ddof=1),
            ),
            "n counts images and pixels, all values of a channel: yours counts only the images.": (
                lambda m, v, x: with_variance(m, v, x, x.var(axis=AXES) * len(x) / (len(x) - 1))
            ),
            "n counts images and pixels, all values of a channel: yours counts the pixels of one image.": (
                lambda m, v, x: with_variance(m, v, x, x.var(axis=AXES) * x[0, ..., 0].size / (x[0, ..., 0].size - 1))
            ),
            "n counts the values of one channel: yours counts those of all channels.": (
                lambda m, v, x: with_variance(m, v, x, x.var(axis=AXES) * x.size / (x.size - 1))
            ),
            "the factor is n / (n - 1), which is larger than 1; yours is (n - 1) / n.": (
                lambda m, v, x: with_variance(m, v, x, x.var(axis=AXES) * (1 - 1 / x[..., 0].size))
            ),
            "the running variance takes the spread around the running mean: use the batch's own mean.": (
                lambda m, v, x: with_variance(m, v, x, ((x - m) ** 2).sum(axis=AXES) / (x[..., 0].size - 1))
            ),
            "the running variance averages variances, not standard deviations.": lambda m, v, x: (
                updated(m, v, x)[0],
                0.9 * v + 0.1 * x.std(axis=AXES, ddof=1),
            ),
        },
        ["running_mean", "running_var"],
        terms=lambda m, v, x, momentum=0.1: [
            {"running_mean": m, "mean of the batch": x.mean(axis=AXES)},
            {
                "running_var": v,
                "variance of the batch": x.var(axis=AXES, ddof=1),
                "mean of the batch": x.mean(axis=AXES),
            },
        ],
        cases={"for momentum 0.3": lambda rng: (rng.normal(size=3), rng.uniform(1, 2, size=3), images(rng), 0.3)},
    ),
}
