"""The generator against the numbers of the paper: parameters, sizes, arithmetic, and how far a pixel reaches."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, grad, models, nn, no_grad
from minisrgan.errors import ArgumentError, ShapeError


def photo(*shape: int) -> Tensor:
    """Random numbers in [0, 1]."""
    return Tensor(np.random.default_rng(0).random(shape, np.float32))


def test_parameter_count_of_the_paper():
    """A shared PReLU slope, a missing bias or an 18th block gives a network that loads no published weights."""
    assert models.Generator().parameter_count() == 1_550_659
    assert len(models.Generator(blocks=2, channels=2).blocks) == 2


@pytest.mark.parametrize("scale", [2, 4, 8])
@pytest.mark.parametrize("size", [(4, 4), (1, 1), (5, 3), (1, 7)])
def test_output_is_scale_times_as_large(scale: int, size: tuple[int, int]):
    """A padding that is off by one shows at odd sizes, or as a photograph a pixel too small."""
    model = models.Generator(scale, channels=2, blocks=1).eval()
    y = model(photo(2, *size, 3))
    assert y.shape == (2, scale * size[0], scale * size[1], 3)
    assert y.dtype == np.float32


def test_the_skip_over_all_blocks_is_there():
    """Without the long skip the generator trains, more slowly, and to a tenth of a decibel less."""
    model = models.Generator(2, channels=4, blocks=1)
    model.conv_middle.weight.data[...] = 0  # what the deep part gives is 0 then, after bn_middle too
    x = photo(1, 4, 4, 3)
    expected = model.conv_last(model.upsample(model.prelu_first(model.conv_first(x))))
    np.testing.assert_allclose(model(x).numpy(), expected.numpy(), atol=1e-6)


def test_a_residual_block_adds_its_input():
    """y = x + f(x), with nothing behind the addition: a PReLU there is the older ResNet."""
    block = models.Generator(2, channels=4, blocks=1).blocks[0]
    block.bn2.weight.data[...] = 0
    x = photo(1, 4, 4, 4) - 0.5
    np.testing.assert_array_equal(block(x).numpy(), x.numpy())


def test_the_output_is_not_bounded():
    """A tanh at the end is the habit of other GANs; published weights were trained without it."""
    model = models.Generator(2, channels=2, blocks=1)
    model.conv_last.bias.data[...] = (-3, 0, 3)
    model.conv_last.weight.data[...] = 0
    assert model(photo(1, 4, 4, 3)).numpy()[0, 0, 0].tolist() == [-3, 0, 3]


def reached(model: models.Generator, axis: int, position: int, length: int) -> list[int]:
    """Which low-resolution positions along an axis the output pixel at a position depends on."""
    shape = [1, 1, 1, 3]
    shape[axis] = length
    low = Tensor(np.random.default_rng(1).random(shape), requires_grad=True)
    pixel = [0, 0, 0, 0]
    pixel[axis] = position
    (grad_low,) = grad(model(low)[tuple(pixel)], low)
    others = tuple(i for i in range(4) if i != axis)
    return np.flatnonzero((grad_low.numpy() != 0).any(axis=others)).tolist()


RADII = [(4, 16, 39.5), (4, 8, 23.5), (4, 4, 15.5), (2, 4, 16), (8, 2, 11.25)]


@pytest.mark.parametrize(("scale", "blocks", "radius"), RADII)
@pytest.mark.parametrize("axis", [1, 2], ids=["rows", "columns"])
def test_receptive_radius(scale: int, blocks: int, radius: float, axis: int):
    """Tiles that overlap by less than the radius leave seams: the formula has to agree with the network.

    The pixels that one input pixel becomes reach unequally far to both sides: their windows average 2*radius + 1.
    """
    model = models.Generator(scale, channels=4, blocks=blocks).astype(np.float64).eval()
    assert model.receptive_radius == radius
    margin = math.ceil(radius) + 2
    windows = [reached(model, axis, scale * margin + phase, 2 * margin + 1) for phase in range(scale)]
    assert all(window == list(range(window[0], window[-1] + 1)) for window in windows)
    assert sum(len(window) for window in windows) / scale == 2 * radius + 1
    # What a tile has to overlap by, in whole pixels.
    assert max(max(margin - window[0], window[-1] - margin) for window in windows) == math.ceil(radius)


def multiply_adds(model: nn.Module, x: Tensor) -> int:
    """Count those of all convolutions in one forward pass."""
    total = 0

    def count(module: nn.Module, inputs: tuple[Any, ...], y: Tensor) -> None:
        nonlocal total
        kh, kw, channels, _ = module.weight.shape
        total += y.size * kh * kw * channels

    removers = [m.register_forward_hook(count) for _, m in model.named_modules() if isinstance(m, nn.Conv2d)]
    with no_grad():
        model(x)
    for remove in removers:
        remove()
    return total


def test_arithmetic_of_the_paper():
    """Blocks that run at the large size give the same shapes and parameters, and 16 times the work."""
    operations = multiply_adds(models.Generator().eval(), photo(1, 24, 24, 3))
    assert round(operations / 1e9, 2) == 1.28
    assert round(operations * (64 / 24) ** 2 / 1e9, 2) == 9.09


@pytest.mark.parametrize(
    ("shape", "expected", "fix"),
    [
        ((1, 3, 8, 8), "3 channels on its last axis", "looks like (N, C, H, W)"),
        ((8, 8, 3), "a batch of images (N, H, W, C)", "x[None]"),
        ((1, 8, 8, 4), "3 channels on its last axis", ""),
        ((0, 8, 8, 3), "at least one image", "empty"),
        ((8, 8), "a batch of images (N, H, W, C)", ""),
    ],
)
def test_what_is_not_a_batch_of_photographs(shape: tuple[int, ...], expected: str, fix: str):
    """The two mistakes that everybody makes are answered by name, not by a failing matrix product."""
    with pytest.raises(ShapeError) as caught:
        models.Generator(2, channels=2, blocks=1)(Tensor(np.zeros(shape, np.float32)))
    assert expected in caught.value.expected
    assert fix in caught.value.fix
    assert caught.value.path == "generator"


@pytest.mark.parametrize("scale", [0, 1, 3, 16, "4", 4.0, True, [4], None, np.array([2, 4])], ids=str)
def test_scales_that_there_are_not(scale: Any):
    """Scale 3 through bit_length would be 2, without a word."""
    with pytest.raises(ArgumentError, match="scale 2, 4 or 8"):
        models.Generator(scale)


def test_one_seed_one_model():
    """The first weights come from the generator that is passed in and from nothing else."""
    states = [models.Generator(2, 2, 1, rng=np.random.default_rng(s)).state_dict() for s in (3, 3, 4)]
    assert all((states[0][name] == states[1][name]).all() for name in states[0])
    assert (states[0]["conv_first.weight"] != states[2]["conv_first.weight"]).all()


@pytest.mark.parametrize("size", [-1, 4.0, "4", None, (4, 4)], ids=str)
@pytest.mark.parametrize(("name", "least"), [("channels", 1), ("blocks", 0)])
def test_sizes_that_there_are_not(name: str, least: int, size: Any):
    """-1 blocks would be none, without a word, and a fraction an error of NumPy. None at all is a small network."""
    for wrong in (size, least - 1):
        with pytest.raises(ArgumentError, match=f"{name} as an integer >= {least}"):
            models.Generator(2, **{"channels": 2, "blocks": 1, name: wrong})


def test_a_start_as_nearest_needs_three_channels():
    """The colours have no room in two, which an assignment to an index says in the words of NumPy."""
    with pytest.raises(ArgumentError, match=r'(?s)start "nearest".*channels as an integer >= 3.*start "random"'):
        models.Generator(2, channels=2, blocks=1).start_as_nearest()
    models.Generator(2, channels=3, blocks=1).start_as_nearest()
