"""Upscaling photographs with a trained generator."""

from minisrgan.inference.upscale import upscale

__all__ = ["upscale"]
