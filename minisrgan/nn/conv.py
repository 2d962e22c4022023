"""Layers on images: convolution, pixel shuffle, max pooling."""

from __future__ import annotations

import numpy as np

from minisrgan import ops
from minisrgan.autograd import Tensor
from minisrgan.nn.init import he_normal
from minisrgan.nn.module import Module, Parameter
from minisrgan.ops.conv import Pair


class Conv2d(Module):
    """Convolution with a learned weight and bias; formula and gradient at `minisrgan.ops.conv2d`.

    in_channels, out_channels   channels of input and output
    kernel_size                 length of the square kernel
    stride, padding             as in conv2d; padding "same", or kernel_size // 2, keeps the size at stride 1
    bias                        whether a number is added to each output channel
    rng                         draws the weight, as in `he_normal`; the bias starts at 0

    >>> import numpy as np
    >>> layer = Conv2d(3, 64, 9, padding="same")
    >>> layer(Tensor(np.zeros((1, 24, 24, 3), np.float32))).shape
    (1, 24, 24, 64)
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *,
        stride: Pair = 1, padding: Pair | str = 0, bias: bool = True, rng: np.random.Generator | None = None,
    ) -> None:  # fmt: skip
        self.stride, self.padding = stride, padding
        self.weight = Parameter(he_normal((kernel_size, kernel_size, in_channels, out_channels), rng))
        self.bias = Parameter(np.zeros(out_channels, np.float32)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, H, W, in) to (N, H', W', out)."""
        return ops.conv2d(x, self.weight, self.bias, stride=self.stride, padding=self.padding)

    def describe(self) -> str:
        """Return channels, kernel and what is not usual."""
        kh, kw, inputs, outputs = self.weight.shape
        stride = f", stride {self.stride}" if self.stride != 1 else ""
        padding = f", padding {self.padding}" if self.padding else ""
        return f"{inputs} -> {outputs}, kernel {kh}x{kw}{stride}{padding}"


class PixelShuffle(Module):
    """Channels to pixels; see `minisrgan.ops.pixel_shuffle`."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N, H, W, C*r*r) into (N, r*H, r*W, C)."""
        return ops.pixel_shuffle(x, self.factor)

    def describe(self) -> str:
        """Return the factor."""
        return f"x{self.factor}"


class MaxPool2d(Module):
    """The largest of every window; see `minisrgan.ops.max_pool2d`."""

    def __init__(self, size: int, stride: int | None = None) -> None:
        self.size, self.stride = size, size if stride is None else stride

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N, H, W, C) into (N, (H - size) // stride + 1, (W - size) // stride + 1, C)."""
        return ops.max_pool2d(x, self.size, self.stride)

    def describe(self) -> str:
        """Return the size of a window, and the stride if it is another."""
        return f"{self.size}x{self.size}" + (f", stride {self.stride}" if self.stride != self.size else "")
