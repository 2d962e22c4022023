"""Exercises of notebook 8: VGG19 and the perceptual loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from checks import Exercise
from minisrgan import Tensor

Array = np.ndarray[Any, Any]
CHANNELS = (64, 128, 256, 512, 512)
MEANS = np.array([103.939, 116.779, 123.68])


def map_shape(i: int, height: int, width: int) -> tuple[int, int, int]:
    return height // 2 ** (i - 1), width // 2 ** (i - 1), CHANNELS[i - 1]


def prepared(images: Array, means: Array) -> Array:
    return (images[..., ::-1] + 1) * 127.5 - means


def feature_loss(generated: Tensor, original: Tensor) -> Tensor:
    difference = generated - original
    return (difference * difference).mean() * float(generated.shape[3])


def features(rng: np.random.Generator) -> Sequence[Tensor]:
    return Tensor(rng.normal(size=(2, 3, 5, 4)), requires_grad=True), Tensor(rng.normal(size=(2, 3, 5, 4)))


EXERCISES = {
    "8.1": Exercise(
        map_shape,
        lambda rng: (5, int(rng.integers(97, 111)), int(rng.integers(120, 127))),
        {
            "no pooling comes before block 1, so i - 1 come before block i.": lambda i, h, w: (
                h // 2**i,
                w // 2**i,
                CHANNELS[i - 1],
            ),
            "the channels stop doubling at 512: blocks 4 and 5 have as many.": lambda i, h, w: (
                *map_shape(i, h, w)[:2],
                32 * 2**i,
            ),
            "pooling halves the sides each time, it does not divide them by i.": lambda i, h, w: (
                h // i,
                w // i,
                CHANNELS[i - 1],
            ),
            "pooling drops the odd row at the end: round down, with //.": lambda i, h, w: (
                -(-h // 2 ** (i - 1)),
                -(-w // 2 ** (i - 1)),
                CHANNELS[i - 1],
            ),
        },
        ["height", "width", "channels"],
    ),
    "8.2": Exercise(
        prepared,
        lambda rng: (rng.uniform(-1, 1, size=(2, 3, 4, 3)), MEANS),
        {
            "the channels are still RGB: turn them around, images[..., ::-1].": lambda x, m: (x + 1) * 127.5 - m,
            "you turned the result around: the means are B, G, R already.": lambda x, m: ((x + 1) * 127.5 - m)[
                ..., ::-1
            ],
            "the means are missing.": lambda x, m: (x[..., ::-1] + 1) * 127.5,
            "-1 shall become 0: add 1 first.": lambda x, m: x[..., ::-1] * 127.5 - m,
            "that is for pixels in [0, 1]; here they are in [-1, 1].": lambda x, m: x[..., ::-1] * 255 - m,
            "the range is 0 to 255 before the means are subtracted, not 0 to 1.": lambda x, m: (
                (x[..., ::-1] + 1) / 2 - m
            ),
        },
        ["the input of VGG19"],
    ),
    "8.3": Exercise(
        feature_loss,
        features,
        {
            "the value is right, but the loss is cut off from the graph: stay with Tensors.": lambda a, b: feature_loss(
                a.detach(), b
            ),
            "that is a mean over the channels too; eq. 5 sums over them.": lambda a, b: ((a - b) * (a - b)).mean(),
            "that is a sum over positions too: divide by N, H and W.": lambda a, b: ((a - b) * (a - b)).sum(),
            "divide by N as well: it is a mean over the images.": lambda a, b: feature_loss(a, b) * 2.0,
            "the differences are not squared.": lambda a, b: (a - b).mean() * float(a.shape[3]),
            "eq. 5 is the squared distance: no root.": lambda a, b: feature_loss(a, b) ** 0.5,
        },
        ["the loss"],
    ),
}
