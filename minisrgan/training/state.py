"""What a stage is made of at the end of a step, as arrays and numbers, and back."""

from __future__ import annotations

from typing import Any

from minisrgan.autograd import mark_changed
from minisrgan.backend import Array, array_module
from minisrgan.data import CropSampler
from minisrgan.errors import CheckpointError
from minisrgan.training.stages import Stage


def state_of(stage: Stage, sampler: CropSampler) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the arrays of networks, optimizers and average, and the numbers: steps of each, state of the crops."""
    arrays: dict[str, Array] = {}
    for name, module in stage.modules().items():
        arrays |= {f"{name}.{key}": array for key, array in module.state_dict().items()}
    for name, optimizer in stage.optimizers().items():
        arrays |= {f"adam.{name}.{key}": array for key, array in optimizer.state_dict().items()}
    numbers: dict[str, Any] = {"rng": sampler.rng.bit_generator.state}
    numbers["adam_steps"] = {name: optimizer.counts for name, optimizer in stage.optimizers().items()}
    if stage.average:
        arrays |= {f"ema.{key}": array for key, array in stage.average.average.items()}
        numbers["ema_steps"] = stage.average.steps
    if stage.balance and stage.balance.ratio is not None:  # None in the head start
        arrays["balance.ratio"] = stage.balance.ratio
    return arrays, numbers


def restore(stage: Stage, sampler: CropSampler, arrays: dict[str, Array], state: dict[str, Any]) -> None:
    """Bring a stage, built with the same settings, to a saved state.

    Errors  CheckpointError where something of it is missing; WeightsError where it is of other networks
    """

    def part(prefix: str) -> dict[str, Array]:
        return {key.removeprefix(prefix): array for key, array in arrays.items() if key.startswith(prefix)}

    try:
        for name, module in stage.modules().items():
            module.load_state_dict(part(f"{name}."))
        for name, optimizer in stage.optimizers().items():
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
    except (KeyError, TypeError, ValueError) as error:
        told = "the networks, the optimizers and the state of the random numbers"
        got = f"{type(error).__name__}: {error}"
        fix = "resume with the settings that the run was started with"
        raise CheckpointError(f"checkpoint of stage {stage.name}", expected=told, got=got, fix=fix) from error
