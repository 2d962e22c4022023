"""Load feature extractors for the content loss: VGG19, or another stack of convolutions."""

from pathlib import Path

from minisrgan.errors import WeightsError
from minisrgan.models import VGG19, Discriminator
from minisrgan.nn import Module
from minisrgan.weights.foreign.convert import read_weights
from minisrgan.weights.models import load_model
from minisrgan.weights.store import refusing

# The advice in every error about a missing file.
CHOICES = (
    "`minisrgan weights fetch vgg19` gets one; or give a file of VGG19's convolutions (an .npz with "
    "block1_conv1.kernel, block1_conv1.bias ...), or compare pixels instead: content mse"
)


def load_vgg19(path: str | Path, phi: str = "5,4") -> VGG19:
    """Build VGG19 up to phi_{i,j}, frozen, with the input convention that its weights expect.

    path    a file in our format, which names the convention; torchvision's .pth; Keras's .h5; or Caffe-style .npz with
            arrays ``block5_conv4.kernel`` (3, 3, in, out) and ``block5_conv4.bias`` (out,), and so on
    Errors  WeightsError if the file is missing, damaged, holds another model, or lacks a convolution up to phi
    """
    told = "the weights of VGG19, which the perceptual loss compares features with"
    if not Path(path).is_file():
        raise WeightsError("load_vgg19", expected=told, got=f"{path}, which does not exist", fix=CHOICES)
    name, settings, state, _ = read_weights(path)
    if name != "VGG19":
        raise WeightsError("load_vgg19", expected=told, got=f"{path}, which holds {name}", fix=CHOICES)
    with refusing("load_vgg19", path):
        vgg = VGG19(phi, settings["convention"])
        vgg.load_state_dict({name: state[name] for name in vgg.state_dict() if name in state})
    return vgg.eval().requires_grad_(False)


def load_features(path: str | Path) -> Module:
    """Build a frozen feature extractor: VGG19, a stack saved by `save_model`, or the convolutions of a discriminator.

    Shapes  (N, H, W, 3) RGB in [-1, 1] to feature maps
    Errors  WeightsError if the file is missing, damaged, or holds another model

    >>> import tempfile
    >>> import numpy as np
    >>> from minisrgan.nn import Conv2d, ReLU, Sequential
    >>> from minisrgan.weights import save_model
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     conv = Conv2d(3, 8, 3, padding=1, rng=np.random.default_rng(0))
    ...     save_model(Path(folder, "f.safetensors"), Sequential(conv, ReLU()))
    ...     len(load_features(Path(folder, "f.safetensors")).children())
    2
    """
    model, _ = load_model(path)
    if isinstance(model, Discriminator):
        model = model.features
    return model.eval().requires_grad_(False)
