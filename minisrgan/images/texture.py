"""Measures of what PSNR and SSIM do not show: how much fine structure a picture has, and whether it has a grid.

A network that enlarges by pixel shuffle can leave a grid of 4 (or 2) pixels over the whole picture. The grid hardly
lowers PSNR, but it is a line in the spectrum: a grid of period p has all its energy at 1/p cycles per pixel. The ratios
of several pictures are averaged by the geometric mean, so that a factor of 2 and a factor of 1/2 cancel.
"""

import numpy as np

from minisrgan.backend import Array
from minisrgan.errors import ArgumentError, ShapeError
from minisrgan.images.quality import luminances, rgb_to_y, squares

SMALLEST = 64  # pixels a side: in a smaller image, the neighbourhood of the line at period 4 would contain frequency 0
_LINE, _AROUND = 2, range(6, 17)  # distances in bins: of the line, and of the neighbourhood to compare it with
_TILE, _TILE_LINE, _TILE_AROUND = 64, 1, range(3, 7)


def detail(image: Array, original: Array) -> float:
    """Return the amount of fine structure: the RMS of the Laplacian of Y, relative to the original's; 1 means equal.

    Formula     rms(L * Y(image)) / rms(L * Y(original)), L = [0 1 0; 1 -4 1; 0 1 0] without padding
    Shapes      uint8 (H, W, 3), or (H, W) for grey, both of the same shape; NaN if the original is flat
    Errors      ShapeError, DTypeError

    >>> noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    >>> round(detail(noise // 2, noise), 3)
    0.5
    """
    sizes = []
    for y in luminances("detail", image, original, 0, smallest=3):
        laplacian = y[1:-1, :-2] + y[1:-1, 2:] + y[:-2, 1:-1] + y[2:, 1:-1] - 4 * y[1:-1, 1:-1]
        sizes.append(np.sqrt(np.square(np.round(laplacian, 9)).mean()))  # flat areas become 0, without rounding errors
    return _ratio(*sizes)


def top_octave(image: Array, original: Array) -> float:
    """Return the energy of Y from 0.25 to 0.5 cycles per pixel in any direction, relative to the original's.

    Formula     sum |F(image)|^2 / sum |F(original)|^2 over 0.25 <= |f| <= 0.5, with F as in `spectrum`
    Shapes      uint8 (H, W, 3), or (H, W) for grey, both of the same shape; NaN if the original has none
    Errors      ShapeError, DTypeError

    >>> noise = np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8)
    >>> round(top_octave(noise // 2, noise), 3)
    0.25
    """
    energies = []
    for y in luminances("top_octave", image, original, 0, smallest=3):
        frequency = np.hypot(np.fft.fftfreq(y.shape[0])[:, None], np.fft.fftfreq(y.shape[1]))  # (H, W)
        energies.append(spectrum(y)[(frequency >= 0.25) & (frequency <= 0.5)].sum())
    return _ratio(*energies)


def _ratio(value: float, original: float) -> float:
    return float(value / original) if original else float("nan")


def spectrum(y: Array) -> Array:
    """Return |F|^2, the energy of planes (..., H, W) by frequency; F is the Fourier transform under a Hann window.

    The window sin^2(pi i / H) sin^2(pi j / W) fades the borders out. Without it, the step between opposite borders
    would add energy at every frequency of an axis, and would hide the line of a grid.

    >>> spectrum(np.array([[0.0, 0.0, 0.0, 0.0], [1.0, -1.0, 1.0, -1.0]]))[0].round(2)
    array([0., 1., 4., 1.])
    """
    rows, columns = (np.sin(np.pi * np.arange(size) / size) ** 2 for size in y.shape[-2:])
    centred = np.round(y - y.mean(axis=(-2, -1), keepdims=True), 9)  # flat areas become 0, without rounding errors
    return np.abs(np.fft.fft2(centred * rows[:, None] * columns)) ** 2


def grid(image: Array, period: int = 4) -> float:
    """Return how far a grid of `period` pixels stands out of the spectrum of Y: 1 means no grid, 3 a clear grid.

    Formula     mean over both axes of (mean of E within 2 bins of 1/period) / (median of E 6 to 16 bins from it),
                E(f) = sum over the frequencies along the other axis of |F|^2, with F as in `spectrum`
    period      4, as left by two pixel shuffles by 2; or 2, as left by the second one alone
    Shapes      uint8 (H, W, 3), or (H, W) for grey, at least 64 pixels a side; NaN for a flat image
    Errors      ShapeError, DTypeError, ArgumentError for another period

    >>> noise = np.random.default_rng(0).integers(100, 150, (256, 256), dtype=np.uint8)
    >>> lattice = noise + np.array([15, 0, 0, 0] * 64, np.uint8)
    >>> [round(grid(picture), 1) for picture in (noise, lattice)]
    [1.0, 2.8]
    """
    y = _grid_y("grid", image, period)
    energy = spectrum(y)
    return float(np.mean([_line(energy.sum(axis=axis), period, _LINE, _AROUND) for axis in (0, 1)]))


def local_grid(image: Array, period: int = 4) -> float:
    """Return the grid of smooth areas, where it is most visible: `grid` in the smoothest quarter of the 64 x 64 tiles.

    Formula     geometric mean over the tiles with the lowest variance of Y, of the
                mean over both axes of (mean of E within 1 bin of 1/period) / (median of E 3 to 6 bins from it).
                The energy of rounding to whole levels, 1/12 per pixel, is added to |F|^2, so that a flat tile has 1.
    Shapes      uint8 (H, W, 3), or (H, W) for grey, at least 64 pixels a side
    Errors      ShapeError, DTypeError, ArgumentError for a period that is not 2 or 4

    >>> flat = np.full((128, 128), 100, np.uint8)
    >>> local_grid(flat), round(local_grid(flat + np.array([1, 0, 0, 0] * 32, np.uint8)), 1)
    (1.0, 9.0)
    """
    tiles = squares(_grid_y("local_grid", image, period), _TILE)
    smoothest = np.argsort(tiles.var(axis=(1, 2)), kind="stable")[: -(-len(tiles) // 4)]
    energy = spectrum(tiles[smoothest]) + (_TILE * 3 / 8) ** 2 / 12  # the mean square of a Hann window is 3/8
    ratios = np.mean([_line(energy.sum(axis=axis), period, _TILE_LINE, _TILE_AROUND) for axis in (1, 2)], axis=0)
    return float(np.exp(np.log(ratios).mean()))


def _grid_y(what: str, image: Array, period: int) -> Array:
    """Return Y, after checking that it is large enough for the neighbourhood of the line."""
    y = rgb_to_y(image)
    if period not in (2, 4):
        raise ArgumentError(what, expected="a period of 2 or 4 pixels", got=f"period={period!r}", fix="4 is usual")
    if min(y.shape) < SMALLEST:
        expected, fix = f"at least {SMALLEST} pixels a side", "measure a larger image"
        raise ShapeError(what, expected=expected, got=str(image.shape), fix=fix)
    return y


def _line(energy: Array, period: int, line: int, around: range) -> Array:
    """Return the mean energy (..., n) at 1/period, divided by the median around it; the spectrum is periodic."""
    size = energy.shape[-1]
    at = round(size / period)
    near = np.arange(at - line, at + line + 1) % size
    far = np.array([(at + sign * offset) % size for offset in around for sign in (-1, 1)])
    with np.errstate(invalid="ignore"):  # 0 / 0 of a flat image
        return energy[..., near].mean(axis=-1) / np.median(energy[..., far], axis=-1)


def colour_shift(image: Array, original: Array) -> Array:
    """Return the mean of image - original for each channel, in levels of 255; the mean over many pictures shows a tint.

    Shapes      uint8 (H, W, 3) -> (3,), or (H, W) for grey -> (1,), both of the same shape
    Errors      ShapeError, DTypeError

    >>> grey = np.full((4, 4, 3), 100, np.uint8)
    >>> colour_shift(grey + np.array([3, 0, 1], np.uint8), grey)
    array([3., 0., 1.])
    """
    luminances("colour_shift", image, original, 0, smallest=1)
    return (image.astype(np.float64) - original).mean(axis=(0, 1)).reshape(-1)
