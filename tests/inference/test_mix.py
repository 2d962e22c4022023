"""Eight views of an image, and two networks in one."""

from __future__ import annotations

import numpy as np
import pytest

from minisrgan.errors import ArgumentError, WeightsError
from minisrgan.images import nearest
from minisrgan.inference import blend, self_ensemble, upscale
from minisrgan.inference.upscale import enlarge_tile
from minisrgan.models import Generator
from tests.inference.test_upscale import ROOM, noise, plain, trained_looking


@pytest.mark.parametrize("size", [(6, 6), (5, 9), (1, 4)])
def test_each_view_is_turned_back_exactly(size: tuple[int, int]) -> None:
    """A view turned the wrong way back blurs the picture, which on a square one looks like a result."""
    views = []

    def enlarge(view: np.ndarray, margins: object) -> np.ndarray:
        views.append(view.tobytes() + bytes(view.shape))
        return nearest(np.ascontiguousarray(view), 2)

    image = np.random.default_rng(0).integers(0, 1000, (*size, 3)).astype(np.float32)
    np.testing.assert_array_equal(self_ensemble(enlarge, image), nearest(image, 2))
    assert len(views) == 8
    assert len(set(views)) == (8 if min(size) > 1 else 4)


@pytest.mark.parametrize("size", [(12, 12), (10, 17)])
def test_margins_turn_with_the_view(size: tuple[int, int]) -> None:
    """Cut off at the wrong side, tiles of an ensemble would be shifted."""
    image = np.random.default_rng(0).random((*size, 3)).astype(np.float32)

    def enlarge(view: np.ndarray, margins: tuple[tuple[int, int], tuple[int, int]]) -> np.ndarray:
        (top, bottom), (left, right) = margins
        return view[top : len(view) - bottom, left : view.shape[1] - right]

    np.testing.assert_allclose(self_ensemble(enlarge, image, ((1, 2), (3, 4))), image[1:-2, 3:-4], rtol=1e-6)


@pytest.mark.parametrize("size", [(21, 21), (19, 30)])
def test_an_ensemble_is_the_mean_of_eight_results(size: tuple[int, int]) -> None:
    """With the views only of one half, or rounded before the mean, turning the photograph would change the result."""
    generator, image = trained_looking(), noise(*size)
    results = []
    for flip in (1, -1):
        for turns in range(4):
            large = np.rot90(plain(generator, np.ascontiguousarray(np.rot90(image[:, ::flip], turns))), -turns)
            results.append(large[:, ::flip])
    everything = (slice(0, size[0]), slice(0, size[1]))
    mean = enlarge_tile(generator, image, everything, 0, ROOM, ensemble=True)
    np.testing.assert_allclose(mean, np.mean(results, axis=0), atol=1e-6)
    assert np.abs(mean - results[0]).max() > 0.01
    whole = upscale(generator, image, ensemble=True)
    turned = np.rot90(upscale(generator, np.rot90(image), ensemble=True), -1)
    assert np.abs(turned.astype(int) - whole).max() <= 1  # the same sums in another order, then rounded
    assert np.abs(upscale(generator, image, 8, ensemble=True).astype(int) - whole).max() <= 1


def test_blend_is_a_straight_line_between_the_weights() -> None:
    """With the running statistics left out, the middle of two networks is noise."""
    first, second = trained_looking(), Generator(4, channels=6, blocks=2, rng=np.random.default_rng(3))
    a, b = first.state_dict(), second.state_dict()
    for ratio in (0, 0.25, 1):
        mixed = blend(a, b, ratio)
        assert mixed.keys() == a.keys()
        assert "blocks.0.bn1.running_var" in mixed
        for name, array in mixed.items():
            assert array.dtype == np.float32
            np.testing.assert_allclose(array, a[name] + ratio * (b[name] - a[name]), rtol=1e-5, atol=1e-6)
    second.load_state_dict(blend(a, b, 0))
    np.testing.assert_array_equal(upscale(first, noise(9, 9)), upscale(second, noise(9, 9)))


def test_networks_that_do_not_match_are_not_blended() -> None:
    """Numbers of layers that mean other things, added up, are nothing."""
    state = Generator(4, channels=6, blocks=2).state_dict()
    for other, named in {
        Generator(4, channels=6, blocks=3): "blocks.2.bn1.bias: none and (6,)",
        Generator(2, channels=6, blocks=2): "upsample.1.conv.bias: (24,) and none",
        Generator(4, channels=8, blocks=2): "(6,) and (8,)",
    }.items():
        with pytest.raises(WeightsError, match="one architecture") as error:
            blend(state, other.state_dict(), 0.5)
        assert named in str(error.value)
    for ratio in (-0.1, 1.1, float("nan")):
        with pytest.raises(ArgumentError, match="from 0 to 1"):
            blend(state, state, ratio)
