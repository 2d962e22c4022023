"""The discriminator of SRGAN: is this crop of a photograph original, or generated? (sec. 2.1 and fig. 4)"""

from __future__ import annotations

import numpy as np

from minisrgan.autograd import Tensor
from minisrgan.autograd.arguments import require_integer, require_rng
from minisrgan.errors import ShapeError
from minisrgan.nn import BatchNorm2d, Conv2d, Flatten, LeakyReLU, Linear, Module, Sequential
from minisrgan.ops.checks import require_images


class Discriminator(Module):
    """Map each crop to one logit, which is above 0 for "original".

    conv 3x3, LeakyReLU 0.2 -> 7 x [conv 3x3, BN, LeakyReLU], every second one with stride 2, channels doubling up to 8x
    -> flatten -> dense, LeakyReLU -> dense 1. The sigmoid of the figure is part of the losses, as softplus.

    crop      side of the square crops; the paper's is 96
    channels  width of the first layer; with 64 and crop 96 it has 23,565,505 parameters, 80 % in the dense layers
    rng       random generator for the initial weights; seed 0 by default
    Shapes    (N, crop, crop, 3) RGB in [-1, 1] to (N, 1)
    Errors    ArgumentError for a crop below 16, sizes that are not integers >= 1, or an rng that is a plain seed;
              ShapeError for crops of another size.

    >>> small = Discriminator(crop=32, channels=4)
    >>> small(Tensor(np.zeros((2, 32, 32, 3), np.float32))).shape
    (2, 1)
    """

    description = "crop {0.crop}, {0.width} channels"

    def __init__(self, crop: int = 96, channels: int = 64, *, rng: np.random.Generator | None = None) -> None:
        require_integer("Discriminator", "crop", crop, 16, "it is halved four times")
        require_integer("Discriminator", "channels", channels, 1)
        rng = require_rng("Discriminator", rng)
        self.crop, self.width = int(crop), int(channels)
        layers: list[Module] = [Conv2d(3, channels, 3, padding=1, rng=rng), LeakyReLU(0.2)]
        side, inputs = crop, channels
        for outputs, stride in ((1, 2), (2, 1), (2, 2), (4, 1), (4, 2), (8, 1), (8, 2)):
            outputs *= channels
            layers += [Conv2d(inputs, outputs, 3, stride=stride, padding=1, rng=rng), BatchNorm2d(outputs)]
            layers += [LeakyReLU(0.2)]
            side, inputs = (side + stride - 1) // stride, outputs
        self.features = Sequential(*layers)
        dense = Linear(side * side * inputs, 16 * channels, rng=rng)
        self.head = Sequential(Flatten(), dense, LeakyReLU(0.2), Linear(16 * channels, 1, rng=rng))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits of a batch of crops."""
        images = require_images("Discriminator", images)
        if images.shape[1:] != (self.crop, self.crop, 3):
            expected = f"crops (N, {self.crop}, {self.crop}, 3), as its dense layer is made for this size"
            fix = f"build it with Discriminator(crop={images.shape[1]}), or cut other crops"
            raise ShapeError("Discriminator", expected=expected, got=str(images.shape), fix=fix)
        return self.head(self.features(images))
