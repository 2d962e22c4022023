"""Bicubic resizing as MATLAB does it, and enlarging by repetition.

Super-resolution papers shrink their photographs with MATLAB's ``imresize`` and compare with its enlargements. A network
that is trained or evaluated with another bicubic solves another problem. MATLAB's differs in three ways: the kernel
widens when the image shrinks (antialiasing), the rows are resized before the columns, and uint8 is rounded to uint8 in
between.
"""

import math
from functools import lru_cache
from numbers import Real
from typing import Literal

import numpy as np

from minisrgan.backend import Array
from minisrgan.errors import ArgumentError
from minisrgan.images.pixels import require_image
from minisrgan.kernels import matmul

Border = Literal["replicate", "symmetric"]

# Number of output rows that share one small matrix: few of its weights are zero, and BLAS is still fast.
_BAND = 32


def cubic(x: Array) -> Array:
    """Keys' cubic kernel with a = -1/2: a smooth bump on [-2, 2] that interpolates.

    Formula     h(x) =  3/2 |x|^3 - 5/2 |x|^2 + 1             for |x| <= 1
                h(x) = -1/2 |x|^3 + 5/2 |x|^2 - 4 |x| + 2     for 1 < |x| <= 2,  else 0
    Source      Keys 1981, Cubic convolution interpolation for digital image processing, eq. 15

    >>> cubic(np.array([0.0, 0.5, 1.0, 1.5, 2.0]))
    array([ 1. , 0.5625, 0. , -0.0625, 0. ])
    """
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def weight_table(size: int, scale: float, border: Border) -> tuple[Array, Array]:
    """Return which input pixels contribute to each output pixel along one axis, and their weights.

    Output pixel i is centred at ``(i + 1/2) / scale - 1/2`` in the input. The kernel reaches 2 input pixels to each
    side; when shrinking it reaches 2 output pixels instead, that is ``2 / scale`` input pixels. Weights sum to 1.
    Beyond the border, ``replicate`` repeats the last pixel and ``symmetric`` mirrors the image (``cba|abc|cba``).

    Returns ``index`` (integers) and ``weight`` (float64), both (ceil(size * scale), taps).

    >>> index, weight = weight_table(4, 0.5, "replicate")
    >>> index[0], weight[0] * 256
    (array([0, 0, 0, 0, 1, 2, 3, 3]), array([ -3., -9., 29., 111., 111., 29., -9., -3.]))
    """
    shrink = min(scale, 1.0)
    reach = 2.0 / shrink
    centre = (np.arange(math.ceil(size * scale)) + 0.5) / scale - 0.5
    first = np.floor(centre - reach).astype(np.intp) + 1
    tap = first[:, None] + np.arange(math.ceil(2 * reach))  # (out, taps)
    weight = cubic((centre[:, None] - tap) * shrink)
    weight /= weight.sum(axis=1, keepdims=True)
    if border == "replicate":
        return tap.clip(0, size - 1), weight
    mirrored = tap % (2 * size)
    return np.minimum(mirrored, 2 * size - 1 - mirrored), weight


@lru_cache(maxsize=128)
def _bands(size: int, scale: float, border: Border, dtype: str) -> tuple[tuple[int, int, Array], ...]:
    """Return the weight table as matrices: (first input row, last + 1, weights) for each band of `_BAND` output rows.

    A full (out, size) matrix would be nearly all zeros; the matrix of a band covers only the input rows that it needs.
    """
    index, weight = weight_table(size, scale, border)
    bands = []
    for start in range(0, len(index), _BAND):
        rows, weights = index[start : start + _BAND], weight[start : start + _BAND]
        first, stop = int(rows.min()), int(rows.max()) + 1
        matrix = np.zeros((len(rows), stop - first))
        np.add.at(matrix, (np.arange(len(rows))[:, None], rows - first), weights)  # weights of a repeated pixel add up
        bands.append((first, stop, matrix.astype(dtype)))
    return tuple(bands)


def _resize_rows(image: Array, scale: float, border: Border) -> Array:
    """Resize the first axis of ``(H, ...)``; uint8 is computed in float64 and rounded half up."""
    rounded = image.dtype == np.uint8
    rows = image.reshape(len(image), -1)  # (H, W*C)
    parts = []
    for first, stop, matrix in _bands(len(rows), scale, border, "float64" if rounded else image.dtype.name):
        values = matmul(matrix, rows[first:stop].astype(matrix.dtype, copy=False))  # (band, rows) @ (rows, W*C)
        if rounded:
            values += 0.5
            values = np.floor(values, out=values).clip(0, 255, out=values)
        parts.append(values.astype(image.dtype, copy=False))
    return np.concatenate(parts).reshape(-1, *image.shape[1:])


def imresize(image: Array, scale: float, border: Border = "replicate") -> Array:
    """Resize an image with MATLAB's antialiased bicubic.

    Formula     out[i] = sum over taps t of weight[i, t] * image[index[i, t]], along the rows, then along the columns
    Shapes      (H, W) or (H, W, C) -> (ceil(H * scale), ceil(W * scale)[, C])
    Numbers     uint8 is rounded half up to 0..255 after each pass; float32 and float64 are neither rounded nor clipped.
    border      "replicate" as in older MATLAB and in the usual low-resolution files of Set5 and Set14;
                "symmetric" as in newer MATLAB
    Errors      ArgumentError for a scale that is not a positive number or an unknown border, ShapeError and
                DTypeError for what is not an image.

    >>> ramp = np.arange(0, 64, 4, dtype=np.uint8).reshape(1, 16).repeat(4, axis=0)
    >>> imresize(ramp, 0.25)
    array([[ 6, 22, 38, 54]], dtype=uint8)
    >>> imresize(ramp.astype(np.float32), 2).shape
    (8, 32)
    """
    require_image("imresize", image, dtypes=("uint8", "float32", "float64"), rgb=False)
    if not isinstance(scale, Real) or not (math.isfinite(scale) and scale > 0):
        fix = "4 enlarges four times, 1/4 shrinks to a quarter"
        raise ArgumentError("imresize", expected="a positive, finite scale", got=f"scale={scale!r}", fix=fix)
    if border not in ("replicate", "symmetric"):
        fix = '"replicate" reproduces the published low-resolution files'
        raise ArgumentError("imresize", expected='border "replicate" or "symmetric"', got=f"border={border!r}", fix=fix)
    tall = _resize_rows(image, float(scale), border)
    # The columns are resized as the rows of the transposed image: one function, and contiguous rows in both passes.
    turned = _resize_rows(np.ascontiguousarray(tall.swapaxes(0, 1)), float(scale), border)
    return np.ascontiguousarray(turned.swapaxes(0, 1))


def nearest(image: Array, factor: int) -> Array:
    """Enlarge by a whole factor, so that each pixel becomes a square: the simplest method, for comparison.

    Shapes      (H, W) or (H, W, C) -> (H * factor, W * factor[, C]), any of uint8, float32, float64
    Errors      ArgumentError for a factor that is not a whole number >= 1, ShapeError, DTypeError

    >>> nearest(np.array([[1, 2]], np.uint8), 2)
    array([[1, 1, 2, 2],
           [1, 1, 2, 2]], dtype=uint8)
    """
    require_image("nearest", image, dtypes=("uint8", "float32", "float64"), rgb=False)
    if not isinstance(factor, (int, np.integer)) or factor < 1:
        raise ArgumentError("nearest", expected="a whole factor >= 1", got=f"factor={factor!r}", fix="4 is usual here")
    return image.repeat(factor, axis=0).repeat(factor, axis=1)
