"""minisrgan: SRGAN (Ledig et al. 2017) written from scratch on NumPy and CuPy, to be read, proved and used.

Layout is NHWC everywhere: a batch of images is (N, H, W, C), a convolution weight (kh, kw, in, out).
"""

from minisrgan import ops
from minisrgan.autograd import Tensor, anomaly_mode, enable_grad, grad, is_grad_enabled, no_grad

__version__ = "0.1.0"

__all__ = ["Tensor", "anomaly_mode", "enable_grad", "grad", "is_grad_enabled", "no_grad", "ops"]
