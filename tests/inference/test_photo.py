"""Photographs with all that belongs to them."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageCms

from minisrgan.errors import ArgumentError, ImageError
from minisrgan.images import imresize, read_photo, write_photo
from minisrgan.images.photo import write_bands
from minisrgan.images.pixels import Photo, continue_colours
from minisrgan.inference import photo_bands, upscale, upscale_photo
from minisrgan.models import Generator
from tests.inference.test_upscale import noise, trained_looking


def test_what_belongs_to_a_photograph_is_passed_on() -> None:
    """Transparency that is lost or stretched by pixels turns a logo into a box."""
    generator, image = trained_looking(), noise(12, 15)
    alpha = image[..., 1].copy()
    large = upscale_photo(generator, Photo(image, alpha, b"profile", b"Exif"))
    np.testing.assert_array_equal(large.pixels, upscale(generator, image))
    np.testing.assert_array_equal(large.alpha, imresize(alpha, 4))
    assert (large.icc_profile, large.exif) == (b"profile", b"Exif")


def test_16_bits_stay_16_bits() -> None:
    """Through imresize of bytes, or rounded to them, a gradient would show bands."""
    levels = (noise(12, 15)[..., :1].astype(np.uint16)) * 257
    large = upscale_photo(trained_looking(), Photo(levels, levels[..., 0]), 3)
    assert (large.pixels.shape, large.pixels.dtype) == ((36, 45, 1), np.uint16)
    assert (large.alpha.shape, large.alpha.dtype) == ((36, 45), np.uint16)
    for plane in (large.pixels, large.alpha):
        assert len(np.unique(plane)) > 1000
    expected = imresize(levels[..., 0].astype(np.float64), 3).clip(0, 65535)
    np.testing.assert_allclose(large.alpha, expected, atol=0.6)


def test_pages_are_enlarged_too() -> None:
    """Each by itself, in its own size and bits, and the progress bar counts all."""
    generator, image, steps = trained_looking(2), noise(12, 15), list[tuple[int, int]]()
    second, third = Photo(image[:7].astype(np.uint16) * 257, info={"duration": 70}), Photo(image[..., :1])
    large = upscale_photo(generator, Photo(image, more=(second, third)), progress=lambda *step: steps.append(step))
    for one, page in zip([large, *large.more], [Photo(image), second, third], strict=True):
        np.testing.assert_array_equal(one.pixels, upscale(generator, page.pixels))
        assert one.info == page.info
    assert steps == sorted(steps)
    assert steps[-1] == (12 * 15 * 2 + 7 * 15,) * 2


def test_colours_under_transparency_do_not_matter() -> None:
    """Black there became a dark ring around a drawing; what is visible keeps its colours, down to the faintest."""
    generator, image, alpha = trained_looking(2), noise(16, 16), np.zeros((16, 16), np.uint8)
    alpha[5:11, 4:9], alpha[3, 3] = 255, 1
    hidden = np.where(alpha[..., None] > 0, image, 0).astype(np.uint8)
    large, other = (upscale_photo(generator, Photo(pixels, alpha)) for pixels in (image, hidden))
    np.testing.assert_array_equal(large.pixels, other.pixels)
    filled = continue_colours(image, alpha)
    np.testing.assert_array_equal(filled[alpha > 0], image[alpha > 0])
    np.testing.assert_array_equal(filled[6, 9], image[6:8, 8:9].mean(axis=(0, 1)).round())  # the others are not visible
    np.testing.assert_array_equal(filled[0, 0], image[3, 3])
    np.testing.assert_array_equal(continue_colours(image, 0 * alpha), image)
    deep = continue_colours(image.astype(np.uint16) * 257, alpha)
    assert (deep.dtype, np.abs(deep / 257 - filled).max() <= 0.5) == (np.uint16, True)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("factor", [1, 1.5, 2, 3, 4, 5.3])
def test_any_factor(scale: int, factor: float) -> None:
    """One run too few and bicubic invents the rest; one too many takes 16 times as long."""
    generator, image = trained_looking(scale, blocks=1), noise(7, 9)
    runs, steps = [], []
    generator.conv_first.register_forward_hook(lambda module, inputs, output: runs.append(inputs[0].shape))
    alpha = image[..., 0].copy()
    large = upscale_photo(generator, Photo(image, alpha), factor, progress=lambda *step: steps.append(step))
    assert large.pixels.shape[:2] == large.alpha.shape == (np.ceil(7 * factor), np.ceil(9 * factor))
    assert len(runs) == {2: {1: 1, 1.5: 1, 2: 1, 3: 2, 4: 2, 5.3: 3}, 4: {5.3: 2}}[scale].get(factor, 1)
    assert steps == sorted(steps)
    assert steps[-1][0] == steps[-1][1] == 63 * sum(scale ** (2 * n) for n in range(len(runs)))
    if factor == scale**2:
        np.testing.assert_array_equal(large.pixels, upscale(generator, upscale(generator, image)))
    if factor == scale / 2:
        np.testing.assert_array_equal(large.pixels, imresize(upscale(generator, image), 0.5))


def test_a_factor_below_1_is_refused() -> None:
    """imresize alone shrinks; a generator has nothing to add."""
    for factor in (0.5, 0, -2, float("nan"), float("inf")):
        with pytest.raises(ArgumentError, match="a factor from 1 on"):
            upscale_photo(trained_looking(), Photo(noise(3, 3)), factor)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(("dtype", "channels", "clear"), [("uint8", 3, False), ("uint8", 1, True), ("uint16", 3, True),
                                                          ("uint16", 1, False)])  # fmt: skip
def test_bands_are_the_whole(tmp_path: Path, suffix: str, dtype: str, channels: int, clear: bool) -> None:
    """Pixels, transparency, profile and resolution are those of the result that is computed and written at once."""
    rng, white = np.random.default_rng(0), np.iinfo(dtype).max
    levels = rng.integers(0, white, (45, 20, channels + 1)).astype(dtype)
    levels[10:20, :, -1] = 0
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes() if channels == 3 else None
    photo = Photo(levels[..., :-1], levels[..., -1] if clear else None, profile, info={"dpi": (300, 200)})
    generator = trained_looking()
    write_photo(tmp_path / f"whole{suffix}", upscale_photo(generator, photo))
    bands = list(photo_bands(generator, photo, tile=16))
    assert [len(band.pixels) for band in bands] == [64, 64, 52]
    assert write_bands(tmp_path / f"bands{suffix}", iter(bands), (180, 80)) == (180, 80)
    whole, joined = (read_photo(tmp_path / f"{name}{suffix}") for name in ("whole", "bands"))
    assert joined.pixels.dtype == whole.pixels.dtype
    assert np.abs(joined.pixels.astype(int) - whole.pixels).max() <= (1 if dtype == "uint8" else 3)
    assert (joined.alpha is None) == (whole.alpha is None) == (not clear)
    assert not clear or np.abs(joined.alpha.astype(int) - whole.alpha).max() <= (dtype == "uint16")
    assert (joined.icc_profile, joined.info) == (whole.icc_profile, whole.info)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_memory_does_not_grow_with_the_height(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second result is twenty times as high, and not in memory as a whole."""
    peaks = []

    def enlarged(generator: Generator, image: np.ndarray, part: tuple[slice, slice], *_: object) -> np.ndarray:
        return np.zeros([4 * (side.stop - side.start) for side in part] + [3], np.float32)

    monkeypatch.setattr(sys.modules["minisrgan.inference.upscale"], "enlarge_tile", enlarged)
    for height in (100, 2000):
        photo = Photo(np.zeros((height, 50, 3), np.uint8))
        tracemalloc.start()
        bands = photo_bands(Generator(4, channels=4, blocks=1), photo, tile=25)
        write_bands(tmp_path / f"a{suffix}", bands, (4 * height, 200))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] < 8000 * 200 * 3 / 2  # half of the result


def test_a_factor_beyond_the_memory_is_refused_at_once() -> None:
    """With 1e9 the generator ran and ran, on larger and larger pictures."""
    with pytest.raises(ImageError, match="before it is shrunk"):
        upscale_photo(Generator(4, channels=4, blocks=1), Photo(noise(30, 30)), 1e9)
