"""`minisrgan profile`: show the time and memory of each operation in a training step or in upscaling.

Run training steps, or upscale 128 x 128 pixels, on random numbers. Show for each operation its calls, milliseconds
forward and backward, share of the total, and size of its results. In Python, `with minisrgan.profile() as costs:`
records any code, and print(costs) shows the table.

work         what to measure (default: srresnet)
--preset     network sizes as in train (default: tiny); with paper, srgan compares features of a VGG19 with random
             weights
--steps N    number of steps (default: 3), after one step that is not recorded
--plot FILE  also draw the table into a .png, .svg or .pdf
--overwrite  replace FILE if it exists

example: minisrgan profile srgan --preset paper --steps 1 --plot profile.png
"""

import argparse
from functools import partial

import numpy as np

from minisrgan.autograd import Tensor, profile
from minisrgan.cli.common import require_new, to_path
from minisrgan.errors import ConfigError
from minisrgan.inference import upscale
from minisrgan.losses import MSEContent, VGGContent
from minisrgan.models import VGG19, Discriminator, Generator
from minisrgan.show import profile_figure, save_figure
from minisrgan.show.style import require_figure
from minisrgan.training import PRESETS, SRGANStage, SRResNetStage


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("work", nargs="?", choices=("srresnet", "srgan", "upscale"), default="srresnet")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="tiny")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--plot", type=to_path)
    parser.add_argument("--overwrite", action="store_true")


def run(args: argparse.Namespace) -> None:
    """Warm up, record, show."""
    if args.steps < 1:
        raise ConfigError("--steps", expected="at least 1", got=str(args.steps), fix="leave it out for 3 steps")
    if args.plot:
        require_figure(args.plot)
    require_new(args.plot, args.overwrite)
    config, rng = PRESETS[args.preset], np.random.default_rng(0)
    generator = Generator(config.scale, config.channels, config.blocks, rng=rng)
    sides = (config.crop // config.scale, config.crop)
    batches = [Tensor(rng.random((config.batch, side, side, 3), np.float32)) for side in sides]
    if args.work == "upscale":
        step = partial(upscale, generator, rng.integers(0, 256, (128, 128, 3), np.uint8))
    elif args.work == "srresnet":
        step = partial(SRResNetStage(generator, MSEContent(), config).step, 0, *batches)
    else:
        content = VGGContent(VGG19(rng=rng)) if args.preset == "paper" else MSEContent()
        discriminator = Discriminator(config.crop, config.d_channels, rng=rng)
        step = partial(SRGANStage(generator, discriminator, content, config).step, 0, *batches)
    step()
    with profile() as costs:
        for _ in range(args.steps):
            step()
    print(costs)
    if args.plot:
        save_figure(profile_figure(costs), args.plot)
