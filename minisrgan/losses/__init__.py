"""What the two players of SRGAN minimise."""

from minisrgan.losses.adversarial import discriminator_loss, generator_loss
from minisrgan.losses.balance import AdversarialBalance
from minisrgan.losses.content import MSEContent, VGGContent
from minisrgan.losses.grid import grid_penalty
from minisrgan.losses.perceptual import PerceptualLoss

__all__ = [
    "AdversarialBalance", "MSEContent", "PerceptualLoss", "VGGContent", "discriminator_loss", "generator_loss",
    "grid_penalty",
]  # fmt: skip
