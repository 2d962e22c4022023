"""Exercises of notebook 3: a convolution and its gradients, on one image (H, W, C)."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from checks import Exercise
from minisrgan import Tensor, ops
from written import steps

Array = np.ndarray[Any, Any]


def conv(x: Array, weight: Array, bias: Array) -> Array:
    return ops.conv2d(Tensor(x[None]), Tensor(weight), Tensor(bias)).numpy()[0]


def weight_gradient(x: Array, grad_y: Array, kh: int, kw: int) -> tuple[Array, Array]:
    grad = ops.conv2d_weight_gradient(Tensor(x[None]), Tensor(grad_y[None]), kernel_size=(kh, kw))
    return grad.numpy(), grad_y.sum(axis=(0, 1))


def input_gradient(grad_y: Array, weight: Array) -> Array:
    return ops.conv2d_transpose(Tensor(grad_y[None]), Tensor(weight)).numpy()[0]


def images(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    return rng.normal(size=(6, 7, 2)), rng.normal(size=(3, 2, 2, 4)), rng.normal(size=4)


def gradients(rng: np.random.Generator) -> tuple[Array, Array, int, int]:
    return rng.normal(size=(6, 7, 2)), rng.normal(size=(4, 6, 4)), 3, 2


def conv_terms(x: Array, weight: Array, bias: Array) -> list[dict[str, Array]]:
    """Split the sum by the channels of x."""
    one = np.eye(x.shape[2])
    terms = {f"of channel {c} of x": conv(x * one[c], weight, 0 * bias) for c in range(x.shape[2])}
    return [terms | {"bias": np.broadcast_to(bias, terms["of channel 0 of x"].shape)}]


def no_loop(answer: Any) -> str:
    """Say that an answer runs a line for each pixel: twice the rows and columns make four times the pixels."""
    weight, bias = np.ones((3, 2, 2, 4)), np.ones(4)
    small, large = (steps(partial(answer, np.ones((n, n, 2)), weight, bias)) for n in (7, 14))
    if large > small + 20:
        return "the numbers are right, but a Python loop runs over the pixels: write all windows as rows of one matrix."
    return ""


CONV_MISTAKES = {
    "you turned the kernel by 180 degrees. Mathematicians do; in deep learning it is used as it is.": lambda x, w, b: (
        conv(x, w[::-1, ::-1], b)
    ),
    "you forgot the bias.": lambda x, w, b: conv(x, w, 0 * b),
    "the last row and column are missing: a window of kh fits H - kh + 1 times, not H - kh.": lambda x, w, b: conv(
        x, w, b
    )[:-1, :-1],
    "you added the bias once for each channel of the input.": lambda x, w, b: conv(x, w, x.shape[2] * b),
    "the bias is added, and yours is multiplied.": lambda x, w, b: conv(x, w * b, 0 * b),
    "weight.reshape(O, -1) cuts the numbers of a kernel apart: O is the last axis, weight.reshape(-1, O).": (
        lambda x, w, b: conv(x, w.reshape(w.shape[3], -1).T.reshape(w.shape), b)
    ),
    "you divided by the size of the window: the formula has a sum, no mean.": lambda x, w, b: conv(
        x, w / w[..., 0].size, b
    ),
    "rows and columns of the kernel are exchanged.": lambda x, w, b: conv(x, w.swapaxes(0, 1).reshape(w.shape), b),
    "the numbers of a window are in the order (C, kh, kw), those of the weight in (kh, kw, C): transpose first.": (
        lambda x, w, b: conv(x, w.reshape(2, 3, 2, 4).transpose(1, 2, 0, 3), b)
    ),
}


def small() -> list[tuple[Array, Array, Array]]:
    """Make two pixels and one weight; and kernels of which only one weight is not 0."""
    two = np.array([[[2.0], [3.0]]]), np.array([[[[10.0]]]]), np.ones(1)
    four, one = np.array([[[1.0], [2.0]], [[3.0], [4.0]]]), np.eye(4).reshape(4, 2, 2, 1, 1)
    return [two, *((four, weight, np.zeros(1)) for weight in one)]


EXERCISES = {
    "3.1": Exercise(conv, images, CONV_MISTAKES, ["y"], terms=conv_terms, examples=small),
    "3.2": Exercise(conv, images, CONV_MISTAKES, ["y"], terms=conv_terms, also=no_loop, examples=small),
    "3.3": Exercise(
        weight_gradient,
        gradients,
        {
            "you took means over the pixels: a weight that is used everywhere collects a sum.": lambda x, g, kh, kw: (
                tuple(a / (g.shape[0] * g.shape[1]) for a in weight_gradient(x, g, kh, kw))
            ),
            "grad_weight is right. grad_bias: b[o] is added at every pixel, so its gradient is a sum, no mean.": (
                lambda x, g, kh, kw: (weight_gradient(x, g, kh, kw)[0], g.mean(axis=(0, 1)))
            ),
            "grad_weight is right. grad_bias is (O,): sum over rows and columns, but not over channels.": (
                lambda x, g, kh, kw: (weight_gradient(x, g, kh, kw)[0], g.sum())
            ),
            "grad_weight is turned by 180 degrees: weight[i, j] met x[h + i, w + j], not x[h - i, w - j].": (
                lambda x, g, kh, kw: (weight_gradient(x, g, kh, kw)[0][::-1, ::-1], g.sum(axis=(0, 1)))
            ),
        },
        ["grad_weight", "grad_bias"],
        cases={"for a kernel of 2 x 4": lambda rng: (rng.normal(size=(5, 9, 2)), rng.normal(size=(4, 6, 4)), 2, 4)},
    ),
    "3.4": Exercise(
        input_gradient,
        lambda rng: (rng.normal(size=(4, 6, 4)), rng.normal(size=(3, 2, 2, 4))),
        {
            "the kernel is turned: scattering uses weight[i, j] at h + i, w + j, as the forward pass did.": (
                lambda g, w: input_gradient(g, w[::-1, ::-1])
            ),
            "you overwrote instead of adding: a pixel under several windows collects from all of them.": (
                lambda g, w: _overwritten(g, w)
            ),
            "you overwrote instead of adding: where windows overlap, a pixel collects from all of them.": (
                lambda g, w: _stamped(g, w)
            ),
            "that is the forward pass: grad_x is larger than grad_y, since every pixel of y had a whole window.": (
                lambda g, w: conv(g, w.transpose(0, 1, 3, 2), np.zeros(w.shape[2]))
            ),
        },
        ["grad_x"],
    ),
}


def _stamped(grad_y: Array, weight: Array) -> Array:
    """Overwrite window by window."""
    (height, width, _), (kh, kw, channels, _) = grad_y.shape, weight.shape
    grad_x = np.zeros((height + kh - 1, width + kw - 1, channels))
    for h, w in np.ndindex(height, width):
        grad_x[h : h + kh, w : w + kw] = weight @ grad_y[h, w]
    return grad_x


def _overwritten(grad_y: Array, weight: Array) -> Array:
    (height, width, _), (kh, kw, channels, _) = grad_y.shape, weight.shape
    grad_x = np.zeros((height + kh - 1, width + kw - 1, channels))
    for i, j in np.ndindex(kh, kw):
        grad_x[i : i + height, j : j + width] = grad_y @ weight[i, j].T
    return grad_x
