"""Operations on all arrays of a network: a GPU needs a single launch for all of them.

Adam works on flat blocks of 512 KB that stay in cache, with about twelve operations per element.

Bytes moved: parameter, gradient and two running means are read once; all but the gradient are written once. As NumPy
expressions on whole arrays, the formula would pass through memory a dozen times.
"""

import math
from collections.abc import Sequence

import numpy as np

from minisrgan.backend import Array
from minisrgan.kernels.blocks import map_blocks
from minisrgan.kernels.matrix import matmul


def adam(
    parameter: Array, grad: Array, mean: Array, square: Array,
    lr: float, betas: tuple[float, float], eps: float, step: int,
) -> None:  # fmt: skip
    """Update parameter, mean and square in place; formula at `minisrgan.optim.Adam`.

    The corrections by 1 - beta^t are two numbers. Including them in the step size and in eps gives the same result and
    saves two divisions per element.
    """
    beta1, beta2 = betas
    root = math.sqrt(1 - beta2**step)
    step_size, eps = lr * root / (1 - beta1**step), eps * root
    flat = [array.reshape(-1, 1) for array in (parameter, grad, mean, square)]

    def update(p: Array, g: Array, m: Array, v: Array) -> None:
        m *= beta1
        m += (1 - beta1) * g
        v *= beta2
        v += (1 - beta2) * (g * g)
        change = np.sqrt(v)
        change += eps
        np.divide(m, change, out=change)
        change *= step_size
        p -= change

    map_blocks(update, *flat)
    if not parameter.flags.c_contiguous:  # then flat[0] is a copy
        parameter[...] = flat[0].reshape(parameter.shape)


def adam_all(
    groups: Sequence[tuple[Array, ...]], steps: Sequence[int], lr: float, betas: tuple[float, float], eps: float
) -> None:
    """Update many parameters: each group is (parameter, mean, square, grad), and ``steps`` holds its step number."""
    for (parameter, mean, square, grad), step in zip(groups, steps, strict=True):
        adam(parameter, grad, mean, square, lr, betas, eps, step)


def follow(groups: Sequence[tuple[Array, ...]], part: float) -> None:
    """Move averages towards values, for groups (average, value): average <- average + part * (value - average)."""
    for average, value in groups:
        average += part * (value - average)


def square_sum(groups: Sequence[tuple[Array, ...]]) -> Array:
    """Return the sum of the squares of all elements of the arrays; each group holds one array."""
    flat = [array.reshape(-1) for (array,) in groups]
    return np.array(sum(matmul(x[None], x[:, None]).item() for x in flat), flat[0].dtype)
