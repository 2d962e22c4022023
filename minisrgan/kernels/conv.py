"""Convolution and its two gradients: the choice of the algorithm for each layer.

All algorithms compute the same sums in different orders. `minisrgan.backend.algorithm` forces one of them, so that
tests and notebooks can compare them.
"""

from functools import partial

import numpy as np

from minisrgan.backend import Array, forced_algorithm, parallel, thread_count, workspace_bytes
from minisrgan.kernels import im2col, schemes, thin, winograd
from minisrgan.kernels.blocks import Pair


def _scheme(stride: int, size: Pair, weight_shape: tuple[int, ...]) -> schemes.Scheme:
    numbers = weight_shape[2] * weight_shape[3]
    return schemes.plain_scheme(*size, numbers) if stride == 1 else schemes.strided_schemes()[0]


def output_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """Return the length of an output axis, ``(size + 2*padding - kernel) // stride + 1``."""
    return (size + 2 * padding - kernel) // stride + 1


def choose(x: Array, size: Pair, weight_shape: tuple[int, ...], stride: int, padding: int) -> str:
    """Return the algorithm for a layer: "winograd", "thin" or "im2col".

    x         the input; only its type and its number of images matter
    size      rows and columns of the convolution's result
    winograd  3x3, stride 1 or 2, float32, at least 32 input and output channels, and at least 64 tiles of 4x4 results,
              which share the transform of the weight: 36 products per tile and channel pair instead of 144 (81 at
              stride 2), or 64 instead of 324 in tiles of 6x6, at 10 to 40 times the rounding error
    thin      few output channels: the last layer of the generator, 9x9, and the input gradients of the first layers of
              D and VGG, where the columns of im2col would be 81 or 9 times the input, for matrix products 3 wide
    im2col    everything else

    "winograd" is chosen only if its transformed weight fits half of the workspace, "thin" only if the products of a row
    do.
    """
    kh, kw, in_channels, out_channels = weight_shape
    possible = {"im2col"}
    if 0 <= padding < min(kh, kw):
        if stride == 1:
            possible.add("thin")
        if (kh, kw) == (3, 3) and stride in (1, 2) and x.dtype == np.float32:
            possible.add("winograd")
    forced = forced_algorithm()
    if forced is not None:
        return forced if forced in possible else "im2col"
    half, tiles = workspace_bytes() // 2, len(x) * -(-size[0] // 4) * -(-size[1] // 4)
    wide_enough = min(in_channels, out_channels) >= 32 and tiles >= 64
    transformed = 4 * len(_scheme(stride, size, weight_shape).gg) * in_channels * out_channels  # bytes
    if "winograd" in possible and wide_enough and transformed <= half:
        return "winograd"
    few_outputs = kh * kw >= 9 and out_channels <= 8 and in_channels >= 32
    if "thin" in possible and few_outputs and (size[1] + kw) * kh * kw * out_channels * x.itemsize <= half:
        return "thin"
    return "im2col"


def conv2d(x: Array, weight: Array, bias: Array | None = None, *, stride: int = 1, padding: int = 0) -> Array:
    """Convolve x (N, H, W, C) with weight (kh, kw, C, O) to (N, Ho, Wo, O)."""
    kh, kw, _, out_channels = weight.shape
    size = output_size(x.shape[1], kh, stride, padding), output_size(x.shape[2], kw, stride, padding)
    y = np.empty((x.shape[0], *size, out_channels), x.dtype)
    algorithm = choose(x, size, weight.shape, stride, padding)
    return _convolve(algorithm, x, weight, bias, stride, (-padding, -padding), y)


def _convolve(by: str, x: Array, weight: Array, bias: Array | None, stride: int, origin: Pair, y: Array) -> Array:
    """Write a convolution into y by one of the algorithms, and return y; the first window begins at origin."""
    match by:
        case "winograd":
            winograd.convolve(_scheme(stride, y.shape[1:3], weight.shape), x, weight, bias, origin, y)
        case "thin":
            thin.convolve(x, weight, bias, origin, y)
        case _:
            im2col.convolve(x, weight, bias, stride, origin, y)
    return y


def conv2d_input_gradient(
    grad_y: Array, weight: Array, input_size: Pair, *, stride: int = 1, padding: int = 0
) -> Array:
    """Return the gradient with respect to x (N, H, W, C), from grad_y (N, Ho, Wo, O) and weight (kh, kw, C, O).

    Input row u sums weight[i] * grad_y[h] over every h with stride*h + i - padding = u. With stride 1 that is
    h = u + padding - i: a convolution of grad_y with the weight turned by 180 degrees. With stride s, the rows
    u = s*a + phase use only the i with (phase + padding - i) divisible by s, and h = a + (phase + padding - i) / s.
    Each of the s*s phases is a small convolution with a part of the turned weight; no product with 0 is computed.
    """
    kh, kw, in_channels, _ = weight.shape
    grad_x = np.empty((grad_y.shape[0], *input_size, in_channels), grad_y.dtype)
    turned = np.ascontiguousarray(weight[::-1, ::-1].swapaxes(2, 3))  # (kh, kw, O, C)
    algorithm = choose(grad_y, grad_y.shape[1:3], turned.shape, stride, padding)
    if stride == 1:
        return _convolve(algorithm, grad_y, turned, None, 1, (padding + 1 - kh, padding + 1 - kw), grad_x)
    if algorithm == "winograd" and padding == 1:
        winograd.convolve(schemes.strided_schemes()[1], grad_y, turned, None, (0, 0), grad_x)
        return grad_x
    for row in range(min(stride, input_size[0])):
        first_i, top = _phase(row, kh, stride, padding)
        for col in range(min(stride, input_size[1])):
            first_j, left = _phase(col, kw, stride, padding)
            part = np.ascontiguousarray(turned[first_i::stride, first_j::stride])
            target = grad_x[:, row::stride, col::stride]
            if 0 in part.shape:  # a kernel smaller than the stride skips some inputs
                target[...] = 0
            else:
                im2col.convolve(grad_y, part, None, 1, (top, left), target)
    return grad_x


def _phase(phase: int, kernel: int, stride: int, padding: int) -> tuple[int, int]:
    """Return the first row of the turned kernel that inputs stride*a + phase use, and the offset of its output from a.

    Row k of the turned kernel is i = kernel - 1 - k. The first row used has the largest i with (phase + padding - i)
    divisible by stride; its output is a + (phase + padding - i) / stride.
    """
    first = (kernel - 1 - phase - padding) % stride
    return first, (phase + padding - (kernel - 1 - first)) // stride


def conv2d_weight_gradient(x: Array, grad_y: Array, kernel: Pair, *, stride: int = 1, padding: int = 0) -> Array:
    """Return the gradient with respect to the weight (kh, kw, C, O), summed over all outputs.

    With stride 1 the roles of x and grad_y can be exchanged, since x[h + i - p] grad_y[h] = x[u] grad_y[u - i + p]; the
    columns are then made from the array with fewer channels. Winograd sums 36, 64 or 81 matrices (C, O): if they do not
    fit the cache, adding them up takes longer than the products that it saves.
    """
    kh, kw = kernel
    size, shape = grad_y.shape[1:3], (kh, kw, x.shape[3], grad_y.shape[3])
    algorithm = choose(x, size, shape, stride, padding)
    few = stride == 1 and shape[2] * shape[3] <= 256 * 512
    if algorithm == "winograd" and (forced_algorithm() or few):
        return winograd.weight_gradient(_scheme(stride, size, shape), x, grad_y, (-padding, -padding))
    if algorithm == "thin":
        turned = im2col.weight_gradient(grad_y, x, kernel, 1, (padding + 1 - kh, padding + 1 - kw))  # (kh, kw, O, C)
        return np.ascontiguousarray(turned[::-1, ::-1].swapaxes(2, 3))
    return im2col.weight_gradient(x, grad_y, kernel, stride, (-padding, -padding))


def conv2d_gradients(
    x: Array, grad_y: Array, weight: Array, *, stride: int = 1, padding: int = 0
) -> tuple[Array, Array]:
    """Return the gradients with respect to input and weight, at the same time, each with half of the threads.

    Threads that share one gradient wait for its transformed weight before they start, and for one another at the end.
    Two independent gradients took 0.7 to 0.9 of the time for up to 256 channels. With more channels, or with an odd
    number of threads, all threads share one gradient after the other.
    """
    to_input = partial(conv2d_input_gradient, grad_y, weight, x.shape[1:3], stride=stride, padding=padding)
    to_weight = partial(conv2d_weight_gradient, x, grad_y, weight.shape[:2], stride=stride, padding=padding)
    if thread_count() % 2 or min(weight.shape[2:]) > 256:
        return to_input(), to_weight()
    grad_x, grad_weight = parallel(lambda gradients: gradients[0](), [to_input, to_weight])
    return grad_x, grad_weight
