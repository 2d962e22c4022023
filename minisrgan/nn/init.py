"""Initial weights, drawn from a random generator that is passed in."""

from __future__ import annotations

import math

import numpy as np

from minisrgan.autograd.arguments import require_integer, require_rng, require_sizes, setting
from minisrgan.backend import Array
from minisrgan.errors import ShapeError


def he_normal(shape: tuple[int, ...], rng: np.random.Generator | None = None, slope: float = 0.0) -> Array:
    """Draw weights with which activations keep their size through convolutions and (leaky) ReLUs.

    Formula   weight ~ N(0, s^2), s = sqrt(2 / ((1 + slope^2) * fan_in)), fan_in the number of inputs of one output
    Shapes    (kh, kw, in, out) or (in, out); fan_in is the product of all but the last. float32.
    Errors    ArgumentError unless the shape consists of whole numbers >= 1, or for an rng that is a plain seed.
    Source    He et al. 2015, arXiv 1502.01852, eq. 10 and 15. Use slope 1 if no activation follows.

    Without an rng, each call uses seed 0, so two layers of the same shape get equal weights. Pass one rng to both.

    >>> weight = he_normal((3, 3, 64, 64), np.random.default_rng(0))
    >>> abs(float(weight.std()) - (2 / 576) ** 0.5) < 1e-3
    True
    """
    shape, rng = require_sizes("he_normal", "shape", shape, 1), require_rng("he_normal", rng)
    slope = setting("he_normal", "slope", slope)
    std = math.sqrt(2 / ((1 + slope**2) * math.prod(shape[:-1])))
    return rng.standard_normal(shape, dtype=np.float32) * np.float32(std)


def icnr(shape: tuple[int, ...], rng: np.random.Generator, factor: int, slope: float = 0.0) -> Array:
    """Draw the weight of a convolution before a pixel shuffle such that the r*r pixels of each square are equal.

    At first the upsampling is nearest-neighbour, without the checkerboard pattern of independent channels.
    Formula   channels c*r*r ... c*r*r + r*r - 1 are copies of one `he_normal` draw, r the factor
    Shapes    (kh, kw, in, out), out a multiple of r*r. float32.
    Errors    ArgumentError for a factor below 1, and as `he_normal`; ShapeError for another number of channels.
    Source    Aitken et al. 2017, arXiv 1707.02937.

    >>> weight = icnr((3, 3, 1, 4), np.random.default_rng(0), factor=2)
    >>> bool((weight[..., 0] == weight[..., 3]).all())
    True
    """
    require_integer("icnr", "factor", factor, 1)
    if shape[-1] % factor**2:
        expected, fix = f"a multiple of {factor}*{factor} channels", "a pixel shuffle turns r*r channels into one"
        raise ShapeError("icnr", expected=expected, got=str(shape), fix=fix)
    return np.repeat(he_normal((*shape[:-1], shape[-1] // factor**2), rng, slope), factor**2, axis=-1)
