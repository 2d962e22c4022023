"""VGG's features, brought to one size whatever weights they come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from minisrgan import Tensor
from minisrgan.data import CropSampler, sample_photos
from minisrgan.losses import VGGContent
from minisrgan.models import VGG19, Discriminator
from minisrgan.training import content_loss
from minisrgan.training.content import _ENERGY, calibrated_scale
from minisrgan.weights import save_model
from tests.paths import SHARED, needs_shared


def originals(count: int = 2) -> list[np.ndarray]:
    """Return batches of noise in [-1, 1]."""
    rng = np.random.default_rng(0)
    return [rng.uniform(-1, 1, (2, 16, 16, 3)).astype(np.float32) for _ in range(count)]


def test_the_scale_brings_features_to_the_size_of_caffes() -> None:
    """Weights whose features are 60 times smaller make the content loss 3600 times smaller, and it vanishes."""
    vgg = VGG19("2,2")
    scale = calibrated_scale(vgg, originals())
    energy = np.mean([((vgg(Tensor(batch)).numpy() * scale) ** 2).sum(axis=3).mean() for batch in originals()])
    np.testing.assert_allclose(energy, _ENERGY["2,2"], rtol=1e-4)


def test_the_loss_does_not_depend_on_the_size_of_the_features() -> None:
    """What calibration is for: the same network with its last layer divided by 60 gives the same loss."""
    small = VGG19("2,2")
    for parameter in (small.block2_conv2.weight, small.block2_conv2.bias):
        parameter.data /= 60
    losses = [
        VGGContent(vgg, calibrated_scale(vgg, originals()))(*map(Tensor, originals())).item()
        for vgg in (VGG19("2,2"), small)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-4)


@needs_shared("weights/vgg19_caffe_conv.npz", "data/photos")
def test_caffes_weights_are_calibrated_to_about_the_papers_scale() -> None:
    """The reference is measured on them: the paper's 1/12.75 must come out, to a factor of 1.4."""
    sampler = CropSampler(sample_photos(), 96, 4, np.random.default_rng(1))
    batches = [sampler.batch(8)[1] for _ in range(2)]
    for kind in ("vgg22", "vgg54"):
        loss = content_loss(kind, SHARED / "weights" / "vgg19_caffe_conv.npz", batches)
        assert 1 / 1.4 < loss.scale * 12.75 < 1.4, kind  # type: ignore[attr-defined]


def test_the_features_of_another_network_need_no_vgg(tmp_path: Path) -> None:
    """Without VGG19, 80 MB that nobody may copy, pixels would be the only content there is."""
    discriminator = Discriminator(crop=16, channels=2)
    save_model(tmp_path / "d.safetensors", discriminator)
    loss = content_loss(f"features:{tmp_path / 'd.safetensors'}")
    one, other = (Tensor(batch, requires_grad=True) for batch in originals())
    maps = [discriminator.eval().features(images).numpy() for images in (one, other)]
    value = loss(one, other)
    np.testing.assert_allclose(value.item(), np.square(maps[0] - maps[1]).sum() / (2 * 1 * 1), rtol=1e-4)
    value.backward()
    assert one.grad is not None
    assert np.abs(one.grad.numpy()).max() > 0
    assert all(not parameter.requires_grad for parameter in loss.vgg.parameters())  # type: ignore[attr-defined]
