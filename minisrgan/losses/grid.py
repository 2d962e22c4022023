"""A penalty on what repeats with the period of the pixel shuffles and has no place in a photograph."""

from __future__ import annotations

from minisrgan.autograd import Tensor
from minisrgan.errors import ShapeError
from minisrgan.ops.checks import require_images


def grid_penalty(generated: Tensor, original: Tensor, period: int = 4) -> Tensor:
    """How much the error of an image depends on the position modulo the period.

    A generator that enlarges r times makes each r x r square of pixels from one position of its feature maps, by
    weights of their own for each of the r x r pixels. Where these weights differ by a little too much, the image
    carries a faint lattice. VGG's features hardly see it, and the gradients of strided networks even draw it. In a
    photograph all positions modulo r have the same average.

    Formula     d = generated - original
                m[n, i, j, c] = mean of d[n, y, x, c] over all y = i and x = j modulo the period
                penalty = (1/N) sum_{n,i,j,c} (m[n,i,j,c] - mean_{i,j} m[n,i,j,c])^2
    Gradient    for every pixel (2/N) (m - mean m) / (number of pixels that share its i and j): a lattice itself
    Shapes      two batches (N, H, W, C), H and W multiples of the period; a scalar, in squared units of the images
    Errors      ShapeError if H or W is no multiple of the period, or the shapes differ
    Source      not in SRGAN. The artefact is that of Odena et al. 2016, Deconvolution and checkerboard artifacts.

    >>> import numpy as np
    >>> photo, lattice = np.zeros((1, 8, 8, 1), np.float32), np.zeros((1, 8, 8, 1), np.float32)
    >>> lattice[:, ::4] = 0.5                                           # one row in four is brighter
    >>> grid_penalty(Tensor(lattice), Tensor(photo)).item()             # 4 * 0.375^2 + 12 * 0.125^2
    0.75
    >>> grid_penalty(Tensor(photo + 0.5), Tensor(photo)).item()         # brighter everywhere: no lattice
    0.0
    """
    require_images("grid_penalty", generated)
    count, height, width, channels = generated.shape
    if height % period or width % period or generated.shape != original.shape:
        raise ShapeError(
            "grid_penalty",
            expected=f"two batches of one shape, with height and width a multiple of {period}",
            got=f"{generated.shape} and {original.shape}",
            fix="crop both to a multiple of the scale",
        )
    error = (generated - original).reshape(count, height // period, period, width // period, period, channels)
    phase = error.mean(axis=(1, 3))  # (N, period, period, C)
    deviation = phase - phase.mean(axis=(1, 2), keepdims=True)
    return (deviation * deviation).sum() * (1.0 / count)
