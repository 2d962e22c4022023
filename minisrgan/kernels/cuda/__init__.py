"""The kernels for NVIDIA GPUs, with the names and arguments of the CPU kernels.

The inner loops are CUDA C, in ``sources/*.cu``. `conv`, `winograd` and `elementwise` prepare the arrays, `launch`
compiles and starts the kernels, `graph` records launches and calls cuBLAS, and `check` finds out whether this machine
has all that is needed.
"""

# ruff: noqa: F401, I001  `minisrgan.kernels` finds these functions by name

from minisrgan.kernels.cuda.conv import conv2d, conv2d_gradients, conv2d_input_gradient, conv2d_weight_gradient
from minisrgan.kernels.cuda.graph import matmul
from minisrgan.kernels.cuda.elementwise import (
    adam_all, batch_statistics, channel_moments, channel_sums, follow, leaky_relu, leaky_relu_gradient, max_pool,
    normalize, normalize_gradient, pixel_shuffle, pixel_unshuffle, prelu, prelu_gradient, square_sum, to_first_maximum,
)  # fmt: skip
