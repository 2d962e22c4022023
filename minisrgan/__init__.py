"""minisrgan: SRGAN (Ledig et al. 2017) written from scratch on NumPy and CuPy, to be read, proved and used.

Layout is NHWC everywhere: a batch of images is (N, H, W, C), a convolution weight (kh, kw, in, out).

The core is imported here: `Tensor`, `ops`, `nn`, `optim`, `models`, `losses`. The workshop around it is imported by
name: `minisrgan.explain`, `images`, `data`, `weights`, `training`, `inference`, `show`.
"""

from minisrgan import explain, losses, models, nn, ops, optim
from minisrgan.autograd import Tensor, anomaly_mode, enable_grad, grad, is_grad_enabled, no_grad, profile

__version__ = "0.1.0"

__all__ = [
    "Tensor", "anomaly_mode", "enable_grad", "explain", "grad", "is_grad_enabled", "losses", "models", "nn", "no_grad",
    "ops", "optim", "profile",
]  # fmt: skip
