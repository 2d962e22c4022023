"""CUDA graphs: the kernel launches of some code, recorded once and repeated by a single call.

A graph repeats its launches with the same arguments, which are addresses and sizes. Numbers that change from one run to
the next must be in the GPU's memory: `Graph.upload` reserves a place for them, and `Graph.start` fills it. CuPy refuses
to call cuBLAS during a capture (its `setStream` raises NotImplementedError up to CuPy 14.2), although cuBLAS itself
allows it. So `product` calls the library directly there.
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
        self.places: dict[tuple[str, bytes], list[Array]] = {}
        self.numbers: dict[tuple[str, bytes], tuple[Array, ...]] = {}
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
            for key, arrays in self.numbers.items():
                for place, array in zip(self.places[key], arrays, strict=True):
                    place.set(array, stream=self.stream)
            for part in self.parts:
                part()
        ((scalars, finish),) = self.fetches
        return finish(scalars.tolist())

    def upload(self, name: str, arrays: tuple[Array, ...]) -> list[Array]:
        """Return places in GPU memory for the arrays, found by the name and the contents of the first array."""
        key = name, arrays[0].tobytes()
        if key not in self.places:
            if self.complete:
                fix = "unset MINISRGAN_CUDA_GRAPH; weights may be changed in place, but not be replaced"
                raise DeviceError(f"captured {name}", expected="the arrays of the capture", got="others", fix=fix)
            self.places[key] = [self.cupy.empty(array.shape, array.dtype) for array in arrays]
        self.numbers[key] = arrays
        return self.places[key]


def upload(name: str, *arrays: Array) -> tuple[list[Array], bool]:
    """Return GPU arrays for arrays of NumPy, and whether to start a kernel with them."""
    graph = _current.get()
    if graph is None:
        import cupy

        return [cupy.asarray(array) for array in arrays], True
    return graph.upload(name, arrays), not graph.complete


def product(a: Array, b: Array, out: Array | None = None) -> Array:
    """Return a (n, m) @ b (m, k), computed by CuPy or, in a capture, directly by cuBLAS.

    cuBLAS expects column-major matrices, so it reads each of our row-major matrices as its transpose. It therefore
    computes y^T = b^T @ a^T: b comes first, and a flag marks each matrix that is column-major in our memory.
    """
    xp = array_module(a)
    if _current.get() is None:
        return xp.matmul(a, b, out=out)
    (n, m), k = a.shape, b.shape[1]
    y = xp.empty((n, k), a.dtype) if out is None else out
    sides: list[Any] = []
    for matrix in (b, a):
        turned = matrix.flags.f_contiguous and not matrix.flags.c_contiguous
        lying = matrix if turned else xp.ascontiguousarray(matrix)
        sides += [int(turned), lying, lying.shape[0] if turned else lying.shape[1]]
    real = {"float32": ctypes.c_float, "float64": ctypes.c_double}[a.dtype.name]
    multiply = getattr(_cublas(), f"cublas{'S' if real is ctypes.c_float else 'D'}gemm_v2")
    (b_turned, b, b_step), (a_turned, a, a_step) = sides[:3], sides[3:]
    one, zero, handle = ctypes.byref(real(1)), ctypes.byref(real(0)), ctypes.c_void_p(xp.cuda.get_cublas_handle())
    at_b, at_a, at_y = (ctypes.c_void_p(array.data.ptr) for array in (b, a, y))
    _check(multiply(handle, b_turned, a_turned, k, n, m, one, at_b, b_step, at_a, a_step, zero, at_y, k))
    return y


def matmul(a: Array, b: Array) -> Array:
    """Return a (..., n, m) @ b (..., m, k)."""
    return product(a, b) if a.ndim == b.ndim == 2 else a @ b


def _check(status: int) -> None:
    if status:
        raise DeviceError("cuBLAS", expected="status 0", got=str(status), fix="unset MINISRGAN_CUDA_GRAPH")


@functools.cache
def _cublas() -> Any:
    """Return the cuBLAS library that CuPy has already loaded, found by its file name."""
    for version in (13, 12, 11):
        with contextlib.suppress(OSError):
            return ctypes.CDLL(f"cublas64_{version}.dll" if os.name == "nt" else f"libcublas.so.{version}")
    raise DeviceError("cuBLAS", expected="libcublas", got="none", fix="unset MINISRGAN_CUDA_GRAPH")
