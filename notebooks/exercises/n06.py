"""Exercises of notebook 6: pixel shuffle, checkerboards, ICNR, and a convolution with a stride."""

from __future__ import annotations

from typing import Any

import numpy as np

from checks import Exercise
from minisrgan import Tensor, ops

Array = np.ndarray[Any, Any]


def by_axes(*axes: int, last: tuple[str, ...] = ("c", "i", "j")) -> Any:
    """Make a shuffle that reads the last axis in an order, and transposes in another."""

    def shuffle(x: Tensor, r: int) -> Tensor:
        n, h, w, channels = x.shape
        sizes = {"c": channels // (r * r), "i": r, "j": r}
        split = x.reshape(n, h, w, *(sizes[name] for name in last))
        return split.transpose(*axes).reshape(n, h * r, w * r, sizes["c"])

    return shuffle


def phase_means(y: Array, r: int) -> Array:
    return np.array([[y[i::r, j::r].mean() for j in range(r)] for i in range(r)])


def stacked(weight: Array, r: int) -> Array:
    return np.concatenate([weight] * (r * r), axis=-1)


def strided(x: Array, weight: Array, bias: Array, stride: int, padding: int) -> Array:
    y = ops.conv2d(Tensor(x[None]), Tensor(weight), Tensor(bias), stride=stride, padding=padding)
    return y.numpy()[0]


def padded(x: Array, padding: int, mode: Any) -> Array:
    return np.pad(x, ((padding, padding), (padding, padding), (0, 0)), mode=mode)


EXERCISES = {
    "6.1": Exercise(
        ops.pixel_shuffle,
        lambda rng: (Tensor(rng.normal(size=(2, 3, 2, 8)), requires_grad=True), 2),
        {
            "i and j are exchanged: i belongs to the rows, j to the columns.": by_axes(0, 1, 5, 2, 4, 3),
            "you read the last axis as (i, j, c), as TensorFlow does. Here it is (c, i, j).": by_axes(
                0, 1, 3, 2, 4, 5, last=("i", "j", "c")
            ),
            "there is no transpose in it: a reshape alone keeps the numbers in their order.": lambda x, r: x.reshape(
                x.shape[0], x.shape[1] * r, x.shape[2] * r, -1
            ),
            "rows are (h, i), and yours are (i, h): whole images stand where single rows should alternate.": (
                by_axes(0, 4, 1, 5, 2, 3)
            ),
            "the value is cut off from the graph: stay with Tensors, without .numpy() or .data.": lambda x, r: (
                ops.pixel_shuffle(x.detach(), r)
            ),
        },
        ["y"],
        cases={"for r = 3": lambda rng: (Tensor(rng.normal(size=(1, 2, 3, 18)), requires_grad=True), 3)},
    ),
    "6.2": Exercise(
        phase_means,
        lambda rng: (rng.normal(size=(9, 12)), 3),
        {
            "rows and columns are exchanged: i counts rows.": lambda y, r: phase_means(y, r).T,
            "those are sums; divide by the number of pixels of a position.": lambda y, r: (
                phase_means(y, r) * y.size / (r * r)
            ),
            "a position does not have r * r pixels, but rows / r * columns / r: divide by their number.": (
                lambda y, r: phase_means(y, r) * y.size / r**4
            ),
            "a slice i:r ends at r; i::r takes every r-th from i on.": lambda y, r: np.array(
                [[y[i:r, j:r].mean() for j in range(r)] for i in range(r)]
            ),
            "that is the mean of r x r large parts of the image; take every r-th row and column, y[i::r, j::r].": (
                lambda y, r: y.reshape(r, y.shape[0] // r, r, y.shape[1] // r).mean(axis=(1, 3))
            ),
        },
        ["m"],
        cases={"for r = 2": lambda rng: (rng.normal(size=(6, 8)), 2)},
    ),
    "6.3": Exercise(
        lambda weight, r: np.repeat(weight, r * r, axis=-1),
        lambda rng: (rng.normal(size=(3, 3, 2, 3)), 2),
        {
            "the copies are there, but a square is made of neighbours c*r*r .. c*r*r + r*r - 1 (repeat, not tile).": (
                stacked
            ),
            "each kernel needs r * r copies, not r.": lambda weight, r: np.repeat(weight, r, axis=-1),
            "the copies belong to the last axis, the channels that go out.": lambda weight, r: np.repeat(
                weight, r * r, axis=2
            ),
            "the copies shall be equal to the weight, not divided by their number.": lambda weight, r: (
                np.repeat(weight, r * r, axis=-1) / (r * r)
            ),
        },
        ["the weight"],
        cases={"for r = 3": lambda rng: (rng.normal(size=(1, 3, 2, 2)), 3)},
    ),
    "6.4": Exercise(
        strided,
        lambda rng: (rng.normal(size=(6, 9, 2)), rng.normal(size=(3, 3, 2, 4)), rng.normal(size=4), 2, 1),
        {
            "the padding is missing: a border of zeros on all four sides.": lambda x, w, b, s, p: strided(
                x, w, b, s, 0
            ),
            "the stride is missing: windows begin at rows 0, s, 2 s, ..": lambda x, w, b, s, p: strided(x, w, b, 1, p),
            "the rows step by the stride, and the columns do not.": lambda x, w, b, s, p: strided(x, w, b, 1, p)[::s],
            "the columns step by the stride, and the rows do not.": lambda x, w, b, s, p: strided(x, w, b, 1, p)[
                :, ::s
            ],
            "padding is on both sides of an axis; yours is at the beginning only.": lambda x, w, b, s, p: strided(
                np.pad(x, ((p, 0), (p, 0), (0, 0))), w, b, s, 0
            ),
            "padding is on both sides of an axis; yours is at the end only.": lambda x, w, b, s, p: strided(
                np.pad(x, ((0, p), (0, p), (0, 0))), w, b, s, 0
            ),
            **{
                f"padding is on both sides; all of yours is at the {end}.": lambda x, w, b, s, p, side=side: strided(
                    np.pad(x, [[p * n for n in side]] * 2 + [[0, 0]]), w, b, s, 0
                )
                for end, side in {"beginning": (2, 0), "end": (0, 2)}.items()
            },
            "pad with zeros; yours repeats the border.": lambda x, w, b, s, p: strided(
                padded(x, p, "edge"), w, b, s, 0
            ),
            "pad with zeros; yours mirrors the image.": lambda x, w, b, s, p: strided(
                padded(x, p, "reflect"), w, b, s, 0
            ),
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
                rng.normal(size=(7, 8, 2)),
                rng.normal(size=(4, 3, 2, 3)),
                rng.normal(size=3),
                3,
                2,
            ),
            "with stride 1 and no padding": lambda rng: (
                rng.normal(size=(5, 4, 1)),
                rng.normal(size=(2, 3, 1, 2)),
                rng.normal(size=2),
                1,
                0,
            ),
        },
    ),
}
