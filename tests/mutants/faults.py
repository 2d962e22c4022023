"""Deliberate faults: each one edit in one place of the package, a mistake that somebody has made somewhere.

`test_mutants` makes them one at a time and asks whether the tests notice. To add one, add a line: what is wrong, the
file, the text there (which must occur exactly once), what stands in its place, and who must notice:

    "conv2d"                            any question of tests/ops/test_table.py, put to the rows of this operation
    "losses.test_losses::test_x"        this test, with all of its parameters

A fault that no number can show (``1 * x`` for ``x``) is none and does not belong here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """An edit of one place in the package, and the tests that must notice it."""

    name: str
    file: str
    old: str
    new: str
    caught_by: str

    def __str__(self) -> str:
        return self.name


ENGINE = "autograd.test_engine::"
STEP = "test_srgan_step::"
LOSSES = "losses.test_losses::"
STAGES = "training.test_stages::"

AUTOGRAD = [
    Fault(
        "a second gradient replaces the first instead of being added",
        "autograd/engine.py", "(so_far + part, True)", "(part, True)",
        ENGINE + "test_a_diamond_waits_for_both_sides",
    ),
    Fault(
        "gradients are added in place into an array that was only borrowed",
        "autograd/engine.py", "if owned and not create_graph:", "if not create_graph:",
        ENGINE + "test_the_same_gradient_array_for_two_inputs",
    ),
    Fault(
        "a view counts as an array of the engine's own",
        "autograd/engine.py", "fresh = part.data.base is None and id(part.data) not in seen", "fresh = True",
        ENGINE + "test_a_function_that_returns_an_array_and_a_view_of_it",
    ),
    Fault(
        "two leaves get the same array as their .grad",
        "autograd/engine.py",
        "gradient if owned or gradient.requires_grad else Tensor(gradient.data.copy())",
        "gradient",
        ENGINE + "test_gradients_share_no_memory",
    ),
    Fault(
        ".grad is replaced by a second backward",
        "autograd/engine.py", "leaf.grad.data += grad.data", "leaf.grad = grad",
        ENGINE + "test_gradients_of_two_backward_calls_add_up",
    ),
    Fault(
        "nodes are visited in the order in which they are found, not after all that they went into",
        "autograd/engine.py", "stack.append((vertex, True))", "order.insert(0, vertex)",
        ENGINE + "test_a_diamond_waits_for_both_sides",
    ),
    Fault(
        "an intermediate result passes its hook's gradient by",
        "autograd/engine.py", "gradient, owned = _after(hook(gradient), gradient), False", "hook(gradient)",
        ENGINE + "test_hooks_see_replace_and_leave",
    ),
    Fault(
        "create_graph does not record",
        "autograd/engine.py", "modes.enable_grad() if create_graph else modes.no_grad()", "modes.no_grad()",
        "tanh",
    ),
    Fault(
        "every backward is recorded",
        "autograd/engine.py", "modes.enable_grad() if create_graph else modes.no_grad()", "modes.enable_grad()",
        ENGINE + "test_a_gradient_has_no_history",
    ),
    Fault(
        "a graph that was used up can be walked again",
        "autograd/engine.py", "if not retain_graph:", "if False:",
        ENGINE + "test_a_second_backward_needs_retain_graph",
    ),
    Fault(
        "no_grad is not taken back at the end of its block",
        "backend.py", "variable.reset(token)", "pass",
        ENGINE + "test_no_grad_nests_and_survives_an_error",
    ),
    Fault(
        "no_grad ends with recording on, whatever was before",
        "backend.py", "variable.reset(token)", "variable.set(True)",
        ENGINE + "test_no_grad_nests_and_survives_an_error",
    ),
    Fault(
        "x and x.detach() are taken for one another",
        "autograd/function.py", "v.data.view() if isinstance", "v.data if isinstance",
        "autograd.test_gradcheck::test_a_detached_twin_of_an_input_stays_a_constant",
    ),
    Fault(
        "a node asks for gradients under no_grad too",
        "autograd/function.py", "recording = is_grad_enabled()", "recording = True",
        ENGINE + "test_no_grad_keeps_nothing",
    ),
    Fault(
        "a NumPy number makes float32 float64",
        "autograd/function.py", "value = value.item()", "value = np.asarray(value, np.float64)",
        ENGINE + "test_numbers_change_no_dtype",
    ),
]  # fmt: skip

ELEMENTWISE = [
    Fault(
        "add forgets to sum the gradient over broadcast axes",
        "ops/arithmetic.py", "sum_to(grad_y, self.shapes[1])", "grad_y",
        "add",
    ),
    Fault(
        "subtract hands its second input the gradient with the first one's sign",
        "ops/arithmetic.py", "sum_to(-grad_y, self.shapes[1])", "sum_to(grad_y, self.shapes[1])",
        "subtract",
    ),
    Fault(
        "multiply gives each input its own value as derivative",
        "ops/arithmetic.py", "sum_to(grad_y * b, self.shapes[0])", "sum_to(grad_y * a, self.shapes[0])",
        "multiply",
    ),
    Fault(
        "divide's denominator is not squared in the gradient",
        "ops/arithmetic.py", "-grad_y * a / (b * b)", "-grad_y * a / b",
        "divide",
    ),
    Fault(
        "power keeps the exponent in its gradient",
        "ops/arithmetic.py", "x ** (self.exponent - 1)", "x**self.exponent",
        "power",
    ),
    Fault(
        "power divides by 0 in the second derivative of x at 0",
        "ops/arithmetic.py", "if self.exponent == 0:", "if False:",
        "power",
    ),
    Fault(
        "exp is right once and has no second derivative",
        "ops/elementary.py",
        "(y,) = self.saved\n        return grad_y * y",
        "(y,) = self.saved_arrays\n        return grad_y * y",
        "exp",
    ),
    Fault(
        "sqrt forgets the 2",
        "ops/elementary.py", "grad_y / (2.0 * y)", "grad_y / y",
        "sqrt",
    ),
    Fault(
        "absolute has slope 1 at 0",
        "ops/elementary.py", "array_module(x).sign(x)", "array_module(x).copysign(1, x)",
        "absolute",
    ),
    Fault(
        "clip lets no gradient through at its lower limit",
        "ops/elementary.py", "(x >= self.low)", "(x > self.low)",
        "clip",
    ),
    Fault(
        "maximum gives the whole gradient to both at a tie",
        "ops/elementary.py", "0.5 * mask(a == b", "1.0 * mask(a == b",
        "maximum",
    ),
]  # fmt: skip

REDUCTION_AND_SHAPE = [
    Fault(
        "sum_to averages the copies instead of adding them",
        "ops/reduction.py", "return sum(x, axis=axes).reshape(*shape)", "return mean(x, axis=axes).reshape(*shape)",
        "sum_to",
    ),
    Fault(
        "mean divides by all elements, not by those averaged",
        "ops/reduction.py", "math.prod(x.shape[a] for a in normalized_axes(\"mean\", axis, x.ndim))", "x.size",
        "mean",
    ),
    Fault(
        "variance takes the mean for a constant of all axes",
        "ops/reduction.py", "x - mean(x, axis, keepdims=True)", "x - mean(x)",
        "variance",
    ),
    Fault(
        "max gives each of several equal elements the whole gradient",
        "ops/reduction.py", "(winners / winners.sum(axis=self.axes, keepdims=True))", "winners",
        "max",
    ),
    Fault(
        "transpose turns the gradient forward once more, not back",
        "ops/shape.py", "np.argsort(self.axes)", "self.axes",
        "transpose",
    ),
    Fault(
        "an element that is taken twice keeps only one of its gradients",
        "ops/shape.py", "xp.add.at(y, index, x)", "y[index] = x",
        "getitem",
    ),
    Fault(
        "reflection repeats the edge",
        "ops/shape.py", "(before, after), mode=\"reflect\")", "(before, after), mode=\"symmetric\")",
        "pad",
    ),
    Fault(
        "padding is put at the other end",
        "ops/shape.py", "for (before, _), n in zip", "for (_, before), n in zip",
        "pad",
    ),
    Fault(
        "concatenate hands every input the first part of the gradient",
        "ops/shape.py", "start = stop", "pass",
        "concatenate",
    ),
    Fault(
        "matmul multiplies its second gradient by the input unturned",
        "ops/matrix.py", "_turned(a) @ grad_y", "a @ grad_y",
        "matmul",
    ),
    Fault(
        "linear adds its bias without a gradient",
        "ops/matrix.py", "return y + bias", "return y + bias.detach()",
        "linear",
    ),
]  # fmt: skip

CONVOLUTION = [
    Fault(
        "the kernel is turned by 180 degrees (a convolution in the sense of mathematics)",
        "kernels/im2col.py", "matrix = weight.reshape(-1, out_channels)  # (kh*kw*C, O)",
        "matrix = weight[::-1, ::-1].reshape(-1, out_channels)",
        "conv2d",
    ),
    Fault(
        "the kernel is transposed: its rows are taken for columns",
        "kernels/im2col.py", "matrix = weight.reshape(-1, out_channels)  # (kh*kw*C, O)",
        "matrix = weight.swapaxes(0, 1).reshape(-1, out_channels)",
        "conv2d",
    ),
    Fault(
        "padding is off by one at the top",
        "kernels/im2col.py", "top, left = block.r0 * stride + self.origin[0],",
        "top, left = block.r0 * stride + self.origin[0] + 1,",
        "conv2d",
    ),
    Fault(
        "padding is counted on one side only",
        "kernels/conv.py",
        "    return (size + 2 * padding - kernel) // stride + 1",
        "    return (size + padding - kernel) // stride + 1",
        "conv2d",
    ),
    Fault(
        "the padding is white instead of black",
        "kernels/im2col.py", "padded.fill(0)", "padded.fill(1)",
        "conv2d",
    ),
    Fault(
        "the zeros around a patch are taken to be there still after a patch of another form",
        "kernels/im2col.py", 'if vars(_kept).get("zeros around") is not frame:',
        'if "zeros around" not in vars(_kept):',
        "test_kernels::test_padding_stays_zero_from_layer_to_layer",
    ),
    Fault(
        "the gradient in the input uses the kernel unturned",
        "kernels/conv.py", "weight[::-1, ::-1].swapaxes(2, 3)", "weight.swapaxes(2, 3)",
        "conv2d",
    ),
    Fault(
        "the gradient in the input is padded like the convolution itself",
        "kernels/conv.py", "return first, (phase + padding - (kernel - 1 - first)) // stride",
        "return first, -padding",
        "conv2d",
    ),
    Fault(
        "the gradient in the input takes the wrong part of the kernel between two strides",
        "kernels/conv.py", "first = (kernel - 1 - phase - padding) % stride",
        "first = (kernel - 1 + phase - padding) % stride",
        "conv2d",
    ),
    Fault(
        "the stride is ignored in the gradient of the weight",
        "kernels/im2col.py", "columns = Columns(x, kernel, stride, origin)", "columns = Columns(x, kernel, 1, origin)",
        "conv2d_weight_gradient",
    ),
    Fault(
        "the gradient of the weight is that of the last block alone",
        "kernels/im2col.py", "total += xp.matmul(", "total[...] = xp.matmul(",
        "conv2d_weight_gradient",
    ),
    Fault(
        "a block of rows begins where it would without the stride",
        "kernels/im2col.py", "top, left = block.r0 * stride + self.origin[0],",
        "top, left = block.r0 + self.origin[0],",
        "conv2d",
    ),
    Fault(
        "neighbouring blocks share a row",
        "kernels/im2col.py", "min(r + r_step, rows)", "min(r + r_step + 1, rows)",
        "conv2d_weight_gradient",
    ),
    Fault(
        "the last column of an image is left out where a row takes several blocks",
        "kernels/im2col.py", "min(c + c_step, cols))", "min(c + c_step, max(cols - 1, c_step)))",
        "conv2d_transpose",
    ),
    Fault(
        "the bias is added to the first block alone",
        "kernels/im2col.py", "if bias is not None:", "if bias is not None and block.n0 == block.r0 == block.c0 == 0:",
        "conv2d",
    ),
    Fault(
        "Winograd: a sign in B is lost",
        "kernels/winograd.py", "np.matmul(bt, self.along,", "np.matmul(abs(bt), self.along,",
        "ops.test_table::test_convolution_by_every_algorithm",
    ),
    Fault(
        "Winograd: the bias meets a point whose column of A is not all ones",
        "kernels/winograd.py", "self.m_ones = self.m[n + 1]", "self.m_ones = self.m[0]",
        "ops.test_table::test_convolution_by_every_algorithm",
    ),
    Fault(
        "Winograd: tiles of stride 2 are read as if they lay 4 inputs apart",
        "kernels/winograd.py", "(n_step, step * r_step, r_step, size)", "(n_step, 4 * r_step, r_step, size)",
        "test_kernels::test_winograd_is_accurate_where_it_is_chosen",
    ),
    Fault(
        "Winograd: the gradient of stride 2 is used for other paddings than 1",
        "kernels/conv.py", "if padding == 1:", "if padding >= 0:",
        "ops.test_table::test_convolution_by_every_algorithm",
    ),
    Fault(
        "Winograd: tiles that hang over the border are written as if they did not",
        "kernels/winograd.py", "[:, : target.shape[1], : target.shape[2]]",
        "[:, -target.shape[1] :, -target.shape[2] :]",
        "ops.test_table::test_convolution_by_every_algorithm",
    ),
    Fault(
        "Winograd: the gradient of the weight is that of each thread's last block",
        "kernels/winograd.py", "total += product", "total[...] = product",
        "ops.test_table::test_convolution_by_every_algorithm",
    ),
    Fault(
        "thin: rows are shifted by the width of the image, not of the padded row",
        "kernels/thin.py", "start = (top + kh - 1 - i) * wide", "start = (top + kh - 1 - i) * width",
        "ops.test_table::test_convolution_by_every_algorithm",
    ),
    Fault(
        "thin: the gradient of the weight is left turned",
        "kernels/conv.py", "turned[::-1, ::-1].swapaxes(2, 3))", "turned.swapaxes(2, 3))",
        "ops.test_table::test_convolution_by_every_algorithm",
    ),
    Fault(
        "the gradient in the input leaves off the rows that the stride skipped",
        "ops/conv.py",
        "grad_x = conv2d_transpose(grad_y, weight, output_size=_image_size(self.shapes[0]), **self.options)",
        "grad_x = conv2d_transpose(grad_y, weight, **self.options)",
        "conv2d",
    ),
    Fault(
        "conv2d_transpose ignores output_size",
        "ops/conv.py", "size = least if output_size is None else", "size = least if True else",
        "conv2d_transpose",
    ),
    Fault(
        "conv2d_transpose exchanges height and width of output_size",
        "ops/conv.py", "return kernels.conv2d_input_gradient(x, weight, output_size, **self.options)",
        "return kernels.conv2d_input_gradient(x, weight, output_size[::-1], **self.options)",
        "conv2d_transpose",
    ),
    Fault(
        "the gradient of the bias is averaged over the pixels",
        "ops/conv.py", "grad_bias = grad_y.sum(axis=(0, 1, 2))", "grad_bias = grad_y.mean(axis=(0, 1, 2))",
        "conv2d",
    ),
    Fault(
        "the weight learns only where the input asks for a gradient too",
        "ops/conv.py", "if self.needs_grad[1]:\n            grad_weight = conv2d_weight_gradient(x,",
        "if self.needs_grad[0]:\n            grad_weight = conv2d_weight_gradient(x,",
        "ops.test_table::test_a_convolution_learns_from_a_constant_input",
    ),
    Fault(
        "the weight learns only where the input asks for a gradient too, in the fused backward",
        "ops/conv.py", "elif self.needs_grad[1]:", "elif False:",
        "ops.test_table::test_a_convolution_learns_from_a_constant_input",
    ),
    Fault(
        "both gradients of a convolution on two threads: each gets the other's place",
        "kernels/conv.py", "[to_input, to_weight]", "[to_weight, to_input]",
        "test_kernels::test_both_gradients_at_once",
    ),
    Fault(
        "conv2d is right once, and its gradient takes x and weight for constants",
        "ops/conv.py", "x, weight = self.saved\n        grad_x = grad_weight = grad_bias = None",
        "x, weight = self.saved_arrays\n        grad_x = grad_weight = grad_bias = None",
        "conv2d",
    ),
]  # fmt: skip

NORMALISATION = [
    Fault(
        "eps stands outside the root",
        "ops/norm.py",
        "inv_std = 1 / (var + eps) ** 0.5\n        self.eps",
        "inv_std = 1 / (var**0.5 + eps)\n        self.eps",
        "batch_norm",
    ),
    Fault(
        "the batch is normalised by n - 1",
        "kernels/norm.py", "rows.total(squared) / count", "rows.total(squared) / (count - 1)",
        "batch_norm",
    ),
    Fault(
        "the variance is the mean of squares less the square of the mean, however large that is",
        "kernels/norm.py", "if (mean * mean <= _NEAR**2 * variance).all():", "if True:",
        "test_kernels::test_batch_norm_of_values_far_from_zero",
    ),
    Fault(
        "the gradient of batch norm is summed around 0 and not brought back to the mean",
        "kernels/norm.py", "(rows.total(weighted) - mean * grad_bias)", "rows.total(weighted)",
        "batch_norm",
    ),
    Fault(
        "training uses the gradient of evaluation, as if mean and variance were constants",
        "kernels/norm.py",
        "    slope = -scale * inv_std * grad_weight / count\n    shift = -scale * grad_bias / count - slope * mean",
        "    slope = shift = 0 * scale",
        "batch_norm",
    ),
    Fault(
        "the recorded backward of training is that of evaluation; the fused one is right",
        "ops/norm.py", "(grad_y - grad_bias * (1 / count) - x_hat * (grad_weight * (1 / count)))", "grad_y",
        "batch_norm",
    ),
    Fault(
        "the second derivative takes the mean of the batch for a constant",
        "ops/norm.py", "centred = x - x.mean(axis=axes)", "centred = x - self.saved_arrays[2]",
        "batch_norm",
    ),
    Fault(
        "the running variance is biased: divided by n",
        "ops/norm.py", "(mean, var * (count / (count - 1)))", "(mean, var)",
        "ops.test_table::test_running_statistics",
    ),
    Fault(
        "momentum is reversed: the statistics forget 90 % a step",
        "ops/norm.py", "kept *= 1 - momentum\n                kept += momentum * new",
        "kept *= momentum\n                kept += (1 - momentum) * new",
        "ops.test_table::test_running_statistics",
    ),
    Fault(
        "evaluation does not divide by the running deviation in its gradient",
        "ops/norm.py", "grad_y * (weight * self.inv_std)", "grad_y * weight",
        "batch_norm",
    ),
    Fault(
        "the gradient of evaluation follows the statistics of a later training step",
        "ops/norm.py", "running[0].copy()", "running[0]",
        "ops.test_table::test_statistics_that_move_on_change_no_gradient",
    ),
    Fault(
        "sums over a batch are float64",
        "kernels/norm.py", "return part.sum(axis=0), rows", "return part.sum(axis=0, dtype=\"float64\"), rows",
        "batch_norm",
    ),
    Fault(
        "the mean of a large batch is that of its first block",
        "kernels/norm.py", "rows.total(plain) / count", "rows.total(plain[:1]) / count",
        "ops.test_table::test_elementwise_kernels_in_blocks",
    ),
    Fault(
        "the gradient of batch norm's weight forgets all blocks but the first",
        "kernels/norm.py", "rows.total(weighted)", "rows.total(weighted[:1])",
        "ops.test_table::test_elementwise_kernels_in_blocks",
    ),
    Fault(
        "the layer stays in training mode",
        "nn/norm.py", "training=self.training", "training=True",
        "nn.test_module::test_train_and_eval_reach_every_module",
    ),
]  # fmt: skip

ACTIVATION = [
    Fault(
        "LeakyReLU has slope 1 at zero",
        "ops/activation.py",
        "(mask(y > 0, y) * (1 - self.negative_slope)",
        "(mask(y >= 0, y) * (1 - self.negative_slope)",
        "leaky_relu",
    ),
    Fault(
        "LeakyReLU's slope is always 0.2",
        "kernels/activation.py", "xp.multiply(part, slope, out=out)", "xp.multiply(part, 0.2, out=out)",
        "leaky_relu",
    ),
    Fault(
        "LeakyReLU is max(x, a x), which holds for slopes up to 1 only",
        "kernels/activation.py", "xp.maximum if slope <= 1 else xp.minimum", "xp.maximum",
        "leaky_relu",
    ),
    Fault(
        "ReLU has slope 1 at zero",
        "ops/activation.py", "return grad_y * mask(y > 0, y)", "return grad_y * mask(y >= 0, y)",
        "relu",
    ),
    Fault(
        "ReLU works in place on its input",
        "ops/activation.py", "y = kernels.leaky_relu(x, 0)", "x[...] = y = kernels.leaky_relu(x, 0)",
        "relu",
    ),
    Fault(
        "LeakyReLU's pass over the arrays forgets the slope",
        "kernels/activation.py", "out += slope", "out += 0",
        "leaky_relu",
    ),
    Fault(
        "PReLU is max(x, a x), which holds for slopes up to 1 only",
        "kernels/activation.py",
        "        out *= wide_slope\n        out += rows.xp.maximum(part, 0)",
        "        rows.xp.maximum(part, part * wide_slope, out=out)",
        "prelu",
    ),
    Fault(
        "PReLU has slope 1 at zero in the fused backward, a in the recorded one",
        "kernels/activation.py", "rows.xp.greater(part, 0,", "rows.xp.greater_equal(part, 0,",
        "prelu",
    ),
    Fault(
        "PReLU's backward is right, its fused one is not",
        "kernels/activation.py", "one_minus_slope = 1 - wide_slope", "one_minus_slope = 1 + wide_slope",
        "prelu",
    ),
    Fault(
        "PReLU's fused backward is right, the recorded one is not",
        "ops/activation.py", "(positive + slope * (1 - positive))", "(positive + slope)",
        "prelu",
    ),
    Fault(
        "the slope's gradient is summed over the wrong axis: the channels, and not the images",
        "ops/activation.py",
        "grad_slope.sum(axis=tuple(range(x.ndim - 1)))",
        "grad_slope.sum(axis=tuple(range(1, x.ndim)))",
        "prelu",
    ),
    Fault(
        "the slope's gradient forgets all blocks but the last",
        "kernels/activation.py", "rows.total(map_blocks(apply, flat))", "rows.total(map_blocks(apply, flat)[-1:])",
        "ops.test_table::test_elementwise_kernels_in_blocks",
    ),
    Fault(
        "sigmoid is written 1 / (1 + e^-x), which overflows",
        "ops/activation.py", "y /= 1 + small ", "y = 1 / (1 + xp.exp(-x)) ",
        "sigmoid",
    ),
    Fault(
        "softplus is written ln(1 + e^x), which overflows",
        "ops/activation.py", "xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))", "xp.log1p(xp.exp(x))",
        "softplus",
    ),
    Fault(
        "softplus is right once and has no second derivative",
        "ops/activation.py", "return grad_y * sigmoid(x)", "return grad_y * sigmoid(x.detach())",
        "softplus",
    ),
    Fault(
        "tanh forgets the square",
        "ops/activation.py", "grad_y * (1.0 - y * y)", "grad_y * (1.0 - y)",
        "tanh",
    ),
]  # fmt: skip

PIXELS = [
    Fault(
        "pixel shuffle takes the channels in the other order, (i, j, c), TensorFlow's",
        "kernels/layout.py",
        "split = x.reshape(n, h, w, c, factor, factor)  # (N, H, W, C, i, j)",
        "split = x.reshape(n, h, w, factor, factor, c).transpose(0, 1, 2, 5, 3, 4)",
        "pixel_shuffle",
    ),
    Fault(
        "pixel shuffle exchanges rows and columns within a block",
        "kernels/layout.py", "split.transpose(0, 1, 4, 2, 5, 3)", "split.transpose(0, 1, 5, 2, 4, 3)",
        "pixel_shuffle",
    ),
    Fault(
        "pixel unshuffle exchanges rows and columns within a block",
        "kernels/layout.py", "split.transpose(0, 1, 3, 5, 2, 4)", "split.transpose(0, 1, 3, 5, 4, 2)",
        "pixel_unshuffle",
    ),
    Fault(
        "max pooling gives the gradient to every maximum of a window with ties",
        "kernels/pool.py", "left -= here", "pass",
        "max_pool2d",
    ),
    Fault(
        "max pooling gives the gradient to the last maximum of a window",
        "kernels/pool.py", "in zip(_phases(x[one], size), _phases(result[one], size), strict=True)",
        "in [*zip(_phases(x[one], size), _phases(result[one], size), strict=True)][::-1]",
        "max_pool2d",
    ),
    Fault(
        "max pooling adds the dropped rows on top instead of below",
        "ops/pool.py", "(0, x.shape[1] - h * size)", "(x.shape[1] - h * size, 0)",
        "max_pool2d",
    ),
    Fault(
        "global average pooling divides by the rows alone",
        "ops/pool.py", "return mean(x, axis=(1, 2))", "return mean(x, axis=1).sum(axis=1)",
        "global_average_pool",
    ),
    Fault(
        "total variation wraps round to the other border",
        "ops/loss.py",
        "down = absolute(x[:, 1:] - x[:, :-1]).sum()",
        "down = absolute(x[:, [*range(1, x.shape[1]), 0]] - x).sum()",
        "total_variation",
    ),
    Fault(
        "total variation is averaged over pixels",
        "ops/loss.py", "(down + right) * (1.0 / x.shape[0])", "(down + right) * (1.0 / x.size)",
        "total_variation",
    ),
]  # fmt: skip

LOSS = [
    Fault(
        "the mean squared error is a sum",
        "ops/loss.py", "return (difference * difference).mean()", "return (difference * difference).sum()",
        "mse",
    ),
    Fault(
        "the cross-entropy has its labels exchanged",
        "ops/loss.py", "softplus(logits) * (1.0 - targets) + softplus(-logits) * targets",
        "softplus(logits) * targets + softplus(-logits) * (1.0 - targets)",
        "binary_cross_entropy_with_logits",
    ),
    Fault(
        "the VGG loss is detached from the graph: it falls, and teaches nothing",
        "losses/content.py", "features = self.vgg(generated)", "features = self.vgg(generated.detach())",
        STEP + "test_every_term_reaches_the_generator",
    ),
    Fault(
        "half of the VGG loss is detached: right in value, half the gradient",
        "losses/content.py",
        "return ops.mse(features, target) *",
        "return ((features - target) * (features.detach() - target)).mean() *",
        LOSSES + "test_vgg_content_gradient_is_that_of_its_value",
    ),
    Fault(
        "the VGG loss is divided by the channels",
        "losses/content.py", "(features.shape[3] * self.scale**2)", "(self.scale**2)",
        LOSSES + "test_vgg_content_is_equation_5",
    ),
    Fault(
        "the scale of the features is not squared",
        "losses/content.py", "(features.shape[3] * self.scale**2)", "(features.shape[3] * self.scale)",
        LOSSES + "test_vgg_content_is_equation_5",
    ),
    Fault(
        "the original's features are no constants",
        "losses/content.py", "with no_grad():", "if True:",
        LOSSES + "test_vgg_content_reaches_the_image_and_nothing_else",
    ),
    Fault(
        "VGG19 is not frozen",
        "losses/content.py", "vgg.eval().requires_grad_(False)", "vgg.eval()",
        LOSSES + "test_vgg_content_reaches_the_image_and_nothing_else",
    ),
    Fault(
        "G minimises the min-max form, ln(1 - D(G(x)))",
        "losses/adversarial.py", "return ops.softplus(-fake_logits).mean()", "return -ops.softplus(fake_logits).mean()",
        LOSSES + "test_generator_loss_is_not_the_min_max_form",
    ),
    Fault(
        "G wants to be found out",
        "losses/adversarial.py", "return ops.softplus(-fake_logits).mean()", "return ops.softplus(fake_logits).mean()",
        LOSSES + "test_adversarial_losses_by_hand",
    ),
    Fault(
        "D's labels are swapped",
        "losses/adversarial.py",
        "real = ops.binary_cross_entropy_with_logits(real_logits, real_label)\n"
        "    fake = ops.binary_cross_entropy_with_logits(fake_logits, 0.0)",
        "real = ops.binary_cross_entropy_with_logits(real_logits, 0.0)\n"
        "    fake = ops.binary_cross_entropy_with_logits(fake_logits, real_label)",
        LOSSES + "test_adversarial_losses_by_hand",
    ),
    Fault(
        "the adversarial term is logged and not added",
        "losses/perceptual.py", "for term in others:", "for term in others[1:]:",
        LOSSES + "test_perceptual_loss_adds_its_weighted_terms",
    ),
]  # fmt: skip

MODELS = [
    Fault(
        "Adam does not correct for starting at 0",
        "kernels/adam.py", "step_size, eps = lr * root / (1 - beta1**step), eps * root", "step_size = lr",
        "optim.test_optim::test_adam_against_a_loop",
    ),
    Fault(
        "Adam's eps stands inside the root",
        "kernels/adam.py", "change = xp.sqrt(v)\n        change += eps", "change = xp.sqrt(v + eps)",
        "optim.test_optim::test_adam_against_a_loop",
    ),
    Fault(
        "Adam's eps is not corrected with the root that it is added to",
        "kernels/adam.py", "eps * root\n", "eps\n",
        "optim.test_optim::test_adam_against_a_loop",
    ),
    Fault(
        "ICNR tiles the copies, so that each pixel of a block gets another channel",
        "nn/init.py", "np.repeat(independent, factor**2, axis=-1)", "np.tile(independent, factor**2)",
        "nn.test_init::test_icnr_is_he_normal_in_groups",
    ),
    Fault(
        "weights are drawn for fan_out",
        "nn/init.py", "math.prod(shape[:-1])", "(math.prod(shape) / shape[-2])",
        "nn.test_init::test_he_normal_spread",
    ),
    Fault(
        "eval() stops at the first level of modules",
        "nn/module.py", "for _, module in self.named_modules():\n            module.training = mode",
        "for module in (self, *self.children().values()):\n            module.training = mode",
        "nn.test_module::test_train_and_eval_reach_every_module",
    ),
    Fault(
        "the generator has lost its long skip",
        "models/generator.py", "self.head(first + deep)", "self.head(deep)",
        "models.test_generator::test_the_skip_over_all_blocks_is_there",
    ),
    Fault(
        "VGG19 of Caffe gets RGB for BGR",
        "models/vgg.py", "images[..., ::-1]", "images[..., :]",
        "models.test_vgg::test_preparation_by_hand",
    ),
    Fault(
        "D ends in a sigmoid",
        "models/discriminator.py",
        "return self.head(self.features(images))",
        "from minisrgan.ops import sigmoid\n\n        return sigmoid(self.head(self.features(images)))",
        "models.test_discriminator::test_logits_are_not_probabilities",
    ),
]  # fmt: skip

TRAINING = [
    Fault(
        "D's gradient leaks into G: the generated images are not detached",
        "training/stages.py", "discriminator(generated.detach())", "discriminator(generated)",
        STAGES + "test_a_step_of_srgan_by_hand",
    ),
    Fault(
        "real and generated images go through D as one batch",
        "training/stages.py", "real_logits, fake_logits = discriminator(high), discriminator(generated.detach())",
        "both = discriminator(ops.concatenate([high, generated.detach()]))\n"
        "        real_logits, fake_logits = both[: len(high)], both[len(high) :]",
        STAGES + "test_a_step_of_srgan_by_hand",
    ),
    Fault(
        "G's gradients pile up from step to step",
        "training/stages.py", "self.g_optimizer.zero_grad()", "pass",
        STAGES + "test_a_step_of_srgan_by_hand",
    ),
    Fault(
        "D's gradients pile up from step to step",
        "training/stages.py", "self.d_optimizer.zero_grad()", "pass",
        STAGES + "test_a_step_of_srgan_by_hand",
    ),
    Fault(
        "SRResNet's gradients pile up from step to step",
        "training/stages.py", "self.optimizer.zero_grad()", "pass",
        STAGES + "test_a_step_of_srresnet_by_hand",
    ),
    Fault(
        "G's learning rate never falls",
        "training/stages.py", "self.g_optimizer.lr = self.g_lr(step)", "pass",
        STAGES + "test_a_step_of_srgan_by_hand",
    ),
    Fault(
        "G judges itself by D's logits from before D's step",
        "training/stages.py",
        "self.loss(generated, high, discriminator(generated))",
        "self.loss(generated, high, fake_logits.detach())",
        STAGES + "test_a_step_of_srgan_by_hand",
    ),
]  # fmt: skip

FAULTS = [
    *AUTOGRAD, *ELEMENTWISE, *REDUCTION_AND_SHAPE, *CONVOLUTION, *NORMALISATION, *ACTIVATION, *PIXELS, *LOSS, *MODELS,
    *TRAINING,
]  # fmt: skip
