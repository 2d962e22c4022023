"""Exercises of notebook 12: operations for a byte, Winograd's convolution, Amdahl's law."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import variants
from checks import Exercise
from minisrgan.kernels.schemes import toom_cook

Array = np.ndarray[Any, Any]


def intensity(n: int, h: int, w: int, c: int, o: int, k: int, operations: int = 2, size: int = 4) -> float:
    return operations * n * h * w * c * o * k * k / (size * (n * h * w * (c + o) + c * o * k * k))


def four_products(d: Array, w: Array) -> tuple[float, ...]:
    m1, m2 = (d[1] + d[2]) * (w[0] + w[1] + w[2]) / 2, (d[2] - d[1]) * (w[0] - w[1] + w[2]) / 2
    return (d[0] - d[2]) * w[0], m1, m2, (d[1] - d[3]) * w[2]


def times(*factors: float) -> Callable[[Array, Array], tuple[float, ...]]:
    """Make a mistake in the signs or factors of the four products."""
    return lambda d, w: tuple(f * m for f, m in zip(factors, four_products(d, w), strict=True))


def winograd(d: Array, w: Array, bt: Array, g: Array, at: Array) -> Array:
    return at @ ((g @ w @ g.T) * (bt @ d @ bt.T)) @ at.T


def below(right: Any, inputs: Any, above: Any, terms: Any) -> Callable[[Any], str]:
    """Look at what stands below the line of an answer, `above` / answer: is it a sum with other terms?"""

    def told(answer: Any) -> str:
        given = [inputs(np.random.default_rng(seed)) for seed in range(12)]
        sums = [[np.asarray(above(*g) / function(*g)) for function in (answer, right)] for g in given]
        found = variants.factors([(terms(*g), *pair) for g, pair in zip(given, sums, strict=True)], 0)
        return f"has other terms below the line. {found}" if found else ""

    return told


def layer(rng: np.random.Generator) -> tuple[int, ...]:
    return *rng.integers(2, 40, size=5).tolist(), 3


def share(rng: np.random.Generator) -> tuple[float, float]:
    return float(rng.uniform(0.2, 0.9)), float(rng.uniform(2, 10))


def tile(rng: np.random.Generator) -> tuple[Array, ...]:
    return rng.normal(size=(4, 4)), rng.normal(size=(3, 3)), *toom_cook((0, 1, -1), taps=3)


EXERCISES = {
    "12.1": Exercise(
        intensity,
        layer,
        {
            "a multiplication and an addition are two operations.": lambda *a: intensity(*a, operations=1),
            "a number of float32 has 4 bytes.": lambda *a: intensity(*a, size=1),
            "a kernel is k x k: each output adds k * k * c products.": lambda n, h, w, c, o, k: (
                intensity(n, h, w, c, o, k) / k
            ),
            "the bytes of the weight are missing; for small images they are most.": lambda n, h, w, c, o, k: (
                2 * c * o * k * k / (4 * (c + o))
            ),
            "the bytes of the output are missing.": lambda n, h, w, c, o, k: (
                2 * n * h * w * c * o * k * k / (4 * (n * h * w * c + c * o * k * k))
            ),
            "the bytes of the input are missing.": lambda n, h, w, c, o, k: (
                2 * n * h * w * c * o * k * k / (4 * (n * h * w * o + c * o * k * k))
            ),
            "this convolution has no bias: its o numbers do not count.": lambda n, h, w, c, o, k: (
                2 * n * h * w * c * o * k * k / (4 * (n * h * w * (c + o) + c * o * k * k + o))
            ),
            "that is bytes for an operation: turn it over.": lambda *a: 1 / intensity(*a),
        },
        ["operations / bytes"],
        rtol=1e-6,
        cases={"for a 5 x 5 kernel": lambda rng: (2, 9, 7, 4, 6, 5)},
        tells=below(
            intensity,
            layer,
            lambda n, h, w, c, o, k: 2 * n * h * w * c * o * k * k,
            lambda n, h, w, c, o, k: {
                "bytes of the input": 4 * n * h * w * c,
                "bytes of the output": 4 * n * h * w * o,
                "bytes of the weight": 4 * c * o * k * k,
                "bytes of a weight for each image": 4 * n * c * o * k * k,
                "bytes of a bias": 4 * o,
            },
        ),
    ),
    "12.2": Exercise(
        four_products,
        lambda rng: (rng.normal(size=4), rng.normal(size=3)),
        {
            "m_0 has the wrong sign: m_1 + m_2 holds d_2 w_0 and not d_0 w_0, so m_0 adds the one, less the other.": (
                times(-1, 1, 1, 1)
            ),
            "m_3 has the wrong sign: y_1 subtracts it, so it is what m_1 - m_2 has too much.": times(1, 1, 1, -1),
            "m_0 and m_3 have the wrong signs.": times(-1, 1, 1, -1),
            "m_1 and m_2 are twice too large: the halves are missing.": times(1, 2, 2, 1),
            "m_2 has the wrong sign: it is d_2 - d_1.": times(1, 1, -1, 1),
            "those are six products' sums, not the four: m_0 and m_3 are single products, such as (.. - ..) * w[0].": (
                lambda d, w: (d[0] * w[0] - d[2] * w[2], *four_products(d, w)[1:3], d[1] * w[0] - d[3] * w[2])
            ),
        },
        ["m_0", "m_1", "m_2", "m_3"],
    ),
    "12.3": Exercise(
        winograd,
        tile,
        {
            "in the middle stands *, element by element, not @: that is where multiplications are saved.": (
                lambda d, w, bt, g, at: at @ ((g @ w @ g.T) @ (bt @ d @ bt.T)) @ at.T
            ),
            "in the middle stands a product, *: yours adds the transforms.": lambda d, w, bt, g, at: (
                at @ (g @ w @ g.T + bt @ d @ bt.T) @ at.T
            ),
            "the transforms on the right are not transposed: (G w G^T), (B^T d B), A^T [..] A.": (
                lambda d, w, bt, g, at: at @ ((g @ w @ g.T) * (bt @ d @ bt)) @ at.T
            ),
            "the kernel is turned: deep learning uses it as it is.": lambda d, w, bt, g, at: winograd(
                d, w[::-1, ::-1], bt, g, at
            ),
            "bt is B^T already: B^T d B is bt @ d @ bt.T, not bt.T @ d @ bt.": lambda d, w, bt, g, at: (
                at @ ((g @ w @ g.T) * (bt.T @ d @ bt)) @ at.T
            ),
            "B^T d B has a matrix on either side of d; yours has B^T alone.": lambda d, w, bt, g, at: (
                at @ ((g @ w @ g.T) * (bt @ d)) @ at.T
            ),
            "B^T d B has a matrix on either side of d; yours has B alone.": lambda d, w, bt, g, at: (
                at @ ((g @ w @ g.T) * (d @ bt.T)) @ at.T
            ),
            "d is transformed as well, by B^T d B; yours is used as it is.": lambda d, w, bt, g, at: (
                at @ ((g @ w @ g.T) * d) @ at.T
            ),
            "the last transform is missing: y is at @ (..) @ at.T.": lambda d, w, bt, g, at: (
                (g @ w @ g.T) * (bt @ d @ bt.T)
            ),
        },
        ["y"],
    ),
    "12.4": Exercise(
        lambda s, f: 1 / (1 - s + s / f),
        share,
        {
            "the rest, 1 - s, is missing: it takes as long as before.": lambda s, f: f / s,
            "that is new time / old time: turn it over.": lambda s, f: 1 - s + s / f,
            "only the part is f times as fast, not the whole.": lambda s, f: f,
            "speeds do not average, times do: the part takes s / f of the old time, the rest 1 - s.": lambda s, f: (
                1 - s + s * f
            ),
            "s and 1 - s are exchanged.": lambda s, f: 1 / (s + (1 - s) / f),
        },
        ["the speedup"],
        tells=below(
            lambda s, f: 1 / (1 - s + s / f),
            share,
            lambda s, f: 1.0,
            lambda s, f: {"1": 1.0, "s": s, "s / f": s / f, "1 / f": 1 / f, "s * f": s * f, "f": f},
        ),
    ),
}
