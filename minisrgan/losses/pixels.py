"""What pixels are still good for beside features: no lattice, and the colours of the small photograph."""

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
    phase = _squares("grid_penalty", generated, original, period).mean(axis=(1, 3))  # (N, period, period, C)
    deviation = phase - phase.mean(axis=(1, 2), keepdims=True)
    return (deviation * deviation).sum() * (1.0 / len(generated))


def consistency_loss(generated: Tensor, original: Tensor, scale: int = 4) -> Tensor:
    """How far the image, shrunk again, is from the original shrunk likewise.

    It keeps colours and large shapes, which VGG's features let drift, and leaves texture free: that has its place
    within the scale x scale pixels whose mean is compared.

    Formula     s[n, y, x, c] = mean of generated - original over one square of scale x scale pixels
                loss = (scale^2 / (N H W C)) sum s^2
    Gradient    (2 / (N H W C)) s for each pixel of the square
    Shapes      two batches (N, H, W, C), H and W multiples of the scale; a scalar
    Errors      ShapeError if H or W is no multiple of the scale, or the shapes differ
    Source      not in SRGAN. That the enlarged image must reproduce the small one is the constraint of iterative
                back-projection (Irani and Peleg 1991).

    >>> import numpy as np
    >>> dark, texture = np.zeros((1, 4, 4, 1), np.float32), np.zeros((1, 4, 4, 1), np.float32)
    >>> texture[:, ::2], texture[:, 1::2] = 0.5, -0.5
    >>> [consistency_loss(Tensor(image), Tensor(dark)).item() for image in (texture, dark + 0.5)]
    [0.0, 0.25]
    """
    shrunk = _squares("consistency_loss", generated, original, scale).mean(axis=(2, 4))  # (N, H/scale, W/scale, C)
    return (shrunk * shrunk).mean()


def _squares(what: str, generated: Tensor, original: Tensor, side: int) -> Tensor:
    """Return generated - original, cut into squares: (N, H/side, side, W/side, side, C)."""
    require_images(what, generated)
    count, height, width, channels = generated.shape
    if height % side or width % side or generated.shape != original.shape:
        expected = f"two batches of one shape, with height and width a multiple of {side}"
        got, fix = f"{generated.shape} and {original.shape}", "crop both to a multiple of the scale"
        raise ShapeError(what, expected=expected, got=got, fix=fix)
    return (generated - original).reshape(count, height // side, side, width // side, side, channels)
