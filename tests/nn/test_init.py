"""First weights: their spread, and what icnr makes of a pixel shuffle."""

from __future__ import annotations

import numpy as np
import pytest

from minisrgan import Tensor, nn, ops
from minisrgan.models.generator import Upsample


@pytest.mark.parametrize("slope", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("shape", [(3, 3, 32, 64), (500, 100)])
def test_he_normal_spread(shape: tuple[int, ...], slope: float):
    """fan_out in place of fan_in, or a std for a variance, shrinks or blows up the signal a little in every layer."""
    weight = nn.he_normal(shape, np.random.default_rng(0), slope)
    fan_in = weight.size // shape[-1]
    variance = 2 / ((1 + slope**2) * fan_in)
    assert weight.dtype == np.float32
    # The mean of n draws is off by std / sqrt(n), their variance by sqrt(2 / n) of itself.
    assert abs(float(weight.mean())) < 5 * (variance / weight.size) ** 0.5
    assert float(weight.var()) == pytest.approx(variance, rel=5 * (2 / weight.size) ** 0.5)
    assert float((np.abs(weight) > 2 * variance**0.5).mean()) == pytest.approx(0.0455, abs=0.01)  # normal, not uniform


def test_he_normal_keeps_the_signal_through_layers():
    """Ten layers of a weight that is 20 % too small lose nine tenths of the signal."""
    rng = np.random.default_rng(0)
    x = Tensor(rng.standard_normal((200, 200), np.float32))
    for _ in range(10):
        x = ops.relu(x @ Tensor(nn.he_normal((200, 200), rng)))
    assert 0.5 < float((x.numpy() ** 2).mean()) < 2


def test_the_generator_object_decides():
    """Layers that draw from NumPy's global state cannot be repeated, and two layers from one seed would be equal."""
    first, second = (nn.Conv2d(3, 4, 3, rng=np.random.default_rng(7)).weight.numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)
    rng = np.random.default_rng(7)
    assert (nn.Conv2d(3, 4, 3, rng=rng).weight.numpy() != nn.Conv2d(3, 4, 3, rng=rng).weight.numpy()).any()


def test_icnr_is_he_normal_in_groups():
    """Copies that are spread over the wrong channels (0, c, 2c ...) leave the checkerboard where it was."""
    weight = nn.icnr((3, 3, 16, 64), np.random.default_rng(0), factor=2)
    groups = weight.reshape(3, 3, 16, 16, 4)  # (kh, kw, in, c, r*r)
    assert weight.dtype == np.float32
    assert (groups == groups[..., :1]).all()
    assert len(np.unique(groups[0, 0, 0, :, 0])) == 16
    assert float(weight.var()) == pytest.approx(2 / 144, rel=0.15)


def test_an_upsampling_starts_as_nearest_neighbour():
    """The checkerboard of a fresh pixel shuffle takes thousands of steps to train away."""
    layer = Upsample(3, np.random.default_rng(0))
    y = layer(Tensor(np.random.default_rng(1).random((1, 4, 5, 3), np.float32))).numpy()
    np.testing.assert_array_equal(y, y[:, ::2, ::2].repeat(2, axis=1).repeat(2, axis=2))
    assert len(np.unique(y)) > 30
