"""Several processes that train together: on the cores or GPUs of one machine, or on several machines.

Each process, a rank, computes on its part of every batch; the results are averaged, and all ranks take the same step.
So all of them hold equal weights at every step, to the last bit. `ALONE` is the one process of an ordinary training.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, redirect_stderr, redirect_stdout
from itertools import accumulate, count, pairwise
from typing import Any, TypeVar

import numpy as np

from minisrgan.backend import Array, array_module, threads, to_numpy
from minisrgan.errors import MinisrganError, RanksError
from minisrgan.nn import Module

T = TypeVar("T")

# Variables in which launchers store the number of processes: MPICH, Intel MPI and Cray; Open MPI; Slurm's srun.
_SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS")


class Ranks:
    """One process that trains alone; it has the methods of `MPIRanks`, which cost nothing here.

    rank, size  the number of this process, from 0, and the number of processes
    first       whether it is rank 0, which alone reads and writes the folder of the run
    local       its number among those on the same machine

    >>> ALONE.same(lambda: 3), ALONE.all(5), ALONE.average([np.float32(2)])
    (3, [5], [np.float32(2.0)])
    """

    rank, size, first, local = 0, 1, True, 0

    def average(self, arrays: Iterable[Array]) -> Iterable[Array]:
        """Average arrays over the ranks, in place; return them, as NumPy scalars cannot be changed in place."""
        return arrays

    def same(self, work: Callable[[], T]) -> T:
        """Return the result of work on rank 0; the other ranks do not run it."""
        return work()

    def all(self, value: T) -> list[T]:
        """Return every rank's value, in the order of the ranks."""
        return [value]

    def together(self) -> AbstractContextManager[None]:
        """Enclose all work of the ranks: an error of one rank ends all of them, and one of them reports it."""
        return nullcontext()


ALONE = Ranks()


def found(network: Module, networks: Mapping[str, Module]) -> Iterator[Array]:
    """Yield what a rank has computed from its part of a batch: a network's gradients, and all running statistics.

    They are averaged right after the backward pass, before anything is done with them: clipping, the step, the EMA.
    """
    yield from (parameter.grad.data for parameter in network.parameters() if parameter.grad is not None)
    for module in networks.values():
        yield from (buffer for _, buffer in module.named_buffers())


class Left(SystemExit):
    """Another rank has failed and reports it; this one ends silently with the same exit status."""

    def __init__(self, rank: int, status: int) -> None:
        super().__init__(status)
        self.rank = rank


class MPIRanks(Ranks):
    """Processes that exchange messages by MPI.

    An exchange begins with one number from each rank: 0, or the exit status if the rank has failed. A rank that fails
    sends its status in the next exchange of the others, whichever that is, so all ranks stop at the same exchange.

    comm    a communicator of mpi4py
    local   as in `Ranks`
    cores   how many threads this rank should use
    """

    def __init__(self, comm: Any, local: int = 0, cores: int = 1) -> None:
        self.comm, self.rank, self.size, self.local, self.cores = comm, comm.rank, comm.size, local, cores
        self.first = self.rank == 0
        # MPI 4.1, memory allocation kinds: memory that the library can send from. Without an answer we send copies.
        self.on_gpu = "cuda" in (comm.Get_info().Get("mpi_memory_alloc_kinds") or "")

    def average(self, arrays: Iterable[Array]) -> list[Array]:
        """Average arrays over the ranks in one flat buffer.

        Formula  rank r adds the r-th part of all ranks' buffers, in the order of the ranks; then all get all parts.
                 MPI's own sum has an order that depends on the library and on where the ranks run.
        """
        arrays = [np.asarray(array) if isinstance(array, np.generic) else array for array in arrays]
        self._meet()
        xp, edges = array_module(arrays[0]), [0, *accumulate(array.size for array in arrays)]
        padding = xp.zeros(-edges[-1] % self.size, arrays[0].dtype)
        flat = xp.concatenate([*(array.reshape(-1) for array in arrays), padding])
        flat = flat if self.on_gpu else to_numpy(flat)
        parts = array_module(flat).empty_like(flat)
        self.comm.Alltoall(_written(flat), parts)
        mean = parts.reshape(self.size, -1).sum(axis=0) / self.size
        self.comm.Allgather(_written(mean), flat)
        flat = xp.asarray(flat)
        means = [flat[a:b].reshape(array.shape) for array, (a, b) in zip(arrays, pairwise(edges), strict=True)]
        for array, average in zip(arrays, means, strict=True):
            array[...] = average
        return means

    def same(self, work: Callable[[], T]) -> T:
        """As in `Ranks`."""
        value = work() if self.first else None
        self._meet()
        result: T = self.comm.bcast(value)
        return result

    def all(self, value: T) -> list[T]:
        """As in `Ranks`."""
        self._meet()
        values: list[T] = self.comm.allgather(value)
        return values

    @contextmanager
    def together(self) -> Iterator[None]:
        """As in `Ranks`; only rank 0 prints, and the cores of a machine are shared out."""
        try:
            with ExitStack() as stack:
                if "MINISRGAN_THREADS" not in os.environ:
                    stack.enter_context(threads(self.cores))
                if not self.first:
                    nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
                    stack.enter_context(redirect_stdout(nowhere))
                    stack.enter_context(redirect_stderr(nowhere))
                yield
                self._meet()  # a slower rank may still send an error
        except Left:
            raise
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt) and not hasattr(error, "status"):
                self.comm.Abort(130)  # the second Ctrl-C: do not wait for the others
            usual = 2 if isinstance(error, MinisrganError | OSError | MemoryError) else 1
            try:
                self._meet(getattr(error, "status", usual))
            except Left as left:
                if left.rank != self.rank:
                    raise left from None
            raise

    def _meet(self, status: int = 0) -> None:
        """Wait for the other ranks; raise Left for the first one that has failed."""
        statuses = np.zeros(self.size, np.int32)
        request = self.comm.Iallgather(np.array([status], np.int32), statuses)
        for tries in count():  # MPI's own waiting keeps a core busy and blocks signals
            if request.Test():
                break
            time.sleep(0 if tries < 1000 else 1e-4)
        for rank in np.flatnonzero(statuses)[:1]:
            raise Left(int(rank), int(statuses[rank]))


def _written(array: Array) -> Array:
    """Wait until the GPU has written an array, and return it; MPI does not wait for CuPy's streams."""
    if not isinstance(array, np.ndarray):
        array_module(array).cuda.get_current_stream().synchronize()
    return array


def started() -> Ranks:
    """Return the ranks that mpiexec or srun has started; without them `ALONE`, and mpi4py is not imported.

    Errors  RanksError if mpi4py is missing, or its MPI is not the one whose mpiexec has started the processes
    """
    size = max(int(number) if (number := os.environ.get(name, "")).isdecimal() else 1 for name in _SIZES)
    if size == 1:
        return ALONE
    where, expected = f"a training on {size} ranks", "mpi4py, and the MPI of this mpiexec or srun"
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError, OSError) as error:
        raise RanksError(where, expected, str(error), 'pip install "minisrgan[mpi]"; see docs/cluster.md') from error
    world = MPI.COMM_WORLD
    if world.size != size:
        got = f"{MPI.Get_library_version().splitlines()[0]}, which sees {world.size}"
        fix = "start them by the mpiexec of that library, or by srun --mpi=pmi2 or --mpi=pmix; see docs/cluster.md"
        raise RanksError(where, expected, got, fix)
    machine = world.Split_type(MPI.COMM_TYPE_SHARED)
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))
    sharing = sum(not mine.isdisjoint(theirs) for theirs in machine.allgather(mine))
    return MPIRanks(world, machine.rank, max(1, len(mine) // sharing))
