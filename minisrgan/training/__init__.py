"""The two stages of SRGAN: SRResNet by content alone, then SRGAN against a discriminator."""

from minisrgan.training.config import PRESETS, Config, content_loss
from minisrgan.training.loop import run_stage
from minisrgan.training.stages import SRGANStage, SRResNetStage, Stage

__all__ = ["PRESETS", "Config", "SRGANStage", "SRResNetStage", "Stage", "content_loss", "run_stage"]
