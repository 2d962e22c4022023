"""VGG19 up to one of its feature maps, which the perceptual loss compares.

phi_{i,j} is the output of the j-th convolution, after its ReLU, before the i-th max pooling (SRGAN sec. 2.2.1).
"""

from __future__ import annotations

import numpy as np

from minisrgan.autograd import Tensor
from minisrgan.autograd.arguments import require_rng
from minisrgan.backend import array_module
from minisrgan.errors import ArgumentError
from minisrgan.nn import Conv2d, MaxPool2d, Module, ReLU
from minisrgan.ops.checks import require_channels, require_images

_BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))  # channels and convolutions of each block

# The preprocessing of each published set of weights, starting from RGB in [0, 1].
CONVENTIONS = {
    "caffe": "BGR, 0..255, mean subtracted",
    "torchvision": "RGB, 0..1, mean subtracted, divided by standard deviation",
}


class VGG19(Module):
    """The convolutions of VGG19 up to phi_{i,j}.

    phi         "i,j": block and convolution within it; "2,2" and "5,4" are the paper's
    convention  "caffe" (the paper's: BGR, 0..255) or "torchvision" (RGB, 0..1): a property of the weights
    rng         draws initial weights, for tests; trained ones come from `minisrgan.weights.load_vgg19`
    Shapes      (N, H, W, 3) RGB in [-1, 1] to (N, H', W', C), H' = H // 2^(i-1), C = 512 for phi_{5,4}
    Errors      ArgumentError for a phi that VGG19 does not have, or another convention.
    Source      Simonyan and Zisserman 2014, arXiv 1409.1556, table 1, column E.

    >>> VGG19("2,2")(Tensor(np.zeros((1, 8, 8, 3), np.float32))).shape
    (1, 4, 4, 128)
    """

    description = "phi {0.phi}, {0.convention} input"

    def __init__(self, phi: str = "5,4", convention: str = "caffe", *, rng: np.random.Generator | None = None) -> None:
        known = [f"{i},{j}" for i, (_, count) in enumerate(_BLOCKS, 1) for j in range(1, count + 1)]
        if phi not in known:
            raise ArgumentError("VGG19", expected=f"phi as one of {' '.join(known)}", got=repr(phi), fix="choose one")
        if convention not in CONVENTIONS:
            choices = "; ".join(f"{name}: {text}" for name, text in CONVENTIONS.items())
            raise ArgumentError("VGG19", expected=choices, got=repr(convention), fix="ask where the weights came from")
        rng = require_rng("VGG19", rng)
        self.phi, self.convention = phi, convention
        self.relu, self.pool = ReLU(), MaxPool2d(2)
        self.places = [(int(place[0]), int(place[2])) for place in known[: known.index(phi) + 1]]  # (1, 1) ... (i, j)
        inputs = 3
        for block, number in self.places:
            outputs, _ = _BLOCKS[block - 1]
            setattr(self, f"block{block}_conv{number}", Conv2d(inputs, outputs, 3, padding=1, rng=rng))
            inputs = outputs

    def forward(self, images: Tensor) -> Tensor:
        """Return the feature map phi_{i,j} of a batch."""
        images = require_images("VGG19", images)
        require_channels("VGG19", images, 3, "photographs are RGB")
        x = self.prepare(images)
        for block, number in self.places:
            if number == 1 < block:
                x = self.pool(x)
            x = self.relu(getattr(self, f"block{block}_conv{number}")(x))
        return x

    def prepare(self, images: Tensor) -> Tensor:
        """Convert RGB in [-1, 1] to the input of the weights' training; other conventions give meaningless features."""

        def constant(*values: float) -> Tensor:
            return Tensor(array_module(images.data).asarray(values, dtype=images.dtype))

        if self.convention == "caffe":
            return (images[..., ::-1] + 1.0) * 127.5 - constant(103.939, 116.779, 123.68)  # ImageNet's means of B, G, R
        return ((images + 1.0) * 0.5 - constant(0.485, 0.456, 0.406)) / constant(0.229, 0.224, 0.225)
