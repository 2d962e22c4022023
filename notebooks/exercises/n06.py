"""Exercises of notebook 6: pixel shuffle, checkerboards and ICNR."""

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
            "the pixels of a position are not r * r, but rows / r * columns / r: divide by their number, or take a mean.": (
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
}
