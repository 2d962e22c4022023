"""The discriminator against fig. 4 of the paper."""

from __future__ import annotations

import numpy as np
import pytest

from minisrgan import Tensor, models, nn
from minisrgan.errors import ArgumentError, ShapeError


def test_parameter_count_of_the_paper():
    """A bias too many, or a dense layer for another crop, and published numbers do not compare."""
    model = models.Discriminator()
    assert model.parameter_count() == 23_565_505
    dense = sum(p.size for p in model.head.parameters())
    assert round(dense / model.parameter_count(), 2) == 0.8


def test_layers_of_the_figure():
    """A batch norm on the first layer, or strides in another order, is a network with about as many parameters."""
    model = models.Discriminator(crop=16, channels=2)
    layers = list(model.features)
    convs = [layer for layer in layers if isinstance(layer, nn.Conv2d)]
    assert [(c.weight.shape[3] // 2, c.stride) for c in convs] == [
        (1, 1), (1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2),
    ]  # fmt: skip
    assert [type(layer).__name__ for layer in layers[:5]] == [
        "Conv2d", "LeakyReLU", "Conv2d", "BatchNorm2d", "LeakyReLU",
    ]  # fmt: skip
    slopes = [layer.negative_slope for layer in (*layers, *model.head) if isinstance(layer, nn.LeakyReLU)]
    assert slopes == [0.2] * 9


@pytest.mark.parametrize("crop", [16, 17, 24, 31, 40])
def test_crops_of_every_size(crop: int):
    """A side that is halved by rounding down while the convolution rounds up does not fit the dense layer."""
    model = models.Discriminator(crop, channels=2)
    y = model(Tensor(np.random.default_rng(0).random((2, crop, crop, 3), np.float32)))
    assert y.shape == (2, 1)


def test_logits_are_not_probabilities():
    """A sigmoid at the end of D and softplus in the loss is a sigmoid too many: D's gradient all but vanishes."""
    model = models.Discriminator(crop=16, channels=2)
    model.head[3].bias.data[...] = -7
    model.head[3].weight.data[...] = 0
    assert model(Tensor(np.zeros((2, 16, 16, 3), np.float32))).numpy().tolist() == [[-7], [-7]]


@pytest.mark.parametrize("shape", [(1, 24, 24, 3), (1, 16, 17, 3), (1, 16, 16, 1), (1, 3, 16, 16)])
def test_crops_of_another_size_are_refused(shape: tuple[int, ...]):
    """Otherwise the dense layer complains of thousands of inputs that nobody can place."""
    model = models.Discriminator(crop=16, channels=2)
    with pytest.raises(ShapeError, match=r"crops \(N, 16, 16, 3\)") as caught:
        model(Tensor(np.zeros(shape, np.float32)))
    assert f"crop={shape[1]}" in caught.value.fix
    with pytest.raises(ShapeError, match=r"batch axis: x\[None\]"):
        model(Tensor(np.zeros((16, 16, 3), np.float32)))


def test_a_crop_too_small_to_halve_four_times():
    """A 8 x 8 crop would leave one pixel, and batch norm little to normalise."""
    with pytest.raises(ArgumentError, match="crop as an integer >= 16: it is halved four times"):
        models.Discriminator(crop=15)


@pytest.mark.parametrize("size", [-1, 0, 96.0, "96", None], ids=str)
@pytest.mark.parametrize("name", ["crop", "channels"])
def test_sizes_that_there_are_not(name: str, size: object):
    """'<' not supported between instances of 'str' and 'int' names no argument."""
    with pytest.raises(ArgumentError, match=f"{name} as an integer >= 1"):
        models.Discriminator(**{name: size})  # type: ignore[arg-type]
