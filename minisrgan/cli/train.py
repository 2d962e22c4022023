"""`minisrgan train`: train SRResNet, and SRGAN from it, on a folder of photographs."""

from __future__ import annotations

import argparse
import copy
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from minisrgan.data import CropSampler, load_photos
from minisrgan.errors import ConfigError
from minisrgan.images import replacing
from minisrgan.models import Discriminator, Generator
from minisrgan.training import PRESETS, Config, SRGANStage, SRResNetStage, Stage, content_loss, run_stage
from minisrgan.training.checkpoint import Checkpoints, locked
from minisrgan.training.config import CONTENT, read_config, write_config
from minisrgan.training.state import restore, state_of
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
    parser.add_argument("--content", choices=CONTENT, help="what the content loss compares: pixels, or features phi "
                        "2,2 or 5,4 of VGG19 (default mse)")  # fmt: skip
    parser.add_argument("--vgg", type=Path, metavar="FILE", help="weights of VGG19, an .npz, for vgg22 and vgg54")
    parser.add_argument("--init", type=Path, metavar="FILE", help="generator to start from: srresnet.safetensors")
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
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default cpu)")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Train one stage and save it."""
    if args.save_every < 1:
        raise ConfigError("--save-every", expected="at least 1", got=str(args.save_every), fix="1000 is a good number")
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
    content = content_loss(config.content, args.vgg)
    rng = np.random.default_rng(config.seed)
    generator = load_generator(args.init) if args.init else _new_generator(config, rng)
    if generator.scale != config.scale:
        raise ConfigError("--init", expected=f"a generator x{config.scale}", got=generator.describe(), fix="another")
    config = replace(config, channels=generator.width, blocks=generator.depth)  # as in --init, where that is given
    found = load_photos(args.data, config.crop)
    for name, why in found.skipped.items():
        print(f"skipped {name}: {why}", file=sys.stderr)
    print(f"{len(found.photos)} photographs, {len(found.skipped)} skipped")
    sampler = CropSampler(found.photos, config.crop, config.scale, rng)

    generator.to(args.device)
    stage: Stage
    if args.stage == "srresnet":
        stage = SRResNetStage(generator, content, config)
    else:
        discriminator = Discriminator(config.crop, config.d_channels, rng=rng).to(args.device)
        stage = SRGANStage(generator, discriminator, content, config)
    with locked(args.out):
        _train(args, stage, sampler, config)
    return 0


def _train(args: argparse.Namespace, stage: Stage, sampler: CropSampler, config: Config) -> None:
    """Train from the beginning or from the last checkpoint, with this run's folder to ourselves."""
    log_file = args.out / f"{stage.name}.jsonl"
    checkpoints = Checkpoints(args.out / "checkpoints", stage.name)
    checkpoints.clean()
    for path in args.out.glob(".*.tmp"):  # left by a training that was killed
        path.unlink(missing_ok=True)
    found = checkpoints.load()
    if found and not args.resume:
        told = f"a folder without a training of stage {stage.name}"
        fix = "go on with it by --resume, or give another folder"
        raise ConfigError(f"train --out {args.out}", expected=told, got=f"checkpoints up to step {found[0]}", fix=fix)
    done, arrays, state = found or (0, {}, {})
    if found:
        restore(stage, sampler, arrays, state)
        print(f"goes on after step {done} of {stage.steps}")
    else:
        write_config(args.out / f"{stage.name}.toml", config)
    _cut_log(log_file, done)

    def save(step: int) -> None:
        checkpoints.save(step, *state_of(stage, sampler))
        save_stage(args.out, stage, content=config.content)

    run_stage(
        stage, sampler, config.batch, device=args.device, log_file=log_file, done=done, save=save,
        save_every=args.save_every,
    )  # fmt: skip
    if done == stage.steps:  # killed, perhaps, between its last checkpoint and this
        save_stage(args.out, stage, content=config.content)
    print(f"saved {args.out / stage.name}.safetensors, log in {log_file}")


def _cut_log(path: Path, done: int) -> None:
    """Keep of a log the steps that a checkpoint knows of; those after it will be taken again."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        with replacing(path) as temporary:
            temporary.write_text("".join(lines[:done]), encoding="utf-8")


def save_stage(folder: Path, stage: Stage, content: str) -> None:
    """Save the generator of a stage as srresnet.safetensors or srgan.safetensors, and its discriminator beside it."""
    for network, module in stage.modules().items():
        assert isinstance(module, Generator | Discriminator)
        if network == "generator" and stage.average:
            module = copy.deepcopy(module)
            module.load_state_dict(stage.average.average)
        name = stage.name if network == "generator" else f"{stage.name}_{network}"
        save_model(folder / f"{name}.safetensors", module, stage=stage.name, content=content)


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
