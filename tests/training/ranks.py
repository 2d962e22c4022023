"""Ranks without MPI: threads of one process, and a communicator between them that has the calls we use."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from minisrgan.backend import Array
from minisrgan.training.parallel import MPIRanks

T = TypeVar("T")


class World:
    """What the threads share."""

    def __init__(self, size: int) -> None:
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
        receive[...] = np.concatenate([other[self.rank * share :][:share] for other in self.allgather(send)])

    def Allgather(self, send: Array, receive: Array) -> None:
        receive[...] = np.concatenate(self.allgather(send))

    def Get_info(self) -> dict[str, str]:
        return Info()

    def Abort(self, status: int) -> None:
        self.world.barrier.abort()


class Info(dict[str, str]):
    """The answers of an MPI library that knows nothing of GPUs."""

    def Get(self, key: str) -> str | None:
        return self.get(key)


def on_ranks(size: int, work: Callable[[MPIRanks], T]) -> list[T]:
    """Do the same work on several ranks at once; return what it gives on each."""
    world = World(size)

    def one(rank: int) -> T:
        try:
            return work(MPIRanks(Comm(world, rank)))
        except BaseException:
            world.barrier.abort()  # nobody waits for a rank that is gone
            raise

    with ThreadPoolExecutor(size) as pool:
        return [future.result() for future in [pool.submit(one, rank) for rank in range(size)]]
