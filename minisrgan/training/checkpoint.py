"""Checkpoints: everything that is needed to resume a training exactly.

A checkpoint is two files. ``NAME.safetensors`` holds the arrays; ``NAME.json``, the manifest, holds the rest and the
SHA-256 of both. Each is written to a temporary file, flushed to the disk (fsync), and then renamed, the manifest last.
If a run is killed at any moment, the checkpoint is complete or does not exist, and older checkpoints are unchanged.
"""

import contextlib
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from minisrgan.autograd import mark_changed
from minisrgan.backend import Array, array_module, is_array, to_numpy
from minisrgan.data import CropSampler
from minisrgan.errors import CheckpointError, RanksError, turned_into
from minisrgan.images import write_whole
from minisrgan.losses import VGGContent
from minisrgan.training.parallel import Ranks
from minisrgan.training.stages import Stage

Arrays = Mapping[str, Array]


class Checkpoints:
    """The checkpoints of one stage in a folder: the newest ones, and the best one.

    folder  created if it is missing; `clean` removes the leftovers of a killed process
    name    the stage; files are called name-00001000.safetensors and .json
    keep    how many of the newest are kept
    Errors  CheckpointError if a checkpoint cannot be written, and from `load` if all existing ones are damaged

    >>> import tempfile
    >>> import numpy as np
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     checkpoints = Checkpoints(folder, "srresnet")
    ...     checkpoints.save(10, {"x": np.ones(2, np.float32)}, {"lr": 0.1})
    ...     checkpoints.load()
    (10, {'x': array([1., 1.], dtype=float32)}, {'lr': 0.1})
    """

    def __init__(self, folder: str | Path, name: str, keep: int = 2) -> None:
        self.folder, self.name, self.keep = Path(folder), name, keep

    def steps(self) -> list[int]:
        """Return the steps that have a checkpoint, damaged or not, oldest first."""
        numbers = (path.stem.removeprefix(f"{self.name}-") for path in self.folder.glob(f"{self.name}-*.json"))
        return sorted(int(number) for number in numbers if number.isdecimal())

    def save(self, step: int, arrays: Arrays, state: Mapping[str, Any], score: float | None = None) -> None:
        """Write a checkpoint, then remove all but the newest ones and the one with the highest score.

        state  values that JSON can represent
        score  its quality, higher is better; None if it was not measured
        """
        from safetensors.numpy import save

        data = save({key: to_numpy(array).copy() for key, array in arrays.items()})
        manifest = {"step": step, "score": score, "sha256": hashlib.sha256(data).hexdigest(), "state": state}
        text = json.dumps(manifest | {"manifest_sha256": _digest(manifest)}, indent=1)
        weights = self._manifest(step).with_suffix(".safetensors")
        fix = "free space or mend the disk, then go on with --resume: the checkpoint before is whole"
        with turned_into(CheckpointError, f"checkpoint of step {step}", expected=f"to write {weights}", fix=fix):
            write_whole(weights, data, durable=True)
            write_whole(self._manifest(step), text, durable=True)
        self._prune(step)

    def load(self) -> tuple[int, dict[str, Array], dict[str, Any]] | None:
        """Return step, arrays and state of the newest undamaged checkpoint; None if there is no checkpoint."""
        damaged = []
        for step in reversed(self.steps()):
            try:
                return step, *self.read(step)
            except CheckpointError as error:
                damaged.append(f"{step}: {error.got}")
        if not damaged:
            return None
        where, fix = f"checkpoints of {self.name} in {self.folder}", "start again in another folder"
        raise CheckpointError(where, expected="one that is whole", got=damaged, fix=fix)

    def read(self, step: int) -> tuple[dict[str, Array], dict[str, Any]]:
        """Return arrays and state of one checkpoint; CheckpointError if it is damaged."""
        from safetensors.numpy import load

        weights = self._manifest(step).with_suffix(".safetensors")
        told, kinds = "the files that were written", (OSError, ValueError, KeyError, TypeError, AttributeError)
        with turned_into(CheckpointError, f"checkpoint {weights}", expected=told, fix="use another one", of=kinds):
            manifest = json.loads(self._manifest(step).read_text(encoding="utf-8"))
            expected, data = manifest.pop("manifest_sha256"), weights.read_bytes()
            if expected != _digest(manifest) or manifest["sha256"] != hashlib.sha256(data).hexdigest():
                raise ValueError("its checksum does not fit")
            return load(data), manifest["state"]

    def _manifest(self, step: int) -> Path:
        return self.folder / f"{self.name}-{step:08}.json"

    def _prune(self, saved: int) -> None:
        steps, scores = [step for step in self.steps() if step <= saved], {}  # later ones are damaged: `load` took none
        for step in steps:
            with contextlib.suppress(OSError, ValueError, KeyError):
                score = json.loads(self._manifest(step).read_text(encoding="utf-8"))["score"]
                scores[step] = -math.inf if score is None else score
        best = max(scores, key=lambda step: (scores[step], step))
        for step in set(steps[: -self.keep]) - {best}:
            self._manifest(step).unlink(missing_ok=True)  # first: without it there is no checkpoint
            self._manifest(step).with_suffix(".safetensors").unlink(missing_ok=True)

    def clean(self) -> None:
        """Remove the leftovers of a killed process: temporary files, and arrays without a manifest."""
        for path in self.folder.glob(".*.tmp"):
            path.unlink(missing_ok=True)
        for path in self.folder.glob(f"{self.name}-[0-9]*.safetensors"):
            if not path.with_suffix(".json").exists():
                path.unlink(missing_ok=True)


def _digest(manifest: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Lock a folder for this process during the block; CheckpointError if another process has locked it.

    The operating system's lock on an open file is used: it is released when the process ends, in whatever way.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, locked(folder):
    ...     pass
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    with Path(folder, ".lock").open("a+", encoding="utf-8") as file:
        try:
            _lock(file.fileno())
        except OSError as error:
            file.seek(0)
            told, got = "that nobody else trains in it", f"in use by process {file.read().strip() or 'unknown'}"
            fix = "wait for that process or stop it, or give another --out"
            raise CheckpointError(f"run {folder}", expected=told, got=got, fix=fix) from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _lock(descriptor: int) -> None:
    """Lock an open file until it is closed, or raise OSError; do nothing where the system has no locks."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:
        with contextlib.suppress(ImportError):  # a web browser has no fcntl, and no other process
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def state_of(stage: Stage, sampler: CropSampler) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return all that the next steps depend on: arrays, of networks, optimizers and the average, and numbers."""
    arrays: dict[str, Array] = {}
    for name, module in stage.modules.items():
        arrays |= {f"{name}.{key}": array for key, array in module.state_dict().items()}
    for name, optimizer in stage.optimizers.items():
        arrays |= {f"adam.{name}.{key}": array for key, array in optimizer.state_dict().items()}
    scale = getattr(stage.loss.content, "scale", None)
    numbers: dict[str, Any] = {"rng": sampler.rng.bit_generator.state, "content_scale": scale}
    numbers["adam_steps"] = {name: list(optimizer.counts) for name, optimizer in stage.optimizers.items()}
    if stage.average:
        arrays |= {f"ema.{key}": array for key, array in stage.average.average.items()}
        numbers["ema_steps"] = stage.average.steps
    if stage.balance and stage.balance.ratio is not None:  # None during the head start
        arrays["balance.ratio"] = stage.balance.ratio
    return arrays, numbers


def restore(stage: Stage, sampler: CropSampler, arrays: Arrays, state: Mapping[str, Any]) -> None:
    """Restore a saved state into a stage that was built with the same settings.

    Errors  CheckpointError if a part of the state is missing; WeightsError if it belongs to other networks
    """

    def part(prefix: str) -> dict[str, Array]:
        return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}

    where, told = f"checkpoint of stage {stage.name}", "its networks, optimizers and state of the random numbers"
    fix, kinds = "resume with the settings that the run was started with", (KeyError, TypeError, ValueError)
    with turned_into(CheckpointError, where, expected=told, fix=fix, of=kinds):
        for name, module in stage.modules.items():
            module.load_state_dict(part(f"{name}."))
        for name, optimizer in stage.optimizers.items():
            optimizer.load_state_dict(part(f"adam.{name}."), state["adam_steps"][name])
        if stage.average:
            for key, array in stage.average.average.items():
                array[...] = array_module(array).asarray(arrays[f"ema.{key}"])
                mark_changed(array)
            stage.average.steps = state["ema_steps"]
        if stage.balance and "balance.ratio" in arrays:
            xp = array_module(stage.generator.parameters()[0].data)
            stage.balance.ratio = xp.asarray(arrays["balance.ratio"])
        sampler.rng.bit_generator.state = state["rng"]
    if isinstance(content := stage.loss.content, VGGContent):
        content.scale = state.get("content_scale", content.scale)  # as calibrated when the training began


def changed_photos(sampler: CropSampler, state: Mapping[str, Any]) -> list[str]:
    """Return how a sampler's photos differ from those of a saved state; set its photos to those of the state."""
    began, now, lost = state["photos"], sampler.fingerprints(), state.get("lost", {})
    if isinstance(began, str):  # version 0.1 stored a checksum of names and sizes
        sizes = sorted((name, (height, width, 3)) for name, (height, width, _) in now.items())
        same = hashlib.sha256(repr(sizes).encode()).hexdigest() == began
        return [] if same else ["other names or sizes"]
    changed = [f"{name} is gone" for name in began if name not in now]
    changed += [f"{name} is another picture" for name in now if now[name] != tuple(began.get(name, now[name]))]
    changed += [f"{name} is new" for name in now if name not in began and name not in lost]
    sampler.names, sampler.lost = list(began), dict(lost)
    return changed


def require_same(ranks: Ranks, where: str, what: Callable[[], dict[str, Any]], fix: str) -> None:
    """Raise RanksError with the name of the first part that differs between ranks; compare arrays by their hash."""
    if ranks.size == 1:
        return
    parts = what()
    parts |= {name: hashlib.sha256(to_numpy(a).tobytes()).digest() for name, a in parts.items() if is_array(a)}
    first, *others = ranks.all(parts)
    for rank, theirs in enumerate(others, 1):
        if different := [name for name in {**first, **theirs} if first.get(name) != theirs.get(name)]:
            more = f", and {len(different) - 1} more" * (len(different) > 1)
            got = f"{different[0]} differs between rank 0 and rank {rank}{more}"
            raise RanksError(where, "the same on all ranks", got, fix)
