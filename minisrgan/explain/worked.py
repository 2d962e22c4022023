"""One number of a layer's output, worked out as on paper; `minisrgan.explain.explain_layers` tells it.

Each function takes the input x, the position of the number in the output, and the layer's settings s under their names
in the layer, and returns the steps as lines of text, the last of which ends with the number. Its docstring is the
layer's formula.

>>> from types import SimpleNamespace
>>> print(*WORKED["PReLU"](np.array([[-2.0, 3.0]]), (0, 0), SimpleNamespace(weight=np.array([0.25, 0.25]))), sep="\\n")
x[0, 0] = -2 is not above 0: the slope is a = 0.25
y[0, 0] = 0.25 * -2 = -0.5
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from minisrgan.backend import Array
from minisrgan.ops.conv import frame_of

Position: TypeAlias = tuple[int, ...]


def _conv2d(x: Array, at: Position, s: Any) -> list[str]:
    """y[n, h, w, o] = bias[o] + sum over i, j, c of x[n, s h + i - p, s w + j - p, c] weight[i, j, c, o]"""
    n, h, w, o = at
    products = []
    (down, right), ((top, _), (left, _)) = frame_of(s.weight.shape[:2], s.stride, s.padding)
    for i, j, c in np.ndindex(s.weight.shape[:3]):
        row, column = h * down - top + i, w * right - left + j
        if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
            words = f"x[{n}, {row}, {column}, {c}] * weight[{i}, {j}, {c}, {o}]"
            products.append((x[n, row, column, c], s.weight[i, j, c, o], words))
    return _sum(products, s.weight[..., o].size, 0.0 if s.bias is None else s.bias[o], at)


def _linear(x: Array, at: Position, s: Any) -> list[str]:
    """y[n, o] = bias[o] + sum over i of x[n, i] weight[i, o]"""
    n, o = at
    products = [(x[n, i], w, f"x[{n}, {i}] * weight[{i}, {o}]") for i, w in enumerate(s.weight[:, o])]
    return _sum(products, len(products), s.bias[o], at)


def _sum(products: list[tuple[float, float, str]], count: int, bias: float, at: Position) -> list[str]:
    """Tell a sum of products (a, b, where they stand) by its largest.

    Those of the count that are missing met the zeros of the padding.
    """
    largest = sorted(products, key=lambda product: -abs(product[0] * product[1]))[:4]
    lines = [f"{a:10.4g} * {b:10.4g} = {a * b:10.4g}    {words}" for a, b, words in largest]
    padding = f", {count - len(products)} of them with zeros of the padding" * (count > len(products))
    total = sum(a * b for a, b, _ in products)
    lines.append(f"these are the {len(lines)} largest of {count} products{padding}; together {total:.4g}")
    return [*lines, f"y{[*at]} = {total:.4g} + {bias:.4g} (bias) = {total + bias:.4g}"]


def _batch_norm(x: Array, at: Position, s: Any) -> list[str]:
    """x_hat = (x - mean) / sqrt(var + eps), y = weight * x_hat + bias, channel by channel"""
    c, values = at[-1], x[..., at[-1]].astype(float)
    mean, var = (values.mean(), values.var()) if s.training else (s.running_mean[c], s.running_var[c])
    source = f"of the {values.size} values of channel {c} in the batch" if s.training else f"running, of channel {c}"
    x_hat = (x[at] - mean) / math.sqrt(var + s.eps)
    return [
        f"mean {mean:.4g} and var {var:.4g}, {source}",
        f"x_hat = {x[at] - mean:.4g} / sqrt({var:.4g} + {s.eps:g}) = {x_hat:.4g}, as x - mean is {x[at] - mean:.4g}",
        f"y{[*at]} = {s.weight[c]:.4g} * {x_hat:.4g} + {s.bias[c]:.4g} = {s.weight[c] * x_hat + s.bias[c]:.4g}",
    ]


def _rectify(x: Array, at: Position, s: Any) -> list[str]:
    """y = x where x > 0, else a x; PReLU learns a = weight[c], leaky ReLU has a fixed one, ReLU has a = 0"""
    learned = hasattr(s, "weight")
    a = s.weight[at[-1] if s.weight.size > 1 else 0] if learned else getattr(s, "negative_slope", 0)
    side, slope = ("is above 0: the slope is 1", 1) if x[at] > 0 else (f"is not above 0: the slope is a = {a:.4g}", a)
    return [f"x{[*at]} = {x[at]:.4g} {side}", f"y{[*at]} = {slope:.4g} * {x[at]:.4g} = {slope * x[at]:.4g}"]


def _pixel_shuffle(x: Array, at: Position, s: Any) -> list[str]:
    """y[n, r h + i, r w + j, c] = x[n, h, w, c r r + i r + j]: nothing is computed, numbers move"""
    (n, row, column, c), r = at, s.factor
    (h, i), (w, j) = divmod(row, r), divmod(column, r)
    channel = c * r * r + i * r + j
    return [
        f"row {row} = {r} * {h} + {i} and column {column} = {r} * {w} + {j}: h = {h}, i = {i}, w = {w}, j = {j}",
        f"channel {c} * {r * r} + {i} * {r} + {j} = {channel} of the input",
        f"y{[*at]} = x[{n}, {h}, {w}, {channel}] = {x[n, h, w, channel]:.4g}",
    ]


def _max_pool(x: Array, at: Position, s: Any) -> list[str]:
    """y[n, h, w, c] = the largest x[n, s h + i, s w + j, c] of the window 0 <= i, j < size, s the stride"""
    n, h, w, c = at
    window = x[n, h * s.stride :, w * s.stride :, c][: s.size, : s.size]
    return [f"the window: {', '.join(f'{v:.4g}' for v in window.flat)}", f"y{[*at]} = {window.max():.4g}"]


# By the name of the layer.
WORKED: Mapping[str, Callable[[Array, Position, Any], list[str]]] = {
    "BatchNorm2d": _batch_norm, "Conv2d": _conv2d, "LeakyReLU": _rectify, "Linear": _linear, "MaxPool2d": _max_pool,
    "PReLU": _rectify, "PixelShuffle": _pixel_shuffle, "ReLU": _rectify,
}  # fmt: skip
