"""A part of a training step that may be repeated where the memory of a GPU was full."""

from collections.abc import Callable
from itertools import count
from typing import TypeVar

from minisrgan.autograd import Tensor
from minisrgan.backend import retried
from minisrgan.nn import Module

R = TypeVar("R")


def repeatable(work: Callable[[], R], low: Tensor, *networks: Module) -> R:
    """Compute gradients on a batch, and once more where a GPU's memory was full.

    The networks learn nothing from it, and what their batch norms have noted is taken back before it is repeated: a
    step that is repeated in part is the same step.

    Errors  DeviceError where the memory is full again, with what to do about it
    """
    noted = [(array, array.copy()) for network in networks for _, array in network.named_buffers()]
    attempts = count()

    def attempt() -> R:
        for array, before in noted if next(attempts) else ():
            array[...] = before
        return work()

    return retried(attempt, f"--batch {max(1, len(low) // 2)} in place of {len(low)}, or a smaller --crop")
