"""`minisrgan profile`: show the time and memory of each operation in a training step or in upscaling.

Run training steps, or upscale 128 x 128 pixels, on random numbers. Show for each operation its calls, milliseconds
forward and backward, share of the total, and size of its results. In Python, `with minisrgan.profile() as costs:`
records any code, and print(costs) shows the table.

example: minisrgan profile srgan --preset paper --steps 1 --plot profile.png
"""

import argparse
from functools import partial
from typing import Any

import numpy as np

from minisrgan.autograd import Tensor, profile
from minisrgan.cli.common import add_command, add_overwrite, require_new, to_path
from minisrgan.inference import upscale
from minisrgan.losses import MSEContent, VGGContent
from minisrgan.models import VGG19, Discriminator, Generator
from minisrgan.show import profile_figure, save_figure
from minisrgan.show.style import require_figure
from minisrgan.training import PRESETS, SRGANStage, SRResNetStage


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = add_command(commands, __name__)
    works = ("srresnet", "srgan", "upscale")
    parser.add_argument("work", nargs="?", choices=works, default=works[0], help="what to measure (default srresnet)")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="tiny", help="network sizes as in train (default "
                        "tiny); with paper, srgan compares features of a VGG19 with random weights")  # fmt: skip
    parser.add_argument("--steps", type=int, default=3, metavar="N", help="number of steps (default 3), after one step "
                        "that is not recorded")  # fmt: skip
    parser.add_argument("--plot", type=to_path, metavar="FILE", help="also draw the table into a .png, .svg or .pdf")
    add_overwrite(parser, "FILE")


def run(args: argparse.Namespace) -> None:
    """Warm up, record, show."""
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
