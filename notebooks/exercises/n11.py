"""Exercises of notebook 11: PSNR of a set, SSIM of a window, the distance of two distributions."""

from __future__ import annotations

from typing import Any

import numpy as np

from checks import Exercise

Array = np.ndarray[Any, Any]
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(error: Any) -> Any:
    return 10 * np.log10(255**2 / error)


def window_ssim(x: Array, y: Array, w: Array, c1: float = C1, c2: float = C2) -> float:
    mx, my = (w * x).sum(), (w * y).sum()
    vx, vy, cov = (w * (x - mx) ** 2).sum(), (w * (y - my) ** 2).sum(), (w * (x - mx) * (y - my)).sum()
    return float((2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2)))


def rough(x: Array, y: Array, w: Array) -> float:
    """Take mean squares for variances, and the mean product for the covariance."""
    mx, my = (w * x).sum(), (w * y).sum()
    xx, yy, xy = (w * x * x).sum(), (w * y * y).sum(), (w * x * y).sum()
    return float((2 * mx * my + C1) * (2 * xy + C2) / ((mx**2 + my**2 + C1) * (xx + yy + C2)))


def unweighted_means(x: Array, y: Array, w: Array) -> float:
    """Use the weights for variances and covariance only."""
    a, b = x - x.mean(), y - y.mean()
    vx, vy, cov = (w * a**2).sum(), (w * b**2).sum(), (w * a * b).sum()
    mx, my = x.mean(), y.mean()
    return float((2 * mx * my + C1) * (2 * cov + C2) / ((mx**2 + my**2 + C1) * (vx + vy + C2)))


def half_weighted(x: Array, y: Array, w: Array) -> float:
    """Use the weights for the means only."""
    mx, my, cov = (w * x).sum(), (w * y).sum(), ((x - (w * x).sum()) * (y - (w * y).sum())).mean()
    return float((2 * mx * my + C1) * (2 * cov + C2) / ((mx**2 + my**2 + C1) * (x.var() + y.var() + C2)))


def single(x: Array, y: Array, w: Array) -> float:
    """Forget the two before the covariance."""
    mx, my = (w * x).sum(), (w * y).sum()
    vx, vy, cov = (w * (x - mx) ** 2).sum(), (w * (y - my) ** 2).sum(), (w * (x - mx) * (y - my)).sum()
    return float((2 * mx * my + C1) * (cov + C2) / ((mx**2 + my**2 + C1) * (vx + vy + C2)))


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
            "that is the median; papers take the mean.": lambda errors: float(np.median(psnr(errors))),
        },
        ["PSNR"],
    ),
    "11.2": Exercise(
        window_ssim,
        window,
        {
            "the weights are not used in all places: mean, variance and covariance are all sums of w * (...).": (
                lambda x, y, w: window_ssim(x, y, np.full_like(w, 1 / w.size))
            ),
            "the means use the weights, variances and covariance do not: all are sums of w * (...).": half_weighted,
            "the means do not use the weights: mx is the sum of w * x.": unweighted_means,
            "variances and covariance are those of x - mx and y - my: subtract the means first.": rough,
            "the 2 before the covariance is missing: without it equal windows would not have SSIM 1.": single,
            "c1 and c2 are missing, or the 255 in them: without them flat windows divide by about 0.": lambda x, y, w: (
                window_ssim(x, y, w, 0, 0)
            ),
            "c1 and c2 are exchanged: c1 stands by the means.": lambda x, y, w: window_ssim(x, y, w, C2, C1),
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
            "without |...| moves up and down cancel.": lambda a, b: float(a.mean() - b.mean()),
            "the mean length of the moves, not of their squares.": lambda a, b: float(
                ((np.sort(a) - np.sort(b)) ** 2).mean()
            ),
            "a mean, not a sum.": lambda a, b: float(np.abs(np.sort(a) - np.sort(b)).sum()),
        },
        ["the distance"],
    ),
}
