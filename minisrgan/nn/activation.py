"""Activations as layers; the formulas are at `minisrgan.ops.activation`."""

import numpy as np

from minisrgan import ops
from minisrgan.autograd import Tensor
from minisrgan.nn.module import Module, Parameter


class PReLU(Module):
    """Leaky ReLU that learns its slope, one a channel or (channels=1) one in all; starts at 0.25 as in He et al. 2015.

    >>> PReLU(2)(Tensor([[-4.0, 4.0]])).numpy()
    array([[-1.,  4.]], dtype=float32)
    """

    def __init__(self, channels: int = 1, slope: float = 0.25) -> None:
        self.weight = Parameter(np.full(channels, slope, np.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Apply to (..., C)."""
        return ops.prelu(x, self.weight)


class LeakyReLU(Module):
    """Leaky ReLU with a fixed slope, 0.2 in the discriminator."""

    def __init__(self, negative_slope: float = 0.2) -> None:
        self.negative_slope = negative_slope

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape."""
        return ops.leaky_relu(x, self.negative_slope)

    def describe(self) -> str:
        """Return the slope."""
        return str(self.negative_slope)


class ReLU(Module):
    """Rectified linear unit."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape."""
        return ops.relu(x)
