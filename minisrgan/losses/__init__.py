"""What the two players of SRGAN minimise."""

from minisrgan.losses.adversarial import discriminator_loss, generator_loss
from minisrgan.losses.content import MSEContent, VGGContent
from minisrgan.losses.perceptual import PerceptualLoss

__all__ = ["MSEContent", "PerceptualLoss", "VGGContent", "discriminator_loss", "generator_loss"]
