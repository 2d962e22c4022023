"""Fast array code without autograd: what `minisrgan.ops` calls once the formula is settled.

Every function takes and returns plain arrays, of NumPy or of CuPy, and asks the array which.
"""

from minisrgan.kernels.activation import leaky_relu, leaky_relu_gradient, prelu, prelu_gradient
from minisrgan.kernels.adam import adam
from minisrgan.kernels.conv import conv2d, conv2d_gradients, conv2d_input_gradient, conv2d_weight_gradient, output_size
from minisrgan.kernels.layout import pixel_shuffle, pixel_unshuffle
from minisrgan.kernels.matrix import matmul
from minisrgan.kernels.norm import channel_moments, channel_sums, normalize, normalize_gradient
from minisrgan.kernels.pool import max_pool, to_first_maximum

__all__ = [
    "adam", "channel_moments", "channel_sums", "conv2d", "conv2d_gradients", "conv2d_input_gradient",
    "conv2d_weight_gradient", "leaky_relu", "leaky_relu_gradient", "matmul", "max_pool", "normalize",
    "normalize_gradient", "output_size", "pixel_shuffle", "pixel_unshuffle", "prelu", "prelu_gradient",
    "to_first_maximum",
]  # fmt: skip
