"""VGG19 up to one of its feature maps: what the perceptual loss compares pictures by.

phi_{i,j} is the output of the j-th convolution, after its ReLU, before the i-th max pooling (SRGAN sec. 2.2.1).
"""

from __future__ import annotations

import copy

import numpy as np

from minisrgan.autograd import Tensor
from minisrgan.backend import array_module
from minisrgan.errors import ArgumentError
from minisrgan.nn import Conv2d, MaxPool2d, Module, ReLU
from minisrgan.ops.checks import require_channels, require_images

_BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))  # channels and convolutions of each block

# How each published set of weights wants its input: as steps from RGB in [0, 1].
CONVENTIONS = {
    "caffe": "BGR, 0..255, mean subtracted",
    "torchvision": "RGB, 0..1, mean subtracted, divided by standard deviation",
}


def _blocks_up_to(phi: str) -> list[list[str]]:
    """Name the convolutions up to phi_{i,j}, block by block; a pool stands between two blocks."""
    known = [f"{i},{j}" for i, (_, count) in enumerate(_BLOCKS, 1) for j in range(1, count + 1)]
    if phi not in known:
        raise ArgumentError("VGG19", expected=f"phi as one of {' '.join(known)}", got=repr(phi), fix="choose one")
    block, conv = map(int, phi.split(","))
    counts = [*(count for _, count in _BLOCKS[: block - 1]), conv]
    return [[f"block{i}_conv{j}" for j in range(1, count + 1)] for i, count in enumerate(counts, 1)]


class VGG19(Module):
    """The convolutions of VGG19 up to phi_{i,j}.

    phi         "i,j": block and convolution within it; "2,2" and "5,4" are the paper's
    convention  "caffe" (the paper's: BGR, 0..255) or "torchvision" (RGB, 0..1): a property of the weights
    rng         draws first weights, for tests; real ones come from `minisrgan.weights.load_vgg19`
    Shapes      (N, H, W, 3) RGB in [-1, 1] to (N, H', W', C), H' = H // 2^(i-1), C = 512 for phi_{5,4}
    Errors      ArgumentError for a phi that VGG19 does not have, or another convention.
    Source      Simonyan and Zisserman 2014, arXiv 1409.1556, table 1, column E.

    >>> VGG19("2,2")(Tensor(np.zeros((1, 8, 8, 3), np.float32))).shape
    (1, 4, 4, 128)
    """

    def __init__(self, phi: str = "5,4", convention: str = "caffe", *, rng: np.random.Generator | None = None) -> None:
        self.blocks = _blocks_up_to(phi)
        if convention not in CONVENTIONS:
            choices = "; ".join(f"{name}: {text}" for name, text in CONVENTIONS.items())
            raise ArgumentError("VGG19", expected=choices, got=repr(convention), fix="ask where the weights came from")
        rng = rng or np.random.default_rng(0)
        self.phi, self.convention = phi, convention
        self.relu = ReLU()
        self.pool = MaxPool2d(2)
        inputs = 3
        for block, (outputs, _) in zip(self.blocks, _BLOCKS, strict=False):
            for name in block:
                setattr(self, name, Conv2d(inputs, outputs, 3, padding=1, rng=rng))
                inputs = outputs

    def forward(self, images: Tensor) -> Tensor:
        """Return the feature map phi_{i,j} of a batch."""
        require_images("VGG19", images)
        require_channels("VGG19", images, 3, "photographs are RGB")
        x = self.prepare(images)
        for number, block in enumerate(self.blocks):
            if number:
                x = self.pool(x)
            for name in block:
                x = self.relu(getattr(self, name)(x))
        return x

    def features(self, phi: str) -> VGG19:
        """Return the part of this network up to an earlier phi_{i,j}; it shares the weights.

        >>> VGG19("2,2").features("1,2").phi
        '1,2'
        """
        part = copy.copy(self)
        part.phi, part.blocks = phi, _blocks_up_to(phi)
        vars(part).pop("_forward_hooks", None)
        kept = {name for block in part.blocks for name in block}
        if not kept <= vars(self).keys():
            expected, fix = f"phi up to {self.phi}, where this network ends", "build or load a longer one"
            raise ArgumentError("VGG19.features", expected=expected, got=phi, fix=fix)
        for name in self.children().keys() - kept - {"relu", "pool"}:
            delattr(part, name)
        return part

    def prepare(self, images: Tensor) -> Tensor:
        """Bring RGB in [-1, 1] to what the weights were trained on; the wrong convention makes features meaningless."""

        def constant(*values: float) -> Tensor:
            return Tensor(array_module(images.data).asarray(values, dtype=images.dtype))

        if self.convention == "caffe":
            return (images[..., ::-1] + 1.0) * 127.5 - constant(103.939, 116.779, 123.68)  # of B, G, R over ImageNet
        return ((images + 1.0) * 0.5 - constant(0.485, 0.456, 0.406)) / constant(0.229, 0.224, 0.225)

    def describe(self) -> str:
        """Return the feature map and the convention."""
        return f"phi {self.phi}, {self.convention} input"
