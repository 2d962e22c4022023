"""Repeat a part of a training step if the memory of a GPU was full."""

from collections.abc import Callable
from itertools import count
from typing import TypeVar

from minisrgan.autograd import Tensor
from minisrgan.backend import retried
from minisrgan.nn import Module

R = TypeVar("R")


def repeatable(work: Callable[[], R], low: Tensor, *networks: Module) -> R:
    """Compute gradients on a batch, and try again once if the memory of a GPU was full.

    The computation changes no weights, and the running statistics of batch norm are restored before it is repeated, so
    the result of the step is the same.

    Errors  DeviceError with advice if the memory is full again
    """
    noted = [(array, array.copy()) for network in networks for _, array in network.named_buffers()]
    attempts = count()

    def attempt() -> R:
        for array, before in noted if next(attempts) else ():
            array[...] = before
        return work()

    return retried(attempt, f"--batch {max(1, len(low) // 2)} in place of {len(low)}, or a smaller --crop")
