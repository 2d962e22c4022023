"""What PSNR and SSIM do not see: how much fine structure a picture has, and whether a 4-pixel grid lies over it.

All measures are of the luminance Y except the colour shift. Means over pictures are geometric for ratios.
"""

from __future__ import annotations

import numpy as np

from minisrgan.backend import Array
from minisrgan.errors import ShapeError
from minisrgan.images.quality import rgb_to_y

_SMALLEST = 64  # pixels a side: the neighbourhood of period 4 stays clear of the lowest frequencies
_LINE, _AROUND = 2, range(6, 17)  # bins to each side: the line itself, and what it is compared with
_TILE, _TILE_AROUND = 32, range(3, 5)


def detail(image: Array, original: Array) -> float:
    """RMS of the Laplacian of Y over the original's: 1 for equal sharpness, less for blur, more for noise.

    >>> ramp = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    >>> round(detail(ramp // 2, ramp), 2)
    0.5
    """
    return _laplacian(image) / _laplacian(original)


def _laplacian(image: Array) -> float:
    y = rgb_to_y(image)
    inner = y[1:-1, :-2] + y[1:-1, 2:] + y[:-2, 1:-1] + y[2:, 1:-1] - 4 * y[1:-1, 1:-1]
    return float(np.sqrt(np.square(inner).mean()))


def _energy(y: Array) -> Array:
    """Return |FFT|^2 (..., H, W) of Y without its mean, under a Hann window along both axes."""
    height, width = y.shape[-2:]
    window = np.hanning(height)[:, None] * np.hanning(width)
    energy: Array = np.abs(np.fft.fft2((y - y.mean(axis=(-2, -1), keepdims=True)) * window)) ** 2
    return energy


def top_octave(image: Array, original: Array) -> float:
    """Energy of Y from 0.25 to 0.5 cycles a pixel over the original's."""

    def total(picture: Array) -> float:
        energy = _energy(rgb_to_y(picture))
        frequency = np.hypot(*np.meshgrid(*map(np.fft.fftfreq, energy.shape), indexing="ij"))  # (H, W)
        return float(energy[(frequency >= 0.25) & (frequency <= 0.5)].sum())

    return total(image) / total(original)


def grid(image: Array, period: int = 4) -> float:
    """Energy of the spectral line at a period of 4 (or 2) pixels over the median of its neighbourhood; 1 is no grid."""
    if min(image.shape[:2]) < _SMALLEST:
        told = f"at least {_SMALLEST} x {_SMALLEST} pixels"
        raise ShapeError("grid", expected=told, got=str(image.shape), fix="measure a larger picture")
    energy = _energy(rgb_to_y(image))
    return float(np.mean([_line(energy.sum(axis=axis), period, _LINE, _AROUND) for axis in (0, 1)]))


def local_grid(image: Array, period: int = 4) -> float:
    """The grid in the smoothest quarter of the tiles of 32 x 32 pixels, the geometric mean over them."""
    y = rgb_to_y(image)
    rows, columns = y.shape[0] // _TILE, y.shape[1] // _TILE
    tiles = y[: rows * _TILE, : columns * _TILE].reshape(rows, _TILE, columns, _TILE).swapaxes(1, 2)
    tiles = tiles.reshape(-1, _TILE, _TILE)
    smooth = np.argsort(tiles.var(axis=(1, 2)), kind="stable")[: max(1, len(tiles) // 4)]
    energy = _energy(tiles[smooth]) + np.square(np.hanning(_TILE)).sum() ** 2 / 12  # rounding noise to 8 bits
    ratios = np.mean([_line(energy.sum(axis=axis), period, 1, _TILE_AROUND) for axis in (1, 2)], axis=0)
    return float(np.exp(np.log(ratios).mean()))


def _line(profile: Array, period: int, line: int, around: range) -> Array:
    """Energy at a period over the median around it, from energies (..., n) by frequency."""
    size = profile.shape[-1]
    at = round(size / period)
    near = profile[..., np.r_[at - line : at + line + 1] % size].mean(axis=-1)
    far = np.array([at + sign * step for step in around for sign in (-1, 1)]) % size
    ratio: Array = near / np.median(profile[..., far], axis=-1)
    return ratio


def colour_shift(image: Array, original: Array) -> Array:
    """Mean of image - original a channel, in levels of 255: (3,) for RGB, (1,) for grey."""
    shift: Array = (image.astype(np.float64) - original).mean(axis=(0, 1)).reshape(-1)
    return shift
