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
KNOWN_DIVISORS = ((1, 1, 1, 0), (1, 1, 1, 1), (0, 1, 1, 0), (0, 0, 0, 0))  # powers of N, H, W, C: right, or named


def map_shape(i: int, height: int, width: int) -> tuple[int, int, int]:
    return height // 2 ** (i - 1), width // 2 ** (i - 1), CHANNELS[i - 1]


def prepared(images: Array, means: Array) -> Array:
    return (images[..., ::-1] + 1) * 127.5 - means


def feature_loss(generated: Tensor, original: Tensor) -> Tensor:
    difference = generated - original
    return (difference * difference).mean() * float(generated.shape[3])


def small(x: Array) -> Array:
    """Split rows and columns into windows of 2 x 2: (H/2, 2, W/2, 2, C)."""
    return x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, x.shape[2])


def large(y: Array) -> Array:
    """Repeat every pixel 2 x 2 times."""
    return y.repeat(2, axis=0).repeat(2, axis=1)


def pool_gradient(grad_y: Array, x: Array) -> Array:
    windows = small(x).transpose(0, 2, 4, 1, 3).reshape(*grad_y.shape, 4)
    grad = np.where(np.arange(4) == windows.argmax(axis=3)[..., None], grad_y[..., None], 0.0)
    return grad.reshape(*grad_y.shape, 2, 2).transpose(0, 3, 1, 4, 2).reshape(x.shape)


def shared_gradient(grad_y: Array, x: Array) -> Array:
    top = x == large(small(x).max(axis=(1, 3)))
    return large(grad_y / small(top).sum(axis=(1, 3))) * top


def features(rng: np.random.Generator) -> Sequence[Tensor]:
    shape = (2, 3, 5, int(rng.integers(3, 8)))  # channels that differ keep their sum and their mean apart
    return Tensor(rng.normal(size=shape), requires_grad=True), Tensor(rng.normal(size=shape))


def loss_terms(generated: Tensor, original: Tensor) -> list[dict[str, float]]:
    """Measure the differences in other ways."""
    d = (generated - original).numpy()
    sizes = {"squares": d * d, "magnitudes": np.abs(d), "differences": d}
    terms = {f"{name}, added over channels": float(v.sum(axis=3).mean()) for name, v in sizes.items()}
    terms |= {f"{name}, averaged over channels": float(v.mean()) for name, v in sizes.items()}
    return [terms | {"lengths of the feature vectors": float(np.linalg.norm(d, axis=3).mean())}]


def divided_by(*powers: int) -> tuple[str, Any]:
    """Divide the sum of squares by powers of N, H, W and C: what to say, and the loss."""
    name = " ".join(f"{n}^{power}" if power > 1 else n for n, power in zip("NHWC", powers, strict=True) if power)

    def loss(a: Tensor, b: Tensor) -> Tensor:
        return ((a - b) * (a - b)).sum() / float(np.prod(np.power(a.shape, powers)))

    return f"the sum of squares is divided by {name} in yours; L divides it by N W H.", loss


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
        cases={
            "for block 1": lambda rng: (1, 97, 121),
            "for block 3": lambda rng: (3, 97, 121),
            "for block 4": lambda rng: (4, 103, 126),
        },
    ),
    "8.2": Exercise(
        prepared,
        lambda rng: (rng.uniform(-1, 1, size=(2, 3, 4, 3)), MEANS),
        {
            "the channels are still RGB: turn them around, images[..., ::-1].": lambda x, m: (x + 1) * 127.5 - m,
            "you turned the result around: the means are B, G, R already.": lambda x, m: ((x + 1) * 127.5 - m)[
                ..., ::-1
            ],
            **{
                f"you turned axis {axis} around; the channels, R, G, B, are the last axis: images[..., ::-1].": (
                    lambda x, m, axis=axis: (np.flip(x, axis) + 1) * 127.5 - m
                )
                for axis in range(3)
            },
            "the means are missing.": lambda x, m: (x[..., ::-1] + 1) * 127.5,
            "-1 shall become 0: add 1 first.": lambda x, m: x[..., ::-1] * 127.5 - m,
            "that is for pixels in [0, 1]; here they are in [-1, 1].": lambda x, m: x[..., ::-1] * 255 - m,
            "the range is 0 to 255 before the means are subtracted, not 0 to 1.": lambda x, m: (
                (x[..., ::-1] + 1) / 2 - m
            ),
            "VGG19 takes fractions as well: do not round, or turn to whole numbers, on the way.": lambda x, m: (
                np.round((x[..., ::-1] + 1) * 127.5) - m
            ),
            "do not cut the fractions off on the way (astype to whole numbers, //).": lambda x, m: (
                np.floor((x[..., ::-1] + 1) * 127.5) - m
            ),
        },
        ["the input of VGG19"],
        terms=lambda x, m: [
            {
                "images, as B, G, R": x[..., ::-1],
                "images, as R, G, B": x,
                "1": np.ones_like(x),
                "means": m + 0 * x,
                "means in reverse order": m[::-1] + 0 * x,
            }
        ],
        cases={"for other means": lambda rng: (rng.uniform(-1, 1, size=(1, 3, 4, 3)), rng.uniform(90, 130, size=3))},
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
            "divide by N as well: it is a mean over the images.": lambda a, b: feature_loss(a, b) * float(a.shape[0]),
            "the differences are not squared.": lambda a, b: (a - b).mean() * float(a.shape[3]),
            "eq. 5 is the squared distance: no root.": lambda a, b: feature_loss(a, b) ** 0.5,
            "square each difference, then sum over channels; yours is the square of the sum, where signs cancel.": (
                lambda a, b: ((a - b).sum(axis=3) * (a - b).sum(axis=3)).mean()
            ),
            **dict(
                divided_by(*powers)
                for powers in np.ndindex(2, 3, 3, 2)
                if sum(powers[1:3]) < 3 and powers not in KNOWN_DIVISORS
            ),
        },
        ["the loss"],
        terms=loss_terms,
        cases={
            "for one image": lambda rng: [Tensor(rng.normal(size=(1, 4, 2, 6)), requires_grad=i == 0) for i in (0, 1)]
        },
    ),
    "8.4": Exercise(
        pool_gradient,
        lambda rng: (rng.normal(size=(2, 3, 4)), rng.integers(-3, 3, size=(4, 6, 4)).astype(float)),
        {
            "where a window has two equal maxima, only the first of them, in row order, gets the gradient.": (
                lambda g, x: large(g) * (x == large(small(x).max(axis=(1, 3))))
            ),
            "equal maxima share the gradient in yours: the first of them gets all of it.": shared_gradient,
            "the last of several equal maxima gets the gradient: the first, in row order, should.": (
                lambda g, x: pool_gradient(g[::-1, ::-1], x[::-1, ::-1])[::-1, ::-1]
            ),
            "of equal values you took the first in column order; row order asks [0, 1] before [1, 0].": lambda g, x: (
                pool_gradient(g.swapaxes(0, 1), x.swapaxes(0, 1)).swapaxes(0, 1)
            ),
            "the largest value is wanted, not the largest absolute value: pixels may be negative.": lambda g, x: (
                pool_gradient(g, np.abs(x))
            ),
            "each channel has its own maximum: yours looks for one place for all of them.": lambda g, x: pool_gradient(
                g, np.broadcast_to(x.sum(axis=2, keepdims=True), x.shape)
            ),
            "each channel has its own maximum, and yours takes the place of the largest of all.": lambda g, x: (
                pool_gradient(g, np.broadcast_to(x.max(axis=2, keepdims=True), x.shape))
            ),
            "the places are right; grad_y is handed on as it is, not multiplied by x.": lambda g, x: (
                x * pool_gradient(g, x)
            ),
            "that is the gradient of average pooling: here the largest pixel gets all, the others 0.": (
                lambda g, x: large(g) / 4
            ),
            "all four pixels of a window get the gradient in yours: only the largest does.": lambda g, x: large(g),
            "the places are right; what stands there is x, and not grad_y.": lambda g, x: (
                x * (pool_gradient(np.ones_like(g), x) > 0)
            ),
            "that is 1 at the maximum, the derivative: multiply it with the grad_y that arrives.": lambda g, x: (
                pool_gradient(np.ones_like(g), x)
            ),
            "the smallest pixel of each window gets the gradient in yours.": lambda g, x: pool_gradient(g, -x),
            "you compare with the largest number of all, not with that of each window and channel.": lambda g, x: (
                large(g) * (x == x.max())
            ),
        },
        ["grad_x"],
    ),
}
