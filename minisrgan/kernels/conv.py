"""Convolution and its two gradients: which algorithm serves which layer.

All of them compute the same sums in another order; `minisrgan.backend.algorithm` forces one, so that tests and
notebooks can compare them.
"""

from functools import partial

import numpy as np

from minisrgan.backend import Array, forced_algorithm, parallel, thread_count, workspace_bytes
from minisrgan.kernels import im2col, schemes, thin, winograd
from minisrgan.kernels.blocks import Pair


def _scheme(stride: int, size: Pair) -> schemes.Scheme:
    return schemes.plain_scheme(*size) if stride == 1 else schemes.strided_schemes()[0]


def output_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """Return the length of an output axis, ``(size + 2*padding - kernel) // stride + 1``."""
    return (size + 2 * padding - kernel) // stride + 1


def choose(x: Array, size: Pair, weight_shape: tuple[int, ...], stride: int, padding: int) -> str:
    """Return the algorithm for a layer: "winograd", "thin" or "im2col".

    x         what goes in, for its type and its number of images
    size      rows and columns of the convolution's result
    winograd  3x3, stride 1 or 2, float32, at least 32 channels on both sides, and a batch of 64 tiles of 4x4 results or
              more, among which the transform of the weight is shared: 36 products a tile and channel pair instead of
              144 (81 at stride 2), at ten times the rounding error
    thin      a handful of output channels: the 9x9 layer that ends the generator, and the gradient to the photograph
              of the layers that begin D and VGG; columns would be 81 or 9 times the input, for products 3 wide
    im2col    everything else

    The first two are chosen where half of the workspace holds the transformed weight, or the products of a row.
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
    transformed = 4 * len(_scheme(stride, size).gg) * in_channels * out_channels  # bytes
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
    origin = (-padding, -padding)
    match choose(x, size, weight.shape, stride, padding):
        case "winograd":
            winograd.convolve(_scheme(stride, size), x, weight, bias, origin, y)
        case "thin":
            thin.convolve(x, weight, bias, origin, y)
        case _:
            im2col.convolve(x, weight, bias, stride, origin, y)
    return y


def conv2d_input_gradient(
    grad_y: Array, weight: Array, input_size: Pair, *, stride: int = 1, padding: int = 0
) -> Array:
    """Carry grad_y (N, Ho, Wo, O) back through weight (kh, kw, C, O) to the input (N, H, W, C).

    Input row u collects weight[i] * grad_y[h] from every h with stride*h + i - padding = u. With stride 1 that is
    h = u + padding - i: a convolution of grad_y with the weight turned by 180 degrees. With stride s, the rows
    u = s*a + phase use only the i with (phase + padding - i) divisible by s, and h = a + (phase + padding - i) / s: for
    each of the s*s phases a small convolution with a part of the turned weight, and no product is formed in vain.
    """
    kh, kw, in_channels, _ = weight.shape
    grad_x = np.empty((grad_y.shape[0], *input_size, in_channels), grad_y.dtype)
    origin = (padding + 1 - kh, padding + 1 - kw)  # at stride 1
    turned = np.ascontiguousarray(weight[::-1, ::-1].swapaxes(2, 3))  # (kh, kw, O, C)
    match choose(grad_y, grad_y.shape[1:3], turned.shape, stride, padding), stride:
        case "winograd", 1:
            winograd.convolve(schemes.plain_scheme(*input_size), grad_y, turned, None, origin, grad_x)
            return grad_x
        case "winograd", 2 if padding == 1:
            winograd.convolve(schemes.strided_schemes()[1], grad_y, turned, None, (0, 0), grad_x)
            return grad_x
        case "thin", 1:
            thin.convolve(grad_y, turned, None, origin, grad_x)
            return grad_x
    for row in range(min(stride, input_size[0])):
        first_i, top = _phase(row, kh, stride, padding)
        for col in range(min(stride, input_size[1])):
            first_j, left = _phase(col, kw, stride, padding)
            part = np.ascontiguousarray(turned[first_i::stride, first_j::stride])
            target = grad_x[:, row::stride, col::stride]
            if 0 in part.shape:  # a kernel smaller than the stride passes some inputs by
                target[...] = 0
            else:
                im2col.convolve(grad_y, part, None, 1, (top, left), target)
    return grad_x


def _phase(phase: int, kernel: int, stride: int, padding: int) -> tuple[int, int]:
    """Return the first row of the turned kernel that reaches inputs stride*a + phase, and the output it reaches from.

    Row k of the turned kernel is i = kernel - 1 - k; the largest i of the right remainder comes first, at the output
    a + (phase + padding - i) / stride.
    """
    first = (kernel - 1 - phase - padding) % stride
    return first, (phase + padding - (kernel - 1 - first)) // stride


def conv2d_weight_gradient(x: Array, grad_y: Array, kernel: Pair, *, stride: int = 1, padding: int = 0) -> Array:
    """Return the gradient (kh, kw, C, O) in the weight, the sum over all outputs of input under the kernel * grad_y.

    With stride 1 the roles of x and grad_y can be exchanged, x[h + i - p] grad_y[h] = x[u] grad_y[u - i + p], and the
    columns cut from whichever has fewer channels. Winograd sums 36 matrices (C, O), or 81: where they outgrow the
    cache, adding them up costs more than the products saved.
    """
    kh, kw = kernel
    in_channels, out_channels = x.shape[3], grad_y.shape[3]
    algorithm = choose(x, grad_y.shape[1:3], (kh, kw, in_channels, out_channels), stride, padding)
    few = stride == 1 and in_channels * out_channels <= 256 * 512
    if algorithm == "winograd" and (forced_algorithm() or few):
        return winograd.weight_gradient(_scheme(stride, grad_y.shape[1:3]), x, grad_y, (-padding, -padding))
    if algorithm == "thin":
        turned = im2col.weight_gradient(grad_y, x, kernel, 1, (padding + 1 - kh, padding + 1 - kw))  # (kh, kw, O, C)
        return np.ascontiguousarray(turned[::-1, ::-1].swapaxes(2, 3))
    return im2col.weight_gradient(x, grad_y, kernel, stride, (-padding, -padding))


def conv2d_gradients(
    x: Array, grad_y: Array, weight: Array, *, stride: int = 1, padding: int = 0
) -> tuple[Array, Array]:
    """Return the gradients for input and weight: at once, each on half of the threads, where these can be halved.

    Threads that share one gradient meet when it is done, and transform its weight before any of them can begin. Two
    that have nothing in common took 0.7 to 0.9 of the time for up to 256 channels. Of an odd number of threads one
    would be left over, so they share the gradients one after the other.
    """
    to_input = partial(conv2d_input_gradient, grad_y, weight, x.shape[1:3], stride=stride, padding=padding)
    to_weight = partial(conv2d_weight_gradient, x, grad_y, weight.shape[:2], stride=stride, padding=padding)
    if thread_count() % 2 or min(weight.shape[2:]) > 256:
        return to_input(), to_weight()
    grad_x, grad_weight = parallel(lambda gradients: gradients[0](), [to_input, to_weight])
    return grad_x, grad_weight
