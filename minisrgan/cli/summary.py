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

_OPTIONS = {"generator": ("scale", "channels", "blocks"), "discriminator": ("channels",), "vgg19": ("phi",)}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("model", choices=("generator", "discriminator", "vgg19"))
    for option in ("--scale", "--channels", "--blocks"):
        parser.add_argument(option, type=int)
    parser.add_argument("--phi")
    parser.add_argument("--input")


def run(args: argparse.Namespace) -> None:
    """Print the table."""
    given = {name: getattr(args, name) for name in ("scale", "channels", "blocks", "phi")}
    given = {name: value for name, value in given.items() if value is not None}
    if unused := given.keys() - _OPTIONS[args.model]:
        expected = f"options of the {args.model}: {', '.join(f'--{name}' for name in _OPTIONS[args.model])}"
        got, fix = ", ".join(f"--{name}" for name in sorted(unused)), "leave it out: it would change nothing"
        raise ConfigError("summary", expected=expected, got=got, fix=fix)
    height, width = _size(args.input or ("24x24" if args.model == "generator" else "96x96"))
    model: Module
    if args.model == "generator":
        model = Generator(**given)
    elif args.model == "discriminator":
        model = Discriminator(height, **given)
    else:
        model = VGG19(**given)
    print(summary_table(model, (1, height, width, 3)))


def _size(text: str) -> tuple[int, int]:
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError("--input", expected="height x width, such as 24x24", got=repr(text), fix="two whole numbers")
    return int(parts[0]), int(parts[1])
