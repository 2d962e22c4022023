"""imresize against MATLAB's published files, against the definition in plain loops, and against bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minisrgan.errors import ArgumentError, DTypeError, ShapeError
from minisrgan.images import imresize, nearest, read_image
from minisrgan.images.resize import cubic, weight_table
from tests.paths import SHARED, needs_shared

borders = st.sampled_from(["replicate", "symmetric"])
scales = st.one_of(st.sampled_from([1 / 4, 1 / 3, 1 / 2, 1.0, 2.0, 3.0, 4.0]), st.floats(0.1, 5))


def photo(*shape: int) -> np.ndarray:
    """Noise: every pixel matters."""
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def by_definition(image: np.ndarray, scale: float, border: str) -> np.ndarray:
    """Sum the kernel over an image extended far beyond its borders, one pixel at a time, no rounding."""
    for axis in (0, 1):
        image = np.moveaxis(image, axis, 0).astype(np.float64)
        pad = 64
        mode = {"replicate": "edge", "symmetric": "symmetric"}[border]
        wide = np.pad(image, [(pad, pad)] + [(0, 0)] * (image.ndim - 1), mode=mode)
        rows = []
        for i in range(int(np.ceil(len(image) * scale))):
            centre = (i + 0.5) / scale - 0.5
            total, weights = np.zeros(wide.shape[1:]), 0.0
            for j in range(len(wide)):
                weight = float(cubic(np.array((centre - (j - pad)) * min(scale, 1))))
                total, weights = total + weight * wide[j], weights + weight
            rows.append(total / weights)
        image = np.moveaxis(np.stack(rows), 0, axis)
    return image


@needs_shared("data/Set5", "data/Set14")
@pytest.mark.parametrize("name", ["Set5", "Set14"])
def test_shrinks_benchmarks_to_the_published_bytes(name: str):
    """One wrong border, kernel width, pass order or rounding, and every published PSNR is measured on other inputs."""
    folder = SHARED / "data" / name
    for path in sorted((folder / "HR").iterdir()):
        expected = read_image(folder / "LRx4" / path.name, keep_grey=True)
        assert np.array_equal(imresize(read_image(path, keep_grey=True), 1 / 4), expected), path.name


@needs_shared("data/Set5")
def test_symmetric_border_gives_newer_matlab():
    """Enlarging has its own kernel width, and the mirror its own indices: no low-resolution file shows either."""
    for path in sorted((SHARED / "data/Set5/HR").iterdir()):
        small = imresize(read_image(path), 0.25, "symmetric")
        expected = read_image(SHARED / "data/Set5/bicubic_x4" / path.name)
        assert np.array_equal(imresize(small, 4, border="symmetric"), expected), path.name


@pytest.mark.parametrize("border", ["replicate", "symmetric"])
@pytest.mark.parametrize("scale", [0.25, 0.3, 1 / 3, 1, 1.5, 2, 4])
@pytest.mark.parametrize("shape", [(37, 5), (3, 70, 2), (1, 1), (2, 2, 3)])
def test_follows_the_definition(shape: tuple[int, ...], scale: float, border: str):
    """Odd sizes and scales, bands of more than one matrix, and images smaller than the kernel, which no photo has."""
    image = photo(*shape).astype(np.float64)
    np.testing.assert_allclose(imresize(image, scale, border), by_definition(image, scale, border), atol=1e-9)


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
def test_keeps_the_dtype(dtype: str):
    """A float32 crop that came back as float64 would double the memory of a whole training run unseen."""
    result = imresize(photo(20, 24, 3).astype(dtype), 0.25)
    assert (result.dtype, result.shape) == (np.dtype(dtype), (5, 6, 3))
    assert result.flags.c_contiguous


def test_float_agrees_between_precisions_and_is_not_clipped():
    """Bicubic overshoots at an edge; cutting floats to 0..255 or 0..1 would hide it."""
    edge = np.repeat([[0.0, 1.0]], 8, axis=1).reshape(1, 16)
    wide = imresize(edge, 4)
    assert wide.min() < -0.01
    assert wide.max() > 1.01
    np.testing.assert_allclose(imresize(edge.astype(np.float32), 4), wide, atol=1e-6)
    assert imresize((255 * edge).astype(np.uint8), 4).max() == 255


def test_reads_only_and_takes_any_strides():
    """A crop is a view into a photo; resizing it must neither change the photo nor need a copy of the caller."""
    image = photo(64, 64, 3)
    before = image.copy()
    image.setflags(write=False)
    view = image[5:45:2, 40:4:-1]
    assert np.array_equal(imresize(view, 0.25), imresize(view.copy(), 0.25))
    assert np.array_equal(image, before)


# What holds for every image, size and scale


@given(st.floats(-3, 3), st.floats(0, 1))
def test_the_kernel_is_even_and_sums_to_one(x: float, offset: float):
    """A sign lost in one of its pieces shifts or darkens the picture, least at the offsets that x4 uses."""
    assert cubic(np.array(x)) == cubic(np.array(-x))
    assert cubic(offset + np.arange(-3, 3)).sum() == pytest.approx(1, abs=1e-12)
    assert cubic(np.arange(-3.0, 4)).tolist() == [0, 0, 0, 1, 0, 0, 0]


@given(st.integers(1, 40), scales, borders)
def test_weights_sum_to_one_and_point_into_the_image(size: int, scale: float, border: str):
    """Weights that do not sum to one darken or brighten the whole picture, most at its borders."""
    index, weight = weight_table(size, scale, border)
    assert index.shape == weight.shape
    assert len(weight) == np.ceil(size * scale)
    assert index.min() >= 0
    assert index.max() < size
    np.testing.assert_allclose(weight.sum(axis=1), 1.0, atol=1e-12)


@given(st.integers(1, 20), st.integers(1, 20), scales, borders, st.integers(0, 255))
def test_constant_stays_constant(height: int, width: int, scale: float, border: str, level: int):
    """Rounding down instead of to the nearest makes a level of 77 a 76 wherever the weights are not exact."""
    result = imresize(np.full((height, width, 3), level, np.uint8), scale, border)
    assert np.all(result == level)
    exact = imresize(np.full((height, width), level / 255), scale, border)
    np.testing.assert_allclose(exact, level / 255, atol=1e-12)


@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([1 / 4, 1 / 2, 1, 2, 3, 4]), borders)
def test_mirrored_image_mirrored_result(height: int, width: int, scale: float, border: str):
    """A kernel half a pixel off its place moves every edge; the picture still looks right, and loses 2 dB."""
    step = max(1, round(1 / scale))  # sizes that the scale divides, or the last pixel reaches beyond the image
    image = photo(height * step, width * step, 3).astype(np.float64)
    result = imresize(image, scale, border)
    np.testing.assert_allclose(imresize(image[::-1], scale, border), result[::-1], atol=1e-9)
    np.testing.assert_allclose(imresize(image[:, ::-1], scale, border), result[:, ::-1], atol=1e-9)
    np.testing.assert_allclose(imresize(image.swapaxes(0, 1), scale, border), result.swapaxes(0, 1), atol=1e-9)


@given(st.integers(1, 12), st.integers(1, 12), scales, borders, st.floats(-3, 3))
def test_resizing_is_linear(height: int, width: int, scale: float, border: str, factor: float):
    """A clip or a rounding that slips into the float path spoils only the brightest and darkest pixels."""
    one, other = photo(height, width).astype(np.float64), photo(width, height).T.astype(np.float64)
    both = imresize(one + factor * other, scale, border)
    np.testing.assert_allclose(both, imresize(one, scale, border) + factor * imresize(other, scale, border), atol=1e-9)


@pytest.mark.parametrize("scale", [0, -4, float("nan"), float("inf"), "4", None, 1j])
def test_refuses_senseless_scales(scale: object):
    """A NaN scale otherwise ends deep inside NumPy with a message about integers."""
    with pytest.raises(ArgumentError, match="scale"):
        imresize(photo(8, 8, 3), scale)


def test_refuses_unknown_border():
    """A misspelt border must not quietly become the other one: the files differ by a pixel level here and there."""
    with pytest.raises(ArgumentError, match="mirror"):
        imresize(photo(8, 8), 2, border="mirror")


@pytest.mark.parametrize("resize", [lambda image: imresize(image, 2), lambda image: nearest(image, 2)])
def test_refuses_what_is_not_an_image(resize):
    """A batch, an int32 array or a list would be resized along the wrong axes or wrap around at 256."""
    for wrong in (photo(2, 8, 8, 3), photo(8), np.zeros((0, 8, 3), np.uint8)):
        with pytest.raises(ShapeError, match=r"\(H, W"):
            resize(wrong)
    for wrong in (photo(8, 8).astype(np.int32), photo(8, 8) > 9, photo(8, 8).astype(np.float16), [[1, 2]], Path()):
        with pytest.raises(DTypeError):
            resize(wrong)


def test_nearest_repeats_pixels():
    """Rows and columns swapped, or channels repeated, look alike on a square grey image."""
    image = photo(2, 3, 3)
    large = nearest(image, 4)
    assert large.shape == (8, 12, 3)
    for row, column in np.ndindex(8, 12):
        assert np.array_equal(large[row, column], image[row // 4, column // 4])
    for factor in (0, -1, 2.0, "2"):
        with pytest.raises(ArgumentError, match="factor"):
            nearest(image, factor)
