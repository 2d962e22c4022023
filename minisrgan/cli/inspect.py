"""`minisrgan inspect`: write a page on which the mathematics of every layer can be clicked.

Run a small part of a photograph through a network and write one HTML page, which needs no network connection: every map
of every layer, and for each number how it was computed and, with a loss, where its gradient comes from.

PHOTO              with --loss mse or vgg54 the original: the generator gets it shrunk, and VGG19 shrunk and enlarged
                   again
--network          the network to show (default: generator)
--model FILE       its weights, a file or a name such as srgan (default: srgan; a discriminator has first weights, VGG19
                   those that were fetched). Given twice, both are on the page
--loss             show its gradients as well: mse, the distance to the original; adversarial, -ln D of the result; or
                   vgg54, the distance of features of VGG19
--loss-model FILE  the discriminator or VGG19 of the generator's loss (default: as above)
--phi I,J          vgg19: up to which feature map (default: 5,4)
--crop X,Y,SIZE    the square that the network gets, in pixels of its input (default: 24 x 24 in the middle, for the
                   other networks 96 x 96)
--out FILE         the page (default: inspect.html)
--overwrite        replace FILE if it exists
--max-megabytes N  refuse to write a larger page (default: 40)

example: minisrgan inspect photo.jpg --model srgan --loss mse --out page.html
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from minisrgan import ops
from minisrgan.autograd import Tensor
from minisrgan.cli.common import require_new, say, to_path
from minisrgan.errors import ConfigError
from minisrgan.explain import inspect
from minisrgan.images import imresize, read_image, write_whole
from minisrgan.losses import MSEContent, VGGContent, generator_loss
from minisrgan.models import Discriminator
from minisrgan.nn import Module
from minisrgan.weights import load_discriminator, load_generator, load_vgg19
from minisrgan.weights.box import downloaded

_LOSSES = {"generator": ("mse", "adversarial", "vgg54"), "discriminator": ("adversarial",), "vgg19": ("vgg54",)}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("photo", type=to_path, metavar="PHOTO")
    add("--network", choices=tuple(_LOSSES), default="generator")
    add("--model", action="append")
    add("--loss", choices=_LOSSES["generator"])
    add("--loss-model")
    add("--phi")
    add("--crop")
    add("--out", type=to_path, default=Path("inspect.html"))
    add("--overwrite", action="store_true")
    add("--max-megabytes", type=float, default=40.0)


def run(args: argparse.Namespace) -> None:
    """Write the page."""
    if args.loss and args.loss not in _LOSSES[args.network]:
        expected = f"for the {args.network} {' or '.join(_LOSSES[args.network])}"
        raise ConfigError("--loss", expected=expected, got=args.loss, fix="choose one of these, or leave it out")
    if len(files := args.model or [None]) > 2:
        raise ConfigError("--model", expected="one or two", got=str(len(files)), fix="leave some out")
    if args.loss_model and args.loss not in ("adversarial", "vgg54"):
        fix = "add --loss adversarial or --loss vgg54"
        raise ConfigError("--loss-model", expected="a loss that has a model", got=args.loss or "no --loss", fix=fix)
    if args.phi and args.network != "vgg19":
        raise ConfigError("--phi", expected="--network vgg19", got=args.network, fix="leave it out")
    require_new(args.out, args.overwrite, args.photo, args.loss_model, *(args.model or ()))
    photo = read_image(args.photo)
    models: list[Module] = []
    if args.network == "generator":
        models = [load_generator(file or "srgan") for file in files]
    elif args.network == "vgg19" or args.model:
        models = [_judge(args.network, file, 0, args.phi or "5,4") for file in files]
    scale = getattr(models[0], "scale", 1) if models and args.loss in ("mse", "vgg54") else 1
    usual = 24 if args.network == "generator" else getattr(models[0], "crop", 96) if models else 96
    height, width = (n // scale for n in photo.shape[:2])
    left, top, size = _square(args.crop, width, height, usual)
    photo = photo[top * scale : (top + size) * scale, left * scale : (left + size) * scale]
    models = models or [_judge(args.network, None, size, "")]
    original = Tensor(photo[None].astype(np.float32) / 127.5 - 1)
    if args.network == "generator":
        x = imresize(photo, 1 / scale)[None].astype(np.float32) / 255
    elif args.loss == "vgg54":
        x = imresize(imresize(photo, 0.25), 4)[None, :size, :size].astype(np.float32) / 127.5 - 1
    else:
        x = original.numpy()
    usual_name = {"generator": "srgan", "vgg19": "vgg19"}.get(args.network, "first weights")
    names = [Path(file or usual_name).stem for file in files]
    page = inspect(
        models[0], x, _loss(args, models[0], original),
        other=models[1] if models[1:] else None, names=names, max_megabytes=args.max_megabytes,
        title=f"{args.network} {' and '.join(names)}, {args.photo.name} at {left},{top},{size}"
        + (f", loss {args.loss}" if args.loss else ""),
    )  # fmt: skip
    write_whole(args.out, page.html)
    say(f"wrote {args.out}, {args.out.stat().st_size / 1e6:.1f} MB: open it in a browser")


def _square(text: str | None, width: int, height: int, usual: int) -> tuple[int, int, int]:
    size = min(usual, width, height)
    middle = f"{(width - size) // 2},{(height - size) // 2},{size}"
    parts = (text or middle).split(",")
    numbers = [int(part) for part in parts if part.strip().isdecimal()]
    if len(parts) != 3 or len(numbers) != 3 or not 0 < numbers[2] <= min(width - numbers[0], height - numbers[1]):
        expected = f"X,Y,SIZE, a square inside the {width} x {height} pixels that the network could get"
        raise ConfigError("--crop", expected=expected, got=text or "", fix=f"such as {middle}")
    return numbers[0], numbers[1], numbers[2]


def _judge(network: str, file: str | None, size: int, phi: str) -> Module:
    """Return a discriminator or VGG19."""
    if network == "vgg19":
        return load_vgg19(file or downloaded("vgg19") or "vgg19", phi)
    return load_discriminator(file) if file else Discriminator(size, channels=16).eval()


def _loss(args: argparse.Namespace, model: Module, original: Tensor) -> Callable[[Tensor], Tensor] | None:
    if args.loss == "mse":
        return lambda y: MSEContent()(y, original)
    if args.loss == "adversarial" and args.network == "discriminator":
        return generator_loss
    if args.loss == "adversarial":
        judge = _judge("discriminator", args.loss_model, original.shape[1] * getattr(model, "scale", 1), "")
        return lambda y: generator_loss(judge(y))
    if args.loss == "vgg54" and args.network == "generator":
        content = VGGContent(_judge("vgg19", args.loss_model, 0, "5,4"))
        return lambda y: content(y, original)
    if args.loss == "vgg54":
        target, scale = model(original).detach(), VGGContent(model).scale
        return lambda y: ops.mse(y, target) * (y.shape[3] * scale**2)
    return None
