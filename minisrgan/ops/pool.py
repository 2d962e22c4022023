"""Pooling: fewer pixels, each standing for a window."""

from __future__ import annotations

from minisrgan import kernels
from minisrgan.autograd import Function, Gradients, Tensor
from minisrgan.backend import Array
from minisrgan.errors import ShapeError
from minisrgan.ops.checks import require_images, require_integer
from minisrgan.ops.reduction import broadcast_to, mean
from minisrgan.ops.shape import pad


class MaxPool2d(Function):
    """The node of `max_pool2d`."""

    def forward(self, x: Array, size: int) -> Array:
        self.size = size
        y = kernels.max_pool(x, size)
        self.save(x, y)
        return y

    def backward(self, grad_y: Tensor) -> Gradients:
        x, y = self.saved_arrays
        n, h, w, c = grad_y.shape
        size = self.size
        # Every element of a window is offered the gradient; only the first maximum takes it.
        offered = broadcast_to(grad_y.reshape(n, h, 1, w, 1, c), (n, h, size, w, size, c))
        offered = offered.reshape(n, h * size, w * size, c)
        left_over = ((0, 0), (0, x.shape[1] - h * size), (0, x.shape[2] - w * size), (0, 0))
        return pad(offered, left_over) * Tensor(kernels.to_first_maximum(y.dtype.type(1), x, y, size))

    def backward_fused(self, grad_y: Array) -> Array:
        x, y = self.saved_arrays
        return kernels.to_first_maximum(grad_y, x, y, self.size)


def max_pool2d(x: Tensor, size: int) -> Tensor:
    """Keep the largest element of every size x size window.

    Formula     y[n, h, w, c] = max_{0 <= i, j < s} x[n, s*h + i, s*w + j, c], s the size
    Gradient    grad_y goes to the largest element of the window, in row order the first of several; 0 elsewhere.
    Shapes      x (N, H, W, C), y (N, H // s, W // s, C): rows and columns left over are dropped.
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
    if min(x.shape[1:3]) < size:
        raise ShapeError(
            "max_pool2d", expected=f"images of at least {size} x {size}", got=str(x.shape), fix="use a larger crop"
        )
    return MaxPool2d.apply(x, size=size)


def global_average_pool(x: Tensor) -> Tensor:
    """Average every channel over the whole image.

    Formula     y[n, c] = (1 / HW) sum_{h, w} x[n, h, w, c]
    Gradient    grad_x[n, h, w, c] = grad_y[n, c] / HW
    Shapes      x (N, H, W, C), y (N, C)
    Errors      ShapeError if x is not a batch of images.

    >>> global_average_pool(Tensor([[[[1.0], [3.0]]]])).numpy()
    array([[2.]], dtype=float32)
    """
    require_images("global_average_pool", x)
    return mean(x, axis=(1, 2))
