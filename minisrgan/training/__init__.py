"""Training in two stages: SRResNet with the content loss only, then SRGAN with a discriminator."""

from minisrgan.training.checkpoint import Checkpoints, locked, restore, state_of
from minisrgan.training.config import PRESETS, Config, read_config, write_config
from minisrgan.training.content import content_loss
from minisrgan.training.options import Options
from minisrgan.training.run import Run
from minisrgan.training.stages import SRGANStage, SRResNetStage, Stage
from minisrgan.training.stop import Stopped

__all__ = [
    "PRESETS", "Checkpoints", "Config", "Options", "Run", "SRGANStage", "SRResNetStage", "Stage", "Stopped",
    "content_loss", "locked", "read_config", "restore", "state_of", "write_config",
]  # fmt: skip
