"""Ranks without MPI: threads of one process, and a communicator between them that has the calls we use."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np

from minisrgan.backend import Array
from minisrgan.training.parallel import MPIRanks

T = TypeVar("T")


class World:
    """What the threads share."""

    def __init__(self, size: int, info: dict[str, str]) -> None:
        self.info = info  # the answers of the MPI library
        self.size, self.slots, self.barrier = size, [None] * size, threading.Barrier(size, timeout=60)


class Comm:
    """A communicator of mpi4py, as one rank sees it."""

    def __init__(self, world: World, rank: int) -> None:
        self.world, self.rank, self.size = world, rank, world.size

    def allgather(self, value: Any) -> list[Any]:
        self.world.slots[self.rank] = copy.deepcopy(value)
        self.world.barrier.wait()
        values = copy.deepcopy(self.world.slots)
        self.world.barrier.wait()
        return values

    def bcast(self, value: Any) -> Any:
        return self.allgather(value)[0]

    def Iallgather(self, send: Array, receive: Array) -> Any:
        receive[...] = np.concatenate(self.allgather(send))
        return self

    def Test(self) -> bool:
        return True

    def Alltoall(self, send: Array, receive: Array) -> None:
        share = len(send) // self.size
        parts = [other[self.rank * share :][:share] for other in self.allgather(memory(send))]
        memory(receive)[...] = np.concatenate(parts)

    def Allgather(self, send: Array, receive: Array) -> None:
        memory(receive)[...] = np.concatenate(self.allgather(memory(send)))

    def Get_info(self) -> Any:
        return SimpleNamespace(Get=self.world.info.get)

    def Abort(self, status: int) -> None:
        self.world.barrier.abort()


def memory(array: Any) -> Array:
    """Return the memory of an array, which a library that can send from GPUs reads where it is."""
    return array if isinstance(array, np.ndarray) else array._array


def on_ranks(size: int, work: Callable[[MPIRanks], T], **info: str) -> list[T]:
    """Do the same work on several ranks at once; return what it gives on each."""
    world = World(size, info)

    def one(rank: int) -> T:
        try:
            return work(MPIRanks(Comm(world, rank)))
        except BaseException:
            world.barrier.abort()  # nobody waits for a rank that is gone
            raise

    with ThreadPoolExecutor(size) as pool:
        return [future.result() for future in [pool.submit(one, rank) for rank in range(size)]]
