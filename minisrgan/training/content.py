"""Build the content loss of a training, and compute the scale of VGG's features."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from minisrgan.autograd import Tensor, no_grad
from minisrgan.backend import Array, to_device
from minisrgan.errors import ConfigError
from minisrgan.losses import MSEContent, VGGContent
from minisrgan.models import VGG19
from minisrgan.weights.models import CHOICES, load_features, load_vgg19
from minisrgan.weights.store import digest

CONTENT = {"mse": "", "vgg22": "2,2", "vgg54": "5,4"}  # the feature map of VGG19
FEATURES = "features:"

# Mean over positions of the sum over channels of (phi / 12.75)^2, with Caffe's weights. For phi_{5,4}, 48 crops of
# 96 x 96 from 72 photographs gave 72, and 48 crops from scikit-image's four photographs gave 180 (phi_{2,2}: 37,600
# and 42,600). These are the geometric means; a scale computed from them is accurate to a factor of about 1.3.
_ENERGY = {"2,2": 40_000.0, "5,4": 114.0}


def content_loss(
    kind: str, vgg: str | Path | None = None, calibrate_on: Iterable[Array] = (), device: str = "cpu"
) -> Callable[[Tensor, Tensor], Tensor]:
    """Build a content loss by its name.

    kind          "mse", "vgg22" or "vgg54": pixels, or features phi_{2,2} or phi_{5,4} of VGG19; or "features:FILE",
                  those of another network (`load_features`), which need no VGG19
    vgg           file with the weights of VGG19, if they are needed
    calibrate_on  batches of originals (N, H, W, 3) in [-1, 1], to compute the scale of the features from; without any,
                  the scale is that of the weights' convention
    device        the device of VGG19
    Errors        ConfigError for another name; WeightsError if VGG19 is needed and its file is missing

    >>> content_loss("vgg54")
    Traceback (most recent call last):
    minisrgan.errors.ConfigError: ConfigError in content vgg54
      expected  a file with the weights of VGG19
      got       none
      fix       `minisrgan weights fetch vgg19` gets one; or give a file of VGG19's convolutions (an .npz with
                block1_conv1.kernel, block1_conv1.bias ...), or compare pixels instead: content mse
    """
    if kind.startswith(FEATURES):
        return VGGContent(load_features(kind.removeprefix(FEATURES)).to(device))
    if kind not in CONTENT:
        told = f"one of {', '.join(CONTENT)}, or {FEATURES}FILE"
        raise ConfigError("content", expected=told, got=repr(kind), fix="choose one")
    if kind == "mse":
        return MSEContent()
    if vgg is None:
        raise ConfigError(f"content {kind}", expected="a file with the weights of VGG19", got="none", fix=CHOICES)
    network = load_vgg19(vgg, CONTENT[kind]).to(device)
    batches = [to_device(batch, device) for batch in calibrate_on]
    return VGGContent(network, calibrated_scale(network, batches) if batches else None)


def extractor(kind: str, vgg: str | Path | None = None) -> str:
    """Return the name and SHA-256 of the file of a content loss's feature extractor, or "" if it has none."""
    file = kind.removeprefix(FEATURES) if kind.startswith(FEATURES) else vgg
    if kind == "mse" or file is None:
        return ""
    name = os.fsencode(Path(file).name).decode(errors="replace")  # metadata must be valid UTF-8
    return f"{name}, SHA-256 {digest(file)}"


def calibrated_scale(vgg: VGG19, originals: Iterable[Array]) -> float:
    """Return the scale that makes a network's features as large as Caffe's divided by 12.75.

    The features of different VGG19 weights differ in size (torchvision's are about 60 times smaller). With the scale of
    other weights, the content loss would almost vanish, or dominate the adversarial loss completely.

    Formula    scale = sqrt(E / e): e is the mean over positions of the sum over channels of phi^2, E Caffe's / 12.75^2
    originals  batches (N, H, W, 3) in [-1, 1]
    """
    with no_grad():
        energies = [(vgg(Tensor(batch)) ** 2.0).sum(axis=3).mean().item() for batch in originals]
    return float((_ENERGY[vgg.phi] / max(float(np.mean(energies)), 1e-12)) ** 0.5)
