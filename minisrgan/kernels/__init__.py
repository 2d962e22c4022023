"""Fast array code without autograd: what `minisrgan.ops` calls once the formula is settled.

Every function takes and returns plain arrays, of NumPy or of CuPy. For most there is a twin of the same name in
`minisrgan.kernels.cuda`, which a call with arrays of a GPU is handed to.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from minisrgan.kernels import cuda
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


def _either(cpu: Callable[..., Any], gpu: Callable[..., Any]) -> Callable[..., Any]:
    """Let the arrays decide. Before CuPy is loaded none can be a GPU's, and a call costs 0.2 microseconds more."""

    @functools.wraps(cpu)
    def kernel(*args: Any, **options: Any) -> Any:
        elsewhere = "cupy" in sys.modules and not any(isinstance(array, np.ndarray) for array in args)
        return (gpu if elsewhere else cpu)(*args, **options)

    return kernel


globals().update((name, _either(globals()[name], getattr(cuda, name))) for name in __all__ if hasattr(cuda, name))
