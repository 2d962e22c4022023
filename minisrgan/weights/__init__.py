"""Read and write weights: our own files, and those of other libraries. Nothing is ever unpickled."""

from minisrgan.weights.box import boxed
from minisrgan.weights.models import convert, load_discriminator, load_generator, load_model, save_model
from minisrgan.weights.store import load_state, save_state
from minisrgan.weights.vgg import load_features, load_vgg19

__all__ = [
    "boxed", "convert", "load_discriminator", "load_features", "load_generator", "load_model", "load_state",
    "load_vgg19", "save_model", "save_state",
]  # fmt: skip
