"""One training in one folder: it starts or resumes, takes steps, validates, saves and publishes."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from minisrgan import __version__
from minisrgan.backend import Array, to_device
from minisrgan.data import CropSampler
from minisrgan.errors import CheckpointError, ConfigError, plain
from minisrgan.images import write_image, write_whole
from minisrgan.models import Discriminator, Generator
from minisrgan.threads import progress_bar
from minisrgan.training.checkpoint import Checkpoints, changed_photos, locked, require_same, restore, state_of
from minisrgan.training.config import Config, known_settings, read_settings, write_config
from minisrgan.training.content import content_loss, extractor
from minisrgan.training.log import Log
from minisrgan.training.loop import rehearse, take_step
from minisrgan.training.options import Options
from minisrgan.training.publish import Validation, published, recalibrate
from minisrgan.training.stages import SRGANStage, SRResNetStage, Stage
from minisrgan.training.stop import Stopped, stop_signals
from minisrgan.weights import save_model


class Run:
    """The training of one stage, "srresnet" or "srgan", in a folder.

    `start` or `resume` prepares it, `train` takes the remaining steps. The folder contains files named after the stage:
    settings (.toml), log (.jsonl), published weights (.safetensors); the folder checkpoints/, with a first
    checkpoint before the first step; and pictures/, the output for the validation photos.

    If there are several ranks (`Options.ranks`), all call the same methods, but only rank 0 reads and writes files.

    draw  called after each save that follows a validation, when there are new images

    >>> import tempfile
    >>> photos = {"grey": np.full((40, 50, 3), 99, np.uint8)}
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run = Run(folder, "srresnet", Options(photos))
    ...     run.start(Config(channels=4, blocks=1, crop=16, batch=2, srresnet_steps=2))
    ...     run.train()
    ...     sorted(path.name for path in Path(folder).iterdir() if path.is_file())
    ['.lock', 'srresnet.jsonl', 'srresnet.safetensors', 'srresnet.toml']
    """

    def __init__(
        self, folder: str | Path, name: str, options: Options, draw: Callable[[Run], None] = lambda run: None
    ) -> None:
        self.folder, self.name, self.options, self.draw = Path(folder), name, options, draw
        self.ranks = options.ranks
        self.checkpoints = Checkpoints(self.folder / "checkpoints", name)
        files = (self.folder / f"{name}{suffix}" for suffix in (".toml", ".jsonl", ".safetensors"))
        self.settings_file, self.log_file, self.weights_file = files
        self.done = self.saved = self.lost = 0  # steps taken, steps saved, photographs lost so far
        self.resumed, self.scores = False, dict[int, float]()
        self.asked: Callable[[], int] = lambda: 0  # the signal that was received, or 0
        self.config: Config
        self.stage: Stage

    def start(self, config: Config, init: Generator | None = None) -> None:
        """Prepare a new training.

        init    the generator to start from; it determines channels, blocks, tanh and eps
        Errors  ConfigError for a generator of another scale; as for `load_photos` and `content_loss`
        """
        self._prepare(self.ranks.same(lambda: config), init, ())
        if self.ranks.size > 1:  # the file of ``init`` may differ from machine to machine
            restore(self.stage, self.sampler, *self.ranks.same(lambda: state_of(self.stage, self.sampler)))

    def resume(self, asked: Mapping[str, Any] | None = None) -> None:
        """Prepare to continue from the last checkpoint, as if the training had not been interrupted.

        asked   settings, which must be those of the run, except that there may be more steps
        Errors  ConfigError for other settings; CheckpointError if there is no undamaged checkpoint, or the photographs
                or the feature extractor are not those that the training began with
        """
        config, self.done, arrays, state = self.ranks.same(lambda: self._found(asked or {}))
        self._prepare(config, None, state.get("validation", ()))
        self._require_same(state)
        restore(self.stage, self.sampler, arrays, state)
        self.resumed, self.saved, self.lost = True, self.done, len(self.sampler.lost)
        tqdm.write(f"goes on after step {self.done} of {self.stage.steps}")
        if (before := state.get("ranks", 1)) != self.ranks.size:
            tqdm.write(f"ranks: {self.ranks.size}, before {before}: sums have another order, so the result differs")

    def _found(self, asked: Mapping[str, Any]) -> tuple[Config, int, dict[str, Array], dict[str, Any]]:
        """Return the settings to resume with, and the last checkpoint."""
        found = self.checkpoints.load()
        if found is None:
            told, fix = f"checkpoints of stage {self.name}", "start a training in it, without --resume"
            raise CheckpointError(f"run {self.folder}", expected=told, got="none", fix=fix)
        done, arrays, state = found
        if damaged := [str(step) for step in self.checkpoints.steps() if step > done]:
            tqdm.write(f"warning: checkpoints that are damaged, and left out: {', '.join(damaged)}", file=sys.stderr)
        began = Config().changed(known_settings(state["config"]), f"checkpoint of step {done}")
        written = read_settings(self.settings_file) if self.settings_file.is_file() else {}
        edited = {name: value for name, value in written.items() if getattr(began, name, None) != value}
        return began.go_on(edited | dict(asked), f"{self.name}_steps"), done, arrays, state

    def train(self) -> None:
        """Take the remaining steps; the folder is locked meanwhile.

        Errors  ConfigError if the folder has a training that this one does not continue; NonFiniteError that names the
                first loss or gradient that is infinite or NaN; Stopped after Ctrl-C or SIGTERM, when the step is
                finished and everything is saved
        """
        batch, every, steps = self.config.batch, self.options, self.stage.steps
        first = self.ranks.first
        with locked(self.folder) if first else nullcontext(), stop_signals(first) as self.asked:
            self._open()
            if self.done == steps:  # it may have been killed between its last checkpoint and this
                self.publish()
                self._draw()
            with (
                Log(self.log_file if first else None) as log,
                progress_bar(total=steps * batch, initial=self.done * batch, desc=self.name, unit="img",
                             dynamic_ncols=True, disable=every.quiet or not first) as bar,
            ):  # fmt: skip
                while self.done < steps:
                    numbers, waited = self.step()
                    ends, came = self.done == steps, max(self.ranks.all(self.asked()))
                    if ends or self.done % every.validate_every == 0:
                        numbers |= self.validate()
                    for warning in log.add(self.done, self.name, numbers, waited):
                        bar.write(f"warning at step {self.done}: {warning}", file=sys.stderr)
                    bar.set_postfix_str(log.line(), refresh=False)
                    bar.update(batch)
                    if came or ends or self.done % every.save_every == 0 or len(self.sampler.lost) > self.lost:
                        self.save()
                    if came and not ends:
                        raise Stopped(came)

    def rehearse(self) -> str:
        """Take a few steps without saving; return an estimate of time and memory, and more (`rehearse`)."""
        return rehearse(self.stage, self.sampler, self.config, self.done)

    def step(self) -> tuple[dict[str, float], float]:
        """Take one step; return its numbers, and the seconds spent on the batch."""
        numbers, waited = take_step(self.stage, self.sampler, self.config.batch, self.done + 1, self.saved)
        self.done += 1
        if self.done % self.options.check_every == 0:
            arrays, state = state_of(self.stage, self.sampler)
            fix = "go on with --resume; if it happens again, use machines of one kind, and one version of everything"
            require_same(self.ranks, f"step {self.done} of stage {self.name}", lambda: arrays | state, fix)
        return numbers, waited

    def validate(self) -> dict[str, float]:
        """Evaluate the generator on the validation photos, if there are any, and write its output for them."""
        if not self.validation.originals or not self.ranks.first:
            return {}
        numbers, made = self.validation(self.stage, self.options.device)
        self.scores[self.done] = -numbers["content_validation"]
        for number, picture in enumerate(made.values()):
            write_image(self.folder / "pictures" / f"{self.name}-{self.done:08}-{number}.png", picture)
        return numbers

    def save(self) -> None:
        """Write a checkpoint, and publish the weights."""
        self._checkpoint()
        self.publish()
        if self.done in self.scores:
            self._draw()

    def publish(self) -> None:
        """Save the generator with recomputed statistics of batch norm, and the discriminator.

        The result depends only on the checkpoint: the crops come from a random generator of their own. A signal ends
        it at once with Stopped; the files published before remain.
        """
        config, came = self.config, self.asked()
        crops = self._crops(1)

        def lows() -> Iterator[Array]:
            for _ in range(config.bn_batches):
                if self.asked() != came:
                    raise Stopped(self.asked())
                yield to_device(crops.batch(config.batch)[0], self.options.device)

        generator = published(self.stage)
        recalibrate(generator, lows())
        if config.bn_batches:
            self.ranks.average(buffer for _, buffer in generator.named_buffers())
        if not self.ranks.first:
            return
        about: dict[str, Any] = {"stage": self.name, "content": config.content, "extractor": self.extractor}
        save_model(self.weights_file, generator, **about)
        if isinstance(self.stage, SRGANStage):
            save_model(self.folder / f"{self.name}_discriminator.safetensors", self.stage.discriminator, **about)

    def _prepare(self, config: Config, init: Generator | None, kept: Sequence[str]) -> None:
        """Build the stage and its training data from the settings."""
        rng, options = np.random.default_rng(config.seed), self.options
        generator = init or Generator(
            config.scale, config.channels, config.blocks, tanh=config.tanh, eps=config.eps, rng=rng
        )
        if generator.scale != config.scale:
            told, fix = f"a generator x{config.scale}", f"--set scale={generator.scale}, or another generator"
            raise ConfigError("--init", expected=told, got=generator.describe(), fix=fix)
        if init is None and config.start == "nearest":
            generator.start_as_nearest()
        network = {"channels": generator.width, "blocks": generator.depth, "tanh": generator.tanh, "eps": generator.eps}
        self.config = config = config.changed(network, "--init")
        if config.batch % (size := self.ranks.size):
            told, fix = f"a multiple of {size}, the number of ranks", f"--batch {-(-config.batch // size) * size}"
            raise ConfigError("batch", expected=told, got=str(config.batch), fix=fix)
        photos, chosen, self.kept = options.photographs(config, self.folder, kept)
        self.sampler = CropSampler(photos, config.crop, config.scale, rng)
        self.sampler.agree = lambda lost: {name: why for part in self.ranks.all(lost) for name, why in part.items()}
        fix = "give all ranks the same folder, on a file system that all machines share"
        require_same(self.ranks, "the photographs", self.sampler.fingerprints if size > 1 else dict, fix)
        self.validation = Validation(chosen, config.scale)
        other = self._crops(2)
        crops = (other.batch(config.batch)[1] for _ in range(config.calibrate))
        originals = (part for batch in crops for part in np.split(batch, size))  # not larger than in a step
        content = content_loss(config.content, options.vgg, originals, options.device)
        self.sampler.part = self.ranks.rank, size  # from here on
        self.extractor = extractor(config.content, options.vgg)
        generator.to(options.device)
        if self.name == "srresnet":
            self.stage = SRResNetStage(generator, content, config)
        else:
            discriminator = Discriminator(config.crop, config.d_channels, rng=rng).to(options.device)
            self.stage = SRGANStage(generator, discriminator, content, config)
        self.stage.ranks = self.ranks

    def _crops(self, number: int) -> CropSampler:
        """Return another source of crops, which depends only on the seed and not on the crops of the training."""
        crops = copy.copy(self.sampler)  # without the lost photographs
        crops.rng, crops.lost = np.random.default_rng([self.config.seed, number]), {}
        return crops

    def _require_same(self, state: Mapping[str, Any]) -> None:
        """Refuse other photographs or features, which would change the training unnoticed."""
        changed = changed_photos(self.sampler, state)
        told, fix = "the photographs", "put them back; give the same --data and --validation"
        if not changed and state["extractor"] != self.extractor:
            told, changed = f"the extractor {state['extractor']}", [self.extractor or "none"]
            fix = "give the same --vgg, or the same features:FILE"
        if changed:
            got = changed[:10] + [f"and {len(changed) - 10} more"] * (len(changed) > 10)
            raise CheckpointError("train --resume", expected=f"{told} that the training began with", got=got, fix=fix)

    def _open(self) -> None:
        """Prepare the folder: remove leftovers of a killed process, write the settings and the first checkpoint."""
        if self.ranks.first:
            self.checkpoints.clean()
            for path in self.folder.glob(".*.tmp"):
                path.unlink(missing_ok=True)
            results = [path for path in (self.log_file, self.weights_file) if path.is_file() and path.stat().st_size]
            steps = self.checkpoints.steps()
            if not self.resumed and (results or any(steps)):  # a training that took no step may be replaced
                got, fix = ", ".join(path.name for path in results) + ", but no checkpoint", "move them away"
                if steps:
                    got, fix = f"checkpoints up to step {steps[-1]}", "go on with it by --resume"
                told, fix = f"a folder without a training of stage {self.name}", f"{fix}, or give another folder"
                raise ConfigError(f"train --out {self.folder}", expected=told, got=got, fix=fix)
            write_config(self.settings_file, self.config)
        if not self.resumed:
            self._checkpoint()  # it contains the weights of --init, so that a training killed early can resume
        if self.ranks.first and self.log_file.is_file():  # keep the records of the checkpoint; later steps are repeated
            lines = self.log_file.read_text(encoding="utf-8").splitlines(keepends=True)
            write_whole(self.log_file, "".join(lines[: self.done]))

    def _checkpoint(self) -> None:
        self.sampler.look_again()
        for name, why in list(self.sampler.lost.items())[self.lost :]:
            tqdm.write(f"warning: {plain(name)} is left out from now on: {why}", file=sys.stderr)
        self.lost = len(self.sampler.lost)
        if not self.ranks.first:
            return
        arrays, numbers = state_of(self.stage, self.sampler)
        numbers |= {"config": asdict(self.config), "versions": {"minisrgan": __version__, "numpy": np.__version__}}
        numbers |= {"photos": self.sampler.fingerprints(), "lost": self.sampler.lost, "validation": self.kept}
        numbers |= {"extractor": self.extractor, "ranks": self.ranks.size}
        self.checkpoints.save(self.done, arrays, numbers, self.scores.get(self.done))
        self.saved = self.done

    def _draw(self) -> None:
        try:
            if self.ranks.first:
                self.draw(self)
        except Exception as error:  # a figure that cannot be drawn must not end the training
            tqdm.write(f"no figures: {type(error).__name__}: {error}", file=sys.stderr)
