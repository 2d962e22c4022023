"""`minisrgan train`: train SRResNet, or SRGAN starting from it, on a folder of photographs.

Train on a folder of photographs. Stage srresnet comes first and uses only the content loss; stage srgan starts from its
weights (--init) and adds the discriminator.

--stage                 the stage to train
--data DIR              folder with photographs
--out RUN               folder of the training
--preset                network sizes and steps: tiny trains in minutes, small in 40 minutes per stage, paper has the
                        paper's settings (default: tiny)
--content               what the content loss compares: mse (pixels, the default), vgg22 or vgg54 (features phi 2,2 or
                        5,4 of VGG19), or features:FILE, the features of another network, such as
                        srgan_discriminator.safetensors of an earlier training
--vgg FILE              weights of VGG19 for vgg22 and vgg54 (default: those downloaded by minisrgan weights fetch
                        vgg19)
--init FILE             generator to start from: srresnet.safetensors of the first stage, or srresnet, the bundled model
--from-scratch          let stage srgan start from random weights
--resume                continue from the last checkpoint in RUN, with the settings of RUN, as if it had not been
                        interrupted; --steps may be larger
--config FILE           settings as TOML, such as RUN/srresnet.toml, instead of a preset
--set KEY=VALUE         change one setting, such as blocks=8; may be repeated
--steps N               number of steps (default: the preset's)
--batch N               crops per step (default: the preset's)
--crop N                side length of the crops in pixels (default: the preset's)
--seed N                seed of all random numbers (default: 0)
--save-every STEPS      steps between checkpoints (default: 1000); the last two are kept
--validation DIR        folder with photographs for validation; the first three are used (default: three of --data,
                        which are then not trained on)
--validate-every STEPS  steps between validations: PSNR and images (default: 1000)
--cache GB              memory for decoded photographs; the others are read again each time (default: 2)
--check-every STEPS     with several processes: steps between comparisons of their weights (default: 1000)
--dry-run               take three steps and print the time and memory of the whole training; write nothing
--device                cpu, cuda, cuda:N, or auto: a GPU if there is one (default: cpu)

example: minisrgan train --stage srresnet --preset tiny --data photos --out runs/first; then: minisrgan train --stage
srgan --preset tiny --data photos --init runs/first/srresnet.safetensors --out runs/first
"""

import argparse
import json
from contextlib import suppress
from typing import Any

from minisrgan.backend import choose_device, tf32
from minisrgan.cli.common import say, to_path
from minisrgan.errors import ConfigError
from minisrgan.models import Generator
from minisrgan.show.curves import draw_run
from minisrgan.threads import thread_count
from minisrgan.training import PRESETS, Config, Options, Run
from minisrgan.training.config import read_settings
from minisrgan.training.parallel import Ranks, started
from minisrgan.weights import load_generator
from minisrgan.weights.box import downloaded


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add = parser.add_argument
    add("--stage", choices=("srresnet", "srgan"), required=True)
    add("--data", type=to_path, required=True)
    add("--out", type=to_path, required=True)
    add("--preset", choices=tuple(PRESETS))
    add("--content")
    add("--vgg", type=to_path)
    begin = parser.add_mutually_exclusive_group()
    begin.add_argument("--init", type=to_path)
    begin.add_argument("--from-scratch", action="store_true")
    add("--resume", action="store_true")
    add("--config", type=to_path)
    add("--set", action="append", default=[], type=_setting)
    for name in ("--steps", "--batch", "--crop", "--seed", "--save-every", "--validate-every", "--check-every"):
        add(name, type=int)
    add("--validation", type=to_path)
    add("--cache", type=float)
    add("--dry-run", action="store_true")
    add("--device", default="cpu")


def run(args: argparse.Namespace) -> None:
    """Train one stage and save it, alone or with the other processes that mpiexec or srun has started."""
    ranks = started()
    with ranks.together():
        _train(args, ranks)


def _train(args: argparse.Namespace, ranks: Ranks) -> None:
    own = {"vgg": args.vgg or downloaded("vgg19"), "device": choose_device(args.device, ranks.local), "ranks": ranks}
    options = Options(**_named(args, Options) | own)
    training = Run(args.out, args.stage, options, _draw)
    asked = _settings(args)
    if args.resume and ranks.same(training.checkpoints.steps):
        training.resume(asked)
        _require_use_of_vgg(args, training.config)
    else:
        if args.stage == "srgan" and args.init is None and not args.from_scratch:
            told = "--init FILE, the weights of a trained SRResNet"
            fix = "train --stage srresnet first: from random weights the discriminator wins at once, and the generator"
            fix += " learns nothing from it (SRGAN sec. 3.2). --from-scratch does it all the same"
            raise ConfigError("train --stage srgan", expected=told, got="no --init", fix=fix)
        config = Config().changed(({} if args.config else {"preset": "tiny"}) | asked, "--set")
        _require_use_of_vgg(args, config)
        training.start(config, _initial(args) if args.init else None)
    if options.device != "cpu":
        print(f"computing on {options.device}, products in {'TF32' if tf32() else 'float32'}")
    if ranks.size > 1:
        share = training.config.batch // ranks.size
        print(f"{ranks.size} ranks, {share} crops a step each, {thread_count()} threads on rank 0")
    if args.dry_run:
        print(training.rehearse())
        return
    training.train()
    drawn = sorted(path.name for path in args.out.glob(f"{args.stage}_*.png"))
    figures = ", ".join(drawn) or "no figures: they take matplotlib"
    say(f"saved {args.out / args.stage}.safetensors; beside it {args.stage}.jsonl, {figures}")


def _named(args: argparse.Namespace, kind: type[Any]) -> dict[str, Any]:
    """Return what was given on the command line for the fields of a dataclass."""
    names = kind.__dataclass_fields__
    return {name: value for name, value in vars(args).items() if name in names and value is not None}


def _setting(words: str) -> tuple[str, Any]:
    """Split KEY=VALUE; a value that is neither JSON nor a number such as .5 or 08 is a word."""
    name, _, value = words.partition("=")
    for read in (json.loads, int, float):
        with suppress(ValueError):
            return name, read(value)
    return name, value


def _settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return the settings given on the command line, by name; ConfigError if two of the options differ."""
    file, given = read_settings(args.config) if args.config else {}, _named(args, Config)
    if args.steps is not None:
        given[f"{args.stage}_steps"] = args.steps
    for name, value in args.set:
        if name in given and given[name] != value:
            got, fix = f"{given[name]} and {value}", "leave one of them out"
            raise ConfigError("--set", expected=f"one value of {name}", got=got, fix=fix)
    derived = {"tv_weight": 2e-8} if args.content == "vgg22" and args.stage == "srresnet" else {}  # SRGAN sec. 3.4
    asked = file | derived | given | dict(args.set)
    there, preset = file.get("preset"), asked.get("preset")
    if preset != there and (there is not None or len(file) >= len(Config.__dataclass_fields__) - 1):
        told = f"the preset of {args.config}, which gives all settings" if there is None else f"preset = {there!r}"
        what, fix = f"--preset beside --config {args.config}", "leave one of the options out"
        raise ConfigError(what, expected=told, got=repr(preset), fix=fix)
    return asked


def _initial(args: argparse.Namespace) -> Generator:
    """Return the generator of --init; ConfigError for a --set or a line of --config that its file replaces."""
    generator = load_generator(args.init)
    network: dict[str, Any] = {"channels": generator.width, "blocks": generator.depth, "start": "random"}
    network |= {"tanh": generator.tanh, "eps": generator.eps}
    file = read_settings(args.config) if args.config else {}
    # A file may say how an untrained network starts: the settings of stage srresnet serve stage srgan as well.
    given = {f"--config {args.config}": [*(file | {"start": "random"}).items()], "--set": args.set}
    for where, settings in given.items():
        if lost := [f"{name}={value}" for name, value in settings if network.get(name, value) != value]:
            told, got = f"the network of {args.init}: {generator.describe()}", f"{where}: {', '.join(lost)}"
            raise ConfigError("--init", expected=told, got=got, fix="leave these settings out, or --init")
    return generator


def _require_use_of_vgg(args: argparse.Namespace, config: Config) -> None:
    if args.vgg and not config.content.startswith("vgg"):
        got, fix = f"content {config.content}", "--content vgg54, or leave --vgg out"
        raise ConfigError("--vgg", expected="content vgg22 or vgg54", got=got, fix=fix)


def _draw(training: Run) -> None:
    with suppress(ConfigError):  # without matplotlib
        draw_run(training.folder, training.name, training.validation.originals)
