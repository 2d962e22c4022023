"""CUDA graphs: the kernel launches of some code, recorded once and repeated by a single call.

A graph repeats its launches with the same arguments, which are addresses and sizes. Numbers that change from one run to
the next must be in the GPU's memory: `Graph.upload` reserves a place for them, and `Graph.start` fills it. CuPy refuses
to call cuBLAS during a capture (its `setStream` raises NotImplementedError up to CuPy 14.2), although cuBLAS itself
allows it. So `product` calls the library directly there, and for batches of products always.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any, TypeVar

import numpy as np

from minisrgan.backend import Array, array_module, fetches, setting, tf32
from minisrgan.errors import DeviceError

R = TypeVar("R")
_current: ContextVar[Graph | None] = ContextVar("graph", default=None)
_WORKSPACE = 32 << 20  # bytes for cuBLAS, which allocates memory of its own otherwise
_FIX = "unset MINISRGAN_CUDA_GRAPH, if it is set; run minisrgan doctor"


class Graph:
    """The launches of some code, with their own stream and memory pool, so that their addresses stay valid.

    First ``run(work)`` runs the code on that stream, at least once, so that everything is compiled and the pool has
    memory. Then ``capture(work)`` records it without computing anything; ``start()`` computes it and returns what it
    fetched. Before each further start, ``refresh(work)`` runs code that uploads numbers and launches nothing.
    What cannot be recorded, such as an exchange with other processes, is given to ``pause(work)`` during the capture:
    the graph then has a part before it and a part after it.
    """

    def __init__(self) -> None:
        import cupy

        self.cupy, self.stream, self.pool = cupy, cupy.cuda.Stream(non_blocking=True), cupy.cuda.MemoryPool()
        self.uploads: dict[tuple[str, bytes], tuple[list[Array], tuple[Array, ...]]] = {}  # places, and what goes there
        self.fetches: list[Any] = []
        self.parts: list[Callable[[], object]] = []
        self.complete = False

    @contextlib.contextmanager
    def _beside(self) -> Iterator[None]:
        """Make this stream wait for the current one, and afterwards the current stream wait for this one."""
        before = self.cupy.cuda.get_current_stream()
        self.stream.wait_event(before.record())
        with self.stream:
            yield
        before.wait_event(self.stream.record())

    def run(self, work: Callable[[], R]) -> R:
        """Run work on the stream, with memory of the pool."""
        with self._beside(), self.cupy.cuda.using_allocator(self.pool.malloc):
            return work()

    def capture(self, work: Callable[[], R]) -> R:
        """Record the launches of work; nothing is computed, and everything that it fetches is NaN."""

        def recorded() -> R:
            self._prepare_cublas()
            self.stream.begin_capture()
            try:
                return work()
            finally:
                self._end_part()
                self.complete = True

        with setting(_current, self), setting(fetches, self.fetches):
            return self.run(recorded)

    def _end_part(self) -> None:
        self.parts.append(functools.partial(self.stream.end_capture().launch, self.stream))

    def pause(self, work: Callable[[], object]) -> None:
        """Let every start run work at this place of the capture, with other memory than that of the pool.

        The pool's memory may hold numbers that the next part of the graph reads, although no array refers to them.
        """
        self._end_part()
        self.parts.append(work)
        self.stream.begin_capture()

    def _prepare_cublas(self) -> None:
        """Set the stream of CuPy's handle, its memory, which must exist before the capture, and TF32 on or off."""
        if _cublas() is None:
            raise DeviceError("a captured step", expected="the cuBLAS library that CuPy uses", got="none", fix=_FIX)
        handle, self.memory = self.cupy.cuda.get_cublas_handle(), self.cupy.empty((_WORKSPACE,), np.uint8)
        where, size = ctypes.c_void_p(self.memory.data.ptr), ctypes.c_size_t(_WORKSPACE)
        _check(_cublas().cublasSetStream_v2(ctypes.c_void_p(handle), ctypes.c_void_p(self.stream.ptr)))
        _check(_cublas().cublasSetWorkspace_v2(ctypes.c_void_p(handle), where, size))
        _check(_cublas().cublasSetMathMode(ctypes.c_void_p(handle), 3 if tf32() else 0))  # CUBLAS_TF32_TENSOR_OP_MATH

    def refresh(self, work: Callable[[], None]) -> None:
        """Run work only to upload its numbers and to update Python objects."""
        with setting(_current, self):
            work()

    def start(self) -> Any:
        """Send the numbers, compute, and return what was fetched."""
        with self._beside():
            for places, arrays in self.uploads.values():
                for place, array in zip(places, arrays, strict=True):
                    place.set(array, stream=self.stream)
            for part in self.parts:
                part()
        ((scalars, finish),) = self.fetches
        return finish(scalars.tolist())

    def upload(self, name: str, arrays: tuple[Array, ...]) -> list[Array]:
        """Return GPU arrays that `start` fills from these; the key is the name and the contents of the first array.

        Errors  DeviceError after the capture, for arrays that were not in it
        """
        key = name, arrays[0].tobytes()
        if key in self.uploads:
            places, _ = self.uploads[key]
        elif self.complete:
            fix = "unset MINISRGAN_CUDA_GRAPH; weights may be changed in place, but not be replaced"
            raise DeviceError(f"captured {name}", expected="the arrays of the capture", got="others", fix=fix)
        else:
            places = [self.cupy.empty(array.shape, array.dtype) for array in arrays]
        self.uploads[key] = places, arrays
        return places


def upload(name: str, *arrays: Array) -> tuple[list[Array], bool]:
    """Return GPU arrays for arrays of NumPy, and whether to start a kernel with them."""
    graph = _current.get()
    if graph is None:
        import cupy

        return [cupy.asarray(array) for array in arrays], True
    return graph.upload(name, arrays), not graph.complete


def product(a: Array, b: Array, out: Array | None = None) -> Array:
    """Return a (n, m) @ b (m, k), or the products of two batches, a (count, n, m) and b (count, m, k).

    CuPy multiplies two matrices, except in a capture. All else is done by cuBLAS directly, if the library is found,
    because CuPy would copy a batch of transposed matrices.

    cuBLAS expects column-major matrices, so it reads each of our row-major matrices as its transpose. It therefore
    computes y^T = b^T @ a^T: b comes first, and a flag marks each matrix that is column-major in our memory.
    """
    xp, captured = array_module(a), _current.get() is not None
    if not captured and (a.ndim == 2 or _cublas() is None):
        return xp.matmul(a, b, out=out)
    y = xp.empty((*a.shape[:-1], b.shape[-1]), a.dtype) if out is None else out
    real = {"float32": ctypes.c_float, "float64": ctypes.c_double}[a.dtype.name]
    one, zero, handle = ctypes.byref(real(1)), ctypes.byref(real(0)), ctypes.c_void_p(xp.cuda.get_cublas_handle())
    if not captured:
        _check(_cublas().cublasSetStream_v2(handle, ctypes.c_void_p(xp.cuda.get_current_stream().ptr)))
    sizes, count = (b.shape[-1], a.shape[-2], a.shape[-1]), y.shape[:-2]
    (b_turned, b, *of_b), (a_turned, a, *of_a), (_, _, *of_y) = map(_operand, (b, a, y))
    name = f"cublas{'S' if real is ctypes.c_float else 'D'}gemm{'StridedBatched' if count else '_v2'}"
    _check(getattr(_cublas(), name)(handle, b_turned, a_turned, *sizes, one, *of_b, *of_a, zero, *of_y, *count))
    return y


def _operand(matrix: Array) -> tuple[Any, ...]:
    """Return whether matrices are column-major, the array row by row, its address, and the steps in it."""
    turned = matrix.swapaxes(-1, -2)
    column_major = turned.flags.c_contiguous and not matrix.flags.c_contiguous
    lying = turned if column_major else array_module(matrix).ascontiguousarray(matrix)
    rows, step = lying.shape[-2:]
    between = [ctypes.c_longlong(rows * step)] * (matrix.ndim - 2)
    return int(column_major), lying, ctypes.c_void_p(lying.data.ptr), step, *between


def matmul(a: Array, b: Array) -> Array:
    """Return a (..., n, m) @ b (..., m, k)."""
    return product(a, b) if a.ndim == b.ndim == 2 else a @ b


def _check(status: int) -> None:
    if status:
        raise DeviceError("cuBLAS", expected="status 0", got=str(status), fix=_FIX)


@functools.cache
def _cublas() -> Any:
    """Return the cuBLAS library that CuPy has already loaded, found by its file name; None if there is none."""
    for version in (13, 12, 11):
        with contextlib.suppress(OSError):
            name = f"cublas64_{version}.dll" if os.name == "nt" else f"libcublas.so.{version}"
            return ctypes.CDLL(name, mode=getattr(os, "RTLD_NOLOAD", ctypes.DEFAULT_MODE))
    return None
