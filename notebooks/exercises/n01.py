"""Exercises of notebook 1: the bicubic kernel, its weights, and PSNR."""

from __future__ import annotations

from typing import Any

import numpy as np

from checks import Exercise
from minisrgan.images.resize import cubic

Array = np.ndarray[Any, Any]


def keys(x: Array, a: float) -> Array:
    """Keys' kernel for any a; the usual ones are -1/2 and -3/4."""
    x = np.abs(x)
    near = (a + 2) * x**3 - (a + 3) * x**2 + 1
    far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))


def endless(x: Array) -> Array:
    """The kernel without its end at 2."""
    x = np.abs(x)
    return np.where(x <= 1, cubic(x), -(x**3) / 2 + 5 / 2 * x**2 - 4 * x + 2)


def signed(x: Array) -> Array:
    """The kernel without absolute values."""
    near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0))


def weights(place: float, offset: int = 1) -> Array:
    return cubic(place - (np.floor(place) - offset) - np.arange(4))


def psnr(error: float) -> float:
    return 10 * float(np.log10(255**2 / error))


def luminances(rng: np.random.Generator) -> tuple[Array, Array]:
    y = rng.integers(20, 200, size=(8, 9), dtype=np.uint8)
    return y, (y + rng.integers(-20, 50, size=y.shape)).astype(np.uint8)


def difference(a: Array, b: Array) -> Array:
    return a.astype(float) - b.astype(float)


EXERCISES = {
    "1.1": Exercise(
        cubic,
        lambda rng: (rng.uniform(-3, 3, size=(4, 8)),),
        {
            "distances go both ways: take |x| first.": signed,
            "beyond 2 the kernel must be 0; yours goes on.": endless,
            "that is the kernel with a = -3/4, which OpenCV and PyTorch use. MATLAB, and the papers, have a = -1/2.": (
                lambda x: keys(x, -0.75)
            ),
            "the middle is right, but the part from 1 to 2 is missing.": lambda x: cubic(x) * (np.abs(x) <= 1),
        },
        ["h(x)"],
        terms=lambda x: [
            {
                f"{name} {where}": np.abs(x) ** power * mask
                for where, mask in {
                    "for |x| <= 1": np.abs(x) <= 1,
                    "for 1 < |x| <= 2": (np.abs(x) > 1) & (np.abs(x) <= 2),
                }.items()
                for power, name in enumerate(("1", "|x|", "|x|^2", "|x|^3"))
            }
        ],
        parts=lambda x: {
            "where |x| <= 1": np.abs(x) <= 1,
            "where 1 < |x| <= 2": (np.abs(x) > 1) & (np.abs(x) <= 2),
            "where |x| > 2": np.abs(x) > 2,
        },
    ),
    "1.2": Exercise(
        lambda k, r: weights((k + 0.5) / r - 0.5),
        lambda rng: (int(rng.integers(10, 40)), 4),
        {
            "that is for k / r: corners, not centres, would lie upon each other, and the photo would move.": (
                lambda k, r: weights(k / r)
            ),
            "half a pixel of the new image is missing: (k + 1/2) / r.": lambda k, r: weights(k / r - 0.5),
            "half a pixel of the old image is missing: ... - 1/2.": lambda k, r: weights((k + 0.5) / r),
            "the four weights are reversed: the leftmost pixel comes first.": lambda k, r: weights((k + 0.5) / r - 0.5)[
                ::-1
            ],
            "you began at the integer below the place: there are two old pixels to its left.": lambda k, r: weights(
                (k + 0.5) / r - 0.5, offset=0
            ),
            "round down: the integer below the place is its floor, and yours is the nearest one.": lambda k, r: cubic(
                (k + 0.5) / r - 0.5 - np.round((k + 0.5) / r - 0.5) + 1 - np.arange(4)
            ),
            "distances are from the place to first, first + 1, ..; yours are to pixels 0, 1, 2, 3.": lambda k, r: cubic(
                (k + 0.5) / r - 0.5 - np.arange(4)
            ),
            **{
                f"distances are in old pixels. {told}": lambda k, r, by=by, power=power: (
                    cubic(((k + 0.5) / r - 0.5 - np.floor((k + 0.5) / r - 0.5) + 1 - np.arange(4)) * r**by) / r**power
                )
                for by, power, told in (
                    (-1, 1, "Only for shrinking is the kernel stretched."),
                    (-1, 0, "Do not divide them by r."),
                    (1, 0, "Do not multiply them by r."),
                )
            },
        },
        ["the weights"],
        examples=lambda: [(5, 1), (5, 2)],
        cases={
            "for r = 3": lambda rng: (8, 3),
            "near the next pixel, at k = 17": lambda rng: (17, 4),
            "near the last pixel, at k = 15": lambda rng: (15, 4),
            "for the first pixel, k = 0": lambda rng: (0, 4),
        },
    ),
    "1.3": Exercise(
        lambda a, b: psnr(float(np.mean(difference(a, b) ** 2))),
        luminances,
        {
            "uint8 wraps around: 3 - 5 is 254. Convert both to float before you subtract.": lambda a, b: psnr(
                float(np.mean((a - b).astype(float) ** 2))
            ),
            "uint8 wraps around: the square of 17 is 33. Convert to float before you square.": lambda a, b: psnr(
                float(np.mean((a - b) ** 2))
            ),
            "the sign: 255^2 stands above the error, so that a better picture has more.": lambda a, b: (
                -psnr(float(np.mean(difference(a, b) ** 2)))
            ),
            "log10, not the natural logarithm.": lambda a, b: psnr(float(np.mean(difference(a, b) ** 2))) * np.log(10),
            "20 log10 belongs to 255 / root of the error; with the squares it is 10 log10.": lambda a, b: (
                2 * psnr(float(np.mean(difference(a, b) ** 2)))
            ),
            **{
                f"the peak is 255, the largest value a pixel can have, not {name}.": lambda a, b, peak=peak: psnr(
                    float(np.mean(difference(a, b) ** 2)) * (255 / peak(a, b)) ** 2
                )
                for name, peak in {
                    "the largest one that occurs": lambda a, b: float(np.maximum(a, b).max()),
                    "the largest one that occurs in y1": lambda a, b: float(a.max()),
                    "the range that occurs in y1": lambda a, b: float(np.ptp(a)),
                    "the range that occurs in y2": lambda a, b: float(np.ptp(b)),
                    "256": lambda a, b: 256.0,
                    "1": lambda a, b: 1.0,
                }.items()
            },
            "square each difference, then take the mean; yours is the square of the mean, where signs cancel.": (
                lambda a, b: psnr(float(np.mean(difference(a, b))) ** 2)
            ),
            "int16 wraps around too: it ends at 32767, and squares are larger. Convert to float.": lambda a, b: psnr(
                float(np.mean((a.astype(np.int16) - b) ** 2))
            ),
            "that is the mean squared error: PSNR is 10 log10(255^2 / error) of it.": lambda a, b: float(
                np.mean(difference(a, b) ** 2)
            ),
            "the square of 255 is missing: 10 log10(255^2 / error).": lambda a, b: psnr(
                float(np.mean(difference(a, b) ** 2)) * 255
            ),
            "the root belongs to 20 log10(255 / root); with 10 log10 and 255^2 it is the error itself.": lambda a, b: (
                psnr(float(np.mean(difference(a, b) ** 2)) ** 0.5)
            ),
            "255 is divided by the root of the error: then it is 20 log10, or square both.": lambda a, b: (
                psnr(float(np.mean(difference(a, b) ** 2))) / 2
            ),
            "the error is the mean of the squares, not their sum.": lambda a, b: psnr(
                float(np.sum(difference(a, b) ** 2))
            ),
            "np.std subtracts the mean of the errors first: take the root of the mean of their squares.": (
                lambda a, b: psnr(float(np.var(difference(a, b))))
            ),
            "the factor 10 is missing: a decibel is a tenth of a bel.": lambda a, b: (
                psnr(float(np.mean(difference(a, b) ** 2))) / 10
            ),
            "the root of the mean square is not the mean of magnitudes: square, take the mean, then the root.": (
                lambda a, b: 20 * float(np.log10(255 / np.mean(np.abs(difference(a, b)))))
            ),
            "the error is the mean of squares, and yours is the mean of magnitudes.": lambda a, b: psnr(
                float(np.mean(np.abs(difference(a, b))))
            ),
        },
        ["PSNR"],
        cases={"where the errors are large": lambda rng: [*rng.integers(0, 256, size=(2, 5, 6), dtype=np.uint8)]},
    ),
}
