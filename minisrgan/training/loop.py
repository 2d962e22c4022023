"""The loop around the steps: batches, progress, a log, and a stop at the first number that is not finite."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from minisrgan.autograd import Tensor
from minisrgan.backend import array_module, to_device
from minisrgan.data import CropSampler
from minisrgan.errors import NonFiniteError
from minisrgan.training.stages import Stage


def run_stage(
    stage: Stage,
    sampler: CropSampler,
    batch: int,
    *,
    device: str = "cpu",
    log_file: Path | None = None,
    first_step: int = 0,
    save: Callable[[], None] | None = None,
    save_every: int = 1000,
    progress: bool = True,
) -> list[dict[str, Any]]:
    """Train a stage for all of its steps.

    batch       crops a step
    log_file    gets one JSON line a step: step, stage, seconds, and what the stage reports
    first_step  added to the step numbers of the log, so that one log can hold both stages
    save        called every ``save_every`` steps, at the end, and when the user presses Ctrl-C; not after an error,
                so that what was saved last stays good
    progress    draw a progress bar on stderr: losses, images a second, time left
    Returns     the records of the log
    Errors      NonFiniteError at the first loss, weight or running statistic that is infinite or NaN, naming it
    """
    records: list[dict[str, Any]] = []
    # On a terminal the bar moves all the time; in a file a line every ten seconds will do.
    interval = 0.2 if sys.stderr.isatty() else 10.0
    log = log_file.open("a") if log_file else None
    start = time.perf_counter()
    try:
        with tqdm(
            total=stage.steps * batch, desc=stage.name, unit="img", disable=not progress, mininterval=interval,
            dynamic_ncols=True,
        ) as bar:  # fmt: skip
            for step in range(stage.steps):
                low, high = (Tensor(to_device(array, device)) for array in sampler.batch(batch))
                with np.errstate(all="ignore"):  # a bad number is reported below, by name
                    numbers = stage.step(step, low, high)
                _check_finite(stage, step + 1, numbers)
                record = {"step": first_step + step + 1, "stage": stage.name, **numbers}
                record["seconds"] = round(time.perf_counter() - start, 3)
                records.append(record)
                if log:
                    log.write(json.dumps(record) + "\n")
                    log.flush()
                bar.set_postfix_str(_postfix(numbers), refresh=False)
                bar.update(batch)
                if save and ((step + 1) % save_every == 0 or step + 1 == stage.steps):
                    save()
    except KeyboardInterrupt:
        if save and records:
            save()
        raise
    finally:
        if log:
            log.close()
    return records


def _postfix(numbers: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.3g}" for name, value in numbers.items())


def _check_finite(stage: Stage, step: int, numbers: dict[str, float]) -> None:
    """Stop where a loss is not finite, and say which tensor of which network was the first to go."""
    bad = [f"{name} = {value}" for name, value in numbers.items() if not math.isfinite(value)]
    if not bad:
        return
    for network, module in stage.modules().items():
        for name, array in module.state_dict().items():
            if not array_module(array).isfinite(array).all():
                bad.append(f"first tensor that is not finite: {network}.{name}")
                break
    raise NonFiniteError(
        f"step {step} of stage {stage.name}",
        expected="finite losses",
        got="\n".join(bad),
        fix="lower the learning rate; wrap one step in minisrgan.anomaly_mode() to find the operation",
    )
