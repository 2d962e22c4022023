"""Weights in files: our own, and those of others. Nothing here ever unpickles."""

from minisrgan.weights.models import load_discriminator, load_generator, save_model
from minisrgan.weights.store import load_state, save_state
from minisrgan.weights.vgg import load_vgg19

__all__ = ["load_discriminator", "load_generator", "load_state", "load_vgg19", "save_model", "save_state"]
