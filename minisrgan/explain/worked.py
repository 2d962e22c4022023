"""The calculation of one number of a step, as on paper, for `minisrgan.explain.explain_layers`.

Each function takes a step s, whose attributes are inputs and options, and the position of a number in the result. It
returns lines of text; the last line ends with the number. The docstring of the function is the formula.

>>> from types import SimpleNamespace
>>> s = SimpleNamespace(op="prelu", x=np.array([[-2.0, 3.0]]), slope=np.array([0.25, 0.25]))
>>> print(*WORKED["prelu"](s, (0, 0)), sep="\\n")
x[0, 0] = -2 is not above 0: the slope is a = 0.25
y[0, 0] = 0.25 * -2 = -0.5
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from minisrgan.backend import Array

Position: TypeAlias = tuple[int, ...]


def _conv2d(s: Any, at: Position) -> list[str]:
    """y[n, h, w, o] = bias[o] + sum over i, j, c of x[n, s h + i - p, s w + j - p, c] weight[i, j, c, o]"""
    n, h, w, o = at
    (down, right), (top, left) = np.broadcast_to(s.stride, 2), np.broadcast_to(s.padding, 2)
    products, places = [], np.zeros(s.weight.shape[:2])
    for i, j, c in np.ndindex(s.weight.shape[:3]):
        row, column = h * down - top + i, w * right - left + j
        if 0 <= row < s.x.shape[1] and 0 <= column < s.x.shape[2]:
            words = f"x[{n}, {row}, {column}, {c}] * weight[{i}, {j}, {c}, {o}]"
            products.append((s.x[n, row, column, c], s.weight[i, j, c, o], words))
            places[i, j] += products[-1][0] * products[-1][1]
    bias = getattr(s, "bias", None)
    return _sum(products, s.weight[..., o].size, 0.0 if bias is None else bias[o], at, places)


def _linear(s: Any, at: Position) -> list[str]:
    """y[n, o] = bias[o] + sum over i of x[n, i] weight[i, o]"""
    n, o = at
    products = [(s.x[n, i], w, f"x[{n}, {i}] * weight[{i}, {o}]") for i, w in enumerate(s.weight[:, o])]
    return _sum(products, len(products), s.bias[o], at)


def _sum(
    products: list[tuple[float, float, str]], count: int, bias: float, at: Position, places: Array | None = None
) -> list[str]:
    """Describe a sum of products (a, b, text): the largest ones, and the sums at each place of a kernel.

    If there are fewer than ``count``, the missing products are those with zeros of the padding.
    """
    largest = sorted(products, key=lambda product: -abs(product[0] * product[1]))[:4]
    lines = [f"{a:10.4g} * {b:10.4g} = {a * b:10.4g}    {words}" for a, b, words in largest]
    padding = f", {count - len(products)} of them with zeros of the padding" * (count > len(products))
    total, rest = (sum(a * b for a, b, _ in part) for part in (products, set(products) - set(largest)))
    lines.append(f"these are the {len(lines)} largest of {count} products{padding}; the others together {rest:.4g}")
    if places is not None:
        lines.append("all products, summed over the input channels at each place of the kernel:")
        lines += ["".join(f"{v:10.4g}" for v in row) for row in places]
    return [*lines, f"y{[*at]} = {total:.4g} (all products) + {bias:.4g} (bias) = {total + bias:.4g}"]


def _add(s: Any, at: Position) -> list[str]:
    """y = a + b"""
    a, b = (np.broadcast_to(x, np.broadcast_shapes(np.shape(s.a), np.shape(s.b)))[at] for x in (s.a, s.b))
    return [f"y{[*at]} = {a:.4g} + {b:.4g} = {a + b:.4g}"]


def _batch_norm(s: Any, at: Position) -> list[str]:
    """x_hat = (x - mean) / sqrt(var + eps), y = weight * x_hat + bias, channel by channel"""
    x, c, values = s.x, at[-1], s.x[..., at[-1]].astype(float)
    training = s.op == "batch_norm_training"
    mean, var = (values.mean(), values.var()) if training else (s.running_mean[c], s.running_var[c])
    source = f"of the {values.size} values of channel {c} in the batch" if training else f"running, of channel {c}"
    x_hat = (x[at] - mean) / math.sqrt(var + s.eps)
    return [
        f"mean {mean:.4g} and var {var:.4g}, {source}",
        f"x_hat = {x[at] - mean:.4g} / sqrt({var:.4g} + {s.eps:g}) = {x_hat:.4g}, as x - mean is {x[at] - mean:.4g}",
        f"y{[*at]} = {s.weight[c]:.4g} * {x_hat:.4g} + {s.bias[c]:.4g} = {s.weight[c] * x_hat + s.bias[c]:.4g}",
    ]


def _rectify(s: Any, at: Position) -> list[str]:
    """y = x where x > 0, else a x; PReLU learns a = slope[c], leaky ReLU has a fixed one, ReLU has a = 0"""
    x, learned = s.x, s.op == "prelu"
    a = s.slope[at[-1] if s.slope.size > 1 else 0] if learned else s.negative_slope
    side, slope = ("is above 0: the slope is 1", 1) if x[at] > 0 else (f"is not above 0: the slope is a = {a:.4g}", a)
    return [f"x{[*at]} = {x[at]:.4g} {side}", f"y{[*at]} = {slope:.4g} * {x[at]:.4g} = {slope * x[at]:.4g}"]


def _pixel_shuffle(s: Any, at: Position) -> list[str]:
    """y[n, r h + i, r w + j, c] = x[n, h, w, c r r + i r + j]: nothing is computed, numbers move"""
    (n, row, column, c), r = at, s.factor
    (h, i), (w, j) = divmod(row, r), divmod(column, r)
    channel = c * r * r + i * r + j
    return [
        f"row {row} = {r} * {h} + {i} and column {column} = {r} * {w} + {j}: h = {h}, i = {i}, w = {w}, j = {j}",
        f"channel {c} * {r * r} + {i} * {r} + {j} = {channel} of the input",
        f"y{[*at]} = x[{n}, {h}, {w}, {channel}] = {s.x[n, h, w, channel]:.4g}",
    ]


def _max_pool(s: Any, at: Position) -> list[str]:
    """y[n, h, w, c] = the largest x[n, s h + i, s w + j, c] of the window 0 <= i, j < size, s the stride"""
    n, h, w, c = at
    window = s.x[n, h * s.stride :, w * s.stride :, c][: s.size, : s.size]
    return [f"the window: {', '.join(f'{v:.4g}' for v in window.flat)}", f"y{[*at]} = {window.max():.4g}"]


# By the name of the operation.
WORKED: Mapping[str, Callable[[Any, Position], list[str]]] = {
    "add": _add, "batch_norm_evaluation": _batch_norm, "batch_norm_training": _batch_norm, "conv2d": _conv2d,
    "leaky_relu": _rectify, "linear": _linear, "max_pool2d": _max_pool, "prelu": _rectify,
    "pixel_shuffle": _pixel_shuffle, "relu": _rectify,
}  # fmt: skip
