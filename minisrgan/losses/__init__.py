"""What the two players of SRGAN minimise."""

from minisrgan.losses.adversarial import discriminator_loss, generator_loss
from minisrgan.losses.balance import AdversarialBalance
from minisrgan.losses.content import MSEContent, VGGContent
from minisrgan.losses.perceptual import PerceptualLoss
from minisrgan.losses.pixels import consistency_loss, grid_penalty

__all__ = [
    "AdversarialBalance", "MSEContent", "PerceptualLoss", "VGGContent", "consistency_loss", "discriminator_loss",
    "generator_loss", "grid_penalty",
]  # fmt: skip
