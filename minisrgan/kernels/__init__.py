"""Fast array code without autograd, which the operations of `minisrgan.ops` call.

Every function takes and returns plain arrays. Each line of the list below names the function for NumPy arrays, whose
docstring explains it. The function for CuPy arrays has the same name and signature in `kernels.cuda`.
"""

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from minisrgan.kernels import activation, conv, layout, matrix, network, norm, pool
from minisrgan.kernels.conv import output_size as output_size

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


def _by_array(cpu: Kernel) -> Kernel:
    """Return a kernel that calls the CPU or the GPU function, by its arrays or by the first group of arrays in a list.

    As long as CuPy is not imported, no array can be on a GPU, and the GPU kernels need not be loaded. The choice costs
    0.2 microseconds per call.
    """

    @functools.wraps(cpu)
    def kernel(*args: Any, **options: Any) -> Any:
        arrays = args[0][0] if isinstance(args[0], list) else args
        if "cupy" in sys.modules and not any(isinstance(array, np.ndarray) for array in arrays):
            from minisrgan.kernels import cuda

            return getattr(cuda, cpu.__name__)(*args, **options)
        return cpu(*args, **options)

    return kernel  # type: ignore[return-value]


conv2d = _by_array(conv.conv2d)
conv2d_input_gradient = _by_array(conv.conv2d_input_gradient)
conv2d_weight_gradient = _by_array(conv.conv2d_weight_gradient)
conv2d_gradients = _by_array(conv.conv2d_gradients)
matmul = _by_array(matrix.matmul)

channel_sums = _by_array(norm.channel_sums)
channel_moments = _by_array(norm.channel_moments)
batch_statistics = _by_array(norm.batch_statistics)
normalize = _by_array(norm.normalize)
normalize_gradient = _by_array(norm.normalize_gradient)

prelu = _by_array(activation.prelu)
prelu_gradient = _by_array(activation.prelu_gradient)
leaky_relu = _by_array(activation.leaky_relu)
leaky_relu_gradient = _by_array(activation.leaky_relu_gradient)

pixel_shuffle = _by_array(layout.pixel_shuffle)
pixel_unshuffle = _by_array(layout.pixel_unshuffle)
max_pool = _by_array(pool.max_pool)
to_first_maximum = _by_array(pool.to_first_maximum)

adam_all = _by_array(network.adam_all)
follow = _by_array(network.follow)
square_sum = _by_array(network.square_sum)
