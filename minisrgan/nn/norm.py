"""Batch normalisation as a layer; formula and gradient at `minisrgan.ops.batch_norm`."""

from typing import ClassVar

import numpy as np

from minisrgan import ops
from minisrgan.autograd import Tensor
from minisrgan.backend import Array
from minisrgan.nn.module import Module, Parameter


class BatchNorm2d(Module):
    """Normalise each channel by the batch's statistics in training, by running ones in evaluation.

    momentum  how much of the running statistics each batch replaces
    eps       added to the variance

    >>> import numpy as np
    >>> layer = BatchNorm2d(1)
    >>> _ = layer(Tensor(np.full((2, 1, 1, 1), 5.0, np.float32)))
    >>> layer.running_mean                        # 0.9 * 0 + 0.1 * 5
    array([0.5], dtype=float32)
    """

    buffer_names: ClassVar[tuple[str, ...]] = ("running_mean", "running_var")

    def __init__(self, channels: int, *, momentum: float = 0.1, eps: float = 1e-5) -> None:
        self.momentum, self.eps = momentum, eps
        self.weight = Parameter(np.ones(channels, np.float32))
        self.bias = Parameter(np.zeros(channels, np.float32))
        self.running_mean: Array = np.zeros(channels, np.float32)
        self.running_var: Array = np.ones(channels, np.float32)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, H, W, C) over N, H and W."""
        running, settings = (self.running_mean, self.running_var), {"momentum": self.momentum, "eps": self.eps}
        return ops.batch_norm(x, self.weight, self.bias, *running, training=self.training, **settings)

    def describe(self) -> str:
        """Return the number of channels."""
        return str(self.weight.shape[0])
