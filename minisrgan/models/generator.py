"""The generator of SRGAN (Ledig et al. 2017, sec. 2.1 and fig. 4); trained with MSE only, it is SRResNet."""

from __future__ import annotations

from typing import Self

import numpy as np

from minisrgan import ops
from minisrgan.autograd import Tensor, no_grad
from minisrgan.autograd.arguments import is_integer, require_flag, require_integer, require_rng
from minisrgan.errors import ArgumentError
from minisrgan.nn import BatchNorm2d, Conv2d, Module, Parameter, PixelShuffle, PReLU, Sequential, icnr
from minisrgan.ops.checks import require_channels, require_images


class ResidualBlock(Module):
    """Two 3x3 convolutions with batch norm, whose result is added to the input: y = x + f(x)."""

    def __init__(self, channels: int, rng: np.random.Generator, eps: float = 1e-5) -> None:
        self.conv1 = Conv2d(channels, channels, 3, padding=1, rng=rng)
        self.bn1 = BatchNorm2d(channels, eps=eps)
        self.prelu = PReLU(channels)
        self.conv2 = Conv2d(channels, channels, 3, padding=1, rng=rng)
        self.bn2 = BatchNorm2d(channels, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, H, W, C) to the same shape."""
        y = self.prelu(self.bn1(self.conv1(x)))
        return x + self.bn2(self.conv2(y))


class Upsample(Module):
    """Double the size: a 3x3 convolution to four times the channels, pixel shuffle, PReLU."""

    def __init__(self, channels: int, rng: np.random.Generator) -> None:
        self.conv = Conv2d(channels, 4 * channels, 3, padding=1, rng=rng)
        self.conv.weight = Parameter(icnr((3, 3, channels, 4 * channels), rng, factor=2))
        self.shuffle = PixelShuffle(2)
        self.prelu = PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, H, W, C) to (N, 2H, 2W, C)."""
        return self.prelu(self.shuffle(self.conv(x)))


class Generator(Module):
    """Map low-resolution photographs to photographs that are ``scale`` times larger.

    conv 9x9, PReLU -> ``blocks`` residual blocks -> conv 3x3, BN, + output of the first PReLU
    -> one Upsample for each factor of 2 -> conv 9x9

    scale     2, 4 or 8
    channels  width of all layers but the last
    blocks    number of residual blocks; the paper's has 16, 64 channels and 1,550,659 parameters
    tanh      whether tanh comes last: for some published weights, not in the paper
    eps       eps of the batch norms: some published weights need another value
    rng       random generator for the initial weights; seed 0 by default
    Shapes    (N, H, W, 3) RGB in [0, 1] to (N, scale*H, scale*W, 3) RGB in [-1, 1]
    Errors    ArgumentError for another scale, sizes out of range, or an rng that is a plain seed;
              ShapeError for what is not a batch of RGB images.

    >>> Generator(scale=4).parameter_count()
    1550659
    >>> small = Generator(scale=2, channels=8, blocks=1)
    >>> small(Tensor(np.zeros((1, 5, 7, 3), np.float32))).shape
    (1, 10, 14, 3)
    """

    description = "x{0.scale}, {0.width} channels, {0.depth} blocks"

    def __init__(
        self, scale: int = 4, channels: int = 64, blocks: int = 16, *,
        tanh: bool = False, eps: float = 1e-5, rng: np.random.Generator | None = None,
    ) -> None:  # fmt: skip
        require_integer("Generator", "channels", channels, 1)
        require_integer("Generator", "blocks", blocks, 0)
        if not is_integer(scale) or scale not in (2, 4, 8):
            raise ArgumentError("Generator", expected="scale 2, 4 or 8", got=repr(scale), fix="choose one of these")
        rng, tanh = require_rng("Generator", rng), require_flag("Generator", "tanh", tanh)
        self.scale, self.width, self.depth, self.tanh, self.eps = int(scale), int(channels), int(blocks), tanh, eps
        self.conv_first = Conv2d(3, channels, 9, padding=4, rng=rng)
        self.prelu_first = PReLU(channels)
        self.blocks = Sequential(*(ResidualBlock(channels, rng, eps) for _ in range(blocks)))
        self.conv_middle = Conv2d(channels, channels, 3, padding=1, rng=rng)
        self.bn_middle = BatchNorm2d(channels, eps=eps)
        self.upsample = Sequential(*(Upsample(channels, rng) for _ in range(self.scale.bit_length() - 1)))
        self.conv_last = Conv2d(channels, 3, 9, padding=4, rng=rng)

    def forward(self, low: Tensor) -> Tensor:
        """Enlarge a batch."""
        low = require_images("Generator", low)
        require_channels("Generator", low, 3, "photographs are RGB")
        return self.head(self.trunk(low))

    def trunk(self, low: Tensor) -> Tensor:
        """Turn a batch (N, H, W, 3) into feature maps (N, H, W, channels): the layers before the upsampling."""
        first = self.prelu_first(self.conv_first(low))
        return first + self.bn_middle(self.conv_middle(self.blocks(first)))

    def head(self, maps: Tensor) -> Tensor:
        """Turn feature maps (N, H, W, channels) into the enlarged batch: the layers from the upsampling on."""
        high = self.conv_last(self.upsample(maps))
        return ops.tanh(high) if self.tanh else high

    @no_grad
    def start_as_nearest(self) -> Self:
        """Set the initial weights so that the untrained generator repeats every pixel; return the generator.

        Channels 0, 1, 2 carry the picture: the first convolution copies red, green and blue into them, the upsampling
        repeats them, and the last convolution reads 2x - 1. The residual branches add 0 at first, as their last batch
        norm has weight 0 (Goyal et al. 2017, arXiv 1706.02677, sec. 5.1), and the last convolution ignores the other
        channels at first. All other weights keep their random values. The paper does not state its initialization; this
        one saves the first few thousand steps of a short training.

        Errors  ArgumentError for fewer than 3 channels

        >>> low = Tensor(np.random.default_rng(0).random((1, 3, 3, 3), dtype=np.float32))
        >>> high = Generator(scale=2, channels=4, blocks=1).start_as_nearest().eval()(low)
        >>> bool(np.abs(high.numpy()[:, ::2, ::2] - (2 * low.numpy() - 1)).max() < 1e-6)
        True
        """
        why = 'they carry red, green and blue; start "random" takes fewer'
        require_integer('start "nearest" of Generator', "channels", self.width, 3, why)
        rgb = range(3)
        first, last = self.conv_first, self.conv_last
        first.weight[..., :3] = 0
        first.weight[4, 4, rgb, rgb] = 1
        for norm in [self.bn_middle, *(block.bn2 for block in self.blocks)]:
            norm.weight[...] = 0
        for stage in self.upsample:
            stage.conv.weight[..., :12] = 0
            stage.conv.weight[1, 1, np.repeat(rgb, 4), range(12)] = 1
        last.weight[...] = 0
        last.weight[4, 4, rgb, rgb] = 2
        assert last.bias is not None
        last.bias[...] = -1
        return self

    @property
    def receptive_radius(self) -> float:
        """The largest distance, in input pixels, between an output pixel and an input pixel that affects it.

        A k x k convolution reaches (k - 1) / 2 pixels of its own resolution: the sum is 4 + 2*blocks + 1 at
        the input's, 1 at each resolution before an upsampling, and 4 at the output's. The paper's generator has 39.5.
        """
        return 4 + 2 * self.depth + 1 + sum(0.5**k for k in range(len(self.upsample))) + 4 / self.scale
