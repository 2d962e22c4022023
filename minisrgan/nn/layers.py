"""The layers of SRGAN. Each is a call of one operation, whose formula and gradient are in `minisrgan.ops`."""

from __future__ import annotations

import numpy as np

from minisrgan import ops
from minisrgan.autograd import Tensor
from minisrgan.autograd.arguments import LARGEST, require_flag, require_integer, setting
from minisrgan.backend import Array
from minisrgan.nn.init import he_normal
from minisrgan.nn.module import Module, Parameter
from minisrgan.ops.conv import Pair, frame_of


class Conv2d(Module):
    """Convolution with a learned weight and bias; see `minisrgan.ops.conv2d` for formula and gradient.

    in_channels, out_channels   channels of input and output
    kernel_size                 side of the square kernel
    stride, padding             as in conv2d; at stride 1, "same" keeps the size, or size // 2 for an odd kernel
    bias                        whether a number is added to each output channel
    rng                         draws the weight, as in `he_normal`; the bias starts at 0
    Errors                      ArgumentError for sizes, a stride or a padding out of range, or an rng that is a seed

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
        frame_of(self.weight.shape[:2], stride, padding)
        self.bias = Parameter(np.zeros(out_channels, np.float32)) if require_flag("Conv2d", "bias", bias) else None

    def forward(self, x: Tensor) -> Tensor:
        """Convolve (N, H, W, in) to (N, H', W', out)."""
        return ops.conv2d(x, self.weight, self.bias, stride=self.stride, padding=self.padding)

    def describe(self) -> str:
        """Return channels and kernel, and stride and padding if they differ from the defaults."""
        kh, kw, inputs, outputs = self.weight.shape
        stride = f", stride {self.stride}" if self.stride != 1 else ""
        padding = f", padding {self.padding}" if self.padding else ""
        return f"{inputs} -> {outputs}, kernel {kh}x{kw}{stride}{padding}"


class Linear(Module):
    """Multiply (N, in) by a learned weight (in, out) and add a learned bias (out,), as in `minisrgan.ops.linear`.

    rng  draws the weight, as in `he_normal`; the bias starts at 0

    >>> import numpy as np
    >>> Linear(3, 2)(Tensor(np.zeros((1, 3), np.float32))).numpy()
    array([[0., 0.]], dtype=float32)
    """

    description = "{0.weight.shape[0]} -> {0.weight.shape[1]}"

    def __init__(self, in_features: int, out_features: int, *, rng: np.random.Generator | None = None) -> None:
        self.weight = Parameter(he_normal((in_features, out_features), rng))
        self.bias = Parameter(np.zeros(out_features, np.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in) to (N, out)."""
        return ops.linear(x, self.weight, self.bias)


class BatchNorm2d(Module):
    """Normalise each channel: in training by the batch's statistics, in evaluation by the running statistics.

    The formula and its gradient are at `minisrgan.ops.batch_norm`.
    momentum  how much of the running statistics each batch replaces, from 0 to 1
    eps       added to the variance, >= 0
    Errors    ArgumentError for settings out of range, or unless channels is an integer >= 1.

    >>> import numpy as np
    >>> layer = BatchNorm2d(1)
    >>> _ = layer(Tensor(np.full((2, 1, 1, 1), 5.0, np.float32)))
    >>> layer.running_mean                        # 0.9 * 0 + 0.1 * 5
    array([0.5], dtype=float32)
    """

    buffer_names = ("running_mean", "running_var")
    description = "{0.weight.shape[0]}"

    def __init__(self, channels: int, *, momentum: float = 0.1, eps: float = 1e-5) -> None:
        require_integer("BatchNorm2d", "channels", channels, 1)
        self.momentum = setting("BatchNorm2d", "momentum", momentum, 1, closed=True)
        self.eps = setting("BatchNorm2d", "eps", eps)
        self.weight = Parameter(np.ones(channels, np.float32))
        self.bias = Parameter(np.zeros(channels, np.float32))
        self.running_mean: Array = np.zeros(channels, np.float32)
        self.running_var: Array = np.ones(channels, np.float32)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (N, H, W, C) over N, H and W."""
        running, settings = (self.running_mean, self.running_var), {"momentum": self.momentum, "eps": self.eps}
        return ops.batch_norm(x, self.weight, self.bias, *running, training=self.training, **settings)


class PReLU(Module):
    """Leaky ReLU with a learned slope for each channel, or one for all (channels=1); initially 0.25 (He et al. 2015).

    >>> PReLU(2)(Tensor([[-4.0, 4.0]])).numpy()
    array([[-1.,  4.]], dtype=float32)
    """

    def __init__(self, channels: int = 1, slope: float = 0.25) -> None:
        require_integer("PReLU", "channels", channels, 1)
        slope = setting("PReLU", "slope", slope, LARGEST, least=-LARGEST)
        self.weight = Parameter(np.full(channels, slope, np.float32))

    def forward(self, x: Tensor) -> Tensor:
        """Apply to (..., C)."""
        return ops.prelu(x, self.weight)


class LeakyReLU(Module):
    """Leaky ReLU with a fixed slope, 0.2 in the discriminator."""

    description = "{0.negative_slope}"

    def __init__(self, negative_slope: float = 0.2) -> None:
        self.negative_slope = setting("LeakyReLU", "negative_slope", negative_slope)

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape."""
        return ops.leaky_relu(x, self.negative_slope)


class ReLU(Module):
    """Rectified linear unit."""

    def forward(self, x: Tensor) -> Tensor:
        """Apply to any shape."""
        return ops.relu(x)


class PixelShuffle(Module):
    """Move channels to pixels; see `minisrgan.ops.pixel_shuffle`."""

    description = "x{0.factor}"

    def __init__(self, factor: int) -> None:
        require_integer("PixelShuffle", "factor", factor, 1)
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N, H, W, C*r*r) into (N, r*H, r*W, C)."""
        return ops.pixel_shuffle(x, self.factor)


class MaxPool2d(Module):
    """Keep the largest element of every window; see `minisrgan.ops.max_pool2d`."""

    description = "{0.size}x{0.size}, stride {0.stride}"

    def __init__(self, size: int, stride: int | None = None) -> None:
        self.size, self.stride = size, size if stride is None else stride
        require_integer("MaxPool2d", "size", self.size, 1)
        require_integer("MaxPool2d", "stride", self.stride, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Turn (N, H, W, C) into (N, (H - size) // stride + 1, (W - size) // stride + 1, C)."""
        return ops.max_pool2d(x, self.size, self.stride)


class Flatten(Module):
    """Turn (N, H, W, C) into (N, H*W*C), rows before columns before channels."""

    def forward(self, x: Tensor) -> Tensor:
        """Flatten all axes but the first."""
        return x.reshape(x.shape[0], -1)
