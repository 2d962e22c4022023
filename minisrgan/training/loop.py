"""One training step, with an error if a number is not finite; and a rehearsal, which times a few of them."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from functools import partial

import numpy as np

from minisrgan.autograd import Tensor
from minisrgan.backend import Array, array_module, device_of, sent_to, to_device
from minisrgan.data import CropSampler
from minisrgan.errors import NonFiniteError
from minisrgan.training.captured import step_of
from minisrgan.training.config import Config
from minisrgan.training.log import peak_memory
from minisrgan.training.stages import Stage
from minisrgan.training.watch import pooled


def take_step(
    stage: Stage, sampler: CropSampler, batch: int, step: int, saved: int | None = None
) -> tuple[dict[str, float], float]:
    """Take one step of a stage on a new batch; return its numbers, and the seconds spent on the batch.

    step    the number of the step, starting at 1
    saved   the step of the last checkpoint, for the error message
    Errors  NonFiniteError that names the loss or gradient that is infinite or NaN
    """
    began, device = time.perf_counter(), device_of(stage.generator.conv_first.weight.data)
    if device == "cpu" or stage.ranks.size > 1:  # several ranks agree on each batch
        pair: Sequence[Array] = [to_device(array, device) for array in sampler.batch(batch)]
    else:  # the next batch is prepared while the GPU computes
        pair = sampler.ahead(batch, partial(sent_to, device))
    low, high = map(Tensor, pair)
    waited = time.perf_counter() - began
    with np.errstate(all="ignore"):  # non-finite numbers are reported below, by name
        each = stage.ranks.all(step_of(stage, device)(step - 1, low, high))
    _check_finite(stage, step, each, saved)
    return pooled(each), waited


def rehearse(stage: Stage, sampler: CropSampler, config: Config, done: int = 0) -> str:
    """Take a few steps; report the time and memory of the whole training, the changed settings, and the gradients."""

    def pace(step: int) -> tuple[float, dict[str, float]]:
        take_step(stage, sampler, config.batch, step)  # the first one is slower
        began = time.perf_counter()
        numbers = [take_step(stage, sampler, config.batch, step)[0] for _ in range(3)]
        return (time.perf_counter() - began) / 3, numbers[-1]

    left, head = stage.steps - done, max(0, getattr(stage, "head_start", 0) - done)
    seconds, numbers = pace(done + head + 1)
    alone = pace(done + 1)[0] if head else 0.0
    whole = timedelta(seconds=round(head * alone + (left - head) * seconds))
    lines = [f"{seconds:.3f} s a step, {1 / seconds:.1f} steps a second", f"{left:,} steps take {whole} (h:mm:ss)"]
    if head:
        lines.append(f"the first {head:,} of them, in which only the discriminator learns, {alone:.3f} s each")
    paper = asdict(Config())
    recipe = [f"{name} = {value}" for name, value in asdict(config).items() if value != paper[name]]
    lines += [f"memory: {peak_memory():,.0f} MB", f"settings that are not the paper's: {', '.join(recipe) or 'none'}"]
    lines += [f"gradient of the {name.removeprefix('grad_')} loss at the generator's output: {value:.3g}"
              for name, value in numbers.items() if name.startswith("grad_")]  # fmt: skip
    return "\n".join(lines)


def _check_finite(stage: Stage, step: int, each: Sequence[Mapping[str, float]], saved: int | None) -> None:
    """Raise an error if a loss or a gradient is not finite, and name the first tensors that are not."""
    bad = [f"{name} = {number}" + f" on rank {rank}" * (len(each) > 1) for rank, numbers in enumerate(each)
           for name, number in numbers.items() if not math.isfinite(number)]  # fmt: skip
    if not bad:
        return
    for network, module in stage.modules.items():
        gradients = {name: p.grad.data for name, p in module.named_parameters() if p.grad is not None}
        for kind, arrays in ("gradient", gradients), ("tensor", module.state_dict()):
            first = next((name for name, a in arrays.items() if not array_module(a).isfinite(a).all()), None)
            if first:
                bad.append(f"first {kind} that is not finite: {network}.{first}")
    fix = "lower the learning rate; wrap one step in minisrgan.anomaly_mode() to find the operation"
    fix = fix if saved is None else f"what was saved after step {saved} is good; {fix}"
    where, expected = f"step {step} of stage {stage.name}", "finite losses and gradients"
    raise NonFiniteError(where, expected=expected, got=bad, fix=fix)
