"""How a kernel of a GPU comes to run: compiled when it is first called, and started with a thread for each element.

The kernels are CUDA C, in ``sources/*.cu`` beside this file, and are compiled together, once for float and once
for double: by NVRTC, through CuPy, which keeps what came out on the disk for the next process.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np

from minisrgan.backend import Array, array_module

Pair = tuple[int, int]

SOURCES = ("common", "sums", "norm", "rectify", "columns", "moves", "adam")
_THREADS, _STRIP = 256, 32  # of a block; channels that a block sums
MANY = 1 << 30  # elements beyond which 32 bits might not count them


def source() -> str:
    """Return the CUDA C of all kernels."""
    folder = Path(__file__).with_name("sources")
    return "\n".join((folder / f"{name}.cu").read_text(encoding="utf-8") for name in SOURCES)


def compile_all() -> None:
    """Compile all kernels now, as a check."""
    for real in ("float", "double"):
        _module(real, "int").compile()


@functools.cache
def _module(real: str, index: str) -> Any:
    import cupy

    return cupy.RawModule(code=source(), options=(f"-DReal={real}", f"-DIndex={index}"))


@functools.cache
def _kernel(name: str, dtype: str, wide: bool) -> Any:
    real = {"float32": "float", "float64": "double"}[dtype]
    return _module(real, "long long" if wide else "int").get_function(name)


def launch(name: str, grid: Pair, block: Pair, count: int, *args: Any) -> None:
    """Start a kernel: whole numbers as its Index, others as double; the first argument tells Real."""
    wide = count >= MANY
    index = np.int64 if wide else np.int32
    values = tuple(index(value) if isinstance(value, int) else value for value in args)
    _kernel(name, args[0].dtype.name, wide)(grid, block, values)


def each(name: str, count: int, *args: Any) -> None:
    """Start a kernel with a thread for each of its elements, or for every so many where there are very many."""
    if count:
        launch(name, (min(-(-count // _THREADS), 1 << 16), 1), (_THREADS, 1), count, *args)


def column_sums(name: str, rows: int, channels: int, outputs: int, *args: Any, blocks: int = 512) -> Array:
    """Return sums over rows (outputs, C): those of each block of threads first, then their sum."""
    width = min(channels, _STRIP)
    height, strips = _THREADS // width, -(-channels // width)
    blocks = max(1, min(rows // (16 * height), blocks // strips))
    xp, dtype = array_module(args[0]), args[0].dtype
    sums = xp.empty((blocks, outputs * channels), dtype)
    launch(name, (strips, blocks), (width, height), rows * channels, sums, *args, rows, channels)
    if blocks > 1:
        sums = column_sums("sums", blocks, outputs * channels, 1, sums, blocks=1)
    return sums.reshape(outputs, channels)


def contiguous(*arrays: Array) -> tuple[Array, ...]:
    """Return arrays as a kernel reads them, one row after the other: themselves where they lie so."""
    return tuple(array_module(array).ascontiguousarray(array) for array in arrays)
