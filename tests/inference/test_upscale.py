"""Upscaling, whole and in tiles."""

from __future__ import annotations

import numpy as np
import pytest

from minisrgan.errors import ArgumentError, ImageError
from minisrgan.inference import upscale
from minisrgan.models import Generator


def trained_looking(scale: int = 4, blocks: int = 2) -> Generator:
    """Return a generator in which every layer contributes to a picture within range."""
    rng = np.random.default_rng(0)
    generator = Generator(scale, channels=6, blocks=blocks, rng=rng).start_as_nearest()
    for _, module in generator.named_modules():
        if hasattr(module, "running_var"):
            module.weight.data[...] = rng.uniform(0.1, 0.5, module.weight.shape)
            module.running_var[...] = rng.uniform(1, 3, module.running_var.shape)
    generator.conv_last.weight.data *= 0.5
    return generator


def noise(height: int, width: int) -> np.ndarray:
    """Return an image in which every pixel matters."""
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("tile", [1, 7, 16, 30])
def test_tiles_leave_no_seams(tile: int) -> None:
    """A margin one pixel short of the receptive field leaves a grid that is seen in skies."""
    generator, image = trained_looking(), noise(33, 41)
    whole = upscale(generator, image)
    assert len(np.unique(whole)) > 100  # neither black nor clipped
    np.testing.assert_array_equal(upscale(generator, image, tile), whole)


def test_a_shorter_margin_would_show() -> None:
    """Seen from the other side: the test above can fail."""
    generator, image = trained_looking(), noise(33, 41)
    whole = upscale(generator, image)
    real = type(generator).receptive_radius
    try:
        type(generator).receptive_radius = property(lambda self: 3.0)
        assert (upscale(generator, image, 7) != whole).any()
    finally:
        type(generator).receptive_radius = real


def test_large_images_are_cut_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a limit an 8K photograph would ask for more memory than there is."""
    generator, image = trained_looking(blocks=1), noise(100, 90)
    whole = upscale(generator, image)
    sizes = []
    generator.register_forward_hook(lambda module, inputs, output: sizes.append(inputs[0].shape[1:3]))
    bytes_a_pixel = 4 * 4 * 6 * 16
    monkeypatch.setitem(upscale.__globals__, "_MEMORY", bytes_a_pixel * 2000)
    np.testing.assert_array_equal(upscale(generator, image), whole)
    assert len(sizes) == 4


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (5, 2)])
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_any_size(height: int, width: int, scale: int) -> None:
    """A 9x9 kernel is larger than these images."""
    large = upscale(trained_looking(scale), noise(height, width))
    assert large.shape == (scale * height, scale * width, 3)
    assert large.dtype == np.uint8


def test_the_mode_of_the_generator_is_left_as_it_was() -> None:
    """Upscaling a validation photo in the middle of training must neither end training mode nor touch statistics."""
    generator = trained_looking().train()
    before = generator.bn_middle.running_mean.copy()
    upscale(generator, noise(5, 5))
    assert all(module.training for _, module in generator.named_modules())
    assert (generator.bn_middle.running_mean == before).all()


def test_what_is_no_photo_is_refused() -> None:
    """Floats in [0, 1] taken for bytes would give a black picture."""
    generator = trained_looking()
    for wrong in (np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8), "photo.png"):
        with pytest.raises(ImageError, match="uint8 RGB"):
            upscale(generator, wrong)
    with pytest.raises(ArgumentError, match="tile >= 1"):
        upscale(generator, noise(4, 4), tile=0)
