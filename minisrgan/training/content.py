"""Which content loss a training uses, and how VGG's features are weighted in it."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

from minisrgan.autograd import Tensor, no_grad
from minisrgan.backend import Array, to_device
from minisrgan.errors import ConfigError
from minisrgan.losses import MSEContent, VGGContent
from minisrgan.models import VGG19
from minisrgan.weights import load_vgg19
from minisrgan.weights.store import digest
from minisrgan.weights.vgg import CHOICES, load_features

CONTENT = {"mse": None, "vgg22": "2,2", "vgg54": "5,4"}
FEATURES = "features:"

# Mean over positions of the sum over channels of (phi / 12.75)^2, with Caffe-style weights. For phi_{5,4}, 48 crops of
# 96 x 96 out of 72 photographs gave 72, and as many out of the four that come with scikit-image 180 (37,600 and 42,600
# for phi_{2,2}): this is the middle of both, and a scale measured by it is good to a factor of about 1.3.
_ENERGY = {"2,2": 40_000.0, "5,4": 114.0}


def content_loss(
    kind: str, vgg: str | Path | None = None, calibrate_on: Iterable[Array] = (), device: str = "cpu"
) -> Callable[[Tensor, Tensor], Tensor]:
    """Build a content loss by its name.

    kind          "mse", "vgg22" or "vgg54": pixels, or features phi_{2,2} or phi_{5,4} of VGG19; or "features:FILE",
                  those of another network (`load_features`), which need no VGG19
    vgg           file with the weights of VGG19, where that is asked for
    calibrate_on  batches of originals (N, H, W, 3) in [-1, 1]: the features' scale is measured on them; where there are
                  none, it is that of the weights' convention
    device        where VGG19 is to compute
    Errors        ConfigError for another name; WeightsError if VGG19 is asked for and its file is not there

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
    phi = CONTENT[kind]
    if phi is None:
        return MSEContent()
    if vgg is None:
        raise ConfigError(f"content {kind}", expected="a file with the weights of VGG19", got="none", fix=CHOICES)
    network = load_vgg19(vgg, phi).to(device)
    batches = [to_device(batch, device) for batch in calibrate_on]
    return VGGContent(network, calibrated_scale(network, batches) if batches else None)


def extractor(kind: str, vgg: str | Path | None = None) -> str:
    """Return the name and SHA-256 of the file whose features a content loss compares; nothing where it needs none."""
    file = kind.removeprefix(FEATURES) if kind.startswith(FEATURES) else vgg
    if kind == "mse" or file is None:
        return ""
    name = os.fsencode(Path(file).name).decode(errors="replace")  # which no file of weights could hold otherwise
    return f"{name}, SHA-256 {digest(file)}"


def calibrated_scale(vgg: VGG19, originals: Iterable[Array]) -> float:
    """Return the scale that brings a network's features to the size that Caffe's have after 1/12.75.

    Sets of weights for VGG19 differ in the size of their features (torchvision's are some 60 times smaller), and a
    scale made for one makes the content loss of another vanish or drown the adversarial term.

    Formula    scale = sqrt(E / e), e the mean over positions of the sum over channels of phi^2, E the same for Caffe's
    originals  batches (N, H, W, 3) in [-1, 1]
    """
    with no_grad():
        energies = [(vgg(Tensor(batch)) ** 2.0).sum(axis=3).mean().item() for batch in originals]
    return float((_ENERGY[vgg.phi] / max(float(np.mean(energies)), 1e-12)) ** 0.5)
