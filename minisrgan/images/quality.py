"""The quality measures of the papers: luminance, PSNR and SSIM.

Two different measures are called SSIM. Papers of the SRGAN family report that of the video codec project Daala, all
others that of Wang et al. On the same pictures they differ by 0.01 to 0.06, so state which one you report.
"""

import math
from typing import Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from minisrgan.backend import Array
from minisrgan.errors import ArgumentError, ShapeError
from minisrgan.images.pixels import require_image
from minisrgan.kernels import matmul

SSIMMethod = Literal["daala", "wang"]


def rgb_to_y(image: Array) -> Array:
    """Return the luminance of an image in studio range (16 for black, 235 for white); grey is used as it is.

    Formula     Y = 16 + (65.481 R + 128.553 G + 24.966 B) / 255
    Shapes      uint8 (H, W, 3) -> float64 (H, W); uint8 (H, W) -> the same numbers as float64
    Errors      ShapeError, DTypeError
    Source      ITU-R BT.601

    >>> rgb_to_y(np.array([[[0, 0, 0], [255, 255, 255], [255, 0, 0]]], np.uint8)).round(3)
    array([[ 16. , 235. , 81.481]])
    """
    require_image("rgb_to_y", image)
    if image.ndim == 2:
        return image.astype(np.float64)
    return 16.0 + matmul(image, np.array([65.481, 128.553, 24.966]) / 255.0)  # (H, W, 3) @ (3,)


def luminances(what: str, image: Array, reference: Array, crop: int, smallest: int) -> tuple[Array, Array]:
    """Return Y of both images without `crop` border pixels, after checking that they can be compared."""
    require_image(what, image)
    require_image(what, reference)
    if image.shape != reference.shape:
        told = f"an image of the reference's shape, {reference.shape}"
        fix = "crop the original to a multiple of the scale before shrinking it; compare grey with grey"
        raise ShapeError(what, expected=told, got=str(image.shape), fix=fix)
    if not isinstance(crop, (int, np.integer)) or crop < 0:
        raise ArgumentError(what, expected="a crop of 0 or more pixels", got=f"crop={crop!r}", fix="4 is usual for x4")
    height, width = image.shape[:2]
    if min(height, width) - 2 * crop < smallest:
        told = f"at least {smallest} pixel(s) a side once {crop} are cropped from each border"
        raise ShapeError(what, expected=told, got=str(image.shape), fix="compare larger images or pass a smaller crop")
    inner = np.s_[crop : height - crop, crop : width - crop]
    return rgb_to_y(image)[inner], rgb_to_y(reference)[inner]


def psnr(image: Array, reference: Array, crop: int = 4) -> float:
    """Peak signal-to-noise ratio of the luminance, in dB; more is better, infinity when both are equal.

    Formula     10 log10(255^2 / mean((Y(image) - Y(reference))^2)), without `crop` pixels at each border
    Shapes      uint8 (H, W, 3), or (H, W) for grey, both of the same shape
    Errors      ShapeError, DTypeError, ArgumentError for a negative crop

    >>> grey = np.full((16, 16), 100, np.uint8)
    >>> round(psnr(grey + np.uint8(1), grey), 2), psnr(grey, grey)
    (48.13, inf)
    """
    y, target = luminances("psnr", image, reference, crop, smallest=1)
    error = float(np.square(y - target).mean())
    return 10.0 * math.log10(255.0**2 / error) if error else math.inf


def _daala_kernel(sigma: float, longest: int) -> Array:
    """Return a Gaussian in multiples of 1/256, cut where weights round to 0; the centre is adjusted to a sum of 1."""
    cut = math.sqrt(math.pi / 2) * sigma / 256  # where the density falls below half of 1/256, relative to its peak
    radius = min(int(sigma * math.sqrt(-2 * math.log(cut))) if cut < 1 else 0, longest - 1)
    offset = np.arange(-radius, radius + 1)
    kernel = np.floor(256 * np.exp(-(offset**2) / (2 * sigma**2)) / (math.sqrt(2 * math.pi) * sigma) + 0.5)
    kernel[radius] += 256 - kernel.sum()
    return kernel / 256


def gaussian(radius: int, sigma: float) -> Array:
    """Return the 2 * radius + 1 weights of a Gaussian, which sum to 1."""
    bell = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma**2))
    return bell / bell.sum()


def correlate(planes: Array, kernel: Array) -> Array:
    """Correlate (K, H, W) with the kernel along W, then along H, without padding."""
    for _ in range(2):
        rows = matmul(sliding_window_view(planes, len(kernel), axis=2), kernel)  # (K, H, W', taps) @ (taps,)
        planes = np.ascontiguousarray(rows.swapaxes(1, 2))
    return planes


def squares(y: Array, side: int) -> Array:
    """Divide (H, W) into squares (N, side, side), row by row; incomplete ones at the right and bottom are left out."""
    rows, columns = y.shape[0] // side, y.shape[1] // side
    whole = y[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return whole.swapaxes(1, 2).reshape(-1, side, side)


def ssim(image: Array, reference: Array, crop: int = 4, method: SSIMMethod = "daala") -> float:
    """Structural similarity of the luminance: 1 for equal images, less where brightness, contrast or detail differ.

    Formula     mean over positions of (2 mx my + C1)(2 cov + C2) / ((mx^2 + my^2 + C1)(var_x + var_y + C2)),
                moments under a Gaussian window, C1 = (0.01 * 255)^2, C2 = (0.03 * 255)^2
    method      "wang": 11 x 11 window, sigma 1.5, only at positions where the whole window fits
                "daala": as in the SRGAN paper: sigma = height * 1.5 / 256, weights rounded to multiples of 1/256,
                luminance rounded to 8 bits; the window is cut at the borders, and each position is weighted by the sum
                of the window's weights that remain there
    Shapes      uint8 (H, W, 3), or (H, W) for grey, both of the same shape
    Errors      ShapeError, DTypeError, ArgumentError for a negative crop or an unknown method
    Source      Wang et al. 2004, Image quality assessment, eq. 13; xiph.org daala, tools/dump_ssim

    >>> ramp = np.arange(0, 240, 10, dtype=np.uint8).reshape(1, 24).repeat(24, axis=0)
    >>> ssim(ramp, ramp), round(ssim(ramp[:, ::-1], ramp, method="wang"), 3)
    (1.0, -0.737)
    """
    if method not in ("daala", "wang"):
        expected, fix = 'method "daala" or "wang"', '"daala" is the SRGAN paper\'s'
        raise ArgumentError("ssim", expected=expected, got=f"method={method!r}", fix=fix)
    y, target = luminances("ssim", image, reference, crop, smallest=11 if method == "wang" else 1)
    pad = 0
    if method == "wang":
        kernel = gaussian(5, 1.5)
    else:
        y, target = np.floor(y + 0.5), np.floor(target + 0.5)
        kernel = _daala_kernel(len(y) * 1.5 / 256, min(y.shape))
        pad = len(kernel) // 2
    planes = np.stack([np.ones_like(y), y, target, y * y, target * target, y * target])
    planes = np.pad(planes, ((0, 0), (pad, pad), (pad, pad)))  # zeros: they add neither value nor weight
    weight, *sums = correlate(planes, kernel)
    mx, my, xx, yy, xy = (total / weight for total in sums)
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = (2 * mx * my + c1) * (2 * (xy - mx * my) + c2)
    similarity /= (mx * mx + my * my + c1) * (xx - mx * mx + yy - my * my + c2)
    return float((weight * similarity).sum() / weight.sum())
