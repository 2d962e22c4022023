"""`minisrgan train`: train SRResNet, and SRGAN from it, on a folder of photographs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from minisrgan.backend import Array, choose_device, tf32
from minisrgan.data import CropSampler, PhotoCache, load_photos
from minisrgan.errors import ConfigError
from minisrgan.images import read_image
from minisrgan.models import Discriminator, Generator
from minisrgan.show import save_figure
from minisrgan.show.training import progress_figure, training_figure
from minisrgan.training import PRESETS, Config, SRGANStage, SRResNetStage, Stage, content_loss, locked
from minisrgan.training.config import read_config
from minisrgan.training.content import extractor
from minisrgan.training.log import read_log
from minisrgan.training.publish import Validation
from minisrgan.training.session import dry_run, train
from minisrgan.weights import load_generator
from minisrgan.weights.download import downloaded

_VALIDATION = 3  # photographs that are not trained on, but looked at


def add_parser(commands: Any) -> None:
    """Describe the command."""
    parser = commands.add_parser(
        "train",
        help="train SRResNet, or SRGAN from it, on a folder of photographs",
        description="Train on a folder of photographs. Stage srresnet comes first and learns from the content loss "
        "alone; stage srgan starts from its weights (--init) and adds the discriminator.",
        epilog="example: minisrgan train --stage srresnet --preset tiny --data photos --out runs/first; "
        "then: minisrgan train --stage srgan --preset tiny --data photos --init runs/first/srresnet.safetensors "
        "--out runs/first",
    )
    parser.add_argument("--stage", choices=("srresnet", "srgan"), required=True, help="which of the two stages")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with photographs")
    parser.add_argument("--out", type=Path, required=True, metavar="RUN", help="folder for weights, log and settings")
    parser.add_argument("--preset", choices=PRESETS, default="tiny", help="sizes and steps: tiny learns in minutes, "
                        "small takes 40 minutes for each stage, paper is the paper's (default tiny)")  # fmt: skip
    parser.add_argument("--content", help="what the content loss compares: mse (pixels, the default), vgg22 or vgg54 "
                        "(features phi 2,2 or 5,4 of VGG19), or features:FILE, those of another network, such as "
                        "srgan_discriminator.safetensors of an earlier training")  # fmt: skip
    parser.add_argument("--vgg", type=Path, metavar="FILE", help="weights of VGG19 for vgg22 and vgg54 (default: "
                        "those that minisrgan weights fetch vgg19 has downloaded)")  # fmt: skip
    parser.add_argument("--init", type=Path, metavar="FILE", help="generator to start from: srresnet.safetensors of "
                        "a first stage, or srresnet, the one in the box")  # fmt: skip
    parser.add_argument("--from-scratch", action="store_true", help="let stage srgan start without --init")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in RUN, with the "
                        "settings of RUN, as if the training had never stopped")  # fmt: skip
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings as TOML, such as RUN/srresnet.toml, in "
                        "place of the preset's")  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="another value of one setting: "
                        "blocks=8; may be repeated")  # fmt: skip
    parser.add_argument("--steps", type=int, help="train for another number of steps than the preset's")
    parser.add_argument("--batch", type=int, help="another number of crops a step")
    parser.add_argument("--crop", type=int, help="another side of the crops, in pixels")
    parser.add_argument("--seed", type=int, help="of everything that is drawn (default 0)")
    parser.add_argument("--save-every", type=int, default=1000, metavar="STEPS", help="between checkpoints (default "
                        "1000); the last two are kept")  # fmt: skip
    parser.add_argument("--validation", type=Path, metavar="DIR", help="folder with photographs to validate on: the "
                        "first three; without it, three of --data are kept for that")  # fmt: skip
    parser.add_argument("--validate-every", type=int, default=1000, metavar="STEPS", help="between validations: PSNR, "
                        "pictures (default 1000)")  # fmt: skip
    parser.add_argument("--cache", type=float, default=2.0, metavar="GB", help="decoded photographs to keep in memory; "
                        "others are read again each time (default 2)")  # fmt: skip
    parser.add_argument("--tensorboard", action="store_true", help="write to RUN/tensorboard as well")
    parser.add_argument("--dry-run", action="store_true", help="take three steps, and tell time and memory; writes "
                        "nothing")  # fmt: skip
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N, or auto: a GPU if there is one (default "
                        "cpu)")  # fmt: skip
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train one stage and save it."""
    for option in ("save_every", "validate_every"):
        if getattr(args, option) < 1:
            what = f"--{option.replace('_', '-')}"
            raise ConfigError(what, expected="at least 1", got=str(getattr(args, option)), fix="1000 is a good number")
    args.device = choose_device(args.device)
    args.vgg = args.vgg or downloaded("vgg19")
    settings_file = args.out / f"{args.stage}.toml"
    resumed = args.resume and settings_file.is_file()
    if resumed and (args.set or args.config or {args.steps, args.batch, args.crop, args.seed, args.content} != {None}):
        told = f"no other settings: a resumed training keeps those of {settings_file}"
        raise ConfigError("train --resume", expected=told, got="settings", fix="leave them out, or give another folder")
    config = read_config(settings_file, Config()) if resumed else _config(args)
    if args.stage == "srgan" and args.init is None and not args.from_scratch and not resumed:
        raise ConfigError(
            "train --stage srgan",
            expected="--init FILE, the weights of a trained SRResNet",
            got="no --init",
            fix="train --stage srresnet first: from random weights the discriminator wins at once and the generator "
            "learns nothing from it (SRGAN sec. 3.2). --from-scratch does it all the same",
        )
    rng = np.random.default_rng(config.seed)
    generator = load_generator(args.init) if args.init else _new_generator(config, rng)
    if generator.scale != config.scale:
        raise ConfigError("--init", expected=f"a generator x{config.scale}", got=generator.describe(), fix="another")
    config = replace(config, channels=generator.width, blocks=generator.depth)  # as in --init, where that is given
    photos, validation = _photos(args, config)
    sampler = CropSampler(photos, config.crop, config.scale, rng)
    crops = CropSampler(photos, config.crop, config.scale, np.random.default_rng([config.seed, 2]))
    originals = (crops.batch(config.batch)[1] for _ in range(config.calibrate))
    content = content_loss(config.content, args.vgg, originals, args.device)

    generator.to(args.device)
    if args.device != "cpu":
        print(f"computing on {args.device}, products in {'TF32' if tf32() else 'float32'}")
    stage: Stage
    if args.stage == "srresnet":
        stage = SRResNetStage(generator, content, config)
    else:
        discriminator = Discriminator(config.crop, config.d_channels, rng=rng).to(args.device)
        stage = SRGANStage(generator, discriminator, content, config)
    if args.dry_run:
        print(dry_run(stage, sampler, config, args.device))
        return 0
    with locked(args.out), _tensorboard(args) as listen:
        train(
            stage, sampler, config, validation, args.out, resume=args.resume, save_every=args.save_every,
            validate_every=args.validate_every, device=args.device, listen=listen,
            extractor=extractor(config.content, args.vgg),
            draw=lambda: _draw(args.out, stage.name, validation),
        )  # fmt: skip
    drawn = sorted(path.name for path in args.out.glob(f"{stage.name}_*.png"))
    figures = ", ".join(drawn) or "no figures: they take matplotlib"
    print(f"saved {args.out / stage.name}.safetensors; beside it {stage.name}.jsonl, {figures}")
    return 0


def _photos(args: argparse.Namespace, config: Config) -> tuple[PhotoCache, Validation]:
    """Load the photographs to train on, and those to validate on: the last three of a dozen or more, unless given."""
    found = load_photos(args.data, config.crop, round(args.cache * 1e9))
    for name, why in found.skipped.items():
        print(f"skipped {name}: {why}", file=sys.stderr)
    photos = found.photos
    if args.validation:
        others = load_photos(args.validation, 4 * config.scale).photos
        chosen = {name: others[name] for name in list(others)[:_VALIDATION]}
    elif len(photos) >= 4 * _VALIDATION:
        chosen = {name: photos.take(name) for name in list(photos)[-_VALIDATION:]}
    else:
        chosen = {name: photos[name] for name in list(photos)[:_VALIDATION]}
    seen = "" if args.validation or not photos.keys() & chosen.keys() else " (trained on as well, being so few)"
    print(f"{len(photos)} photographs, {len(found.skipped)} skipped; validation on {', '.join(chosen)}{seen}")
    return photos, Validation(chosen, config.scale)


@contextmanager
def _tensorboard(args: argparse.Namespace) -> Iterator[Callable[[dict[str, Any]], None] | None]:
    """Give a function that passes the numbers of a record on to TensorBoard, where that is asked for."""
    if not args.tensorboard:
        yield None
        return
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        fix = 'pip install "minisrgan[tensorboard]"'
        raise ConfigError("--tensorboard", expected="the package tensorboardX", got=str(error), fix=fix) from error
    with SummaryWriter(str(args.out / "tensorboard")) as writer:

        def listen(record: dict[str, Any]) -> None:
            for name, value in record.items():
                if isinstance(value, float):
                    writer.add_scalar(f"{record['stage']}/{name}", value, record["step"])

        yield listen


def _draw(folder: Path, name: str, validation: Validation) -> None:
    """Draw the curves and the pictures of a stage so far, where matplotlib is installed."""
    steps: dict[int, dict[str, Array]] = {}
    names = list(validation.originals)
    for path in sorted((folder / "pictures").glob(f"{name}-*.png")):
        step, number = (int(part) for part in path.stem.split("-")[1:])
        steps.setdefault(step, {})[names[number]] = read_image(path)
    with suppress(
        ConfigError
    ):  # without matplotlib, or with a log that a hand has changed: no reason to end a training
        save_figure(training_figure(read_log(folder / f"{name}.jsonl")), folder / f"{name}_curves.png")
        if steps:
            save_figure(progress_figure(steps, validation.originals), folder / f"{name}_pictures.png")


def _new_generator(config: Config, rng: np.random.Generator) -> Generator:
    generator = Generator(config.scale, config.channels, config.blocks, rng=rng)
    return generator.start_as_nearest() if config.start == "nearest" else generator


def _config(args: argparse.Namespace) -> Config:
    """Return the settings: the preset's or those of --config, with what was asked for in their places."""
    config = read_config(args.config, Config()) if args.config else PRESETS[args.preset]
    names = "batch", "crop", "seed", "content"
    changes: dict[str, Any] = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.steps is not None:
        changes[f"{args.stage}_steps"] = args.steps
    if args.content == "vgg22" and args.stage == "srresnet":
        changes["tv_weight"] = 2e-8  # SRGAN sec. 3.4
    for words in args.set:
        name, _, value = words.partition("=")
        try:
            changes[name] = json.loads(value)
        except ValueError:
            changes[name] = value  # a word
    return config.changed(changes, "--set")
