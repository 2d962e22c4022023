"""The loop around the steps: batches, progress, and a stop at the first number that is not finite."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from minisrgan.autograd import Tensor
from minisrgan.backend import array_module, retried, to_device
from minisrgan.data import CropSampler
from minisrgan.errors import NonFiniteError
from minisrgan.training.log import Log
from minisrgan.training.stages import Stage
from minisrgan.training.stop import Stopped, stop_signals


def run_stage(
    stage: Stage,
    sampler: CropSampler,
    batch: int,
    *,
    device: str = "cpu",
    log_file: Path | None = None,
    first_step: int = 0,
    done: int = 0,
    save: Callable[[int], None] | None = None,
    save_every: int = 1000,
    validate: Callable[[int], dict[str, float]] | None = None,
    validate_every: int = 1000,
    listen: Callable[[dict[str, Any]], None] | None = None,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Train a stage for all of its steps.

    batch       crops a step
    log_file    gets the records of the steps (`Log`)
    first_step  added to the step numbers of the log, so that one log can hold both stages
    done        steps that were taken already, by the training that this one goes on with
    save        called with the number of steps taken, every ``save_every`` steps, at the end, and when a signal stops
                the training; not after an error, so that what was saved last stays good
    validate    called with the number of steps taken, every ``validate_every`` steps and at the end, before ``save``;
                what it returns goes into the record of the step
    listen      called with each record
    progress    draw a progress bar on stderr: losses, images a second, time left
    Returns     the records of the log, the last 10,000 at most
    Warnings    of `plain_words`, on stderr and in the log
    Errors      NonFiniteError at the first loss or gradient that is infinite or NaN, naming it; Stopped after Ctrl-C or
                SIGTERM, at the end of the step
    """
    saved = done
    advice = f"--batch {max(1, batch // 2)} in place of {batch}, or a smaller --crop"  # where a GPU's memory is full
    # On a terminal the bar moves all the time; in a file a line every ten seconds will do.
    interval = 0.2 if sys.stderr.isatty() else 10.0
    with (
        stop_signals() as asked,
        Log(log_file, listen) as log,
        tqdm(total=stage.steps * batch, initial=done * batch, desc=stage.name, unit="img", disable=not progress,
             mininterval=interval, dynamic_ncols=True) as bar,
    ):  # fmt: skip
        for step in range(done + 1, stage.steps + 1):
            began = time.perf_counter()
            low, high = (Tensor(to_device(array, device)) for array in sampler.batch(batch))
            waited = time.perf_counter() - began
            with np.errstate(all="ignore"):  # a bad number is reported below, by name
                numbers = retried(partial(stage.step, step - 1, low, high), advice)
            _check_finite(stage, step, numbers, saved if save else None)
            ends = step == stage.steps
            if validate and (ends or step % validate_every == 0):
                numbers |= validate(step)
            for warning in log.add(first_step + step, stage.name, numbers, waited):
                bar.write(f"warning at step {step}: {warning}", file=sys.stderr)
            bar.set_postfix_str(log.line(), refresh=False)
            bar.update(batch)
            stop = asked()
            if save and (stop or ends or step % save_every == 0):
                save(step)
                saved = step
            if stop and not ends:
                raise Stopped(stop)
    return list(log.records)


def _check_finite(stage: Stage, step: int, numbers: dict[str, float], saved: int | None) -> None:
    """Stop where a loss or the gradient of a network is not finite, and say which tensors were the first to go."""
    bad = [f"{name} = {value}" for name, value in numbers.items() if not math.isfinite(value)]
    if not bad:
        return
    for network, module in stage.modules().items():
        gradients = {name: p.grad.data for name, p in module.named_parameters() if p.grad is not None}
        for kind, arrays in ("gradient", gradients), ("tensor", module.state_dict()):
            first = next((name for name, a in arrays.items() if not array_module(a).isfinite(a).all()), None)
            if first:
                bad.append(f"first {kind} that is not finite: {network}.{first}")
    raise NonFiniteError(
        f"step {step} of stage {stage.name}",
        expected="finite losses and gradients",
        got="\n".join(bad),
        fix=("" if saved is None else f"what was saved after step {saved} is good; ")
        + "lower the learning rate; wrap one step in minisrgan.anomaly_mode() to find the operation",
    )
