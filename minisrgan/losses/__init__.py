"""The loss functions of the generator and the discriminator."""

from minisrgan.losses.adversarial import AdversarialBalance, discriminator_loss, generator_loss
from minisrgan.losses.content import MSEContent, VGGContent, consistency_loss, grid_penalty
from minisrgan.losses.perceptual import PerceptualLoss

__all__ = [
    "AdversarialBalance", "MSEContent", "PerceptualLoss", "VGGContent", "consistency_loss", "discriminator_loss",
    "generator_loss", "grid_penalty",
]  # fmt: skip
