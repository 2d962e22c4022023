"""The former place of `minisrgan.kernels.cuda.launch`, kept for scripts that measure on a GPU."""

from minisrgan.kernels.cuda.launch import each

__all__ = ["each"]
