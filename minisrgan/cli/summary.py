"""`minisrgan summary`: show a model's layers: shapes, parameters, multiply-adds, receptive field.

Show each layer of a model with its output shape, parameters, multiply-adds and receptive field (the side of the square
of input pixels that one output pixel depends on).

model         which model
--scale N     generator: 2, 4 or 8 (default: 4)
--channels N  generator, discriminator: width (default: 64)
--blocks N    generator: residual blocks (default: 16)
--phi I,J     vgg19: the last feature map (default: 5,4)
--input HxW   size of the input (default: generator 24x24, others 96x96)

example: minisrgan summary generator --blocks 4 --input 24x24
"""

import argparse

from minisrgan.errors import ConfigError
from minisrgan.explain import summary_table
from minisrgan.models import VGG19, Discriminator, Generator
from minisrgan.nn import Module


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("model", choices=("generator", "discriminator", "vgg19"))
    parser.add_argument("--scale", type=int, default=4)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--blocks", type=int, default=16)
    parser.add_argument("--phi", default="5,4")
    parser.add_argument("--input")


def run(args: argparse.Namespace) -> None:
    """Print the table."""
    height, width = _size(args.input or ("24x24" if args.model == "generator" else "96x96"))
    model: Module
    if args.model == "generator":
        model = Generator(args.scale, args.channels, args.blocks)
    elif args.model == "discriminator":
        model = Discriminator(height, args.channels)
    else:
        model = VGG19(args.phi)
    print(summary_table(model, (1, height, width, 3)))


def _size(text: str) -> tuple[int, int]:
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError("--input", expected="height x width, such as 24x24", got=repr(text), fix="two whole numbers")
    return int(parts[0]), int(parts[1])
