"""Exercises of notebook 0: sizes, a map of errors, a mixture of pictures."""

from __future__ import annotations

from typing import Any

import numpy as np

from checks import Exercise

Array = np.ndarray[Any, Any]


def error_map(picture: Array, original: Array) -> Array:
    error: Array = np.abs(picture.astype(float) - original).mean(axis=2)
    return error


def pair(rng: np.random.Generator) -> tuple[Array, Array]:
    a, b = rng.integers(0, 256, size=(2, 5, 6, 3), dtype=np.uint8)
    return a, b


def mixed(a: Array, b: Array, t: float) -> Array:
    return np.round((1 - t) * a.astype(float) + t * b).astype(np.uint8)


EXERCISES = {
    "0.1": Exercise(
        lambda rows, columns, scale: rows * columns * 3 * (scale**2 - 1),
        lambda rng: (int(rng.integers(20, 90)), int(rng.integers(100, 200)), int(rng.integers(2, 6))),
        {
            "that is how many the large photo has; the small one's are known: subtract them.": (
                lambda rows, columns, scale: rows * columns * 3 * scale**2
            ),
            "those are pixels; each has three numbers.": lambda rows, columns, scale: rows * columns * (scale**2 - 1),
            "rows and columns both grow: scale * scale as many pixels.": lambda rows, columns, scale: (
                rows * columns * 3 * (scale - 1)
            ),
            "that is how many the small photo has.": lambda rows, columns, scale: rows * columns * 3,
        },
        ["the number"],
        terms=lambda rows, columns, scale: [
            {
                "of the large photo": 3 * rows * columns * scale**2,
                "of the small photo": 3 * rows * columns,
                "rows * columns * scale": rows * columns * scale,
                "rows": rows,
                "columns": columns,
                "rows * scale": rows * scale,
                "columns * scale": columns * scale,
            }
        ],
        cases={"for a scale of 2": lambda rng: (30, 41, 2)},
    ),
    "0.2": Exercise(
        error_map,
        pair,
        {
            "uint8 wraps around: 3 - 5 is 254. Convert to float before you subtract.": lambda a, b: (a - b).mean(
                axis=2
            ),
            "int8 wraps around too: it ends at 127. Convert to float before you subtract.": lambda a, b: np.abs(
                a.astype(np.int8) - b.astype(np.int8)
            ).mean(axis=2),
            "the absolute value is missing: errors up and down cancel.": lambda a, b: (a.astype(float) - b).mean(
                axis=2
            ),
            "take the absolute value first, then the mean: else errors of two colours cancel.": lambda a, b: np.abs(
                (a.astype(float) - b).mean(axis=2)
            ),
            "take the absolute difference; yours is squared.": lambda a, b: ((a.astype(float) - b) ** 2).mean(axis=2),
            "that is the root of the mean square: take the mean of the absolute differences.": lambda a, b: np.sqrt(
                ((a.astype(float) - b) ** 2).mean(axis=2)
            ),
            "a mean over the colours, not the largest of them.": lambda a, b: np.abs(a.astype(float) - b).max(axis=2),
            "a mean over the colours, not a sum.": lambda a, b: 3 * error_map(a, b),
            "one number for each pixel: average over the last axis.": lambda a, b: np.abs(a.astype(float) - b),
            "one number for each pixel: average over the colours only, axis=2.": lambda a, b: error_map(a, b).mean(),
        },
        ["the map"],
    ),
    "0.3": Exercise(
        mixed,
        lambda rng: (*pair(rng), 0.3),
        {
            "the shares are exchanged: t is that of b.": lambda a, b, t: mixed(b, a, t),
            "round before you turn it to uint8, which cuts the fraction off.": lambda a, b, t: (
                (1 - t) * a.astype(float) + t * b
            ).astype(np.uint8),
            "b is added with its share, but a is all there: (1 - t) of it.": lambda a, b, t: (
                np.round(a.astype(float) + t * b).clip(0, 255).astype(np.uint8)
            ),
            "round the sum, not each share: what is cut off twice is missing.": lambda a, b, t: (
                ((1 - t) * a).astype(np.uint8) + (t * b).astype(np.uint8)
            ),
            "round once, the sum: two shares, each rounded, are a level off here and there.": lambda a, b, t: (
                np.round((1 - t) * a) + np.round(t * b)
            ).astype(np.uint8),
            "round to the nearest level; yours rounds up.": lambda a, b, t: np.ceil(
                (1 - t) * a.astype(float) + t * b
            ).astype(np.uint8),
            "t does nothing: that is half of each.": lambda a, b, t: mixed(a, b, 0.5),
        },
        ["the mixture"],
        examples=lambda: [(np.full((1, 1, 3), 200, np.uint8), np.full((1, 1, 3), 100, np.uint8), t) for t in (0, 0.25)],
        rtol=1e-3,
        cases={"for t = 0.8": lambda rng: (*pair(rng), 0.8)},
    ),
}
