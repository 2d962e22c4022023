"""Exercises of notebook 7: the generator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from checks import Exercise
from minisrgan import Tensor, ops

Array = np.ndarray[Any, Any]


def residual_block(x: Tensor, conv1: Any, bn1: Any, prelu: Any, conv2: Any, bn2: Any) -> Tensor:
    y: Tensor = x + bn2(conv2(prelu(bn1(conv1(x)))))
    return y


def parts(rng: np.random.Generator) -> list[Any]:
    """Draw an input and the five layers of a block, in float64."""
    x = Tensor(rng.normal(size=(2, 4, 5, 3)), requires_grad=True)
    conv1, conv2 = (Tensor(rng.normal(size=(3, 3, 3, 3))) for _ in range(2))
    scales = [(Tensor(rng.uniform(0.5, 2, size=3)), Tensor(rng.normal(size=3))) for _ in range(2)]
    return [
        x,
        lambda t: ops.conv2d(t, conv1, padding=1),
        lambda t: t * scales[0][0] + scales[0][1],
        lambda t: ops.leaky_relu(t, 0.25),
        lambda t: ops.conv2d(t, conv2, padding=1),
        lambda t: t * scales[1][0] + scales[1][1],
    ]


class Formula:
    """Stands for a Tensor and for a result of layers, and writes down what is done with it."""

    def __init__(self, text: str) -> None:
        """Begin with a name."""
        self.text = text

    def __add__(self, other: Any) -> Formula:
        return Formula(f"{self.text} + {getattr(other, 'text', other)}")

    def __mul__(self, other: Any) -> Formula:
        return Formula(f"({self.text}) * {getattr(other, 'text', other)}")

    __rmul__ = __mul__


def written_out(answer: Any) -> str:
    """Say which formula a block computes."""
    names = ("conv1", "bn1", "prelu", "conv2", "bn2")
    return f"is {answer(Formula('x'), *(lambda t, n=n: Formula(f'{n}({t.text})') for n in names)).text} in yours."


def reach(layers: Sequence[tuple[str, int]]) -> float:
    radius, pixel = 0.0, 1.0
    for kind, size in layers:
        if kind == "conv":
            radius += pixel * (size - 1) / 2
        else:
            pixel /= size
    return radius


def reach_with(layers: Sequence[tuple[str, int]], half: Any, shrink: Any) -> float:
    """Compute it with another reach of one convolution, or another size of a pixel after a shuffle."""
    radius, pixel = 0.0, 1.0
    for kind, size in layers:
        if kind == "conv":
            radius += pixel * half(size)
        else:
            pixel = shrink(pixel, size)
    return radius


def shrinking(given: Sequence[tuple[str, int]]) -> float:
    """Divide the radius at a shuffle."""
    radius = 0.0
    for kind, size in given:
        radius = radius + (size - 1) / 2 if kind == "conv" else radius / size
    return radius


def layers(rng: np.random.Generator) -> list[list[tuple[str, int]]]:
    blocks = [("conv", 3)] * int(rng.integers(3, 9))
    return [[("conv", 9), *blocks, ("shuffle", 2), ("conv", 5), ("shuffle", 3), ("conv", 9)]]


def to_photo(y: Array) -> Array:
    return ((y + 1) * 127.5).round().clip(0, 255).astype(np.uint8)


def _wrapped(y: Array) -> Array:
    return ((y + 1) * 127.5).round().astype(np.int64).astype(np.uint8)


EXERCISES = {
    "7.1": Exercise(
        residual_block,
        parts,
        {
            "the skip is missing: add x to the result.": lambda x, c1, b1, p, c2, b2: b2(c2(p(b1(c1(x))))),
            "a PReLU follows the sum, as in the first ResNets. Here nothing does.": lambda x, c1, b1, p, c2, b2: p(
                x + b2(c2(p(b1(c1(x)))))
            ),
            "a PReLU follows bn2: there is only one in a block, in the middle.": lambda x, c1, b1, p, c2, b2: (
                x + p(b2(c2(p(b1(c1(x))))))
            ),
            "the PReLU stands in the middle, between bn1 and conv2, not behind bn2.": lambda x, c1, b1, p, c2, b2: (
                x + p(b2(c2(b1(c1(x)))))
            ),
            "the PReLU stands in the middle, not before conv1.": lambda x, c1, b1, p, c2, b2: x + b2(c2(b1(c1(p(x))))),
            "bn1 comes before the PReLU, not after it.": lambda x, c1, b1, p, c2, b2: x + b2(c2(b1(p(c1(x))))),
            "each batch norm comes after its convolution, not before.": lambda x, c1, b1, p, c2, b2: (
                x + c2(b2(p(c1(b1(x)))))
            ),
            "bn2 is missing.": lambda x, c1, b1, p, c2, b2: x + c2(p(b1(c1(x)))),
            "the PReLU is missing.": lambda x, c1, b1, p, c2, b2: x + b2(c2(b1(c1(x)))),
            "you applied bn2 to the sum: the skip goes around it.": lambda x, c1, b1, p, c2, b2: b2(
                x + c2(p(b1(c1(x))))
            ),
        },
        ["y"],
        tells=written_out,
    ),
    "7.2": Exercise(
        reach,
        layers,
        {
            "that is in pixels of the layers: after a shuffle by r they are r times smaller, in pixels of the input.": (
                lambda given: reach_with(given, lambda k: (k - 1) / 2, lambda pixel, r: pixel)
            ),
            "after a shuffle pixels become smaller: divide by r.": lambda given: reach_with(
                given, lambda k: (k - 1) / 2, lambda pixel, r: pixel * r
            ),
            "that is on both sides together: the radius is half of it.": lambda given: 2 * reach(given),
            "that is the whole side of the square, 2 * radius + 1.": lambda given: 2 * reach(given) + 1,
            "a shuffle by r makes pixels r times smaller, and yours halves them always.": lambda given: reach_with(
                given, lambda k: (k - 1) / 2, lambda pixel, r: pixel / 2
            ),
            "a k x k convolution looks (k - 1)/2 pixels further: its middle pixel does not count.": (
                lambda given: reach_with(given, lambda k: k / 2, lambda pixel, r: pixel / r)
            ),
            "a shuffle does not shrink what was added up before it, only the pixels of what follows.": shrinking,
            "two shuffles, by 2 and by 3, make pixels 6 times smaller: divide what is there already.": (
                lambda given: reach_with(given, lambda k: (k - 1) / 2, lambda pixel, r: 1 / r)
            ),
        },
        ["the radius"],
        examples=lambda: [([("conv", 5)],), ([("conv", 5), ("conv", 3)],), ([("shuffle", 2), ("conv", 5)],)],
        cases={
            "without a shuffle": lambda rng: ([("conv", 3), ("conv", 5)],),
            "with a shuffle first": lambda rng: ([("shuffle", 2), ("conv", 5), ("conv", 3)],),
        },
    ),
    "7.3": Exercise(
        to_photo,
        lambda rng: (rng.uniform(-1.2, 1.2, size=(4, 5, 3)),),
        {
            "levels beyond 0 and 255 wrapped around, white to black: clip first.": _wrapped,
            "that is for numbers in [0, 1]; here black is -1.": lambda y: (y * 255).round().clip(0, 255),
            "-1 shall become 0: add 1 first.": lambda y: (y * 127.5).round().clip(0, 255),
            "astype cuts off, so that 199.9 becomes 199: round first.": lambda y: ((y + 1) * 127.5).clip(0, 255) // 1,
            "levels are whole numbers: round, and turn them into uint8.": lambda y: ((y + 1) * 127.5).clip(0, 255),
            **{
                f"white, 1, becomes 255, so the factor is 127.5; yours is {by}{told}.": lambda y, by=by, whole=whole: (
                    whole((y + 1) * by).clip(0, 255).astype(np.uint8)
                )
                for by in (128, 127)
                for told, whole in {"": np.round, ", and a fraction is cut off, not rounded": np.floor}.items()
            },
            "that runs up to 256; the highest level is 255.": lambda y: ((y + 1) * 128).round().clip(0, 256),
            "the output lies outside [-1, 1] here and there, and so do your levels: clip.": lambda y: (
                (y + 1) * 127.5
            ).round(),
        },
        ["the photo"],
        rtol=1e-3,
    ),
}
