"""First values of weights, drawn from a generator that is passed in."""

from __future__ import annotations

import math

import numpy as np

from minisrgan.backend import Array
from minisrgan.ops.checks import require_sizes


def he_normal(shape: tuple[int, ...], rng: np.random.Generator | None = None, slope: float = 0.0) -> Array:
    """Draw weights that keep the size of a signal through convolutions with (leaky) ReLUs between them.

    Formula   weight ~ N(0, s^2), s = sqrt(2 / ((1 + slope^2) * fan_in)), fan_in the inputs of one output
    Shapes    (kh, kw, in, out) or (in, out); fan_in is the product of all but the last. float32.
    Errors    ArgumentError unless the shape consists of whole numbers from 1.
    Source    He et al. 2015, arXiv 1502.01852, eq. 10 and 15. slope 1 is right before no activation at all.

    Without an rng the seed is 0, each time: two layers of one shape then begin alike, unless they are given one rng.

    >>> weight = he_normal((3, 3, 64, 64), np.random.default_rng(0))
    >>> abs(float(weight.std()) - (2 / 576) ** 0.5) < 1e-3
    True
    """
    shape, rng = require_sizes("he_normal", "shape", shape, 1), np.random.default_rng(0) if rng is None else rng
    std = math.sqrt(2 / ((1 + slope**2) * math.prod(shape[:-1])))
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(std)


def icnr(shape: tuple[int, ...], rng: np.random.Generator, factor: int, slope: float = 0.0) -> Array:
    """Draw the weight before a pixel shuffle so that the r*r pixels it makes of one start out equal.

    The upsampling then begins as a nearest-neighbour one, without the checkerboard of independent channels.
    Formula   channels c*r*r ... c*r*r + r*r - 1 are copies of one `he_normal` draw, r the factor
    Shapes    (kh, kw, in, out), out a multiple of r*r. float32.
    Source    Aitken et al. 2017, arXiv 1707.02937.

    >>> weight = icnr((3, 3, 1, 4), np.random.default_rng(0), factor=2)
    >>> bool((weight[..., 0] == weight[..., 3]).all())
    True
    """
    independent = he_normal((*shape[:-1], shape[-1] // factor**2), rng, slope)
    return np.repeat(independent, factor**2, axis=-1)
