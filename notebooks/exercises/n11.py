"""Exercises of notebook 11: PSNR of a set, SSIM of a window, the distance of two distributions."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from checks import Exercise

Array = np.ndarray[Any, Any]
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(error: Any) -> Any:
    return 10 * np.log10(255**2 / error)


def spread(w: Array, a: Array, b: Array) -> tuple[float, ...]:
    """Compute both variances and the covariance of numbers without their means."""
    return (w * a * a).sum(), (w * b * b).sum(), (w * a * b).sum()


def moments(x: Array, y: Array, w: Array) -> tuple[float, ...]:
    """Compute both means, both variances and the covariance."""
    mx, my = (w * x).sum(), (w * y).sum()
    return mx, my, *spread(w, x - mx, y - my)


def with_covariance(compute: Any) -> Any:
    """Keep means and variances, and compute the covariance another way."""

    def wrong(x: Array, y: Array, w: Array) -> tuple[float, ...]:
        mx, my, vx, vy, _ = moments(x, y, w)
        return mx, my, vx, vy, compute(w, x - mx, y - my, vx * vy)

    return wrong


def unweighted(x: Array, y: Array, w: Array) -> tuple[float, ...]:
    """Use the weights for the means only."""
    mx, my = (w * x).sum(), (w * y).sum()
    return mx, my, x.var(), y.var(), ((x - mx) * (y - my)).mean()


MOMENTS = {  # what to say -> what computes means, variances and covariance so
    "": moments,
    "the weights are not used in all places: mean, variance and covariance are all sums of w * (...).": (
        lambda x, y, w: moments(x, y, np.full_like(w, 1 / w.size))
    ),
    "the means use the weights, variances and covariance do not: all are sums of w * (...).": unweighted,
    "the means do not use the weights: mx is the sum of w * x.": lambda x, y, w: (
        (x.mean(), y.mean(), *spread(w, x - x.mean(), y - y.mean()))
    ),
    "variances and covariance are of x - mx and y - my: subtract the means first.": lambda x, y, w: (
        (*moments(x, y, w)[:2], *spread(w, x, y))
    ),
    "the denominator has variances, not standard deviations: take no root.": lambda x, y, w: (
        (*moments(x, y, w)[:2], *np.sqrt(moments(x, y, w)[2:4]), moments(x, y, w)[4])
    ),
    "the denominator has the sum of the variances, not their product.": lambda x, y, w: (
        (*moments(x, y, w)[:2], np.prod(moments(x, y, w)[2:4]), 0, moments(x, y, w)[4])
    ),
    "the covariance is the sum of w (x - mx) (y - my), not the product of the standard deviations.": (
        with_covariance(lambda w, a, b, variances: np.sqrt(variances))
    ),
    "the covariance is the sum of w (x - mx) (y - my), without absolute values.": (
        with_covariance(lambda w, a, b, variances: (w * np.abs(a * b)).sum())
    ),
    "the covariance is the sum of w (x - mx) (y - my), not a product of variances.": (
        with_covariance(lambda w, a, b, variances: variances)
    ),
}
FACTORS = {  # what to say -> c1 and c2, the factors of mx my and of the covariance
    "": (C1, C2, 2, 2),
    "the 2 before the covariance is missing: without it equal windows would not have SSIM 1.": (C1, C2, 2, 1),
    "the 2 before mx my is missing: without it equal windows would not have SSIM 1.": (C1, C2, 1, 2),
    "c1 and c2 are missing, or the 255 in them: without them flat windows divide by about 0.": (0, 0, 2, 2),
    "c1 and c2 lack the square: they are (0.01 * 255)^2 and (0.03 * 255)^2.": (0.01 * 255, 0.03 * 255, 2, 2),
    "c1 and c2 are exchanged: c1 stands by the means.": (C2, C1, 2, 2),
}


def window_ssim(x: Array, y: Array, w: Array, moment: str = "", factor: str = "") -> float:
    """Compute SSIM with the mistakes that are named, one of each kind."""
    mx, my, vx, vy, cov = MOMENTS[moment](x, y, w)
    c1, c2, two, twice = FACTORS[factor]
    return float((two * mx * my + c1) * (twice * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))


def window(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Draw a window that is rather dark and flat, so that the constants are seen."""
    x, w = rng.uniform(5, 30, size=25), rng.uniform(0.1, 1, size=25)
    return x, x + rng.normal(size=25) * 6 + 3, w / w.sum()


EXERCISES = {
    "11.1": Exercise(
        lambda errors: float(np.mean(psnr(errors))),
        lambda rng: (rng.uniform(5, 400, size=6),),
        {
            "that is the PSNR of the mean error, which one bad photo rules: take PSNRs, then their mean.": (
                lambda errors: float(psnr(np.mean(errors)))
            ),
            "those are the PSNRs of the photos: take their mean.": psnr,
            "log10, not the natural logarithm.": lambda errors: float(np.mean(psnr(errors)) * np.log(10)),
            "the errors are squares already: 10 log10(255^2 / error), not 20.": lambda errors: float(
                2 * np.mean(psnr(errors))
            ),
            "the errors are squares already: 255^2 / error and 10, or 255 / root of the error and 20.": (
                lambda errors: float(np.mean(20 * np.log10(255 / errors)))
            ),
            "the square of 255 is missing: 10 log10(255^2 / error).": lambda errors: float(
                np.mean(10 * np.log10(255 / errors))
            ),
            "the factor 10 is missing: a decibel is a tenth of a bel.": lambda errors: float(
                np.mean(psnr(errors)) / 10
            ),
            "that is the median; papers take the mean.": lambda errors: float(np.median(psnr(errors))),
        },
        ["PSNR"],
    ),
    "11.2": Exercise(
        window_ssim,
        window,
        {
            f"{moment}{' And ' if moment and factor else ''}{factor}": partial(
                window_ssim, moment=moment, factor=factor
            )
            for factor in FACTORS
            for moment in MOMENTS
            if moment or factor
        },
        ["SSIM"],
    ),
    "11.3": Exercise(
        lambda a, b: float(np.abs(np.sort(a) - np.sort(b)).mean()),
        lambda rng: (rng.normal(size=40), rng.normal(1, 2, size=40)),
        {
            "that compares in pairs, which is distortion: sort both first.": lambda a, b: float(np.abs(a - b).mean()),
            "sort both; you sorted one.": lambda a, b: float(np.abs(np.sort(a) - b).mean()),
            "that is the difference of the means: a crowd can have the right mean and be too narrow.": lambda a, b: (
                float(abs(a.mean() - b.mean()))
            ),
            "sort both in the same direction: the smallest moves to the smallest.": lambda a, b: float(
                np.abs(np.sort(a) - np.sort(b)[::-1]).mean()
            ),
            "without |...| moves up and down cancel.": lambda a, b: float(a.mean() - b.mean()),
            "the mean length of the moves, not of their squares.": lambda a, b: float(
                ((np.sort(a) - np.sort(b)) ** 2).mean()
            ),
            "a mean, not a sum.": lambda a, b: float(np.abs(np.sort(a) - np.sort(b)).sum()),
        },
        ["the distance"],
    ),
}
