"""Deliberate faults: each one edit in one place of the package, a mistake that somebody has made somewhere.

`test_mutants` makes them one at a time and asks whether the tests notice. To add one, add a line: what is wrong, the
function, the code there, what stands in its place, and who must notice. Function and code are found as `places` says,
wherever the function stands and whatever its variables are called. Those who notice:

    "conv2d"                            any question of tests/ops/test_table.py, put to the rows of this operation
    "losses.test_losses::test_x"        this test, with all of its parameters
    "ops.test_table::test_x[conv2d]"    this question, put to the rows of this operation

A fault that no number can show (``1 * x`` for ``x``) is none and does not belong here.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """An edit of one place in the package, and the tests that must notice it."""

    name: str
    where: str
    old: str
    new: str
    caught_by: str
    which: str = "1 of 1"

    def __str__(self) -> str:
        return self.name


ENGINE = "autograd.test_engine::"
TABLE = "ops.test_table::"
MASKS = "ops.test_masks::"
VERSIONS = "autograd.test_versions::"
EDGES = "autograd.test_edges::"
IN_PLACE = "autograd.test_in_place::"
PROTOCOLS = "autograd.test_protocols::"
REGISTRATION = "nn.test_registration::"
OPTIM = "optim.test_optim::"
STEP = "test_srgan_step::"
LOSSES = "losses.test_losses::"
STAGES = "training.test_stages::"
RANKS = "training.test_parallel::"
TEXTURE = "images.test_texture::"

AUTOGRAD = [
    Fault(
        "a second gradient replaces the first instead of being added",
        "_accumulate", "(so_far + part, True)", "(part, True)",
        ENGINE + "test_a_diamond_waits_for_both_sides",
    ),
    Fault(
        "gradients are added in place into an array that was only borrowed",
        "_accumulate", "owned and not create_graph", "not create_graph",
        ENGINE + "test_the_same_gradient_array_for_two_inputs",
    ),
    Fault(
        "a view counts as an array of the engine's own",
        "propagate", "fresh = part.data.base is None and id(part.data) not in seen", "fresh = True",
        ENGINE + "test_a_function_that_returns_an_array_and_a_view_of_it",
    ),
    Fault(
        "two leaves get the same array as their .grad",
        "autograd._own", "gradient if owned or gradient.requires_grad else Tensor(gradient.data.copy())", "gradient",
        ENGINE + "test_gradients_share_no_memory",
    ),
    Fault(
        ".grad is replaced by a second backward",
        "autograd.backward", "tensor.grad + grad", "grad",
        ENGINE + "test_gradients_of_two_backward_calls_add_up",
    ),
    Fault(
        "nodes are visited in the order in which they are found, not after all that they went into",
        "topological_order", "stack.append((vertex, True))", "order.insert(0, vertex)",
        ENGINE + "test_a_diamond_waits_for_both_sides",
    ),
    Fault(
        "an intermediate result passes its hook's gradient by",
        "propagate", "gradient, owned = _after(hook(given), given), False", "hook(given)",
        ENGINE + "test_hooks_see_replace_and_leave",
    ),
    Fault(
        "create_graph does not record",
        "propagate", "modes.enable_grad() if create_graph else modes.no_grad()", "modes.no_grad()",
        "tanh",
    ),
    Fault(
        "every backward is recorded",
        "propagate", "modes.enable_grad() if create_graph else modes.no_grad()", "modes.enable_grad()",
        ENGINE + "test_a_gradient_has_no_history",
    ),
    Fault(
        "a graph that was used up can be walked again",
        "propagate", "not retain_graph", "False",
        ENGINE + "test_a_second_backward_needs_retain_graph",
    ),
    Fault(
        "no_grad is not taken back at the end of its block",
        "Mode.__exit__", "self._stack.set(self._stack.get()[1:])", "pass",
        ENGINE + "test_no_grad_nests_and_survives_an_error",
    ),
    Fault(
        "no_grad ends with recording on, whatever was before",
        "Mode.__exit__", "self._stack.set(self._stack.get()[1:])", "self._stack.set((True,))",
        ENGINE + "test_no_grad_nests_and_survives_an_error",
    ),
    Fault(
        "x and x.detach() are taken for one another",
        "Function.apply", "v.data.view()", "v.data",
        "autograd.test_gradcheck::test_a_detached_twin_of_an_input_stays_a_constant",
    ),
    Fault(
        "an array that an optimizer has changed is used all the same",
        "Function._check_saved", "version_of(value) < self.time", "True",
        VERSIONS + "test_a_changed_factor_is_noticed",
    ),
    Fault(
        "a factor counts even for its own gradient, which does not depend on it",
        "Function._check_saved", "factor and not any(_1)", "False and not any(_1)",
        VERSIONS + "test_only_the_gradients_that_are_asked_for_count",
    ),
    Fault(
        "a view of a weight has a version of its own",
        "autograd._owner", "(base := getattr(array, 'base', None)) is not None", "(base := None) is not None",
        VERSIONS + "test_a_view_shares_the_memory_and_the_version",
    ),
    Fault(
        "anomaly mode does not see what NumPy changes",
        "Function._check_saved", "self.checksums[at] == _checksum(value)", "True",
        VERSIONS + "test_anomaly_mode_sees_what_numpy_changes",
    ),
    Fault(
        "running statistics change unnoticed",
        "BatchNormTraining.forward", "mark_changed(kept)", "pass",
        VERSIONS + "test_arrays_of_the_library_that_it_changes",
    ),
    Fault(
        "a node asks for gradients under no_grad too",
        "Function.apply", "recording = is_grad_enabled()", "recording = True",
        ENGINE + "test_no_grad_keeps_nothing",
    ),
    Fault(
        "a NumPy number makes float32 float64",
        "Function._accept", "value = value.item()", "value = np.asarray(value, np.float64)",
        ENGINE + "test_numbers_change_no_dtype",
    ),
]  # fmt: skip

ELEMENTWISE = [
    Fault(
        "add forgets to sum the gradient over broadcast axes",
        "ops.gradients", "sum_to(gradient(), shape)", "gradient()",
        "add",
    ),
    Fault(
        "subtract hands its second input the gradient with the first one's sign",
        "Subtract.backward", "-grad_y", "grad_y",
        "subtract",
    ),
    Fault(
        "multiply gives each input its own value as derivative",
        "Multiply.backward", "grad_y * b", "grad_y * a",
        "multiply",
    ),
    Fault(
        "divide's denominator is not squared in the gradient",
        "Divide.backward", "-grad_y * a / (b * b)", "-grad_y * a / b",
        "divide",
    ),
    Fault(
        "power keeps the exponent in its gradient",
        "Power.backward", "x ** (p - 1)", "x**p",
        "power",
    ),
    Fault(
        "power divides by 0 in the second derivative of x at 0",
        "Power.backward", "_1 if p else _2", "_1",
        "power",
    ),
    Fault(
        "exp is right once and has no second derivative",
        "Exp.backward", "self.saved", "self.saved_arrays",
        "exp",
    ),
    Fault(
        "sqrt forgets the 2",
        "Sqrt.backward", "grad_y / (2.0 * y)", "grad_y / y",
        "sqrt",
    ),
    Fault(
        "absolute has slope 1 at 0",
        "Absolute.backward", "x > 0", "x >= 0",
        "absolute",
    ),
    Fault(
        "clip lets no gradient through at its lower limit",
        "ops.clip", "(x.data >= low)", "(x.data > low)",
        "clip",
    ),
    Fault(
        "maximum gives the whole gradient to both at a tie",
        "Maximum.backward", "grad_y * 0.5", "grad_y",
        "maximum",
    ),
    Fault(
        "the gradient in the exponent of a power has no logarithm",
        "Power.backward", "x**p * log(_1)", "x**p",
        "power",
    ),
    Fault(
        "power divides by 0 at 0^p, where p = 0 is a tensor",
        "Power.backward", "(x.data == 0) & (p.data == 0)", "x.data != x.data",
        "ops.test_methods::test_powers_at_their_edges",
    ),
    Fault(
        "power takes the logarithm of 0",
        "Power.backward", "log(where(some, x, 1.0))", "log(x)",
        "ops.test_methods::test_powers_at_their_edges",
    ),
    Fault(
        "where gives the gradient to what was not taken",
        "Where.backward", "where(condition, grad_y, 0.0)", "where(condition, 0.0, grad_y)",
        "where",
    ),
    Fault(
        "minimum and maximum give both gradients to the first",
        "Maximum.backward", "self.chosen(b, a)", "self.chosen(a, b)",
        "minimum",
    ),
    Fault(
        "a label that NumPy computed is an array of float64",
        "ops.binary_cross_entropy_with_logits", "targets = as_number(targets)", "pass",
        "ops.test_numbers::test_a_numpy_scalar_is_a_number",
    ),
    Fault(
        "a matrix counts as an array, and multiplies as a matrix",
        "is_array", "value.__array_priority__ <= 0", "True",
        "ops.test_numbers::test_what_is_no_number_is_refused_by_name",
    ),
    Fault(
        "load_state_dict makes an infinity of 1e300",
        "require_state", "to_numpy(value).astype(dtype, copy=False)", "to_numpy(value)",
        "nn.test_module::test_load_state_dict_refuses_what_is_no_array_of_numbers_that_fit",
    ),
    Fault(
        "an infinite gradient is multiplied by the mask, not selected by it",
        "Where.backward", "where(condition, grad_y, 0.0)", "grad_y * Tensor(condition.astype(grad_y.dtype))",
        MASKS + "test_square_root_of_a_dead_unit",
    ),
    Fault(
        "relu multiplies by its mask",
        "kernels.leaky_relu_gradient", "not slope", "False",
        MASKS + "test_square_root_of_a_dead_unit",
    ),
    Fault(
        "an infinite gradient of prelu counts for the slope where x is positive",
        "kernels.prelu_gradient", "np.isfinite(sums).all()", "True",
        MASKS + "test_an_infinite_gradient_is_selected",
    ),
]  # fmt: skip

REDUCTION_AND_SHAPE = [
    Fault(
        "sum_to averages the copies instead of adding them",
        "ops.sum_to", "sum(x, axis=axes)", "sum(x, axis=axes) * (sum(x, axis=axes).size / x.size)",
        "sum_to",
    ),
    Fault(
        "mean divides by all elements, not by those averaged",
        "ops.mean", 'math.prod(x.shape[a] for a in normalized_axes("mean", axis, x.ndim))', "x.size",
        "mean",
    ),
    Fault(
        "variance takes the mean for a constant of all axes",
        "ops.variance", "x - mean(x, axis, keepdims=True)", "x - mean(x)",
        "variance",
    ),
    Fault(
        "max gives each of several equal elements the whole gradient",
        "Max.backward", "grad_y.reshape(*self.kept) / Tensor(count)", "grad_y.reshape(*self.kept)",
        "max",
    ),
    Fault(
        "the deviation of equal numbers has an infinite slope",
        "ops.std", "where(some, squared, 1.0)", "squared",
        "ops.test_methods::test_the_deviation_of_equal_numbers",
    ),
    Fault(
        "transpose turns the gradient forward once more, not back",
        "Transpose.backward", "np.argsort(self.axes)", "self.axes",
        "transpose",
    ),
    Fault(
        "an element that is taken twice keeps only one of its gradients",
        "Scatter.forward", "xp.add.at(y, index, x)", "y[index] = x",
        "getitem",
    ),
    Fault(
        "an index is kept as it is, and changed by the user before backward",
        "ops._checked_index", "part.copy()", "part",
        "ops.test_index::test_an_index_that_is_changed_later",
    ),
    Fault(
        "a mask is taken for positions",
        "ops._checked_index", "part.copy()", "part * 1",
        "ops.test_index::test_a_mask_takes_what_is_true",
    ),
    Fault(
        "padding is put at the other end",
        "ops.pad", "(slice(before, before + n) for (before, _), n in _1)",
        "(slice(before, before + n) for (_, before), n in _1)",
        "pad",
    ),
    Fault(
        "concatenate hands every input the first part of the gradient",
        "Concatenate.backward", "slice(stop - shape[self.axis], stop)", "slice(0, shape[self.axis])",
        "concatenate",
    ),
    Fault(
        "matmul multiplies its second gradient by the input unturned",
        "Matmul.backward", "_turned(a) @ grad_y", "a @ grad_y",
        "matmul",
    ),
    Fault(
        "linear adds its bias without a gradient",
        "ops.linear", "y + bias", "y + bias.detach()",
        "linear",
    ),
]  # fmt: skip

CONVOLUTION = [
    Fault(
        "the kernel is turned by 180 degrees (a convolution in the sense of mathematics)",
        "kernels.convolve", "matrix = weight.reshape(-1, out_channels)  # (kh*kw*C, O)",
        "matrix = weight[::-1, ::-1].reshape(-1, out_channels)",
        "conv2d",
    ),
    Fault(
        "the kernel is transposed: its rows are taken for columns",
        "kernels.convolve", "matrix = weight.reshape(-1, out_channels)  # (kh*kw*C, O)",
        "matrix = weight.swapaxes(0, 1).reshape(-1, out_channels)",
        "conv2d",
    ),
    Fault(
        "padding is off by one at the top",
        "_columns", "block.rows.start * stride + _1", "block.rows.start * stride + _1 + 1",
        "conv2d",
    ),
    Fault(
        "padding is counted on one side only",
        "output_size", "    return (size + 2 * padding - kernel) // stride + 1",
        "    return (size + padding - kernel) // stride + 1",
        "conv2d",
    ),
    Fault(
        "BLAS has its threads back although somebody else is computing",
        "_BlasLimit.leave", "self.callers == {caller}", "True",
        "test_backend::test_blas_has_one_thread_until_the_last_is_done",
    ),
    Fault(
        "a share has all threads, as if it were alone",
        "_Share.__init__", "context.run(_threads.set, threads_left)", "pass",
        "test_backend::test_a_share_has_the_threads_that_are_left",
    ),
    Fault(
        "a share that nobody waits for any more keeps its arrays",
        "_Share.forget", "vars(self).pop(name, None)", "pass",
        "test_backend::test_no_share_outlives_its_call",
    ),
    Fault(
        "the last item of a share is nobody's",
        "parallel", "items[start:stop]", "items[start : stop - (stop < len(items))]",
        "test_backend::test_items_are_shared_out_in_order",
    ),
    Fault(
        "the padding is white instead of black",
        "patch", "_1.fill(0)", "_1.fill(1)",
        "conv2d",
    ),
    Fault(
        "the zeros around a patch are taken to be there still after a patch of another form",
        "patch", 'vars(_kept).get("zeros around") != form', '"zeros around" not in vars(_kept)',
        "test_kernels::test_padding_stays_zero_from_layer_to_layer",
    ),
    Fault(
        "same puts the odd row of zeros above instead of below",
        "frame_of", "((kernel[0] - 1) // 2, kernel[0] // 2)", "(kernel[0] // 2, (kernel[0] - 1) // 2)",
        TABLE + "test_forward_is_the_reference[conv2d]",
    ),
    Fault(
        "a pair of paddings is taken for columns and rows",
        "ops.conv2d", "((0, 0), *frame, (0, 0))", "((0, 0), *frame[::-1], (0, 0))",
        TABLE + "test_forward_is_the_reference[conv2d]",
    ),
    Fault(
        "of a pair of strides the first counts for rows and columns",
        "ops.conv2d", "strides[1] // step", "strides[0] // step",
        TABLE + "test_forward_is_the_reference[conv2d]",
    ),
    Fault(
        "the gradient in the input uses the kernel unturned",
        "kernels.conv2d_input_gradient", "weight[::-1, ::-1].swapaxes(2, 3)", "weight.swapaxes(2, 3)",
        "conv2d",
    ),
    Fault(
        "the gradient in the input is padded like the convolution itself",
        "_phase", "return first, (phase + padding - (kernel - 1 - first)) // stride", "return first, -padding",
        "conv2d",
    ),
    Fault(
        "the gradient in the input takes the wrong part of the kernel between two strides",
        "_phase", "first = (kernel - 1 - phase - padding) % stride", "first = (kernel - 1 + phase - padding) % stride",
        "conv2d",
    ),
    Fault(
        "the stride is ignored in the gradient of the weight",
        "kernels.weight_gradient", "_columns(x, block, kernel, stride, origin)",
        "_columns(x, block, kernel, 1, origin)",
        "conv2d_weight_gradient",
    ),
    Fault(
        "the gradient of the weight is that of the last block alone",
        "kernels.weight_gradient", "total += np.matmul(_1, _2, out=_3)", "total[...] = np.matmul(_1, _2, out=_3)",
        TABLE + "test_convolution_in_blocks[conv2d_weight_gradient]",
    ),
    Fault(
        "a block of rows begins where it would without the stride",
        "_columns", "block.rows.start * stride + _1", "block.rows.start + _1",
        TABLE + "test_convolution_in_blocks[conv2d]",
    ),
    Fault(
        "neighbouring blocks share a row",
        "blocks", "_cut(rows, max(1, pixels // cols))",
        "[slice(part.start, min(part.stop + 1, rows)) for part in _cut(rows, max(1, pixels // cols))]",
        TABLE + "test_convolution_in_blocks[conv2d_weight_gradient]",
    ),
    Fault(
        "the last column of an image is left out where a row takes several blocks",
        "blocks", "_cut(cols, pixels)", "_cut(cols if cols <= pixels else cols - 1, pixels)",
        TABLE + "test_convolution_in_blocks[conv2d_transpose]",
    ),
    Fault(
        "the bias is added to the first block alone",
        "kernels.convolve", "if bias is not None: flat += bias",
        "if bias is not None and not any(part.start for part in block): flat += bias",
        TABLE + "test_convolution_in_blocks[conv2d]",
    ),
    Fault(
        "Winograd: a sign in B is lost",
        "_Tiles.of", "np.matmul(matrix, self.along, out=_1)", "np.matmul(abs(matrix), self.along, out=_1)",
        TABLE + "test_convolution_by_every_algorithm",
    ),
    Fault(
        "Winograd: the bias meets a point whose column of A is not all ones",
        "_Outputs.__init__", "self.m_ones = self.m[n + 1]", "self.m_ones = self.m[0]",
        TABLE + "test_convolution_by_every_algorithm",
    ),
    Fault(
        "Winograd: tiles of stride 2 are read as if they lay 4 inputs apart",
        "_Tiles.of", "n_step, step * r_step, r_step, size", "n_step, 4 * r_step, r_step, size",
        "test_kernels::test_winograd_is_accurate_where_it_is_chosen",
    ),
    Fault(
        "Winograd: of tiles that hang over the border, only the part within it is counted",
        "plain_scheme", "-(-height // s.step) * -(-width // s.step) * len(s.gg)",
        "height * width / s.step ** 2 * len(s.gg)",
        "test_kernels::test_the_tiles_that_take_the_fewest_products",
    ),
    Fault(
        "Winograd: the gradient of stride 2 is used for other paddings than 1",
        "kernels.conv2d_input_gradient", "algorithm == 'winograd' and padding == 1",
        "algorithm == 'winograd' and padding >= 0",
        TABLE + "test_convolution_by_every_algorithm",
    ),
    Fault(
        "Winograd: tiles that hang over the border are written as if they did not",
        "_Outputs.write", "tiles[:, : target.shape[1], : target.shape[2]]",
        "tiles[:, -target.shape[1] :, -target.shape[2] :]",
        TABLE + "test_convolution_by_every_algorithm",
    ),
    Fault(
        "Winograd: the gradient of the weight is that of each thread's last block",
        "kernels.weight_gradient", "total += product", "total[...] = product",
        TABLE + "test_convolution_by_every_algorithm",
    ),
    Fault(
        "thin: rows are shifted by the width of the image, not of the padded row",
        "kernels.convolve", "start = (top + kh - 1 - i) * wide", "start = (top + kh - 1 - i) * width",
        TABLE + "test_convolution_by_every_algorithm",
    ),
    Fault(
        "thin: the gradient of the weight is left turned",
        "kernels.conv2d_weight_gradient", "turned[::-1, ::-1].swapaxes(2, 3)", "turned.swapaxes(2, 3)",
        TABLE + "test_convolution_by_every_algorithm",
    ),
    Fault(
        "the gradient in the input leaves off the rows that the stride skipped",
        "Conv2d.backward",
        "conv2d_transpose(grad_y, weight, output_size=image, **self.options)",
        "conv2d_transpose(grad_y, weight, **self.options)",
        "conv2d",
    ),
    Fault(
        "conv2d_transpose ignores output_size",
        "ops.conv2d_transpose", "least if output_size is None else _1(_2, _3, output_size, 1)", "least",
        "conv2d_transpose",
    ),
    Fault(
        "conv2d_transpose exchanges height and width of output_size",
        "Conv2dTranspose.forward", "return kernels.conv2d_input_gradient(x, weight, output_size, **self.options)",
        "return kernels.conv2d_input_gradient(x, weight, output_size[::-1], **self.options)",
        "conv2d_transpose",
    ),
    Fault(
        "the gradient of the bias is averaged over the pixels",
        "Conv2d.backward", "grad_y.sum(axis=(0, 1, 2))", "grad_y.mean(axis=(0, 1, 2))",
        "conv2d",
    ),
    Fault(
        "the weight learns only where the input asks for a gradient too",
        "ops.gradients", "node.needs_grad", "node.needs_grad[:1] * len(node.needs_grad)",
        TABLE + "test_a_convolution_learns_from_a_constant_input",
    ),
    Fault(
        "the weight learns only where the input asks for a gradient too, in the fused backward",
        "Conv2d.backward_fused", "if to_weight: grad_weight = _1", "if False: grad_weight = _1",
        TABLE + "test_a_convolution_learns_from_a_constant_input",
    ),
    Fault(
        "both gradients of a convolution on two threads: each gets the other's place",
        "kernels.conv2d_gradients", "[to_input, to_weight]", "[to_weight, to_input]",
        "test_kernels::test_both_gradients_at_once",
    ),
    Fault(
        "conv2d is right once, and its gradient takes x and weight for constants",
        "Conv2d.backward", "self.saved", "self.saved_arrays",
        TABLE + "test_gradgradcheck[conv2d]",
    ),
]  # fmt: skip

NORMALISATION = [
    Fault(
        "eps stands outside the root",
        "kernels.batch_statistics", "(variance + eps) ** 0.5", "(variance**0.5 + eps)",
        "batch_norm",
    ),
    Fault(
        "the batch is normalised by n - 1",
        "kernels.channel_moments", "rows.total(squared) / count - mean * mean",
        "rows.total(squared) / (count - 1) - mean * mean",
        "batch_norm",
    ),
    Fault(
        "the variance is the mean of squares less the square of the mean, however large that is",
        "kernels.channel_moments", "(mean * mean <= _NEAR_FOR_SQUARES**2 * variance).all()", "True",
        "test_kernels::test_batch_norm_of_values_far_from_zero",
    ),
    Fault(
        "the gradient of batch norm is summed around 0 and not brought back to the mean",
        "kernels.normalize_gradient", "(rows.total(weighted) - mean * grad_bias)", "rows.total(weighted)",
        "batch_norm",
    ),
    Fault(
        "training uses the gradient of evaluation, as if mean and variance were constants",
        "kernels.normalize_gradient",
        "b = -a * inv_std * grad_weight / count; d = -a * grad_bias / count - b * mean",
        "b = d = 0 * a",
        "batch_norm",
    ),
    Fault(
        "the recorded backward of training is that of evaluation; the fused one is right",
        "BatchNormTraining.backward", "(grad_y - grad_bias * (1 / count) - x_hat * (grad_weight * (1 / count)))",
        "grad_y",
        "batch_norm",
    ),
    Fault(
        "the second derivative takes the mean of the batch for a constant",
        "BatchNormTraining.backward", "centred = shifted - shifted.mean(axis=axes)", "centred = shifted",
        "batch_norm",
    ),
    Fault(
        "the running variance is biased: divided by n",
        "kernels.batch_statistics", "(mean, variance * (count / (count - 1)))", "(mean, variance)",
        TABLE + "test_running_statistics",
    ),
    Fault(
        "momentum is reversed: the statistics forget 90 % a step",
        "kernels.batch_statistics", "kept *= 1 - momentum; kept += momentum * new",
        "kept *= momentum; kept += (1 - momentum) * new",
        TABLE + "test_running_statistics",
    ),
    Fault(
        "evaluation does not divide by the running deviation in its gradient",
        "BatchNormEvaluation.backward", "grad_y * (weight * self.inv_std)", "grad_y * weight",
        "batch_norm",
    ),
    Fault(
        "the gradient of evaluation follows the statistics of a later training step",
        "BatchNormEvaluation.forward", "running[0].copy()", "running[0]",
        TABLE + "test_statistics_that_move_on_change_no_gradient",
    ),
    Fault(
        "sums over a batch are float64",
        "kernels.channel_moments", "part.sum(axis=0)", 'part.sum(axis=0, dtype="float64")',
        TABLE + "test_float32_stays_float32[batch_norm]",
    ),
    Fault(
        "the mean of a channel of constants keeps its rounding",
        "kernels.channel_moments", "mean + rest", "mean",
        "test_kernels::test_batch_norm_of_a_constant_channel",
    ),
    Fault(
        "a mean far from 0 is subtracted from the results of batch norm, where both are rounded",
        "_shift", "(np.abs(mean) * inv_std).max() > _NEAR", "False",
        "test_kernels::test_batch_norm_of_a_constant_channel",
    ),
    Fault(
        "the mean of a large batch is that of its first block",
        "kernels.channel_moments", "mean = rows.total(plain) / count",
        "mean = rows.total(plain[:1]) / count",
        TABLE + "test_elementwise_kernels_in_blocks",
    ),
    Fault(
        "the gradient of batch norm's weight forgets all blocks but the first",
        "kernels.normalize_gradient", "rows.total(weighted) - mean * grad_bias",
        "rows.total(weighted[:1]) - mean * grad_bias",
        TABLE + "test_elementwise_kernels_in_blocks",
    ),
    Fault(
        "the layer stays in training mode",
        "BatchNorm2d.forward", "self.training", "True",
        "nn.test_module::test_train_and_eval_reach_every_module",
    ),
]  # fmt: skip

ACTIVATION = [
    Fault(
        "LeakyReLU has slope 1 at zero",
        "_one_or_slope", "np.greater", "np.greater_equal",
        "leaky_relu",
    ),
    Fault(
        "LeakyReLU's slope is always 0.2",
        "kernels.leaky_relu", "_rectified(_1, slope, _2)", "_rectified(_1, 0.2, _2)",
        "leaky_relu",
    ),
    Fault(
        "LeakyReLU is max(x, a x), which holds for slopes up to 1 only",
        "kernels.leaky_relu", "slope <= 1", "True",
        "leaky_relu",
    ),
    Fault(
        "ReLU has slope 1 at zero",
        "kernels.leaky_relu_gradient", "part > 0", "part >= 0",
        "relu",
    ),
    Fault(
        "ReLU works in place on its input",
        "LeakyReLU.forward", "return kernels.leaky_relu(x, _1)", "x[...] = y = kernels.leaky_relu(x, _1); return y",
        "relu",
    ),
    Fault(
        "LeakyReLU's pass over the arrays forgets the slope",
        "_one_or_slope", "out += slope", "out += 0",
        "leaky_relu",
    ),
    Fault(
        "PReLU is max(x, a x), which holds for slopes up to 1 only",
        "kernels.prelu", "((slope <= 1) & (slope != 0)).all()", "True",
        "prelu",
    ),
    Fault(
        "PReLU has slope 1 at zero in the fused backward, a in the recorded one",
        "_one_or_slope", "np.greater(x, 0, out=out)", "np.greater_equal(x, 0, out=out)",
        "prelu",
    ),
    Fault(
        "PReLU's backward is right, its fused one is not",
        "_one_or_slope", "1 - slope", "1 + slope",
        "prelu",
    ),
    Fault(
        "PReLU's fused backward is right, the recorded one is not",
        "PReLU.backward", "where(positive, 1.0, slope)", "where(positive, 1.0 + slope, slope)",
        "prelu",
    ),
    Fault(
        "the slope's gradient is summed over the wrong axis: the channels, and not the images",
        "PReLU.backward", "sum_to(grad_slope, slope.shape)",
        "grad_slope.sum(axis=tuple(range(1, x.ndim)))",
        "prelu",
    ),
    Fault(
        "the slope's gradient forgets all blocks but the last",
        "kernels.prelu_gradient", "map_blocks(apply, _1, _2, _3)", "map_blocks(apply, _1, _2, _3)[-1:]",
        TABLE + "test_elementwise_kernels_in_blocks",
    ),
    Fault(
        "sigmoid is written 1 / (1 + e^-x), which overflows",
        "Sigmoid.forward", "xp.exp(xp.minimum(x, 0)) / (1 + xp.exp(-xp.abs(x)))", "1 / (1 + xp.exp(-x))",
        "sigmoid",
    ),
    Fault(
        "softplus is written ln(1 + e^x), which overflows",
        "Softplus.forward", "xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))", "xp.log1p(xp.exp(x))",
        "softplus",
    ),
    Fault(
        "softplus is right once and has no second derivative",
        "Softplus.backward", "return grad_y * sigmoid(x)", "return grad_y * sigmoid(x.detach())",
        "softplus",
    ),
    Fault(
        "tanh forgets the square",
        "Tanh.backward", "grad_y * (1.0 - y * y)", "grad_y * (1.0 - y)",
        "tanh",
    ),
]  # fmt: skip

PIXELS = [
    Fault(
        "pixel shuffle takes the channels in the other order, (i, j, c), TensorFlow's",
        "kernels.pixel_shuffle", "split = x.reshape(n, h, w, c, factor, factor)  # (N, H, W, C, i, j)",
        "split = x.reshape(n, h, w, factor, factor, c).transpose(0, 1, 2, 5, 3, 4)",
        "pixel_shuffle",
    ),
    Fault(
        "pixel shuffle exchanges rows and columns within a block",
        "kernels.pixel_shuffle", "split.transpose(0, 1, 4, 2, 5, 3)", "split.transpose(0, 1, 5, 2, 4, 3)",
        "pixel_shuffle",
    ),
    Fault(
        "pixel unshuffle exchanges rows and columns within a block",
        "kernels.pixel_unshuffle", "split.transpose(0, 1, 3, 5, 2, 4)", "split.transpose(0, 1, 3, 5, 4, 2)",
        "pixel_unshuffle",
    ),
    Fault(
        "max pooling gives the gradient to every maximum of a window with ties",
        "kernels.to_first_maximum", "left = selected(left, ~here)", "pass",
        "max_pool2d",
    ),
    Fault(
        "max pooling gives the gradient to the last maximum of a window",
        "kernels.to_first_maximum", "zip(_phases(_1, size), _phases(_2, size), strict=True)",
        "[*zip(_phases(_1, size), _phases(_2, size), strict=True)][::-1]",
        "max_pool2d",
    ),
    Fault(
        "the second derivative of max pooling takes the column within a window for the row",
        "ops._first_maxima", "place // size", "place % size",
        "max_pool2d",
    ),
    Fault(
        "the second derivative of max pooling takes from the last maximum of a window with ties",
        "ops._first_maxima", "place = largest.argmax(axis=-1)",
        "place = size * size - 1 - largest[..., ::-1].argmax(axis=-1)",
        MASKS + "test_a_selected_gradient_has_its_transpose",
    ),
    Fault(
        "windows of a max pooling with a stride begin one after the other",
        "ops.max_pool2d", "stride * np.arange(_1)", "np.arange(_1)",
        "max_pool2d",
    ),
    Fault(
        "total variation wraps round to the other border",
        "ops.total_variation", "down = absolute(x[:, 1:] - x[:, :-1]).sum()",
        "down = absolute(x[:, [*range(1, x.shape[1]), 0]] - x).sum()",
        "total_variation",
    ),
    Fault(
        "total variation is averaged over pixels",
        "ops.total_variation", "(down + right) * (1.0 / x.shape[0])", "(down + right) * (1.0 / x.size)",
        "total_variation",
    ),
]  # fmt: skip

LOSS = [
    Fault(
        "the mean squared error is a sum",
        "ops.mse", "return (difference * difference).mean()", "return (difference * difference).sum()",
        "mse",
    ),
    Fault(
        "the cross-entropy has its labels exchanged",
        "ops.binary_cross_entropy_with_logits", "softplus(logits) * (1.0 - targets) + softplus(-logits) * targets",
        "softplus(logits) * targets + softplus(-logits) * (1.0 - targets)",
        "binary_cross_entropy_with_logits",
    ),
    Fault(
        "the VGG loss is detached from the graph: it falls, and teaches nothing",
        "VGGContent.__call__", "self.vgg(generated)", "self.vgg(generated.detach())",
        STEP + "test_every_term_reaches_the_generator",
    ),
    Fault(
        "half of the VGG loss is detached: right in value, half the gradient",
        "VGGContent.__call__", "ops.mse(features, target)",
        "((features - target) * (features.detach() - target)).mean()",
        LOSSES + "test_vgg_content_gradient_is_that_of_its_value",
    ),
    Fault(
        "the VGG loss is divided by the channels",
        "VGGContent.__call__", "(features.shape[3] * self.scale**2)", "(self.scale**2)",
        LOSSES + "test_vgg_content_is_equation_5",
    ),
    Fault(
        "the scale of the features is not squared",
        "VGGContent.__call__", "(features.shape[3] * self.scale**2)", "(features.shape[3] * self.scale)",
        LOSSES + "test_vgg_content_is_equation_5",
    ),
    Fault(
        "the original's features are no constants",
        "VGGContent.__call__", "with no_grad(): _1", "if True: _1",
        LOSSES + "test_vgg_content_reaches_the_image_and_nothing_else",
    ),
    Fault(
        "VGG19 is not frozen",
        "VGGContent.__init__", "_1.eval().requires_grad_(False)", "_1.eval()",
        LOSSES + "test_vgg_content_reaches_the_image_and_nothing_else",
    ),
    Fault(
        "G minimises the min-max form, ln(1 - D(G(x)))",
        "generator_loss", "return ops.softplus(-_1).mean()", "return -ops.softplus(_1).mean()",
        LOSSES + "test_generator_loss_is_not_the_min_max_form",
    ),
    Fault(
        "G wants to be found out",
        "generator_loss", "return ops.softplus(-_1).mean()", "return ops.softplus(_1).mean()",
        LOSSES + "test_adversarial_losses_by_hand",
    ),
    Fault(
        "D's labels are swapped",
        "discriminator_loss", "real = _1(_2, real_label); fake = _1(_3, 0.0)",
        "real = _1(_2, 0.0); fake = _1(_3, real_label)",
        LOSSES + "test_adversarial_losses_by_hand",
    ),
    Fault(
        "the adversarial term is logged and not added",
        "PerceptualLoss.__call__", "sum(others, first)", "sum(others[1:], first)",
        LOSSES + "test_perceptual_loss_adds_its_weighted_terms",
    ),
]  # fmt: skip

MODELS = [
    Fault(
        "a learning rate falls one step late",
        "piecewise", "step >= boundary", "step > boundary",
        OPTIM + "test_schedules",
    ),
    Fault(
        "a warm-up goes on above the learning rate",
        "piecewise", "min(1.0, _1)", "_1",
        OPTIM + "test_schedules",
    ),
    Fault(
        "Adam does not correct for starting at 0",
        "kernels.adam", "step_size, eps = lr * root / (1 - beta1**step), eps * root", "step_size = lr",
        "optim.test_optim::test_adam_against_a_loop",
    ),
    Fault(
        "Adam's eps stands inside the root",
        "kernels.adam", "change = np.sqrt(v); change += eps", "change = np.sqrt(v + eps)",
        "optim.test_optim::test_adam_against_a_loop",
    ),
    Fault(
        "Adam's eps is not corrected with the root that it is added to",
        "kernels.adam", "step_size, eps = _1, eps * root", "step_size, eps = _1, eps",
        "optim.test_optim::test_adam_against_a_loop",
    ),
    Fault(
        "ICNR tiles the copies, so that each pixel of a block gets another channel",
        "icnr", "np.repeat(_1, factor**2, axis=-1)", "np.tile(_1, factor**2)",
        "nn.test_init::test_icnr_is_he_normal_in_groups",
    ),
    Fault(
        "weights are drawn for fan_out",
        "he_normal", "math.prod(shape[:-1])", "(math.prod(shape) / shape[-2])",
        "nn.test_init::test_he_normal_spread",
    ),
    Fault(
        "eval() stops at the first level of modules",
        "Module.train", "self.named_modules()", "[('', self), *self.children().items()]",
        "nn.test_module::test_train_and_eval_reach_every_module",
    ),
    Fault(
        "the generator has lost its long skip",
        "Generator.trunk", "first + _1", "_1",
        "models.test_generator::test_the_skip_over_all_blocks_is_there",
    ),
    Fault(
        "VGG19 of Caffe gets RGB for BGR",
        "VGG19.prepare", "images[..., ::-1]", "images[..., :]",
        "models.test_vgg::test_preparation_by_hand",
    ),
    Fault(
        "D ends in a sigmoid",
        "Discriminator.forward", "return self.head(_1)",
        "from minisrgan.ops import sigmoid; return sigmoid(self.head(_1))",
        "models.test_discriminator::test_logits_are_not_probabilities",
    ),
]  # fmt: skip

TRAINING = [
    Fault(
        "D's gradient leaks into G: the generated images are not detached",
        "SRGANStage.step", "discriminator(generated.detach())", "discriminator(generated)",
        STAGES + "test_a_step_of_srgan_by_hand",
    ),
    Fault(
        "real and generated images go through D as one batch",
        "SRGANStage.step", "real, fake = discriminator(high), discriminator(generated.detach())",
        "both = discriminator(__import__('minisrgan').ops.concatenate([high, generated.detach()])); "
        "real, fake = both[: len(high)], both[len(high) :]",
        STAGES + "test_a_step_of_srgan_by_hand",
    ),
    Fault(
        "G's gradients pile up from step to step",
        "stages._descend", "optimizer.zero_grad()", "pass",
        STAGES + "test_a_step_of_srgan_by_hand",
    ),
    Fault(
        "D's gradients pile up from step to step",
        "SRGANStage.step", "self.d_optimizer.zero_grad()", "pass",
        STAGES + "test_a_step_of_srgan_by_hand",
    ),
    Fault(
        "SRResNet's gradients pile up from step to step",
        "stages._descend", "optimizer.zero_grad()", "pass",
        STAGES + "test_a_step_of_srresnet_by_hand",
    ),
    Fault(
        "G's learning rate never falls",
        "stages._descend", "optimizer.lr = lr", "pass",
        STAGES + "test_a_step_of_srgan_by_hand",
    ),
    Fault(
        "G judges itself by D's logits from before D's step",
        "SRGANStage.step", "fake = discriminator(generated)", "fake = fake_logits.detach()",
        STAGES + "test_a_step_of_srgan_by_hand",
    ),
    Fault(
        "D compares pairs, and G's images are judged alone",
        "SRGANStage.step", "fake - real if self.relativistic else fake", "fake",
        STAGES + "test_a_step_of_srgan_by_hand",
    ),
    Fault(
        "the image of a pair that looks less real is the original",
        "SRGANStage.step", "(real - fake, fake - real)", "(fake - real, real - fake)",
        STAGES + "test_a_step_of_srgan_by_hand",
    ),
    Fault(
        "the ranks' gradients are summed, not averaged",
        "MPIRanks.average", "parts.reshape(self.size, -1).sum(axis=0) / self.size",
        "parts.reshape(self.size, -1).sum(axis=0)",
        RANKS + "test_the_averaged_gradient_is_that_of_the_whole_batch",
    ),
    Fault(
        "the sum over the ranks begins with the last one",
        "MPIRanks.average", "parts.reshape(self.size, -1).sum(axis=0)",
        "parts.reshape(self.size, -1)[::-1].sum(axis=0)",
        RANKS + "test_sums_are_in_the_order_of_the_ranks",
    ),
    Fault(
        "D's gradients are averaged after the step that they are for",
        "SRGANStage.step",
        "self.ranks.average(found(discriminator, self.modules)); self.d_optimizer.lr = self.d_lr(step); "
        "self.d_optimizer.step()",
        "self.d_optimizer.lr = self.d_lr(step); self.d_optimizer.step(); "
        "self.ranks.average(found(discriminator, self.modules))",
        RANKS + "test_two_ranks_hold_equal_bits_after_every_step",
    ),
    Fault(
        "every rank keeps its own running statistics",
        "parallel.found", "yield from (buffer for _, buffer in module.named_buffers())", "yield from ()",
        RANKS + "test_two_ranks_hold_equal_bits_after_every_step",
    ),
    Fault(
        "each rank balances the losses by its own images",
        "SRGANStage.step", "self.balance.weight(_1, _2, self.ranks.average)", "self.balance.weight(_1, _2)",
        RANKS + "test_two_ranks_hold_equal_bits_after_every_step",
    ),
    Fault(
        "a rank takes the part of the one after it",
        "CropSampler.batch", "slice(size * k // n, size * (k + 1) // n)",
        "slice(size * ((k + 1) % n) // n, size * ((k + 1) % n + 1) // n)",
        RANKS + "test_the_parts_of_a_batch_are_the_batch",
    ),
    Fault(
        "the norm of the whole gradient is the mean of the parts' norms",
        "pooled", "math.hypot(*column)", "sum(column)",
        RANKS + "test_the_log_has_the_numbers_of_the_whole_batch",
    ),
]  # fmt: skip

MEASURES = [
    Fault(
        "the grid of period 4 is looked for at period 2",
        "images._line", "at = round(size / period)", "at = round(size / (6 - period))",
        TEXTURE + "test_grid_is_the_energy_of_the_line",
    ),
    Fault(
        "the grid along one axis is overlooked",
        "images.grid", "[_1 for axis in (0, 1)]", "[_1 for axis in (0,)]",
        TEXTURE + "test_grid_is_the_energy_of_the_line",
    ),
    Fault(
        "the spectrum is taken without a window",
        "images.spectrum", "np.sin(np.pi * np.arange(size) / size) ** 2", "np.ones(size)",
        TEXTURE + "test_grid_is_not_covered_up_by_the_borders",
    ),
    Fault(
        "the local grid is that of all tiles, smooth or not",
        "images.local_grid", "_1[: -(-len(tiles) // 4)]", "_1",
        TEXTURE + "test_local_grid_takes_a_quarter_of_the_tiles",
    ),
    Fault(
        "NIQE's two sides of a distribution are exchanged",
        "images.fit", "(x < 0, x > 0)", "(x > 0, x < 0)",
        "images.test_niqe::test_the_fit_finds_the_distribution",
    ),
    Fault(
        "VGG's distance is divided by the channels, which eq. 5 does not do",
        "Texture.measure", "np.square(_1).sum(axis=3).mean()", "np.square(_1).mean()",
        "inference.test_measures::test_distance_of_features_is_the_content_loss",
    ),
    Fault(
        "ratios have a plain mean over photographs",
        "inference.average", "np.prod(values ** (1 / len(values)))", "values.mean()",
        "inference.test_measures::test_averages",
    ),
]  # fmt: skip

STUDENTS = [
    Fault(
        "p -= 0.1 * p.grad makes a new array",
        "Tensor.__setitem__", "self._array[index] = array", "self._array = 1 * self._array; self._array[index] = array",
        IN_PLACE + "test_the_object_and_its_array_stay",
    ),
    Fault(
        "p -= 0.1 * p.grad is not seen by the graph",
        "Tensor.__setitem__", "mark_changed(self._array)", "pass",
        IN_PLACE + "test_a_change_in_place_is_seen_by_the_graph",
    ),
    Fault(
        "a result may be changed in place under no_grad",
        "require_writable", "is_grad_enabled() or tensor._node is not None", "is_grad_enabled()",
        IN_PLACE + "test_elsewhere_it_is_refused",
    ),
    Fault(
        "a hook gets the array that others get too",
        "propagate", "gradient if gradient.requires_grad else Tensor(gradient.data.copy())", "gradient",
        EDGES + "test_a_hook_that_changes_its_argument_in_place",
    ),
    Fault(
        "a saved result that a Function returns counts as the engine's own",
        "propagate", "{id(gradient.data), *(id(_1) for kept in vertex._saved)}", "{id(gradient.data)}",
        EDGES + "test_a_function_that_returns_its_result",
    ),
    Fault(
        "a leaf that a Function returns becomes its own .grad",
        "gradients_of", "part * 1.0 if _1 else part", "part",
        EDGES + "test_a_function_that_returns_its_own_input",
    ),
    Fault(
        "no_grad governs the call of a generator function, which computes nothing yet",
        "Mode.__call__", "inspect.isgeneratorfunction(function)", "False",
        EDGES + "test_a_generator_runs_in_the_mode_and_its_caller_does_not",
    ),
    Fault(
        "a copy of a result has copies of all leaves",
        "Tensor.__reduce_ex__", "self._node is not None", "False",
        EDGES + "test_a_result_is_not_copied",
    ),
    Fault(
        "a tensor of one 0 is true",
        "Protocols.__bool__", "bool(self._single(_1))", "bool(self._array.size)",
        PROTOCOLS + "test_one_element_is_a_number",
    ),
    Fault(
        "NumPy takes a tensor out of the graph in silence",
        "Protocols._by_numpy", "part.requires_grad", "False",
        PROTOCOLS + "test_functions_of_numpy",
    ),
    Fault(
        "array * tensor is computed by NumPy",
        "Protocols.__array_ufunc__", "sign and _1 == _2 and not options", "False",
        PROTOCOLS + "test_arithmetic_with_arrays_is_recorded",
    ),
    Fault(
        "layers in a list are not found",
        "nn.module._parts", "list | tuple | dict", "dict",
        REGISTRATION + "test_layers_in_a_container_are_found",
    ),
    Fault(
        "a tensor takes the place of a parameter",
        "Module._require_same_kind", "isinstance(old, Parameter)", "False",
        REGISTRATION + "test_nothing_takes_a_part_out_of_sight",
    ),
    Fault(
        "an optimizer takes the same parameter twice",
        "parameters_of", "len({id(p) for p in parameters}) < len(parameters)", "False",
        OPTIM + "test_what_is_no_parameter_is_refused",
    ),
    Fault(
        "Adam counts the steps of all parameters together",
        "Optimizer.step", "self.counts[position] += 1", "self.counts = [n + 1 for n in self.counts]",
        OPTIM + "test_adam_counts_for_each_parameter",
    ),
    Fault(
        "Adam's weight decay is divided by the gradient's size",
        "Adam.update", "parameter *= _1",
        "groups = [(p, m, v, g + self.weight_decay * p) for p, m, v, g in groups]",
        OPTIM + "test_weight_decay_is_decoupled",
    ),
    Fault(
        "momentum scales the new gradient too",
        "SGD.update", "velocity += grad", "velocity += (1 - self.momentum) * grad",
        OPTIM + "test_sgd_against_a_loop",
    ),
]  # fmt: skip

FAULTS = [
    *AUTOGRAD, *ELEMENTWISE, *REDUCTION_AND_SHAPE, *CONVOLUTION, *NORMALISATION, *ACTIVATION, *PIXELS, *LOSS, *MODELS,
    *TRAINING, *MEASURES, *STUDENTS,
]  # fmt: skip
