"""NIQE: how natural a photograph looks, measured without its original.

Subtract from each pixel the mean of its surroundings and divide by their standard deviation. In photographs of any
subject, the results, and the products of neighbouring results, then have similar, bell-shaped distributions. NIQE fits
these distributions in blocks of a photograph, and measures how far their parameters are from those of good photographs.
"""

import math
import zlib
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from minisrgan.backend import Array
from minisrgan.errors import ShapeError, WeightsError
from minisrgan.images.quality import correlate, gaussian, rgb_to_y, squares
from minisrgan.images.resize import imresize
from minisrgan.kernels import matmul

SMALLEST = _BLOCK = 96  # pixels a side
_FEATURES = 36  # 18 at each of two scales
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))  # right, below, and both diagonals

Natural = tuple[Array, Array]  # mean (36,) and covariance (36, 36) of the features of good photographs


def read_natural(path: str | Path) -> Natural:
    """Read the published parameters: mean and covariance of the features of 125 good photographs.

    path    an .npz file with the arrays ``mu_pris_param`` (1, 36) and ``cov_pris_param`` (36, 36)
    Errors  WeightsError if the file is missing, cannot be read, or holds something else
    """
    try:
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            mean, covariance = (np.asarray(file[f"{name}_pris_param"], np.float64) for name in ("mu", "cov"))
        if (mean.shape, covariance.shape) != ((1, _FEATURES), (_FEATURES, _FEATURES)):
            raise ValueError(f"arrays of {mean.shape} and {covariance.shape}")
        if not np.isfinite(np.concatenate([mean, covariance])).all():
            raise ValueError("numbers that are not finite")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, BadZipFile, zlib.error) as error:
        expected = "NIQE's parameters: an .npz with mu_pris_param (1, 36) and cov_pris_param (36, 36)"
        fix = "`minisrgan weights fetch niqe` gets the published file"
        raise WeightsError("niqe", expected=expected, got=f"{path}: {error}", fix=fix) from error
    return mean[0], covariance


def niqe(image: Array, natural: Natural) -> float:
    """Natural Image Quality Evaluator of Y: a distance from good photographs. Less is better; good ones have 2 to 6.

    Formula     sqrt((m - m')^T ((C + C') / 2)^+ (m - m')), m and C the mean and covariance of the 36 features over
                blocks of 96 x 96 pixels, m' and C' those of good photographs
    natural     (m', C'), from `read_natural`
    Shapes      uint8 (H, W, 3), or (H, W) for grey, at least 96 pixels a side. Incomplete blocks at the right and
                bottom are ignored, and so are flat blocks, which have no distribution; NaN if all are flat.
    Errors      ShapeError, DTypeError
    Source      Mittal, Soundararajan and Bovik 2013, Making a "completely blind" image quality analyzer, eq. 1 to 10;
                Y rounded to whole levels and a second scale by MATLAB's bicubic, as in the published program
    """
    y = np.floor(rgb_to_y(image) + 0.5)
    rows, columns = (size // _BLOCK for size in y.shape)
    if min(rows, columns) < 1:
        expected, fix = f"at least {SMALLEST} pixels a side", "measure a larger image, or leave NIQE out"
        raise ShapeError("niqe", expected=expected, got=str(image.shape), fix=fix)
    y = y[: rows * _BLOCK, : columns * _BLOCK]
    scales = (_features(y, _BLOCK), _features(imresize(y, 1 / 2, "symmetric"), _BLOCK // 2))
    features = np.concatenate(scales, axis=1)  # (blocks, 36)
    features = features[np.isfinite(features).all(axis=1)]
    if not len(features):
        return math.nan
    mean, covariance = natural
    difference = features.mean(axis=0, keepdims=True) - mean  # (1, 36)
    spread = np.cov(features, rowvar=False) if len(features) > 1 else 0.0  # a single block does not vary
    inverse = np.linalg.pinv((spread + covariance) / 2)
    return float(np.sqrt(matmul(matmul(difference, inverse), difference.T).item()))


def _normalised(y: Array) -> Array:
    """Eq. 1: (y - m) / (s + 1), with the local mean m and deviation s under a Gaussian of 7 x 7, sigma 7/6."""
    padded = np.pad(y, 3, mode="edge")
    mean, square = correlate(np.stack([padded, padded * padded]), gaussian(3, 7 / 6))
    deviation = np.sqrt(np.abs(square - mean * mean))
    return np.round(y - mean, 9) / (deviation + 1)  # without rounding, flat areas contain noise of 1e-14


def _features(y: Array, block: int) -> Array:
    """Return the features (blocks, 18): 2 of the values, and 4 of the products with the neighbour in each direction."""
    blocks = squares(_normalised(y), block)
    alpha, _, left, right = fit(blocks)
    features = [alpha, (left + right) / 2]
    for direction in _NEIGHBOURS:
        features += fit(blocks * np.roll(blocks, direction, axis=(1, 2)))
    return np.stack(features, axis=1)


@lru_cache(maxsize=1)
def _shapes() -> tuple[Array, Array, Array]:
    """Return shapes alpha, and for each one (E|x|)^2 / E x^2 (eq. 5) and the ratio of scale to deviation (eq. 6)."""
    alpha = np.arange(200, 10001) / 1000
    one, two, three = (np.array([math.gamma(k / a) for a in alpha]) for k in (1, 2, 3))
    return alpha, two * two / (one * three), np.sqrt(one / three)


def fit(blocks: Array) -> list[Array]:
    """Fit an asymmetric generalised Gaussian to each block by its moments: shape, mean, left and right scale.

    Formula     density ~ exp(-(-x / left)^alpha) for x < 0, exp(-(x / right)^alpha) for x >= 0
    Source      eq. 3 to 8; Lasmar, Stitou and Berthoumieu 2009, Multiscale skewed heavy tailed model
    """
    x = blocks.reshape(len(blocks), -1)
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 of a block without values on one side
        left, right = (np.sqrt(np.square(x * side).sum(axis=1) / side.sum(axis=1)) for side in (x < 0, x > 0))
        skew = left / right
        ratio = np.square(np.abs(x).mean(axis=1)) / np.square(x).mean(axis=1)
        ratio *= (skew**3 + 1) * (skew + 1) / (skew**2 + 1) ** 2
    alphas, ratios, scales = _shapes()
    nearest = np.searchsorted((ratios[1:] + ratios[:-1]) / 2, ratio)
    alpha, left, right = alphas[nearest], left * scales[nearest], right * scales[nearest]
    gammas = np.array([math.gamma(2 / a) / math.gamma(1 / a) for a in alpha])
    return [alpha, (right - left) * gammas, left, right]
