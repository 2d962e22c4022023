"""Exercises of notebook 9: the losses of both players."""

from __future__ import annotations

from typing import Any

import numpy as np

from checks import Exercise
from minisrgan import Tensor
from minisrgan.losses import discriminator_loss
from minisrgan.ops import sigmoid, softplus

Array = np.ndarray[Any, Any]


def best(p_real: Array, p_fake: Array) -> Array:
    return p_real / (p_real + p_fake)


def s(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def gradients(z: Array) -> tuple[Array, Array]:
    return -s(z), s(z) - 1


def logits(rng: np.random.Generator) -> list[Tensor]:
    return [Tensor(rng.normal(size=(5, 1)), requires_grad=True) for _ in range(2)]


EXERCISES = {
    "9.1": Exercise(
        best,
        lambda rng: (rng.uniform(0.1, 1, size=9), rng.uniform(0.1, 1, size=9)),
        {
            "that is how likely the number is generated; D says how likely it is real.": lambda r, f: f / (r + f),
            "that is the odds, real against generated. The probability is r / (r + f).": lambda r, f: r / f,
            "that is the logit of it, ln(p_real / p_fake).": lambda r, f: np.log(r / f),
            "densities are no logits: no sigmoid (or softmax) is needed, set the derivative in D to 0.": lambda r, f: s(
                r - f
            ),
            "D must not answer 0 or 1 only: the best answer is a probability.": lambda r, f: (r > f).astype(float),
        },
        ["D"],
    ),
    "9.2": Exercise(
        discriminator_loss,
        logits,
        {
            "the labels are exchanged: D says 1 to originals.": lambda r, f: discriminator_loss(f, r),
            "the value is right, but nothing flows back to the logits of the generated ones. D must learn from both.": (
                lambda r, f: discriminator_loss(r, f.detach())
            ),
            "softplus takes the logits: sigmoid is in it already.": lambda r, f: discriminator_loss(
                sigmoid(r), sigmoid(f)
            ),
            "you took sums over the batch: take means.": lambda r, f: discriminator_loss(r, f) * 5.0,
            "the two means are added, not averaged.": lambda r, f: discriminator_loss(r, f) * 0.5,
            "that maximizes: D minimizes minus the logarithms.": lambda r, f: -discriminator_loss(r, f),
            "ln(1 - D) of a generated image is to be large; you took -ln D of it.": lambda r, f: discriminator_loss(
                r, -f
            ),
            "D judges each image by itself; yours judges the difference of a real one and a generated one.": (
                lambda r, f: softplus(f - r).mean()
            ),
            "the mean is of the losses; yours is the loss of the mean logits.": lambda r, f: (
                softplus(-r.mean()) + softplus(f.mean())
            ),
            "that compares the probabilities themselves, without the logarithm.": lambda r, f: (
                (1.0 - sigmoid(r)).mean() + sigmoid(f).mean()
            ),
        },
        ["the loss"],
        terms=lambda real, fake: [
            {
                f"mean of softplus({sign}{name})": np.logaddexp(0, factor * z.numpy()).mean()
                for name, z in {"real_logits": real, "fake_logits": fake}.items()
                for sign, factor in {"": 1, "-": -1}.items()
            }
        ],
        cases={
            "for a D that is very sure, with logits of 1000": lambda rng: [
                Tensor(np.array([[1000.0], [-1000.0], [3.0], [2.0], [-1.0]]) * sign, requires_grad=True)
                for sign in (1, -1)
            ]
        },
    ),
    "9.3": Exercise(
        gradients,
        lambda rng: (rng.normal(size=7) * 3,),
        {
            "the two are exchanged.": lambda z: gradients(z)[::-1],
            "both signs are wrong: G wants z to grow, so the loss must fall where z does.": lambda z: (s(z), 1 - s(z)),
            "those are the losses; their derivatives are asked for.": lambda z: (
                -np.logaddexp(0, z),
                np.logaddexp(0, -z),
            ),
            "saturating is right. non_saturating: softplus(-z) has the derivative -sigmoid(-z): mind both signs.": (
                lambda z: (-s(z), s(-z))
            ),
            "sigmoid'(z) is the derivative of D, but of its logarithm you need sigmoid'(z) / D.": lambda z: (
                -s(z) * (1 - s(z)),
                -s(z) * (1 - s(z)),
            ),
        },
        ["saturating", "non_saturating"],
        terms=lambda z: (
            [
                {
                    "sigmoid(z)": s(z),
                    "1": np.ones_like(z),
                    "z": z,
                    "sigmoid(z)^2": s(z) ** 2,
                    "1 / sigmoid(z)": 1 / s(z),
                    "1 / (1 - sigmoid(z))": 1 / s(-z),
                }
            ]
            * 2
        ),
    ),
}
