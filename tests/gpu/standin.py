"""A stand-in for CuPy that computes with NumPy and forgives nothing; for tests on machines without a GPU.

It refuses what CuPy refuses: to become a NumPy array by itself, to be mixed with one, and every name that CuPy does not
have (`cupy_names.txt`). Memory fresh from `empty` holds NaN, and has guards around it that kernels must leave alone.
It counts how often Python waits for a number from the "GPU".
"""

from __future__ import annotations

import ctypes
import functools
import itertools
import operator
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from minisrgan import kernels as package
from minisrgan.kernels import cuda
from minisrgan.kernels.cuda import graph, launch
from tests.gpu import cuda_in_c

NAMES = frozenset(
    line
    for line in Path(__file__).with_name("cupy_names.txt").read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
)
# Keywords that NumPy's functions take and CuPy's do not.
UNKNOWN = {"where", "casting", "subok", "signature", "initial", "order", "like"}
KERNELS: dict[str, Any] = {name: value for name, value in vars(package).items() if hasattr(value, "__wrapped__")}
TWINS: dict[str, Any] = {name: getattr(cuda, name) for name in KERNELS}
waits = [0]


def perform(
    name: str, work: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any], owner: Any = None
) -> Any:
    """Do what a GPU is asked to do: everything but views. `tests.gpu.count` puts a ledger in its place.

    args, options  of NumPy; owner is the array whose method the work is
    """
    result = work(*args, **options)
    for tape in cuda_in_c.tapes:
        assert name not in ("upload", "tolist", "item"), f"{name} in a capture"
        if name in ("concatenate", "stack"):
            assert len(args[0]) <= 8, "CuPy sends the addresses of more than eight arrays from the CPU"
        result = np.asarray(result) if isinstance(result, np.generic) else result
        fresh = isinstance(result, np.ndarray) and options.get("out") is None and name not in IN_PLACE
        owners = [array for array in (*args, owner) if isinstance(array, np.ndarray)]
        if not fresh:
            tape.append(lambda: work(*args, **options))
        elif not any(np.may_share_memory(result, array) for array in owners):
            tape.append(functools.partial(lambda place: np.copyto(place, work(*args, **options)), result))
    return result


IN_PLACE = ("iadd", "isub", "imul", "itruediv", "ipow")
marks = itertools.count(1_000_003, 7)  # in the guards around arrays, for each another


def unwrap(value: Any) -> Any:
    """Return what NumPy is to compute with; refuse its own arrays."""
    if isinstance(value, ndarray):
        return value._array
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}: a NumPy array among those of CuPy")
    if isinstance(value, tuple | list):
        return type(value)(map(unwrap, value))
    return value


def wrap(result: Any, *sources: Any) -> Any:
    """Return an array or number of NumPy's as an array of ours, which remembers whose view it is."""
    if isinstance(result, np.generic):
        return ndarray(np.asarray(result))
    if isinstance(result, np.ndarray):
        ours = [source for source in sources if isinstance(source, ndarray) and source._array.size]
        parents = [source for source in ours if np.may_share_memory(result, source._array)]
        return ndarray(result, parents[0]._root if parents else None)
    return tuple(wrap(part, *sources) for part in result) if isinstance(result, tuple) else result


class ndarray:
    """An array "of the GPU"."""

    __array_ufunc__ = None  # a NumPy array to the left asks us, and is refused
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, array: np.ndarray, base: ndarray | None = None, guarded: np.ndarray | None = None) -> None:
        self._array, self.base, self._guarded = array, base, guarded
        self._mark = None if guarded is None else guarded[0]

    @property
    def _root(self) -> ndarray:
        return self if self.base is None else self.base

    def __array__(self, *args: Any, **options: Any) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def get(self) -> np.ndarray:
        """Copy to the CPU."""
        waits[0] += 1
        return self._array.copy()

    def set(self, array: np.ndarray, stream: Stream) -> None:
        """Copy from the CPU, on a stream."""
        stream.asked.append(f"{stream.name} set")
        perform("upload", np.copyto, (self._array, array), {})

    @property
    def device(self) -> Device:
        """The only one."""
        return Device()

    @property
    def data(self) -> Any:
        """Where the memory is."""
        return types.SimpleNamespace(ptr=self._array.ctypes.data)

    def check_guard(self, kernel: str) -> None:
        """Fail if something has written beside the array."""
        if self._root._guarded is not None:
            edges = self._root._guarded[np.r_[: cuda_in_c.GUARD, -cuda_in_c.GUARD : 0]]
            assert (edges == self._root._mark).all(), f"{kernel} has written beside an array"

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or f"ndarray.{name}" not in NAMES:
            raise AttributeError(f"CuPy's ndarray has no {name}")
        waits[0] += name in ("tolist", "item", "tobytes")
        value = getattr(self._array, name)
        return _guarded(value, self) if callable(value) else wrap(value, self)

    def __getitem__(self, index: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)  # arrays of NumPy are taken as positions
        plain = tuple(part._array if isinstance(part, ndarray) else part for part in parts)
        taken = plain if isinstance(index, tuple) else plain[0]
        return wrap(perform("getitem", operator.getitem, (self._array, taken), {}), self)

    def __setitem__(self, index: Any, value: Any) -> None:
        parts = index if isinstance(index, tuple) else (index,)
        plain = tuple(part._array if isinstance(part, ndarray) else part for part in parts)
        taken = plain if isinstance(index, tuple) else plain[0]
        perform("setitem", operator.setitem, (self._array, taken, unwrap(value)), {})

    def __len__(self) -> int:
        return len(self._array)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __str__(self) -> str:
        return str(self._array)

    def _number(self, convert: Callable[[Any], Any]) -> Any:
        waits[0] += 1
        return convert(self._array)

    def __float__(self) -> float:
        return float(self._number(lambda a: a.item()))

    def __int__(self) -> int:
        return int(self._number(lambda a: a.item()))

    def __bool__(self) -> bool:
        return bool(self._number(bool))


def _operators() -> None:
    def binary(work: Callable[[Any, Any], Any], turned: bool) -> Callable[[Any, Any], Any]:
        def method(self: ndarray, other: Any) -> Any:
            a, b = unwrap(self), unwrap(other)
            return wrap(perform(work.__name__, work, (b, a) if turned else (a, b), {}))

        return method

    def in_place(work: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def method(self: ndarray, other: Any) -> ndarray:
            before = self._array
            self._array = perform(work.__name__, work, (self._array, unwrap(other)), {})
            assert self._array is before
            return self

        return method

    def unary(work: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda self: wrap(perform(work.__name__, work, (self._array,), {}))

    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "and_", "or_", "xor", "matmul"):
        plain = name.rstrip("_")
        setattr(ndarray, f"__{plain}__", binary(getattr(operator, name), False))
        setattr(ndarray, f"__r{plain}__", binary(getattr(operator, name), True))
        if name != "matmul":
            setattr(ndarray, f"__i{plain}__", in_place(getattr(operator, f"i{plain}")))
    for name in ("lt", "le", "eq", "ne", "gt", "ge"):
        setattr(ndarray, f"__{name}__", binary(getattr(operator, name), False))
    for name in ("neg", "abs", "invert"):
        setattr(ndarray, f"__{name}__", unary(getattr(operator, name)))


_operators()


def _guarded(function: Callable[..., Any], *sources: Any) -> Callable[..., Any]:
    """Let a function of NumPy's work on our arrays alone."""

    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        unknown = UNKNOWN & options.keys() - ({"order"} if function.__name__ == "copy" else set())
        if unknown:
            raise TypeError(f"CuPy's {function.__name__} has no keyword {', '.join(unknown)}")
        plain = {key: unwrap(value) for key, value in options.items()}
        owner = sources[0]._array if sources else None
        result = perform(function.__name__, function, tuple(map(unwrap, args)), plain, owner)
        out = options.get("out")
        return out if isinstance(out, ndarray) else wrap(result, *sources, *args)

    return call


class Ufunc:
    """A function of NumPy's with its methods."""

    def __init__(self, plain: np.ufunc) -> None:
        self.plain, self.call = plain, _guarded(plain)

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Compute element by element."""
        return self.call(*args, **options)

    def __getattr__(self, name: str) -> Any:
        if f"ufunc.{name}" not in NAMES:
            raise AttributeError(f"CuPy's ufunc has no {name}")
        if name == "at":  # as an index, an array of NumPy's is welcome
            return lambda a, index, value: perform("at", self.plain.at, (a._array, index, unwrap(value)), {})
        return _guarded(getattr(self.plain, name))


class Namespace(types.ModuleType):
    """CuPy, or a module of it: NumPy's functions where CuPy has one of the name."""

    def __init__(self, name: str, numpy: Any, prefix: str = "") -> None:
        super().__init__(name)
        self._numpy, self._prefix = numpy, prefix

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if self._prefix + name not in NAMES:
            raise AttributeError(f"CuPy has no {self._prefix}{name}")
        value = getattr(self._numpy, name)
        if isinstance(value, types.ModuleType):
            return Namespace(f"{self.__name__}.{name}", value, f"{self._prefix}{name}.")
        if isinstance(value, np.ufunc):
            return Ufunc(value)
        return _guarded(value) if callable(value) and not isinstance(value, type) else value


FACTS = {"name": b"Stand-in", "major": 9, "minor": 0}


class Device:
    """The only GPU there is."""

    mem_info = (3 << 30, 4 << 30)  # free and whole

    def __init__(self, number: int = 0) -> None:
        assert number == 0
        self.id = number

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *error: object) -> None: ...

    def use(self) -> None:
        """Make it the current one."""


class Tape:
    """What was noted during a capture."""

    def __init__(self, notes: list[Callable[[], object]]) -> None:
        self.notes = notes

    def launch(self, stream: Stream) -> None:
        """Compute it."""
        for note in self.notes:
            note()


class Stream:
    """A queue of the GPU: what is asked of streams is noted in order."""

    asked: ClassVar[list[str]] = []

    ptr = 0

    def __init__(self, non_blocking: bool = False) -> None:
        self.name = "copies" if non_blocking else "computes"

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *error: object) -> None: ...

    def begin_capture(self) -> None:
        """Note on a tape what is asked of the GPU; what NumPy does is computed all the same, for its shapes."""
        cuda_in_c.tapes.append([])

    def end_capture(self) -> Tape:
        """Return the tape, which can be started."""
        return Tape(cuda_in_c.tapes.pop())

    def record(self) -> str:
        """Return an event."""
        self.asked.append(f"{self.name} record")
        return self.name

    def wait_event(self, event: str) -> None:
        """Wait for an event of another stream."""
        self.asked.append(f"{self.name} wait for {event}")

    def synchronize(self) -> None:
        """Let Python wait."""
        self.asked.append(f"{self.name} synchronize")


class OutOfMemoryError(MemoryError):
    """What CuPy raises where the GPU's memory is full."""


def _empty(shape: Any, dtype: Any = float) -> ndarray:
    dtype = np.dtype(dtype)
    if dtype.kind != "f":
        return ndarray(np.empty(shape, dtype))
    size = int(np.prod(shape))
    memory = np.full(size + 2 * cuda_in_c.GUARD, next(marks), dtype)
    inner = memory[cuda_in_c.GUARD :][:size]
    inner.fill(np.nan)
    return ndarray(inner.reshape(shape), guarded=memory)


def _filled(value: Any) -> Callable[..., ndarray]:
    def make(shape: Any, dtype: Any = float) -> ndarray:
        array = _empty(shape, dtype)
        perform("fill", np.ndarray.fill, (array._array, value), {})
        return array

    return make


def _asarray(value: Any, dtype: Any = None) -> ndarray:
    if isinstance(value, ndarray) and (dtype is None or np.dtype(dtype) == value.dtype):
        return value
    plain = np.asarray(value._array if isinstance(value, ndarray) else value, dtype=dtype)
    array = _empty(plain.shape, plain.dtype)
    perform("copyto" if isinstance(value, ndarray) else "upload", np.copyto, (array._array, plain), {})
    return array


def _like(make: Callable[..., ndarray]) -> Callable[..., ndarray]:
    return lambda array, dtype=None: make(array.shape, dtype or array.dtype)


def _ascontiguous(array: ndarray) -> ndarray:
    if array._array.flags.c_contiguous:
        return array
    copy = _empty(array._array.shape, array._array.dtype)
    perform("copyto", np.copyto, (copy._array, array._array), {})
    return copy


class CuBLAS:
    """The functions of the library that we call directly; its matrices lie column by column."""

    def __init__(self) -> None:
        self.products = 0

    def __getattr__(self, name: str) -> Callable[..., int]:
        if name in ("cublasSetStream_v2", "cublasSetWorkspace_v2", "cublasSetMathMode"):
            return lambda *args: 0
        real = {"S": ctypes.c_float, "D": ctypes.c_double}[name[6]]
        batched = {"gemm_v2": False, "gemmStridedBatched": True}[name[7:]]

        def matrices(at: Any, step: int, gap: Any, rows: int, columns: int, count: int) -> np.ndarray:
            assert step >= rows
            apart = gap.value if batched else 0
            size = apart * (count - 1) + step * (columns - 1) + rows
            flat = np.ctypeslib.as_array((real * size).from_address(at.value))
            strides = [flat.itemsize * number for number in (apart, 1, step)]
            return np.lib.stride_tricks.as_strided(flat, (count, rows, columns), strides)

        def gemm(handle: Any, a_turned: int, b_turned: int, m: int, n: int, k: int, *args: Any) -> int:
            if not batched:
                one, a, a_step, b, b_step, zero, y, y_step = args
                args = one, a, a_step, None, b, b_step, None, zero, y, y_step, None, 1
            one, a, a_step, a_gap, b, b_step, b_gap, zero, y, y_step, y_gap, count = args
            assert (one._obj.value, zero._obj.value) == (1, 0)
            left = matrices(a, a_step, a_gap, *((k, m) if a_turned else (m, k)), count)
            right = matrices(b, b_step, b_gap, *((n, k) if b_turned else (k, n)), count)
            result = matrices(y, y_step, y_gap, m, n, count).swapaxes(1, 2)
            self.products += 1
            # The factors lie as they did, as rows, so that NumPy computes the same bits as outside of a capture.
            left, right = left if a_turned else left.swapaxes(1, 2), right if b_turned else right.swapaxes(1, 2)
            sides = (right, left) if batched else (right[0], left[0])
            perform("gemm", np.matmul, sides, {"out": result if batched else result[0]})
            return 0

        return gemm


def module() -> Any:
    """Return a new stand-in."""
    cupy: Any = Namespace("cupy", np)
    cupy.ndarray, cupy.RawModule = ndarray, cuda_in_c.RawModule
    cupy.__version__ = "13.0.0"
    cupy.empty, cupy.zeros, cupy.ones = _empty, _filled(0), _filled(1)
    cupy.empty_like, cupy.zeros_like, cupy.ones_like = map(_like, (_empty, _filled(0), _filled(1)))
    cupy.full_like = lambda array, value: _filled(value)(array.shape, array.dtype)
    cupy.asarray = cupy.array = _asarray
    cupy.ascontiguousarray = _ascontiguous
    cupy.cuda = types.SimpleNamespace(
        Device=Device,
        memory=types.SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
        runtime=types.SimpleNamespace(getDeviceCount=lambda: 1, getDeviceProperties=lambda number: FACTS),
        get_current_stream=Stream,
        Stream=Stream,
        MemoryPool=lambda: types.SimpleNamespace(malloc=None),
        using_allocator=lambda malloc: nullcontext(),
        get_cublas_handle=lambda: 1,
        alloc_pinned_memory=bytearray,
    )
    freed: list[None] = []
    cupy.freed = freed
    pool = types.SimpleNamespace(free_all_blocks=lambda: freed.append(None), total_bytes=lambda: 1 << 20)
    cupy.get_default_memory_pool = lambda: pool
    return cupy


def _by_the_cpu(kernel: Callable[..., Any]) -> Callable[..., Any]:
    return lambda *args, **options: wrap(kernel(*map(unwrap, args), **options))


@contextmanager
def installed(kernels: bool = True) -> Iterator[Any]:
    """Put the stand-in into CuPy's place for a block.

    kernels  run the CUDA kernels, by the C compiler; else those of the CPU on the arrays that are behind
    """
    before, library, cublas = sys.modules.get("cupy"), graph._cublas, CuBLAS()
    cupy = sys.modules["cupy"] = module()
    graph._cublas = lambda: cublas  # type: ignore[assignment]
    if not kernels:
        vars(cuda).update({name: _by_the_cpu(kernel.__wrapped__) for name, kernel in KERNELS.items()})
    _forget()
    try:
        yield cupy
    finally:
        vars(cuda).update(TWINS)
        graph._cublas = library
        _forget()
        if before is None:
            del sys.modules["cupy"]
        else:
            sys.modules["cupy"] = before


def _forget() -> None:
    launch._module.cache_clear()
    launch._kernel.cache_clear()
