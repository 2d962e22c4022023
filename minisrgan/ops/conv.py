"""Convolution, and the two operations that are its gradients.

A convolution is linear in its input and in its weight. The gradient with respect to the input is a transposed
convolution, and the gradient with respect to the weight is a third operation. The gradients of these two operations
are again among the three:

    op                               gradient for the first input          gradient for the second
    conv2d(x, w)                     conv2d_transpose(g, w)                conv2d_weight_gradient(x, g)
    conv2d_transpose(y, w)           conv2d(g, w)                          conv2d_weight_gradient(g, y)
    conv2d_weight_gradient(x, y)     conv2d_transpose(y, g)                conv2d(x, g)

Therefore derivatives of any order need no further code.
"""

import math
from typing import Any, TypeAlias

from minisrgan import kernels
from minisrgan.autograd import Function, Gradients, Tensor
from minisrgan.autograd.arguments import require_integer, require_pair
from minisrgan.backend import Array
from minisrgan.errors import ArgumentError, ShapeError
from minisrgan.ops.broadcast import gradients
from minisrgan.ops.checks import as_tensor, require_channels, require_images
from minisrgan.ops.shape import pad

Size: TypeAlias = tuple[int, ...]  # of rows and of columns
Pair: TypeAlias = int | Size  # the same for both, or one for each
Bias: TypeAlias = Tensor | None


class Conv2d(Function):
    """The node of `conv2d`."""

    def forward(self, x: Array, weight: Array, bias: Array | None = None, *, stride: int, padding: int) -> Array:
        self.options: dict[str, Any] = {"stride": stride, "padding": padding}
        self.save_inputs(0, 1, factors=True)
        return kernels.conv2d(x, weight, bias, **self.options)

    def backward(self, grad_y: Tensor) -> Gradients:
        x, weight = self.saved
        image, kernel = self.shapes[0][1:3], self.shapes[1][:2]
        return gradients(
            self,
            lambda: conv2d_transpose(grad_y, weight, output_size=image, **self.options),
            lambda: conv2d_weight_gradient(x, grad_y, kernel_size=kernel, **self.options),
            lambda: grad_y.sum(axis=(0, 1, 2)),
        )

    def backward_fused(self, grad_y: Array) -> tuple[Array | None, ...]:
        """Give each half of the threads one gradient: 0.82 of the time, by fewer waits (64 channels, 16 x 24 x 24)."""
        (x, weight), (to_x, to_weight, *to_bias) = self.saved_arrays, self.needs_grad
        grad_x = grad_weight = None
        if to_x and to_weight:
            grad_x, grad_weight = kernels.conv2d_gradients(x, grad_y, weight, **self.options)
        elif to_x:
            grad_x = kernels.conv2d_input_gradient(grad_y, weight, x.shape[1:3], **self.options)
        elif to_weight:
            grad_weight = kernels.conv2d_weight_gradient(x, grad_y, weight.shape[:2], **self.options)
        return grad_x, grad_weight, *(kernels.channel_sums(grad_y) if needed else None for needed in to_bias)


def conv2d(x: Tensor, weight: Tensor, bias: Bias = None, *, stride: Pair = 1, padding: Pair | str = 0) -> Tensor:
    """Slide a kernel over the images and sum its products with the pixels below it.

    Formula     y[n, h, w, o] = b[o] + sum_{i, j, c} x[n, s*h + i - p, s*w + j - p, c] weight[i, j, c, o]
                with stride s and padding p: p rows and columns of zeros around the image. s and p may be pairs
                (rows, columns). Padding "same" keeps the size: kh - 1 rows of zeros in total, an odd one at the bottom
    Gradient    weight[i, j, c, o] is the factor of x[n, s*h+i-p, ...] in y[n, h, w, o], so
                grad_weight[i, j, c, o] sums x * grad_y over n, h, w (`conv2d_weight_gradient`),
                grad_x sums weight * grad_y over the outputs whose window contains the pixel (`conv2d_transpose`),
                grad_b[o] sums grad_y[n, h, w, o] over n, h, w.
    Shapes      x (N, H, W, C), weight (kh, kw, C, O), bias (O,), y (N, H', W', O), H' = (H + 2p - kh) // s + 1
    Errors      ShapeError for another rank, other channels, an empty batch, or a kernel larger than the padded image;
                ArgumentError for "same" with a stride.
    Source      SRGAN sec. 2.1 and fig. 4. As in all of deep learning, this is correlation: the kernel is not flipped.

    >>> x = Tensor([[[[1.0], [2.0], [3.0]]]])                        # one image of one row and three columns
    >>> weight = Tensor([[[[10.0]], [[1.0]]]], requires_grad=True)   # one row, two columns
    >>> y = conv2d(x, weight); y.numpy().ravel()
    array([12., 23.], dtype=float32)
    >>> y.sum().backward(); weight.grad.numpy().ravel()
    array([3., 5.], dtype=float32)
    """
    x, weight = _check("conv2d", x, weight, bias, weight_axis=2)
    strides, frame = frame_of(weight.shape[:2], stride, padding)
    for axis, ((before, after), name) in enumerate(zip(frame, ("rows", "columns"), strict=True)):
        size, kernel = x.shape[1 + axis], weight.shape[axis]
        if before + size + after < kernel:
            expected = f"at least {kernel} {name}, padding counted, for a kernel of {kernel}"
            fix = _LIKE_TORCH if _like_torch(weight, x.shape[3], 1) else "use a larger crop, or more padding"
            raise ShapeError("conv2d", expected=expected, got=f"{before} + {size} + {after}, input {x.shape}", fix=fix)
    width, step = frame[0][0], math.gcd(*strides)
    if {*frame[0], *frame[1]} != {width}:  # the kernels support one width for all sides
        x, width = pad(x, ((0, 0), *frame, (0, 0))), 0
    y = Conv2d.apply(*((x, weight) if bias is None else (x, weight, bias)), stride=step, padding=width)
    return y if len(set(strides)) == 1 else y[:, :: strides[0] // step, :: strides[1] // step]  # and one stride


def frame_of(kernel: Size, stride: Pair, padding: Pair | str) -> tuple[Size, tuple[Size, Size]]:
    """Return the strides of rows and columns, and the numbers of zeros (before, after) for rows and for columns.

    >>> frame_of((3, 4), 1, "same"), frame_of((3, 3), (2, 1), (1, 0))
    (((1, 1), ((1, 1), (1, 2))), ((2, 1), ((1, 1), (0, 0))))
    """
    strides = require_pair("conv2d", "stride", stride, 1)
    if not isinstance(padding, str):
        rows, cols = require_pair("conv2d", "padding", padding, 0)
        return strides, ((rows, rows), (cols, cols))
    if padding != "same" or strides != (1, 1):
        expected, got = 'padding as an integer, a pair, or "same" at stride 1', f"{padding!r} at stride {stride}"
        fix = f"half of the kernel: {kernel[0] // 2, kernel[1] // 2}"
        raise ArgumentError("conv2d", expected=expected, got=got, fix=fix)
    return strides, (((kernel[0] - 1) // 2, kernel[0] // 2), ((kernel[1] - 1) // 2, kernel[1] // 2))


class Conv2dTranspose(Function):
    """The node of `conv2d_transpose`."""

    def forward(self, x: Array, weight: Array, *, output_size: tuple[int, int], stride: int, padding: int) -> Array:
        self.options: dict[str, Any] = {"stride": stride, "padding": padding}
        self.save_inputs(0, 1, factors=True)
        return kernels.conv2d_input_gradient(x, weight, output_size, **self.options)

    def backward(self, grad_y: Tensor) -> Gradients:
        x, weight = self.saved
        return gradients(
            self,
            lambda: conv2d(grad_y, weight, **self.options),
            lambda: conv2d_weight_gradient(grad_y, x, kernel_size=self.shapes[1][:2], **self.options),
        )


def conv2d_transpose(
    x: Tensor, weight: Tensor, bias: Bias = None, *, stride: int = 1, padding: int = 0, output_size: Pair | None = None
) -> Tensor:
    """Multiply the kernel by every pixel and add it to a window of the result: the adjoint of `conv2d`.

    Formula     y[n, s*h + i - p, s*w + j - p, c] += sum_o x[n, h, w, o] weight[i, j, c, o], from y = b
                therefore <conv2d(u, weight), x> = <u, conv2d_transpose(x, weight)> for every u
    Gradient    grad_x = conv2d(grad_y, weight); grad_weight = conv2d_weight_gradient(grad_y, x), with exchanged roles;
                grad_b sums grad_y over n, h, w.
    Shapes      x (N, H, W, O), weight (kh, kw, C, O): the weight of the convolution it transposes, bias (C,),
                y (N, H', W', C), H' = s*(H - 1) + kh - 2p, or up to s - 1 more, given as output_size (H', W')
    Errors      ShapeError for another rank, other channels, or an output_size that conv2d would not map to (H, W).
    Source      Dumoulin and Visin 2016, arXiv 1603.07285, sec. 4.

    >>> x = Tensor([[[[1.0], [2.0]]]])
    >>> conv2d_transpose(x, Tensor([[[[10.0]], [[1.0]]]]), stride=2).numpy().ravel()
    array([10.,  1., 20.,  2.], dtype=float32)
    """
    x, weight = _check("conv2d_transpose", x, weight, bias, weight_axis=3)
    require_integer("conv2d_transpose", "stride", stride, 1)
    require_integer("conv2d_transpose", "padding", padding, 0)
    sizes, kernel = x.shape[1:3], weight.shape[:2]
    least = tuple(stride * (n - 1) + k - 2 * padding for n, k in zip(sizes, kernel, strict=True))
    size = least if output_size is None else require_pair("conv2d_transpose", "output_size", output_size, 1)
    if min(size) < 1 or any(not low <= n < low + stride for low, n in zip(least, size, strict=True)):
        expected = f"an output_size from {least} to {tuple(n + stride - 1 for n in least)}, each at least 1"
        fix = "the output must be a size that conv2d would bring back to the input's"
        raise ShapeError("conv2d_transpose", expected=expected, got=str(size), fix=fix)
    y = Conv2dTranspose.apply(x, weight, output_size=size, stride=stride, padding=padding)
    return y if bias is None else y + bias


class Conv2dWeightGradient(Function):
    """The node of `conv2d_weight_gradient`."""

    def forward(self, x: Array, grad_y: Array, *, kernel_size: tuple[int, int], stride: int, padding: int) -> Array:
        self.options: dict[str, Any] = {"stride": stride, "padding": padding}
        self.save_inputs(0, 1, factors=True)
        return kernels.conv2d_weight_gradient(x, grad_y, kernel_size, **self.options)

    def backward(self, grad_y: Tensor) -> Gradients:
        x, y = self.saved
        return gradients(
            self,
            lambda: conv2d_transpose(y, grad_y, output_size=self.shapes[0][1:3], **self.options),
            lambda: conv2d(x, grad_y, **self.options),
        )


def conv2d_weight_gradient(
    x: Tensor, grad_y: Tensor, *, kernel_size: Pair, stride: int = 1, padding: int = 0
) -> Tensor:
    """Gradient of a convolution with respect to its weight.

    Formula     y[i, j, c, o] = sum_{n, h, w} x[n, s*h + i - p, s*w + j - p, c] grad_y[n, h, w, o]
    Gradient    linear in both inputs: with G the gradient of the result, in the weight's shape,
                grad_x = conv2d_transpose(grad_y, G), and the gradient for grad_y is conv2d(x, G).
    Shapes      x (N, H, W, C), grad_y (N, H', W', O), y (kh, kw, C, O)
    Errors      ShapeError if grad_y does not have the size of the output of conv2d for x.

    >>> x, grad_y = Tensor([[[[1.0], [2.0], [3.0]]]]), Tensor([[[[1.0], [1.0]]]])
    >>> conv2d_weight_gradient(x, grad_y, kernel_size=(1, 2)).numpy().ravel()
    array([3., 5.], dtype=float32)
    """
    op = "conv2d_weight_gradient"
    require_images(op, x)
    require_images(op, grad_y, "grad_y")
    require_integer(op, "stride", stride, 1)
    require_integer(op, "padding", padding, 0)
    kernel = require_pair(op, "kernel_size", kernel_size, 1)
    sizes = (kernels.output_size(n, k, stride, padding) for n, k in zip(x.shape[1:3], kernel, strict=True))
    results = (x.shape[0], *sizes)
    if grad_y.shape[:3] != results:
        expected = f"grad_y ({', '.join(map(str, results))}, O), as conv2d gives {x.shape}"
        raise ShapeError(op, expected=expected, got=str(grad_y.shape), fix="check kernel_size, stride and padding")
    return Conv2dWeightGradient.apply(x, grad_y, kernel_size=kernel, stride=stride, padding=padding)


def _check(op: str, x: Tensor, weight: Tensor, bias: Bias, weight_axis: int) -> tuple[Tensor, Tensor]:
    """Check the inputs of a convolution; weight_axis is the axis of the weight that has the input channels."""
    x, weight = require_images(op, x), as_tensor(op, "weight", weight)
    if weight.ndim != 4 or weight.size == 0:
        fix = "give a weight four axes, none of them empty"
        raise ShapeError(op, expected="weight (kh, kw, in, out)", got=str(weight.shape), fix=fix)
    channels, outputs = weight.shape[weight_axis], weight.shape[5 - weight_axis]
    if x.shape[3] != channels and _like_torch(weight, x.shape[3], 3 - weight_axis):
        expected = f"weight (kh, kw, in, out) for {x.shape[3]} channels"
        raise ShapeError(op, expected=expected, got=str(weight.shape), fix=_LIKE_TORCH)
    require_channels(op, x, channels, f"weight {weight.shape} takes {channels}")
    if bias is not None and as_tensor(op, "bias", bias).shape != (outputs,):
        raise ShapeError(op, expected=f"bias ({outputs},)", got=str(bias.shape), fix="one number an output channel")
    return x, weight


_LIKE_TORCH = "this looks like a weight of PyTorch, (out, in, kh, kw): weight.transpose(2, 3, 1, 0)"


def _like_torch(weight: Tensor, channels: int, axis: int) -> bool:
    """Return whether a weight has the input's channels on the given axis, and a square kernel on the last two."""
    return weight.shape[axis] == channels and weight.shape[2] == weight.shape[3] < 16
