"""`minisrgan train`: train SRResNet, and SRGAN from it, on a folder of photographs."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from minisrgan.data import CropSampler, load_photos
from minisrgan.errors import ConfigError
from minisrgan.models import Discriminator, Generator
from minisrgan.training import PRESETS, Config, SRGANStage, SRResNetStage, Stage, content_loss, run_stage
from minisrgan.training.config import CONTENT
from minisrgan.weights import load_generator, save_model


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
                        "small takes a night for each stage, paper is the paper's (default tiny)")  # fmt: skip
    parser.add_argument("--content", choices=CONTENT, default="mse", help="what the content loss compares: pixels, or "
                        "features phi 2,2 or 5,4 of VGG19 (default mse)")  # fmt: skip
    parser.add_argument("--vgg", type=Path, metavar="FILE", help="weights of VGG19, an .npz, for vgg22 and vgg54")
    parser.add_argument("--init", type=Path, metavar="FILE", help="generator to start from: srresnet.safetensors")
    parser.add_argument("--from-scratch", action="store_true", help="let stage srgan start without --init")
    parser.add_argument("--steps", type=int, help="train for another number of steps than the preset's")
    parser.add_argument("--batch", type=int, help="another number of crops a step")
    parser.add_argument("--crop", type=int, help="another side of the crops, in pixels")
    parser.add_argument("--seed", type=int, help="of everything that is drawn (default 0)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default cpu)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train one stage and save it."""
    config = _config(args)
    if args.stage == "srgan" and args.init is None and not args.from_scratch:
        raise ConfigError(
            "train --stage srgan",
            expected="--init FILE, the weights of a trained SRResNet",
            got="no --init",
            fix="train --stage srresnet first: from random weights the discriminator wins at once and the generator "
            "learns nothing from it (SRGAN sec. 3.2). --from-scratch does it all the same",
        )
    content = content_loss(args.content, args.vgg)
    rng = np.random.default_rng(config.seed)
    generator = load_generator(args.init) if args.init else _new_generator(config, rng)
    if generator.scale != config.scale:
        raise ConfigError(
            "--init", expected=f"a generator x{config.scale}", got=f"x{generator.scale}", fix="another file"
        )
    found = load_photos(args.data, config.crop)
    for name, why in found.skipped.items():
        print(f"skipped {name}: {why}", file=sys.stderr)
    print(f"{len(found.photos)} photographs, {len(found.skipped)} skipped")
    sampler = CropSampler(found.photos, config.crop, config.scale, rng)

    args.out.mkdir(parents=True, exist_ok=True)
    settings = asdict(config) | {"content": args.content}
    (args.out / f"{args.stage}.json").write_text(json.dumps(settings, indent=2) + "\n")
    generator.to(args.device)
    stage: Stage
    if args.stage == "srresnet":
        stage = SRResNetStage(generator, content, config)
    else:
        discriminator = Discriminator(config.crop, config.d_channels, rng=rng).to(args.device)
        stage = SRGANStage(generator, discriminator, content, config)
    log_file = args.out / f"{args.stage}.jsonl"
    log_file.unlink(missing_ok=True)
    save = partial(save_stage, args.out, stage, content=args.content)
    run_stage(stage, sampler, config.batch, device=args.device, log_file=log_file, save=save)
    print(f"saved {args.out / stage.name}.safetensors, log in {log_file}")
    return 0


def save_stage(folder: Path, stage: Stage, content: str) -> None:
    """Save the generator of a stage as srresnet.safetensors or srgan.safetensors, and its discriminator beside it."""
    for network, module in stage.modules().items():
        assert isinstance(module, Generator | Discriminator)
        name = stage.name if network == "generator" else f"{stage.name}_{network}"
        save_model(folder / f"{name}.safetensors", module, stage=stage.name, content=content)


def _new_generator(config: Config, rng: np.random.Generator) -> Generator:
    generator = Generator(config.scale, config.channels, config.blocks, rng=rng)
    return generator.start_as_nearest() if config.start == "nearest" else generator


def _config(args: argparse.Namespace) -> Config:
    """Return the preset with what was asked for instead."""
    changes = {name: getattr(args, name) for name in ("batch", "crop", "seed") if getattr(args, name) is not None}
    if args.steps is not None:
        changes[f"{args.stage}_steps"] = args.steps
    if args.content == "vgg22" and args.stage == "srresnet":
        changes["tv_weight"] = 2e-8  # SRGAN sec. 3.4
    return replace(PRESETS[args.preset], **changes)
