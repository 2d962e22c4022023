"""SRResNet as others trained it: the same architecture gives the paper's figures, with weights that are not ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minisrgan import Tensor, no_grad
from minisrgan.cli.main import main
from minisrgan.inference import upscale
from minisrgan.inference.fold import folded
from minisrgan.models import Generator
from minisrgan.nn import BatchNorm2d
from minisrgan.weights import load_generator, save_model
from tests.paths import SHARED, needs_shared
from tests.weights.files import small_generator

WEIGHTS = "weights/srresnet_krasserm.npz"

Averages = Callable[..., float]


@pytest.fixture
def average(tmp_path: Path) -> Averages:
    """Return what `minisrgan evaluate` says of the published SRResNet: its mean PSNR over a set."""

    def run(*words: object) -> float:
        command = ["evaluate", *words, "--model", SHARED / WEIGHTS, "--json", tmp_path / "scores.json"]
        assert main([str(word) for word in command]) == 0
        scores = json.loads((tmp_path / "scores.json").read_text())
        return scores["average"]["srresnet_krasserm"]["psnr"]

    return run


@needs_shared(WEIGHTS, "data/Set5")
def test_set5(average: Averages) -> None:
    """A wrong eps, order of channels, range or border costs a tenth of a decibel to all of it."""
    assert average(SHARED / "data/Set5") == pytest.approx(32.02, abs=0.01)


@pytest.mark.slow
@needs_shared(WEIGHTS, "data/Set14")
def test_set14(average: Averages) -> None:
    """Set14 has a grey photograph, which these weights were measured with in RGB."""
    assert average(SHARED / "data/Set14", "--grey", "rgb") == pytest.approx(28.54, abs=0.01)


def test_tanh_and_eps_survive_the_file(tmp_path: Path) -> None:
    """Forgotten, the picture is only a little wrong."""
    generator = small_generator(tanh=True, eps=1e-3)
    assert {module.eps for _, module in generator.named_modules() if isinstance(module, BatchNorm2d)} == {1e-3}
    save_model(tmp_path / "g.safetensors", generator)
    loaded = load_generator(tmp_path / "g.safetensors")
    assert (loaded.tanh, loaded.eps) == (True, 1e-3)
    x = Tensor(np.random.default_rng(1).random((1, 5, 7, 3), np.float32))
    with no_grad():
        np.testing.assert_array_equal(loaded(x).numpy(), generator(x).numpy())
    assert (Generator().tanh, Generator().eps, Generator().bn_middle.eps) == (False, 1e-5, 1e-5)


def test_tanh_and_eps_in_upscaling() -> None:
    """Upscaling computes the last layers in tiles of its own, and without the batch norms."""
    plain = small_generator(channels=8, blocks=1, eps=0.5)
    bounded = small_generator(channels=8, blocks=1, eps=0.5, tanh=True)
    photo = np.random.default_rng(0).integers(0, 256, (20, 21, 3), dtype=np.uint8)
    low = Tensor(photo[None] / np.float32(255))
    with no_grad():
        expected = plain(low).numpy()
        assert np.abs(expected).max() > 1.5
        np.testing.assert_allclose(bounded(low).numpy(), np.tanh(expected), atol=1e-6)
        np.testing.assert_allclose(folded(bounded)(low).numpy(), np.tanh(expected), atol=1e-4)
    for tile in (None, 16):
        large = upscale(bounded, photo, tile)
        assert np.abs(large - ((np.tanh(expected[0]) + 1) * 127.5)).max() < 0.51
