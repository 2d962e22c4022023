"""The three networks of SRGAN, each on one screen."""

from minisrgan.models.discriminator import Discriminator
from minisrgan.models.generator import Generator
from minisrgan.models.vgg import VGG19

__all__ = ["VGG19", "Discriminator", "Generator"]
