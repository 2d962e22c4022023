"""Pixel shuffle: the generator's upsampling, which moves channels to pixels after computing in low resolution."""

from minisrgan import kernels
from minisrgan.autograd import Function, Gradients, Tensor
from minisrgan.autograd.arguments import require_integer
from minisrgan.backend import Array
from minisrgan.errors import ShapeError
from minisrgan.ops.checks import require_images


class PixelShuffle(Function):
    """The node of `pixel_shuffle`."""

    def forward(self, x: Array, factor: int) -> Array:
        self.factor = factor
        return kernels.pixel_shuffle(x, factor)

    def backward(self, grad_y: Tensor) -> Gradients:
        return pixel_unshuffle(grad_y, self.factor)


def pixel_shuffle(x: Tensor, factor: int) -> Tensor:
    """Turn r*r channels into r x r pixels.

    Formula     y[n, r*h + i, r*w + j, c] = x[n, h, w, c*r*r + i*r + j], r the factor
    Gradient    the inverse permutation: grad_x = pixel_unshuffle(grad_y, r)
    Shapes      x (N, H, W, C*r*r), y (N, r*H, r*W, C). The order is PyTorch's; TensorFlow has (i, j, c).
    Errors      ShapeError if the channels are not a multiple of r*r.
    Source      Shi et al. 2016, arXiv 1609.05158, eq. 4; SRGAN fig. 4 uses it twice with r = 2.

    >>> pixel_shuffle(Tensor([[[[1.0, 2.0, 3.0, 4.0]]]]), 2).numpy()[0, :, :, 0]
    array([[1., 2.], [3., 4.]], dtype=float32)
    """
    require_images("pixel_shuffle", x)
    require_integer("pixel_shuffle", "factor", factor, 1)
    if x.shape[3] % factor**2:
        expected = f"a multiple of {factor}*{factor} channels"
        fix = f"let the convolution before it have {factor**2} times the channels"
        raise ShapeError("pixel_shuffle", expected=expected, got=f"{x.shape[3]}, from {x.shape}", fix=fix)
    return PixelShuffle.apply(x, factor=factor)


class PixelUnshuffle(Function):
    """The node of `pixel_unshuffle`."""

    def forward(self, x: Array, factor: int) -> Array:
        self.factor = factor
        return kernels.pixel_unshuffle(x, factor)

    def backward(self, grad_y: Tensor) -> Gradients:
        return pixel_shuffle(grad_y, self.factor)


def pixel_unshuffle(x: Tensor, factor: int) -> Tensor:
    """Turn r x r pixels into r*r channels: the inverse of `pixel_shuffle`.

    Formula     y[n, h, w, c*r*r + i*r + j] = x[n, r*h + i, r*w + j, c], r the factor
    Gradient    the inverse permutation: grad_x = pixel_shuffle(grad_y, r)
    Shapes      x (N, r*H, r*W, C), y (N, H, W, C*r*r)
    Errors      ShapeError if height or width is not a multiple of r.

    >>> x = Tensor([[[[1.0], [2.0]], [[3.0], [4.0]]]])
    >>> pixel_unshuffle(x, 2).numpy()
    array([[[[1., 2., 3., 4.]]]], dtype=float32)
    """
    require_images("pixel_unshuffle", x)
    require_integer("pixel_unshuffle", "factor", factor, 1)
    if x.shape[1] % factor or x.shape[2] % factor:
        expected = f"height and width that are multiples of {factor}"
        raise ShapeError("pixel_unshuffle", expected=expected, got=str(x.shape), fix="crop the images first")
    return PixelUnshuffle.apply(x, factor=factor)
