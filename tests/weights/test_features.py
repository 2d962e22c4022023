"""Feature extractors for those who have no VGG19."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from minisrgan import Tensor, no_grad
from minisrgan.errors import WeightsError
from minisrgan.losses import VGGContent
from minisrgan.models import VGG19, Discriminator
from minisrgan.nn import Conv2d, LeakyReLU, Linear, MaxPool2d, Module, ReLU, Sequential
from minisrgan.weights import load_features, load_state, save_model, save_state
from tests.weights.files import small_discriminator, used


def stack() -> Sequential:
    """Return every kind of layer with settings that are not the usual ones."""
    rng = np.random.default_rng(0)
    return used(
        Sequential(
            Conv2d(3, 5, 3, padding=1, rng=rng), ReLU(), Conv2d(5, 4, 5, stride=2, padding=2, bias=False, rng=rng),
            LeakyReLU(0.3), MaxPool2d(3), Conv2d(4, 6, 1, rng=rng),
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    "model", [stack(), small_discriminator(), used(VGG19("1,2", "torchvision"))], ids=lambda m: type(m).__name__
)
def test_features_survive_the_file(model: Module, tmp_path: Path) -> None:
    """A stride or a slope that is lost gives other features, and a training against other features than before."""
    save_model(tmp_path / "f.safetensors", model)
    loaded = load_features(tmp_path / "f.safetensors")
    x = Tensor(np.random.default_rng(1).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32))
    with no_grad():
        expected = (model.features if isinstance(model, Discriminator) else model)(x).numpy()
        np.testing.assert_array_equal(loaded(x).numpy(), expected)
    assert not loaded.training
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


def test_they_serve_as_content_loss(tmp_path: Path) -> None:
    """The gradient has to reach the picture through them, and stop there."""
    save_model(tmp_path / "f.safetensors", stack())
    loss = VGGContent(load_features(tmp_path / "f.safetensors"), scale=1.0)
    picture = Tensor(np.random.default_rng(1).uniform(-1, 1, (1, 16, 16, 3)).astype(np.float32), requires_grad=True)
    loss(picture, Tensor(np.zeros((1, 16, 16, 3), np.float32))).backward()
    assert np.abs(picture.grad.numpy()).max() > 0
    assert all(parameter.grad is None for parameter in loss.vgg.parameters())


def test_what_is_no_stack_is_refused(tmp_path: Path) -> None:
    """What is not written down cannot be built again."""
    with pytest.raises(WeightsError, match=r"(?s)Conv2d, .*got       Linear"):
        save_model(tmp_path / "f.safetensors", Sequential(Linear(3, 3, rng=np.random.default_rng(0))))
    save_model(tmp_path / "f.safetensors", stack())
    state, about = load_state(tmp_path / "f.safetensors")
    layers = about["settings"]["layers"]
    for wrong in (
        layers[:-1],
        [*layers, ["Conv2d", {}]],
        [["Linear", {}], *layers[1:]],
        [["Conv2d", {"x": 1}]],
        "x",
        None,
    ):
        save_state(tmp_path / "g.safetensors", state, about | {"settings": {"layers": wrong}})
        with pytest.raises(WeightsError, match=r"g\.safetensors"):
            load_features(tmp_path / "g.safetensors")
