"""Pooling: each output pixel summarises a window of the input."""

import numpy as np

from minisrgan import kernels
from minisrgan.autograd import Function, Gradients, Tensor
from minisrgan.autograd.arguments import require_integer
from minisrgan.backend import Array, array_module
from minisrgan.errors import ShapeError
from minisrgan.ops.checks import require_images


class MaxPool2d(Function):
    """The node of `max_pool2d`."""

    def forward(self, x: Array, size: int) -> Array:
        self.size = size
        self.save_inputs(0)
        self.save_output()
        return kernels.max_pool(x, size)

    def backward(self, grad_y: Tensor) -> Gradients:
        x, y = self.saved_arrays
        return GradientOfMaxPool2d.apply(grad_y, x=x, y=y, size=self.size)


class GradientOfMaxPool2d(Function):
    """The gradient of `max_pool2d` as an operation: it moves each number to the first maximum of its window.

    Gradient    it only moves numbers, so the gradient of each number is the one at its new position.
    """

    def forward(self, grad_y: Array, *, x: Array, y: Array, size: int) -> Array:
        self.size = size
        self.save(x, y)
        return kernels.to_first_maximum(grad_y, x, y, size)

    def backward(self, grad_y: Tensor) -> Gradients:
        x, y = self.saved_arrays
        return grad_y[_first_maxima(x, y, self.size)]


def _first_maxima(x: Array, y: Array, size: int) -> tuple[Array, ...]:
    """Return an index into x: for each window, the position of its first element that equals the maximum y."""
    n, tall, wide, c = y.shape
    windows = x[:, : tall * size, : wide * size].reshape(n, tall, size, wide, size, c).transpose(0, 1, 3, 5, 2, 4)
    largest = (windows == y[..., None, None]).reshape(*y.shape, size * size)
    place = largest.argmax(axis=-1)  # in row order: the first that is True
    image, row, col, channel = array_module(x).indices(y.shape)
    return image, row * size + place // size, col * size + place % size, channel


def max_pool2d(x: Tensor, size: int, stride: int | None = None) -> Tensor:
    """Keep the largest element of every size x size window.

    Formula     y[n, h, w, c] = max_{0 <= i, j < k} x[n, s*h + i, s*w + j, c], k the size and s the stride
    Gradient    grad_y goes to the largest element of the window, the first in row order if several; 0 elsewhere.
    Shapes      x (N, H, W, C), y (N, H', W', C), H' = (H - k) // s + 1: remaining rows and columns are dropped. By
                default the stride is the size.
    Errors      ShapeError if the image is smaller than a window.
    Source      Simonyan and Zisserman 2014, arXiv 1409.1556, sec. 2.1: VGG19 has five of size 2.

    >>> x = Tensor([[[[1.0], [2.0]], [[4.0], [3.0]]]], requires_grad=True)
    >>> y = max_pool2d(x, 2); y.item()
    4.0
    >>> y.backward(); x.grad.numpy()[0, :, :, 0]
    array([[0., 0.], [1., 0.]], dtype=float32)
    """
    require_images("max_pool2d", x)
    require_integer("max_pool2d", "size", size, 1)
    stride = size if stride is None else stride
    require_integer("max_pool2d", "stride", stride, 1)
    if min(x.shape[1:3]) < size:
        expected, fix = f"images of at least {size} x {size}", "use a larger crop"
        raise ShapeError("max_pool2d", expected=expected, got=str(x.shape), fix=fix)
    if stride != size:  # windows overlap or have gaps: copy them side by side
        starts = (stride * np.arange((n - size) // stride + 1) for n in x.shape[1:3])
        rows, cols = (np.add.outer(start, np.arange(size)).ravel() for start in starts)
        x = x[:, rows][:, :, cols]
    return MaxPool2d.apply(x, size=size)
