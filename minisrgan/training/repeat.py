"""Repeat a part of a training step if the memory of a GPU was full."""

from collections.abc import Callable
from itertools import count
from typing import TypeVar

from minisrgan.autograd import Tensor
from minisrgan.backend import array_module, fetches, retried
from minisrgan.nn import Module

R = TypeVar("R")


def repeatable(work: Callable[[], R], low: Tensor, *networks: Module) -> R:
    """Compute gradients on a batch, and try again once if the memory of a GPU was full.

    The computation changes no weights, and the running statistics of batch norm are restored before it is repeated, so
    the result of the step is the same.

    Errors  DeviceError with advice if the memory is full again
    """
    if fetches.get() is not None:
        return work()  # while it is captured, it computes nothing
    buffers = [array for network in networks for _, array in network.named_buffers()]
    flat = [array.reshape(-1) for array in buffers]
    before = array_module(low.data).concatenate(flat) if flat else low.data
    attempts = count()

    def attempt() -> R:
        start = 0
        for array in buffers if next(attempts) else ():
            array[...] = before[start : start + array.size].reshape(array.shape)
            start += array.size
        return work()

    return retried(attempt, f"--batch {max(1, len(low) // 2)} in place of {len(low)}, or a smaller --crop")
