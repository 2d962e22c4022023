"""What is measured: names and sizes, shared by all workers. Needs only NumPy, of any version.

A job is a layer of one of the three networks, a training step, upscaling, or a stack of residual blocks. Every side
computes it on the same numbers, so their results can be held against each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

OURS, TORCH, TORCH_LAST, PEERS = "minisrgan", "torch", "torch channels-last", ("mygrad", "dezero", "chainer")
NETWORKS = (OURS, TORCH, TORCH_LAST)
VGG_BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))  # channels and convolutions


@dataclass(frozen=True)
class Layer:
    """One layer at one size: a side of the square images that go in, and what it passes on.

    frozen       the weights ask for no gradient, as in VGG
    input_grad   the input asks for one; only the first layer of G has none
    """

    kind: str
    inputs: int
    outputs: int
    side: int
    kernel: int = 0
    stride: int = 1
    frozen: bool = False
    input_grad: bool = True

    def __str__(self) -> str:
        """Name it as tables do."""
        at = f" @{self.side}" if self.side else ""
        if self.kind == "conv":
            stride = f" s{self.stride}" if self.stride > 1 else ""
            return f"conv {self.kernel}x{self.kernel} {self.inputs}-{self.outputs}{stride}{at}"
        outputs = f"-{self.outputs}" if self.kind == "linear" else ""
        return f"{self.kind} {self.inputs}{outputs}{at}"


@dataclass(frozen=True)
class Job:
    """One thing to measure.

    group    "layer", "step", "upscale" or "stack"
    phases   what is timed on its own
    sides    who takes part
    size     side of the crops, (height, width) of the image to upscale, or side of the feature maps
    tiles    upscale as the library does by default, in tiles where the image is large; else whole
    """

    name: str
    group: str
    phases: tuple[str, ...]
    sides: tuple[str, ...]
    batch: int
    size: Any = 0
    layer: Layer | None = None
    blocks: int = 16
    tiles: bool = False

    @property
    def memory(self) -> bool:
        """Whether its peak memory is measured: that of a single layer says little."""
        return self.group != "layer"


def generator_layers(side: int = 24) -> Iterator[Layer]:
    """Walk over the layers of G, x4."""
    yield Layer("conv", 3, 64, side, 9, input_grad=False)
    yield Layer("prelu", 64, 64, side)
    yield Layer("conv", 64, 64, side, 3)
    yield Layer("batchnorm", 64, 64, side)
    for _ in range(2):
        yield Layer("conv", 64, 256, side, 3)
        yield Layer("pixelshuffle", 256, 64, side)
        side *= 2
        yield Layer("prelu", 64, 64, side)
    yield Layer("conv", 64, 3, side, 9)


def discriminator_layers(side: int = 96) -> Iterator[Layer]:
    """Walk over the layers of D."""
    yield Layer("conv", 3, 64, side, 3)
    yield Layer("leakyrelu", 64, 64, side)
    inputs = 64
    for outputs, stride in ((64, 2), (128, 1), (128, 2), (256, 1), (256, 2), (512, 1), (512, 2)):
        yield Layer("conv", inputs, outputs, side, 3, stride)
        inputs, side = outputs, side // stride
        yield Layer("batchnorm", inputs, inputs, side)
        yield Layer("leakyrelu", inputs, inputs, side)
    yield Layer("linear", side * side * inputs, 1024, 0)
    yield Layer("leakyrelu", 1024, 1024, 0)
    yield Layer("linear", 1024, 1, 0)


def vgg_layers(side: int = 96) -> Iterator[Layer]:
    """Walk over the layers of VGG19 up to phi 5,4."""
    inputs = 3
    for block, (outputs, count) in enumerate(VGG_BLOCKS):
        if block:
            yield Layer("maxpool", inputs, inputs, side, stride=2)
            side //= 2
        for _ in range(count):
            yield Layer("conv", inputs, outputs, side, 3, frozen=True)
            yield Layer("relu", outputs, outputs, side)
            inputs = outputs


def every(quick: bool = False) -> list[Job]:
    """Return all jobs; the quick ones have small batches and images."""
    batch, both = (2 if quick else 16), ("forward", "backward")
    jobs = []
    for network, layers in (("G", generator_layers()), ("D", discriminator_layers()), ("VGG", vgg_layers())):
        for layer in dict.fromkeys(layers):  # each distinct one
            jobs.append(Job(f"{network} {layer}", "layer", both, NETWORKS, batch, layer=layer))
    jobs.append(Job("SRResNet step", "step", ("step",), NETWORKS, batch, 96))
    jobs.append(Job("SRGAN step VGG 5,4", "step", ("step",), NETWORKS, batch, 96))
    small, photo = ((32, 32), (27, 48)) if quick else ((128, 128), (270, 480))
    jobs.append(Job("upscale 128x128", "upscale", ("image",), NETWORKS, 1, small))
    jobs.append(Job("upscale 480x270", "upscale", ("image",), NETWORKS, 1, photo))
    jobs.append(Job("upscale 480x270 default tiles", "upscale", ("image",), NETWORKS, 1, photo, tiles=True))
    jobs.append(Job("residual stack", "stack", both, (*NETWORKS, *PEERS), 1 if quick else 4, 24, blocks=4))
    return jobs


# The numbers. Arrays are drawn in our layout, NHWC; the others turn them into theirs.


def draw_weights(shapes: Iterable[tuple[int, ...]], seed: int = 0) -> Iterator[Any]:
    """Draw He-normal weights of convolutions (kh, kw, in, out) and dense layers (in, out), in order."""
    rng = np.random.default_rng(seed)
    for shape in shapes:
        scale = np.float32(np.sqrt(2 / np.prod(shape[:-1])))
        yield rng.standard_normal(shape, dtype=np.float32) * scale


def draw_input(job: Job, seed: int = 1) -> Any:
    """Draw what goes into a layer or a stack: (N, H, W, C), or (N, C) for a dense layer."""
    if job.layer is None:
        shape: tuple[int, ...] = (job.batch, job.size, job.size, 64)
    else:
        shape = (job.batch, *(() if job.layer.side == 0 else (job.layer.side,) * 2), job.layer.inputs)
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def draw_gradient(shape: tuple[int, ...], seed: int = 2) -> Any:
    """Draw the gradient of the result, in our layout."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def draw_batch(job: Job, seed: int = 3) -> tuple[Any, Any]:
    """Draw low (N, h, w, 3) in [0, 1] and high (N, H, W, 3) in [-1, 1]."""
    rng = np.random.default_rng(seed)
    low, high = (rng.random((job.batch, side, side, 3), dtype=np.float32) for side in (job.size // 4, job.size))
    return low, high * 2 - 1


def draw_image(job: Job, seed: int = 4) -> Any:
    """Draw bytes (H, W, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (*job.size, 3), dtype=np.uint8)


def magnitude(*arrays: Any) -> list[float]:
    """Return the mean size of the numbers of each array, by which the sides are compared: the same in every layout."""
    return [float(np.abs(np.asarray(array, np.float64)).mean()) for array in arrays]
