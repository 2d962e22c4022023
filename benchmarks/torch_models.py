"""The three networks in PyTorch as its users write them. Parameters come in the same order as in minisrgan.models."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.jobs import VGG_BLOCKS


class ResidualBlock(nn.Module):
    """x + f(x)."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), activation,
            nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Keep the shape."""
        return x + self.body(x)


class Generator(nn.Module):
    """SRResNet, x4, 64 channels, 16 blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 64, 9, padding=4), nn.PReLU(64))
        self.blocks = nn.Sequential(*(ResidualBlock(nn.PReLU(64)) for _ in range(16)))
        self.middle = nn.Sequential(nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64))
        stages = [(nn.Conv2d(64, 256, 3, padding=1), nn.PixelShuffle(2), nn.PReLU(64)) for _ in range(2)]
        self.upsample = nn.Sequential(*(layer for stage in stages for layer in stage))
        self.last = nn.Conv2d(64, 3, 9, padding=4)

    def forward(self, low: torch.Tensor) -> torch.Tensor:
        """Enlarge a batch."""
        first = self.first(low)
        return self.last(self.upsample(first + self.middle(self.blocks(first))))


class Discriminator(nn.Module):
    """Crops of 96 x 96 in, logits out."""

    def __init__(self) -> None:
        super().__init__()
        layers, inputs = [nn.Conv2d(3, 64, 3, padding=1), nn.LeakyReLU(0.2, inplace=True)], 64
        for outputs, stride in ((64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2)):
            layers += [nn.Conv2d(inputs, outputs, 3, stride, 1), nn.BatchNorm2d(outputs)]
            layers += [nn.LeakyReLU(0.2, inplace=True)]
            inputs = outputs
        self.features = nn.Sequential(*layers)
        dense = nn.Linear(6 * 6 * 512, 1024)
        self.head = nn.Sequential(nn.Flatten(), dense, nn.LeakyReLU(0.2, inplace=True), nn.Linear(1024, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the logits."""
        return self.head(self.features(images))


class VGG19(nn.Module):
    """VGG19 up to phi 5,4, with the preparation of Caffe's weights."""

    def __init__(self) -> None:
        super().__init__()
        layers, inputs = [], 3
        for block, (outputs, count) in enumerate(VGG_BLOCKS):
            layers += [nn.MaxPool2d(2)] if block else []
            for _ in range(count):
                layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = outputs
        self.features = nn.Sequential(*layers)
        self.register_buffer("mean", torch.tensor([103.939, 116.779, 123.68]).view(1, 3, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return the features of RGB in [-1, 1]."""
        return self.features((images.flip(1) + 1) * 127.5 - self.mean)
