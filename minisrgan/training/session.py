"""A training in a folder: from its settings to the saved weights, through whatever comes between."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from minisrgan import __version__
from minisrgan.backend import Array, to_device
from minisrgan.data import CropSampler
from minisrgan.errors import CheckpointError, ConfigError
from minisrgan.images import replacing, write_image
from minisrgan.models import Discriminator
from minisrgan.training.checkpoint import Checkpoints
from minisrgan.training.config import Config, write_config
from minisrgan.training.loop import run_stage
from minisrgan.training.publish import Validation, published, recalibrate
from minisrgan.training.stages import Stage
from minisrgan.training.state import restore, state_of
from minisrgan.weights import save_model


def dry_run(stage: Stage, sampler: CropSampler, config: Config, device: str = "cpu") -> str:
    """Take three steps after one to warm up; tell what all of them would take, and the gradients of the loss terms."""
    total, stage.steps = stage.steps, 4
    first, *_, last = run_stage(stage, sampler, config.batch, device=device, progress=False)
    seconds = (last["seconds"] - first["seconds"]) / 3
    lines = [
        f"{seconds:.3f} s a step, {1 / seconds:.1f} steps a second",
        f"{total:,} steps take {timedelta(seconds=round(total * seconds))} (h:mm:ss)",
        f"memory: {last['memory_mb']:,.0f} MB",
    ]
    lines += [f"gradient of the {name.removeprefix('grad_')} loss at the generator's output: {value:.3g}"
              for name, value in last.items() if name.startswith("grad_")]  # fmt: skip
    return "\n".join(lines)


def train(
    stage: Stage,
    sampler: CropSampler,
    config: Config,
    validation: Validation,
    out: Path,
    *,
    resume: bool = False,
    save_every: int = 1000,
    validate_every: int = 1000,
    device: str = "cpu",
    extractor: str = "",
    draw: Callable[[], None] = lambda: None,
    listen: Callable[[dict[str, Any]], None] | None = None,
) -> None:
    """Train a stage from the beginning, or from the last checkpoint in its folder, which nobody else may use now.

    out        gets, each named after the stage: settings (.toml), log (.jsonl), weights for use (.safetensors); and
               checkpoints/, the first before the first step, and pictures/ of the validation photos
    extractor  which file's features the content loss compares
    draw       called after a saving that follows a validation: there are new pictures
    listen     called with each record of the log
    Errors     ConfigError where there is a training already that ``resume`` is not to go on with; CheckpointError where
               the photographs or the extractor are not those that it began with; as `run_stage`
    """
    log_file = out / f"{stage.name}.jsonl"
    checkpoints = Checkpoints(out / "checkpoints", stage.name)
    checkpoints.clean()
    for path in out.glob(".*.tmp"):  # left by a training that was killed
        path.unlink(missing_ok=True)
    found = checkpoints.load()
    if found and not resume:
        told = f"a folder without a training of stage {stage.name}"
        fix = "go on with it by --resume, or give another folder"
        raise ConfigError(f"train --out {out}", expected=told, got=f"checkpoints up to step {found[0]}", fix=fix)
    began_with = {"photos": sampler.photos_sha256(), "extractor": extractor}
    versions = {"minisrgan": __version__, "numpy": np.__version__}
    scores: dict[int, float] = {}

    def keep(step: int) -> None:
        arrays, numbers = state_of(stage, sampler)
        told = {"config": asdict(config), "versions": versions, **began_with}
        checkpoints.save(step, arrays, numbers | told, scores.get(step))

    done, arrays, state = found or (0, {}, {})
    if found:
        _require_same(began_with, state)
        restore(stage, sampler, arrays, state)
        tqdm.write(f"goes on after step {done} of {stage.steps}")
    else:
        keep(0)  # what came by --init is in it: a training that is killed early does not begin again without
        write_config(out / f"{stage.name}.toml", config)
    _cut_log(log_file, done)

    def validate(step: int) -> dict[str, float]:
        numbers, made = validation(stage, device)
        scores[step] = -numbers["content_validation"]
        for number, picture in enumerate(made.values()):
            write_image(out / "pictures" / f"{stage.name}-{step:08}-{number}.png", picture)
        return numbers

    def publish() -> None:
        # Crops by a generator of their own: what is published depends on the checkpoint alone.
        crops = CropSampler(sampler.photos, config.crop, config.scale, np.random.default_rng([config.seed, 1]))
        lows = (to_device(crops.batch(config.batch)[0], device) for _ in range(config.bn_batches))
        save_stage(out, stage, config.content, extractor, lows)

    def save(step: int) -> None:
        keep(step)
        publish()
        if step in scores:
            draw()

    run_stage(
        stage, sampler, config.batch, device=device, log_file=log_file, done=done, save=save, save_every=save_every,
        validate=validate, validate_every=validate_every, listen=listen,
    )  # fmt: skip
    if done == stage.steps:  # killed, perhaps, between its last checkpoint and this
        publish()
        draw()


def _require_same(began_with: dict[str, str], state: dict[str, Any]) -> None:
    """Refuse to go on with other photographs or features: it would be another training, and nothing would show it."""
    options = {"photos": "--data and --validation", "extractor": "--vgg, or the same file for --content features"}
    for name, now in began_with.items():
        if state.get(name) != now:
            told, fix = f"the {name} that the training began with: {state.get(name)}", f"give the same {options[name]}"
            raise CheckpointError("train --resume", expected=told, got=now or "none", fix=fix)


def _cut_log(path: Path, done: int) -> None:
    """Keep of a log the steps that a checkpoint knows of; those after it will be taken again."""
    if path.is_file():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        with replacing(path) as temporary:
            temporary.write_text("".join(lines[:done]), encoding="utf-8")


def save_stage(folder: Path, stage: Stage, content: str, extractor: str, lows: Iterable[Array]) -> None:
    """Save the generator of a stage as srresnet.safetensors or srgan.safetensors, and its discriminator beside it.

    content, extractor  what it was trained with, for the file's metadata
    lows                batches on which batch norm is measured anew; none keeps the running statistics
    """
    generator = published(stage)
    recalibrate(generator, lows)
    about: dict[str, Any] = {"stage": stage.name, "content": content, "extractor": extractor}
    save_model(folder / f"{stage.name}.safetensors", generator, **about)
    for network, module in stage.modules().items():
        if isinstance(module, Discriminator):
            save_model(folder / f"{stage.name}_{network}.safetensors", module, **about)
