"""Arrays and devices: the only file besides ``kernels/cuda/`` that may import CuPy.

A device is a property of an array, not a global setting: `array_module` asks an array which library made it, and code
that computes writes ``xp.exp(x)`` for both. CuPy is imported only when a CUDA device is requested.
"""

import contextlib
import math
import os
import sys
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any, TypeAlias, TypeVar

import numpy as np

from minisrgan.errors import ArgumentError, DeviceError
from minisrgan.threads import _blas as _blas
from minisrgan.threads import parallel as parallel
from minisrgan.threads import setting as setting
from minisrgan.threads import thread_count as thread_count
from minisrgan.threads import threads as threads

# An array of NumPy or of CuPy. CuPy has no type annotations, and ``xp`` may be either library, so a type checker cannot
# check more than Any; the name is for the reader.
Array: TypeAlias = Any

# Bytes that each thread of a convolution may use besides input and output. On a CPU the blocks are far smaller, to stay
# in cache, and most of the bytes are for the transformed weights of a wide layer. A GPU needs few, large products.
_CPU_WORKSPACE, _CUDA_WORKSPACE = 96 << 20, 256 << 20
_workspace: ContextVar[int | None] = ContextVar("workspace", default=None)
_algorithm: ContextVar[str | None] = ContextVar("algorithm", default=None)
fetches: ContextVar[list[Any] | None] = ContextVar("fetches", default=None)  # deferred reads while a step is captured
ALGORITHMS = ("im2col", "thin", "winograd")

R = TypeVar("R")


def array_module(array: Array) -> Any:
    """Return the module that made an array, ``numpy`` or ``cupy``: the ``xp`` of every kernel.

    >>> array_module(np.ones(3)).__name__
    'numpy'
    """
    # An array that is not NumPy's can only exist if CuPy has been imported already.
    return np if isinstance(array, np.ndarray) else sys.modules["cupy"]


def is_array(value: object) -> bool:
    """Return whether a value is an array of NumPy or of CuPy.

    Subclasses with their own operators do not count: the product of np.matrix is another operation, and masked arrays
    leave numbers out. They are recognised by their priority over plain arrays.

    >>> is_array(np.ones(3)), is_array([1.0]), is_array(np.ma.ones(3))
    (True, False, False)
    """
    cupy = sys.modules.get("cupy")
    plain = isinstance(value, np.ndarray) and value.__array_priority__ <= 0
    return plain or (cupy is not None and isinstance(value, cupy.ndarray))


def as_number(value: Any) -> Any:
    """Convert a NumPy scalar or 0-d array to a Python number, which changes no dtype; return other values unchanged.

    >>> as_number(np.float32(0.5)), as_number(np.array(2)), as_number("a")
    (0.5, 2, 'a')
    """
    return value.item() if isinstance(value, np.generic) or (is_array(value) and value.ndim == 0) else value


def device_of(array: Array) -> str:
    """Name the device of an array: ``cpu``, ``cuda:0``, ``cuda:1`` ...

    >>> device_of(np.ones(3))
    'cpu'
    """
    return "cpu" if isinstance(array, np.ndarray) else f"cuda:{array.device.id}"


def to_device(array: Array, device: str) -> Array:
    """Return an array on a device; an array that is already there is not copied.

    device   ``cpu``, ``cuda`` (the first GPU) or ``cuda:N``
    Errors   DeviceError if CuPy or the GPU is missing; ArgumentError for another name; errors of `tf32`.

    >>> x = np.ones(3)
    >>> to_device(x, "cpu") is x
    True
    """
    kind, _, number = device.partition(":")
    if device == "cpu":
        return to_numpy(array)
    if kind != "cuda" or (number and not number.isdecimal()):
        raise ArgumentError("device", expected="cpu, cuda or cuda:N", got=repr(device), fix="name one of these")
    cupy = _import_cupy(device)
    with cupy.cuda.Device(int(number or 0)):
        return cupy.asarray(array)


def to_numpy(array: Array) -> Array:
    """Return an array in the CPU's memory; an array that is already there is not copied.

    >>> to_numpy(np.ones(2))
    array([1., 1.])
    """
    return array if isinstance(array, np.ndarray) else array.get()


def sent_to(device: str, arrays: Sequence[Array]) -> list[Array]:
    """Return copies of arrays on a GPU; for use on another thread than the one that computes.

    The arrays are copied from page-locked memory, on a separate stream, while the GPU computes. The stream first waits
    for all work that has been started so far, because this work may still use the memory that the copies will get.
    """
    cupy, number = _import_cupy(device), int(device.partition(":")[2] or 0)
    with cupy.cuda.Device(number):
        stream, sent, kept = cupy.cuda.Stream(non_blocking=True), [], []
        for array in arrays:
            memory = cupy.cuda.alloc_pinned_memory(array.nbytes)
            pinned = np.frombuffer(memory, array.dtype, array.size).reshape(array.shape)
            pinned[...] = array
            sent.append(cupy.empty(array.shape, array.dtype))
            stream.wait_event(cupy.cuda.get_current_stream().record())
            sent[-1].set(pinned, stream=stream)
            kept.append(memory)
        stream.synchronize()  # then the page-locked memory can be freed
    return sent


def choose_device(name: str, local: int = 0) -> str:
    """Return the device for a command, and make a GPU CuPy's current one, on which it creates new arrays.

    name     as in `to_device`, or ``auto``: the first GPU; without one, the CPU, and a line on stderr says why
    local    the number of this process among those on this machine: ``cuda`` is a GPU of its own if there are enough
    """
    if name == "auto":
        try:
            return choose_device("cuda", local)
        except DeviceError as error:
            sys.stderr.write(f"computing on the CPU: {error.got} (see minisrgan doctor)\n")
            return "cpu"
    if name == "cuda" and local:
        name = f"cuda:{local % _import_cupy(name).cuda.runtime.getDeviceCount()}"
    if not isinstance(moved := to_device(np.zeros(1), name), np.ndarray):
        moved.device.use()
    return name


def to_floats(scalars: Sequence[Array]) -> list[float]:
    """Return arrays of one element as Python numbers, in a single transfer from a GPU.

    >>> to_floats([np.float32(0.5), np.ones(1)])
    [0.5, 1.0]
    """
    if not scalars or isinstance(scalars[0], np.ndarray | np.generic):
        return [float(scalar.reshape(())) for scalar in scalars]
    return list(array_module(scalars[0]).stack([scalar.reshape(()) for scalar in scalars]).tolist())


def fetched(scalars: Sequence[Array], finish: Callable[[list[float]], R]) -> R:
    """Return finish(to_floats(scalars)). While a step is captured, all numbers are NaN; they are read later.

    >>> fetched([np.ones(1)], sum)
    1.0
    """
    if (later := fetches.get()) is None:
        return finish(to_floats(scalars))
    dtype = np.result_type(*(scalar.dtype for scalar in scalars))  # as stack chooses it
    together = array_module(scalars[0]).empty(len(scalars), dtype)
    for place, scalar in enumerate(scalars):  # stack would copy their addresses, only once
        together[place : place + 1] = scalar.reshape(1)
    later.append((together, finish))
    return finish([math.nan] * len(scalars))


def tf32() -> bool:
    """Return whether a GPU's float32 products use 10 bits of each factor, for speed: CuPy's switch CUPY_TF32=1.

    Errors  ArgumentError if the switch is not a whole number: CuPy would fail at its first product.
    """
    switch = os.environ.get("CUPY_TF32", "0")
    try:
        return int(switch) > 0
    except ValueError:
        fix = "unset it, or set CUPY_TF32=1 for TF32"
        raise ArgumentError("CUPY_TF32", expected="0 or 1", got=repr(switch), fix=fix) from None


def retried(work: Callable[[], R], advice: str) -> R:
    """Run work. If a GPU's memory is full, free CuPy's reserve and run it again; raise DeviceError if that fails."""
    full: Any = sys.modules["cupy"].cuda.memory.OutOfMemoryError if "cupy" in sys.modules else ()
    with contextlib.suppress(full):  # the error, which keeps all arrays, is dropped
        return work()
    cupy = sys.modules["cupy"]
    cupy.get_default_memory_pool().free_all_blocks()
    try:
        return work()
    except full as error:
        free, total = (count >> 20 for count in cupy.cuda.Device().mem_info)
        got = [str(error), f"{free:,} MB of the GPU's {total:,} MB are free"]
        raise DeviceError("memory of the GPU", expected="room for all arrays", got=got, fix=advice) from None


def _import_cupy(device: str) -> Any:
    """Import CuPy for a requested device, or raise an error that says what is missing."""
    try:
        import cupy

        count = cupy.cuda.runtime.getDeviceCount()
    except ImportError as error:
        got = f"no usable cupy package ({error})"
        fix = 'pip install "minisrgan[cuda12]" or "minisrgan[cuda13]" (see minisrgan doctor), or use device cpu'
        raise DeviceError(f"device {device}", expected="CuPy, which drives the GPU", got=got, fix=fix) from error
    except Exception as error:  # CuPy raises classes of its own, which cannot be named here without importing it
        got, fix = f"{type(error).__name__}: {error}", "run minisrgan doctor, or use device cpu"
        raise DeviceError(f"device {device}", expected="a CUDA driver and a GPU", got=got, fix=fix) from error
    number = int(device.partition(":")[2] or 0)
    if number >= count:
        expected = f"a number below {count}, for {count} GPUs"
        raise DeviceError(f"device {device}", expected=expected, got=str(number), fix="use cuda:0, or device cpu")
    tf32()  # an invalid switch is an error here, not at the first product
    return cupy


def workspace_bytes(xp: Any = np) -> int:
    """Return how many bytes each thread of a convolution may use besides input and output.

    >>> workspace_bytes() == 96 << 20
    True
    """
    chosen = _workspace.get()
    return chosen if chosen is not None else _CPU_WORKSPACE if xp is np else _CUDA_WORKSPACE


def workspace(size: int) -> contextlib.AbstractContextManager[None]:
    """Set the workspace of convolutions, in bytes per thread, during a with block.

    A smaller workspace is slower but never wrong: a block is at least one output pixel. The gradient with respect to
    the weight always needs two arrays of the weight's size per thread.

    >>> with workspace(4096):
    ...     workspace_bytes()
    4096
    """
    if size < 1:
        raise ArgumentError("workspace", expected="at least 1 byte", got=str(size), fix="give a size in bytes")
    return setting(_workspace, size)


def forced_algorithm() -> str | None:
    """Return the algorithm that convolutions must use, or None if they choose."""
    return _algorithm.get()


def algorithm(name: str) -> contextlib.AbstractContextManager[None]:
    """Make every convolution use one algorithm during a with block: "im2col", "thin" or "winograd".

    A layer that the algorithm does not support (a stride, float64) uses im2col.

    >>> with algorithm("im2col"):
    ...     forced_algorithm()
    'im2col'
    """
    if name not in ALGORITHMS:
        raise ArgumentError("algorithm", expected=f"one of {', '.join(ALGORITHMS)}", got=repr(name), fix="choose one")
    return setting(_algorithm, name)
