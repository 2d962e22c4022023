"""Read and write weights: our own files, and those of other libraries. Nothing is ever unpickled."""

from minisrgan.weights.box import boxed
from minisrgan.weights.store import load_state, save_state

from minisrgan.weights.models import (  # isort: skip
    convert, load_discriminator, load_features, load_generator, load_model, load_vgg19, save_model,
)  # fmt: skip

__all__ = [
    "boxed", "convert", "load_discriminator", "load_features", "load_generator", "load_model", "load_state",
    "load_vgg19", "save_model", "save_state",
]  # fmt: skip
