"""Upscaling, whole and in tiles."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minisrgan.autograd import Tensor, no_grad
from minisrgan.errors import ArgumentError, ImageError
from minisrgan.inference import upscale
from minisrgan.inference.tiles import cut
from minisrgan.inference.upscale import enlarge_tile, upscale_bands
from minisrgan.models import Generator

ROOM = 10**9


def trained_looking(scale: int = 4, blocks: int = 2, channels: int = 6) -> Generator:
    """Return a generator in which every layer contributes to a picture within range."""
    rng = np.random.default_rng(0)
    generator = Generator(scale, channels=channels, blocks=blocks, rng=rng).start_as_nearest()
    for _, module in generator.named_modules():
        if hasattr(module, "running_var"):
            module.weight.data[...] = rng.uniform(0.1, 0.5, module.weight.shape)
            module.running_var[...] = rng.uniform(1, 3, module.running_var.shape)
    generator.conv_last.weight.data *= 0.5
    for layer in (*(stage.conv for stage in generator.upsample), generator.conv_last):
        layer.weight.data += rng.normal(0, 0.1 / channels, layer.weight.shape).astype(np.float32)  # not nearest alone
    return generator.eval()


def noise(height: int, width: int) -> np.ndarray:
    """Return an image in which every pixel matters."""
    return np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)


def plain(generator: Generator, image: np.ndarray) -> np.ndarray:
    """Return what the generator itself makes of an image, in [-1, 1]."""
    with no_grad():
        return generator(Tensor(image[None] / np.float32(255))).numpy()[0]


def assert_nearly_all_equal(image: np.ndarray, other: np.ndarray) -> None:
    """Allow one byte in 10,000 to be rounded the other way."""
    difference = np.abs(image.astype(int) - other)
    assert difference.max() <= 1
    assert difference.mean() < 1e-4


def computed(generator: Generator) -> tuple[list[tuple[int, int]], Callable[[], None]]:
    """Return a list that collects the sizes of what the first layer is given."""
    sizes: list[tuple[int, int]] = []
    generator.conv_first.register_forward_hook(lambda module, inputs, output: sizes.append(inputs[0].shape[1:3]))
    return sizes


@pytest.mark.parametrize(("tile", "margin"), [(3, 12), (7, 12), (16, 12), (30, 12), (16, 20), (500, 12)])
def test_tiles_leave_no_seams(tile: int, margin: int) -> None:
    """A margin one pixel short of the receptive field leaves a grid that is seen in skies."""
    generator, image = trained_looking(), noise(33, 41)
    whole = upscale(generator, image)
    assert len(np.unique(whole)) > 100  # neither black nor clipped
    np.testing.assert_array_equal(whole, ((plain(generator, image) + 1) * 127.5).round().clip(0, 255))
    assert_nearly_all_equal(upscale(generator, image, tile), whole)
    assert_nearly_all_equal(upscale(generator, image, tile, overlap=margin), whole)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (97, 3), (92, 85)])
@pytest.mark.parametrize(("scale", "channels"), [(4, 32), (2, 32), (8, 5)])
def test_tiled_equals_whole_before_rounding(height: int, width: int, scale: int, channels: int) -> None:
    """Rounding to bytes hides errors of half a level.

    With 32 channels the layers are Winograd's, in squares of 4x4 pixels that do not lie in a tile as in the whole
    image: rounding differs, and a value that lies on the edge between two bytes may fall to the other side.
    """
    generator, image = trained_looking(scale, channels=channels), noise(height, width)
    whole, margin = plain(generator, image), int(generator.receptive_radius + 0.5)
    tiled = np.full_like(whole, np.nan)
    for part in cut((slice(0, height), slice(0, width)), (44, 40)):
        rows, cols = (slice(s.start * scale, s.stop * scale) for s in part)
        tiled[rows, cols] = enlarge_tile(generator, image, part, margin, room=0)
    assert np.abs(tiled - whole).max() <= 1e-5
    assert_nearly_all_equal(upscale(generator, image, 40), upscale(generator, image))


def test_a_smaller_overlap_differs_and_is_quicker() -> None:
    """Seen from the other side: the tests above can fail, and --overlap is not ignored."""
    generator, image = trained_looking(), noise(33, 41).astype(np.uint16) * 257
    whole, sizes = upscale(generator, image), computed(generator)
    for overlap in (0, 3, 6):  # the receptive field is 11.5
        assert np.abs(upscale(generator, image, 16, overlap=overlap).astype(int) - whole).max() > 50  # of 65535
    assert max(sizes) <= (16 + 8 + 6, 16 + 8 + 6)


def test_the_last_layers_are_cut_without_seams() -> None:
    """Their tiles are small when memory is, and have a margin of their own: one pixel short, and stripes appear."""
    generator, image = trained_looking(), noise(94, 102)
    calls: list[tuple[int, ...]] = []
    generator.upsample.register_forward_hook(lambda module, inputs, output: calls.append(inputs[0].shape))
    everything = (slice(0, 94), slice(0, 102))
    whole = enlarge_tile(generator, image, everything, 0, ROOM)
    assert calls == [(1, 94, 102, 6)]
    np.testing.assert_allclose(enlarge_tile(generator, image, everything, 0, 0), whole, atol=1e-6)
    assert len(calls) >= 1 + 4


def test_large_images_are_cut_by_themselves() -> None:
    """Without a limit an 8K photograph would ask for more memory than there is."""
    generator, image = trained_looking(blocks=1, channels=32), noise(200, 190)
    whole = upscale(generator, image)
    sizes = computed(generator)
    assert_nearly_all_equal(upscale(generator, image, memory=42 * 10**6), whole)
    assert 2 <= len(sizes) <= 6
    assert sum(h * w for h, w in sizes) < 1.2 * 200 * 190


def test_a_memory_that_is_too_small_is_refused() -> None:
    """The result alone may be more than allowed; to begin all the same would end in the system's killing us."""
    with pytest.raises(ImageError, match=r"(?s)1\d MB of memory for a photograph of 400 x 300.*8 MB of memory"):
        upscale(trained_looking(), noise(300, 400), memory=8 * 10**6)


@pytest.mark.parametrize("size", [(300, 400), (2000, 300)])
def test_the_memory_that_is_expected_is_enough(size: tuple[int, int]) -> None:
    """Who gives what one error asks for should not be asked for more; "expected 14 MB, got 14 MB" helps nobody."""
    generator, image = trained_looking(), noise(*size)
    with pytest.raises(ImageError) as told:
        next(upscale_bands(generator, image, memory=10**6))
    needed = int(str(told.value).split("expected  ")[1].split(" MB")[0])
    with pytest.raises(ImageError, match=f"(?s)expected  {needed} MB.*got       {needed - 1} MB"):
        next(upscale_bands(generator, image, memory=(needed - 1) * 10**6))
    assert next(upscale_bands(generator, image, memory=needed * 10**6)).shape[1] == 4 * size[1]


class OutOfMemoryError(MemoryError):
    """Stands for CuPy's, which is derived from MemoryError as well."""


@pytest.mark.parametrize("error", [MemoryError, OutOfMemoryError])
@pytest.mark.parametrize(("layer", "tile"), [("conv_first", "auto"), ("conv_last", "auto"), ("conv_first", 50)])
def test_out_of_memory_halves_the_tile(
    error: type[Exception], layer: str, tile: int | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other programs take memory too; half an hour's work must not be lost to that, nor a tile left out."""
    generator, image = trained_looking(), noise(70, 90)
    whole, sizes, steps = upscale(generator, image), computed(generator), []
    module, most = getattr(generator, layer), 60 * 60
    forward, area = module.forward, 16 if layer == "conv_last" else 1

    def limited(x: Tensor) -> Tensor:
        if x.shape[1] * x.shape[2] > most * area:
            raise error("no more")
        return forward(x)

    monkeypatch.setattr(module, "forward", limited)
    result = upscale(generator, image, tile, progress=lambda *step: steps.append(step))
    assert_nearly_all_equal(result, whole)
    assert max(h * w for h, w in sizes[2:]) <= most
    assert steps[-1] == (70 * 90, 70 * 90)
    assert steps.count(steps[-1]) == 1


def test_out_of_memory_for_the_smallest_tile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Halved forever, the loop would never end; and a bare MemoryError says nothing."""
    generator, tried = trained_looking(), []

    def fail(x: Tensor) -> Tensor:
        tried.append(x.shape)
        raise MemoryError

    monkeypatch.setattr(generator.conv_first, "forward", fail)
    with pytest.raises(ImageError, match=r"(?s)MB of memory for a tile of 18 x 18 pixels and 12 around.*MINISRGAN_THR"):
        upscale(generator, noise(90, 70))
    assert len(tried) == 4  # 90, 45, 22, 18


def test_progress_rises_to_the_end() -> None:
    """A bar that jumps back or stops at 97 % is worse than none."""
    generator, steps = trained_looking(), []
    for ensemble in (False, True):
        steps.clear()
        upscale(generator, noise(33, 41), 16, ensemble=ensemble, progress=lambda *step: steps.append(step))
        done = [step[0] for step in steps]
        assert len(done) >= 9 * 3
        assert done == sorted(done)
        assert steps[-1] == (33 * 41, 33 * 41)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (5, 2)])
@pytest.mark.parametrize("scale", [2, 4, 8])
def test_any_size(height: int, width: int, scale: int) -> None:
    """A 9x9 kernel is larger than these images."""
    large = upscale(trained_looking(scale), noise(height, width))
    assert large.shape == (scale * height, scale * width, 3)
    assert large.dtype == np.uint8


def test_grey_and_16_bits() -> None:
    """Rounded to bytes on the way, 16 bits come out in 256 steps; grey as one channel of three comes out tinted."""
    generator, image = trained_looking(), noise(40, 48)
    whole = plain(generator, image[..., :1].repeat(3, axis=2)).astype(np.float64)
    grey = upscale(generator, image[..., :1])
    np.testing.assert_array_equal(grey[..., 0], ((whole.mean(axis=2) + 1) * 127.5).round().clip(0, 255))
    deep = upscale(generator, image[..., :1].astype(np.uint16) * 257)
    assert deep.dtype == np.uint16
    expected = ((whole.mean(axis=2) + 1) * 32767.5).clip(0, 65535)
    np.testing.assert_allclose(deep[..., 0], expected, atol=0.6)  # half a level for rounding
    assert len(np.unique(deep)) > 1000


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
    for tile in (0, "small", 2.5):
        with pytest.raises(ArgumentError, match="tile >= 1"):
            upscale(generator, noise(4, 4), tile=tile)
    with pytest.raises(ArgumentError, match="overlap >= 0"):
        upscale(generator, noise(4, 4), overlap=-1)


MEASURE = """
import re, sys
from pathlib import Path
import numpy as np
from minisrgan.inference import upscale
from minisrgan.models import Generator

def peak():  # not getrusage: that counts what the process was before it began to run this program
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024

scale, height, width, memory, ensemble = map(int, sys.argv[1:])
generator = Generator(scale, channels=64, blocks=1)
image = np.full((height, width, 3), 99, np.uint8)
before = peak()
upscale(generator, image, memory=memory, ensemble=bool(ensemble))
print(peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells the peak of a process there")
@pytest.mark.parametrize(
    ("scale", "height", "width", "memory", "ensemble"),
    [(4, 200, 260, 150, 0), (2, 300, 500, 100, 0), (4, 120, 110, 150, 1)],
)
def test_peak_memory_stays_within_the_budget(scale: int, height: int, width: int, memory: int, ensemble: int) -> None:
    """What --memory promises, measured from outside: estimates that leave out an array end in a killed process.

    All at once, the first takes 550 MB in its last layers, the second 200 MB in its first ones.
    """
    words = [sys.executable, "-c", MEASURE, *map(str, (scale, height, width, memory * 10**6, ensemble))]
    root = Path(__file__).resolve().parents[2]
    environment = os.environ | {"MINISRGAN_THREADS": "2"}
    found = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, check=True)
    assert 0.4 * memory * 10**6 < int(found.stdout) <= memory * 10**6
