"""Layers: that they pass their settings on to the operations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, nn, ops
from minisrgan.errors import ArgumentError, MinisrganError


@pytest.fixture
def x() -> Tensor:
    """Two pictures of 5 x 6 pixels and 4 channels."""
    return Tensor(np.random.default_rng(0).standard_normal((2, 5, 6, 4), np.float32))


def test_conv_passes_stride_padding_and_bias(x: Tensor):
    """A stride that stays at 1 only shows in the discriminator, as a dense layer that does not fit."""
    layer = nn.Conv2d(4, 3, 3, stride=2, padding=1, rng=np.random.default_rng(0))
    layer.bias.data[...] = (1, 2, 3)
    expected = ops.conv2d(x, layer.weight, stride=2, padding=1).numpy() + np.array([1, 2, 3], np.float32)
    np.testing.assert_allclose(layer(x).numpy(), expected, rtol=1e-5, atol=1e-5)
    bare = nn.Conv2d(4, 3, 3, bias=False, rng=np.random.default_rng(0))
    assert list(bare.state_dict()) == ["weight"]
    assert bare(x).shape == (2, 3, 4, 3)


def test_batch_norm_passes_momentum_and_eps(x: Tensor):
    """Running statistics that move ten times too slowly are still those of the random start when training ends."""
    layer = nn.BatchNorm2d(4, momentum=0.5, eps=0.1)
    y = layer(x).numpy()
    mean, var = x.numpy().mean(axis=(0, 1, 2)), x.numpy().var(axis=(0, 1, 2))
    np.testing.assert_allclose(y, (x.numpy() - mean) / np.sqrt(var + 0.1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.running_mean, 0.5 * mean, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(layer.running_var, 0.5 + 0.5 * var * 60 / 59, rtol=1e-5)
    y = layer.eval()(x).numpy()
    np.testing.assert_allclose(y, (x.numpy() - layer.running_mean) / np.sqrt(layer.running_var + 0.1), rtol=1e-4)


def test_activations_pass_their_slopes(x: Tensor):
    """A slope that is ignored is a plain ReLU, and dies like one."""
    array = x.numpy()
    np.testing.assert_allclose(nn.LeakyReLU(0.3)(x).numpy(), np.where(array > 0, array, np.float32(0.3) * array))
    layer = nn.PReLU(4, slope=0.1)
    layer.weight.data[1] = 3
    slope = np.array([0.1, 3, 0.1, 0.1], np.float32)
    np.testing.assert_allclose(layer(x).numpy(), np.where(array > 0, array, slope * array), rtol=1e-6)
    assert nn.PReLU().weight.numpy().tolist() == [0.25]
    np.testing.assert_array_equal(nn.ReLU()(x).numpy(), np.maximum(array, 0))


def test_shuffle_pool_flatten_and_linear(x: Tensor):
    """Flattened in (C, H, W) order, dense weights saved elsewhere would load and mean nothing."""
    assert nn.PixelShuffle(2)(x).shape == (2, 10, 12, 1)
    assert nn.MaxPool2d(3)(x).shape == (2, 1, 2, 4)
    flat = nn.Flatten()(x)
    np.testing.assert_array_equal(flat.numpy()[1, :8], x.numpy()[1, 0, :2].ravel())
    layer = nn.Linear(120, 2, rng=np.random.default_rng(0))
    layer.bias.data[...] = (5, -5)
    expected = flat.numpy() @ layer.weight.numpy() + np.array([5, -5], np.float32)
    np.testing.assert_allclose(layer(flat).numpy(), expected, rtol=1e-5)


def test_sequential_is_a_list():
    """Walked in another order than it was given, block 10 would come before block 2."""
    layers = [nn.LeakyReLU(i / 10) for i in range(12)]
    net = nn.Sequential(*layers)
    assert list(net) == layers
    assert len(net) == 12
    assert net[10] is layers[10]
    assert net[-1] is layers[-1]
    y = net(Tensor([-1.0])).item()
    assert y == 0  # the first slope is 0


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: nn.PReLU(0.1), "PReLU.*channels as an integer >= 1.*0.1"),
        (lambda: nn.PReLU(-1), "channels as an integer >= 1"),
        (lambda: nn.PReLU(0), "channels as an integer >= 1"),
        (lambda: nn.PReLU(2, "0.1"), "slope as a number"),
        (lambda: nn.BatchNorm2d(64.0), "BatchNorm2d.*channels as an integer.*write it without a fraction: 64"),
        (lambda: nn.BatchNorm2d((2, 3)), "channels as an integer"),
        (lambda: nn.BatchNorm2d(True), "channels as an integer"),
        (lambda: nn.BatchNorm2d(2, momentum=5.0), "momentum >= 0 and <= 1"),
        (lambda: nn.BatchNorm2d(2, momentum=math.nan), "momentum >= 0 and <= 1"),
        (lambda: nn.BatchNorm2d(2, momentum=None), "momentum as a number"),
        (lambda: nn.BatchNorm2d(2, eps=-10.0), "eps >= 0, finite"),
        (lambda: nn.BatchNorm2d(2, eps=math.nan), "eps >= 0, finite"),
        (lambda: nn.BatchNorm2d(2, eps=np.ones(2)), "eps as a number"),
        (lambda: nn.LeakyReLU(math.nan), "negative_slope >= 0, finite"),
        (lambda: nn.LeakyReLU(-0.2), "negative_slope >= 0, finite"),
        (lambda: nn.LeakyReLU("0.2"), "negative_slope as a number"),
    ],
)
def test_settings_out_of_range_are_refused_where_a_layer_is_made(make: Callable[[], Any], words: str):
    """Momentum 5 makes variances negative, and the first NaN appears in another layer, hours later."""
    with pytest.raises(ArgumentError, match=f"(?s){words}"):
        make()


def test_settings_at_the_ends_of_their_ranges(x: Tensor):
    """Momentum 1 takes the last batch alone, 0 changes nothing; an eps may come as a 0-d array."""
    layer = nn.BatchNorm2d(4, momentum=1, eps=np.array(0.5))  # type: ignore[arg-type]
    layer(x)
    np.testing.assert_allclose(layer.running_mean, x.numpy().mean((0, 1, 2)), rtol=1e-4, atol=1e-6)
    assert layer.eps == 0.5
    assert isinstance(layer.eps, float)
    nn.BatchNorm2d(4, momentum=0, eps=0)(x)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: nn.Conv2d(3, 2, 3, stride=0), "stride as an integer >= 1"),
        (lambda: nn.Conv2d(3, 2, 3, stride=(1, 2, 3)), "stride as a tuple of 2"),
        (lambda: nn.Conv2d(3, 2, 3, padding=-1), "padding as an integer >= 0"),
        (lambda: nn.Conv2d(3, 2, 3, padding="valid"), '"same" at stride 1'),
        (lambda: nn.Conv2d(3, 2, 3, padding="same", stride=2), '"same" at stride 1'),
        (lambda: nn.PixelShuffle(2.0), "factor as an integer >= 1"),
        (lambda: nn.MaxPool2d((2, 2)), "size as an integer >= 1"),
        (lambda: nn.MaxPool2d(2, 0), "stride as an integer >= 1"),
        (lambda: nn.PReLU(slope=math.nan), "slope >= -3.4"),
        (lambda: nn.PReLU(slope=1e300), "slope >= -3.4"),
        (lambda: nn.PReLU(slope=True), "slope as a number"),
        (lambda: nn.he_normal((3, 3), None, math.nan), "slope >= 0"),
        (lambda: nn.icnr((3, 3, 1, 4), None, 0), "factor as an integer >= 1"),
        (lambda: nn.icnr((3, 3, 1, 5), None, 2), r"a multiple of 2\*2 channels"),
    ],
)
def test_a_setting_is_refused_where_the_layer_is_made(make: Callable[[], Any], expected: str):
    """At the first call, the line that is wrong is far away; five channels for a pixel shuffle became four."""
    with pytest.raises(MinisrganError, match=expected):
        make()
