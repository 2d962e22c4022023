"""Exercises of notebook 9: the losses of both players."""

from __future__ import annotations

from typing import Any

import numpy as np

from checks import Exercise
from minisrgan import Tensor, ops
from minisrgan.losses import discriminator_loss
from minisrgan.ops import sigmoid

Array = np.ndarray[Any, Any]


def best(p_real: Array, p_fake: Array) -> Array:
    return p_real / (p_real + p_fake)


def s(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def gradients(z: Array) -> tuple[Array, Array]:
    return -s(z), s(z) - 1


def strided(x: Array, weight: Array, bias: Array, stride: int, padding: int) -> Array:
    y = ops.conv2d(Tensor(x[None]), Tensor(weight), Tensor(bias), stride=stride, padding=padding)
    return y.numpy()[0]


def padded(x: Array, padding: int, mode: Any) -> Array:
    return np.pad(x, ((padding, padding), (padding, padding), (0, 0)), mode=mode)


def logits(rng: np.random.Generator) -> list[Tensor]:
    return [Tensor(rng.normal(size=(5, 1)), requires_grad=True) for _ in range(2)]


EXERCISES = {
    "9.1": Exercise(
        best,
        lambda rng: (rng.uniform(0.1, 1, size=9), rng.uniform(0.1, 1, size=9)),
        {
            "that is how likely the number is generated; D says how likely it is real.": lambda r, f: f / (r + f),
            "that is the odds, real against generated. The chance is r / (r + f).": lambda r, f: r / f,
            "that is the logit of it, ln(p_real / p_fake).": lambda r, f: np.log(r / f),
            "D must not answer 0 or 1 only: the best answer is a chance.": lambda r, f: (r > f).astype(float),
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
            "you took sums over the batch: take means.": lambda r, f: discriminator_loss(r, f) * 5.0,
            "the two means are added, not averaged.": lambda r, f: discriminator_loss(r, f) * 0.5,
            "that maximises: D minimises minus the logarithms.": lambda r, f: -discriminator_loss(r, f),
            "ln(1 - D) of a generated image is to be large; you took -ln D of it.": lambda r, f: discriminator_loss(
                r, -f
            ),
            "that compares the chances themselves, without the logarithm.": lambda r, f: (
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
                Tensor(np.array([[1000.0], [-1000.0], [3.0], [2.0], [-1.0]]) * sign, requires_grad=True) for sign in (1, -1)
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
        terms=lambda z: [{"sigmoid(z)": s(z), "1": np.ones_like(z), "z": z, "sigmoid(z)^2": s(z) ** 2}] * 2,
    ),
    "9.4": Exercise(
        strided,
        lambda rng: (rng.normal(size=(6, 9, 2)), rng.normal(size=(3, 3, 2, 4)), rng.normal(size=4), 2, 1),
        {
            "the padding is missing: a border of zeros on all four sides.": lambda x, w, b, s, p: strided(x, w, b, s, 0),
            "the stride is missing: windows begin at rows 0, s, 2 s, ..": lambda x, w, b, s, p: strided(x, w, b, 1, p),
            "the rows step by the stride, and the columns do not.": lambda x, w, b, s, p: strided(x, w, b, 1, p)[::s],
            "the columns step by the stride, and the rows do not.": lambda x, w, b, s, p: strided(x, w, b, 1, p)[:, ::s],
            "padding is on both sides of an axis; yours is at the beginning only.": lambda x, w, b, s, p: strided(
                np.pad(x, ((p, 0), (p, 0), (0, 0))), w, b, s, 0
            ),
            "padding is on both sides of an axis; yours is at the end only.": lambda x, w, b, s, p: strided(
                np.pad(x, ((0, p), (0, p), (0, 0))), w, b, s, 0
            ),
            "pad with zeros; yours repeats the border.": lambda x, w, b, s, p: strided(padded(x, p, "edge"), w, b, s, 0),
            "pad with zeros; yours mirrors the image.": lambda x, w, b, s, p: strided(padded(x, p, "reflect"), w, b, s, 0),
            "the first window begins at row 0 of the padded image: yours begins a pixel later.": (
                lambda x, w, b, s, p: strided(x, w, b, 1, p)[1::s, 1::s]
            ),
            "you forgot the bias.": lambda x, w, b, s, p: strided(x, w, 0 * b, s, p),
            "you shrank x and convolved then: the window sees neighbouring pixels, only its steps are larger.": (
                lambda x, w, b, s, p: strided(x[::s, ::s], w, b, 1, p)
            ),
            "you turned the kernel by 180 degrees; it is used as it is.": lambda x, w, b, s, p: strided(
                x, w[::-1, ::-1], b, s, p
            ),
        },
        ["y"],
        cases={
            "with stride 3 and padding 2": lambda rng: (
                rng.normal(size=(7, 8, 2)), rng.normal(size=(4, 3, 2, 3)), rng.normal(size=3), 3, 2
            ),
            "with stride 1 and no padding": lambda rng: (
                rng.normal(size=(5, 4, 1)), rng.normal(size=(2, 3, 1, 2)), rng.normal(size=2), 1, 0
            ),
        },
    ),
}
