"""PSNR and SSIM against the tables of the papers, against scikit-image, and against bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest

from minisrgan.errors import ArgumentError, DTypeError, ShapeError
from minisrgan.images import imresize, nearest, psnr, read_image, rgb_to_y, ssim
from tests.paths import SHARED, needs_shared


def photos(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    """A smooth random picture and a noisy copy."""
    rng = np.random.default_rng(1)
    clean = imresize(rng.integers(0, 256, shape, dtype=np.uint8), 4)
    return (clean + rng.normal(0, 8, clean.shape)).clip(0, 255).astype(np.uint8), clean


# set -> enlargement -> PSNR, SSIM daala, SSIM Wang
TABLE = {
    "Set5": {"nearest": (26.258, 0.7539, 0.7380), "bicubic": (28.430, 0.8201, 0.8111)},
    "Set14": {"nearest": (24.646, 0.7093, 0.6533), "bicubic": (25.997, 0.7481, 0.7029)},
}


@needs_shared("data/Set5", "data/Set14")
@pytest.mark.parametrize("name", ["Set5", pytest.param("Set14", marks=pytest.mark.slow)])  # see inference/test_evaluate
def test_reproduces_the_benchmark_table(name: str):
    """Any other luminance, crop, window or rounding shifts these digits, and no result compares with a paper."""
    enlarge = {"nearest": nearest, "bicubic": imresize}
    rows: dict[str, list[tuple[float, ...]]] = {"nearest": [], "bicubic": []}
    for path in sorted((SHARED / "data" / name / "HR").iterdir()):
        original = read_image(path, keep_grey=True)
        small = read_image(path.parents[1] / "LRx4" / path.name, keep_grey=True)
        for method, scores in rows.items():
            image = enlarge[method](small, 4)
            scores.append((psnr(image, original), ssim(image, original), ssim(image, original, method="wang")))
    for method, (decibel, daala, wang) in TABLE[name].items():
        measured = np.mean(rows[method], axis=0)
        assert round(float(measured[0]), 3) == decibel
        assert round(float(measured[1]), 4) == daala
        assert round(float(measured[2]), 4) == wang


@pytest.mark.parametrize("crop", [0, 4])
@pytest.mark.parametrize("shape", [(8, 9), (8, 9, 3), (1, 1, 3), (30, 5)])
def test_psnr_agrees_with_scikit_image(shape: tuple[int, ...], crop: int):
    """Of the same luminance, peak and crop there is only one PSNR; uint8 differences wrap around in many others."""
    metrics = pytest.importorskip("skimage.metrics")
    image, original = photos(*shape)
    crop = min(crop, min(image.shape[:2]) // 2 - 1)
    inner = np.s_[crop : len(image) - crop, crop : image.shape[1] - crop]
    expected = metrics.peak_signal_noise_ratio(rgb_to_y(original)[inner], rgb_to_y(image)[inner], data_range=255)
    assert psnr(image, original, crop) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("shape", [(30, 25, 3), (3, 4), (20, 3, 3)])
def test_wang_agrees_with_scikit_image(shape: tuple[int, ...]):
    """The sample covariance (n - 1) or a window of another width gives numbers that look just as plausible."""
    metrics = pytest.importorskip("skimage.metrics")
    image, original = photos(*shape)
    _, everywhere = metrics.structural_similarity(
        rgb_to_y(image),
        rgb_to_y(original),
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        full=True,
    )
    expected = everywhere[5:-5, 5:-5].mean()  # where the window of 11 fits whole
    assert ssim(image, original, crop=0, method="wang") == pytest.approx(expected, abs=1e-9)


def daala_in_loops(x: np.ndarray, y: np.ndarray, kernel: dict[int, float]) -> float:
    """Daala's SSIM with a given kernel (offset -> weight), one window at a time."""
    total = weights = 0.0
    for row, column in np.ndindex(x.shape):
        window = [
            (kernel[i] * kernel[j], x[row + i, column + j], y[row + i, column + j])
            for i in kernel
            for j in kernel
            if 0 <= row + i < x.shape[0] and 0 <= column + j < x.shape[1]
        ]
        w = sum(a for a, _, _ in window)
        mx, my = sum(a * p for a, p, _ in window) / w, sum(a * q for a, _, q in window) / w
        xx, yy = sum(a * p * p for a, p, _ in window) / w - mx**2, sum(a * q * q for a, _, q in window) / w - my**2
        xy = sum(a * p * q for a, p, q in window) / w - mx * my
        c1, c2 = 2.55**2, 7.65**2
        total += w * (2 * mx * my + c1) * (2 * xy + c2) / ((mx**2 + my**2 + c1) * (xx + yy + c2))
        weights += w
    return total / weights


def test_daala_follows_its_definition():
    """Borders count by the weight that is left of the window: on a large photo a mistake there drowns."""
    image, original = photos(16, 5)
    kernel = {-1: 8.0, 0: 240.0, 1: 8.0}  # 64 rows: sigma 0.375
    expected = daala_in_loops(image.astype(float), original.astype(float), kernel)
    assert ssim(image, original, crop=0) == pytest.approx(expected, abs=1e-12)


def test_daala_window_is_narrower_than_the_image():
    """On a strip of three columns and 512 rows, sigma 3 wants 9 pixels to each side; only 2 are there to take."""
    image, original = (picture[:, :3] for picture in photos(128, 1))
    kernel = {-2: 27.0, -1: 32.0, 0: 138.0, 1: 32.0, 2: 27.0}
    expected = daala_in_loops(image.astype(float), original.astype(float), kernel)
    assert ssim(image, original, crop=0) == pytest.approx(expected, abs=1e-12)


def test_daala_window_grows_with_the_height():
    """A window tied to the width, or of a fixed size, agrees with the paper on square images only."""
    image, original = photos(32, 16)
    assert ssim(image, original, crop=0) != pytest.approx(ssim(image.T, original.T, crop=0), abs=1e-4)


def test_luminance_is_studio_range():
    """Full-range luminance reads 1.3 dB too low."""
    black, white, grey = (np.full((1, 1, 3), level, np.uint8) for level in (0, 255, 128))
    assert rgb_to_y(black)[0, 0] == 16
    assert rgb_to_y(white)[0, 0] == pytest.approx(235)
    assert rgb_to_y(grey)[0, 0] == pytest.approx(16 + 219 * 128 / 255)
    assert rgb_to_y(np.array([[[0, 0, 255]]], np.uint8))[0, 0] == pytest.approx(16 + 24.966)
    assert np.array_equal(rgb_to_y(np.array([[7, 250]], np.uint8)), [[7.0, 250.0]])


def test_psnr_by_hand():
    """One pixel off by ten in the middle, another in the border that the crop must leave out."""
    original = np.full((10, 12), 100, np.uint8)
    image = original.copy()
    image[5, 6] += 10
    image[0, 0] = 255
    assert psnr(image, original) == pytest.approx(10 * math.log10(255**2 / (100 / 8)))
    assert psnr(image, original, crop=0) == pytest.approx(10 * math.log10(255**2 / ((100 + 155**2) / 120)))
    assert psnr(image[5:6, 6:7], original[:1, :1], crop=0) == pytest.approx(20 * math.log10(25.5))


def test_equal_images():
    """A division by zero must be neither a warning nor a NaN."""
    image, _ = photos(8, 8, 3)
    assert psnr(image, image) == math.inf
    assert ssim(image, image) == ssim(image, image, method="wang") == pytest.approx(1.0)
    assert ssim(image[:1, :1], image[:1, :1], crop=0) == pytest.approx(1.0)


@pytest.mark.parametrize("measure", [psnr, ssim, lambda *a, **k: ssim(*a, method="wang", **k)])
def test_refuses_what_cannot_be_compared(measure):
    """NumPy would broadcast grey against colour and wrap uint8 differences, and return a number."""
    image, original = photos(10, 10, 3)
    with pytest.raises(ShapeError, match="reference"):
        measure(image[:-1], original)
    with pytest.raises(ShapeError, match="reference"):
        measure(image[..., 0], original)
    with pytest.raises(ShapeError, match="batch"):
        measure(image[None], original[None])
    with pytest.raises(ShapeError, match="crop"):
        measure(image, original, crop=20)
    with pytest.raises(ShapeError, match="crop"):
        measure(image[:1, :1], original[:1, :1])
    with pytest.raises(DTypeError, match="float64"):
        measure(image / 255, original / 255)
    for crop in (-1, 1.5):
        with pytest.raises(ArgumentError, match="crop"):
            measure(image, original, crop=crop)


def test_ssim_refuses_small_windows_and_unknown_methods():
    """Wang's window does not fit into ten pixels; an unknown method must not fall back on another SSIM."""
    image, original = photos(10, 10)
    with pytest.raises(ShapeError, match="11"):
        ssim(image[:18], original[:18], method="wang")
    with pytest.raises(ArgumentError, match="gauss"):
        ssim(image, original, method="gauss")
