"""`minisrgan explain`: show the backward pass of a small graph step by step.

Show the backward pass of an example step by step: operation, formula, and the norm of each gradient. In Python,
loss.explain() prints it for any graph, and minisrgan.explain.graph.to_svg(loss) draws the graph.

example      the graph to show (default: prelu); each ends in the mean squared error to random images
--svg FILE   also draw the graph into a file
--overwrite  replace FILE if it exists

example: minisrgan explain residual --svg residual.svg
"""

import argparse
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from minisrgan import ops
from minisrgan.autograd import Tensor
from minisrgan.cli.common import require_new, to_path
from minisrgan.errors import FileError
from minisrgan.explain import graph
from minisrgan.images import write_whole
from minisrgan.models import Generator
from minisrgan.models.generator import ResidualBlock
from minisrgan.nn import BatchNorm2d, Conv2d, Module, PReLU

Example: TypeAlias = tuple[Tensor, Mapping[str, Tensor]]  # a loss, and the names of its tensors


def _through(make: Callable[[np.random.Generator], Module], shape: tuple[int, ...]) -> Example:
    """Return the mean squared error between a module's output for random images and other random images."""
    rng = np.random.default_rng(0)
    module, x = make(rng), Tensor(rng.uniform(-1, 1, shape).astype(np.float32), requires_grad=True)
    y = module(x)
    target = rng.uniform(-1, 1, y.shape).astype(np.float32)
    return ops.mse(y, Tensor(target)), {"x": x, "y": y, **dict(module.named_parameters())}


EXAMPLES: Mapping[str, Callable[[], Example]] = {
    "prelu": lambda: _through(lambda rng: PReLU(4), (1, 6, 6, 4)),
    "conv": lambda: _through(lambda rng: Conv2d(3, 4, 3, padding=1, rng=rng), (1, 6, 6, 3)),
    "batchnorm": lambda: _through(lambda rng: BatchNorm2d(4), (2, 6, 6, 4)),
    "residual": lambda: _through(lambda rng: ResidualBlock(4, rng), (2, 6, 6, 4)),
    "generator": lambda: _through(lambda rng: Generator(scale=2, channels=4, blocks=1, rng=rng), (1, 6, 6, 3)),
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("example", nargs="?", choices=tuple(EXAMPLES), default="prelu")
    parser.add_argument("--svg", type=to_path)
    parser.add_argument("--overwrite", action="store_true")


def run(args: argparse.Namespace) -> None:
    """Print the steps, and draw."""
    if args.svg and args.svg.suffix.lower() != ".svg":
        fix = "give a name such as graph.svg"
        raise FileError("--svg", expected="a file name that ends in .svg", got=str(args.svg), fix=fix)
    require_new(args.svg, args.overwrite)
    loss, names = EXAMPLES[args.example]()
    print(graph.explain(loss, names=names))
    if args.svg:
        write_whole(args.svg, graph.to_svg(loss, names))
        print(f"\ndrawn in {args.svg}")
