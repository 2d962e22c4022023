"""Upscale photographs with a trained generator, and evaluate the results."""

from minisrgan.inference.folders import find_jobs
from minisrgan.inference.mix import blend, self_ensemble
from minisrgan.inference.photo import photo_bands, upscale_photo
from minisrgan.inference.upscale import upscale

__all__ = ["blend", "find_jobs", "photo_bands", "self_ensemble", "upscale", "upscale_photo"]
