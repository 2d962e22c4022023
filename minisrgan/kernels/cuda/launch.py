"""How a kernel of a GPU comes to run: compiled when it is first called, and started with a thread for each element.

The kernels are CUDA C, in ``sources/*.cu`` beside this file, and are compiled together, once for float and once
for double: by NVRTC, through CuPy, which keeps what came out on the disk for the next process.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minisrgan.backend import Array, array_module
from minisrgan.kernels.cuda.graph import upload

Pair = tuple[int, int]

SOURCES = ("common", "sums", "norm", "rectify", "columns", "moves", "network")
_THREADS, _STRIP, _BLOCKS = 256, 32, 512  # of a block; channels that a block sums; blocks that sum (see sums.cu)
_ROW = 32  # numbers of a place that threads take at once: more would leave each thread too few to share its divisions
_ACROSS = 256  # blocks for each of many arrays, most of which are small
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


def launch(name: str, like: Array, grid: Pair, block: Pair, count: int, *args: Any) -> None:
    """Start a kernel: whole numbers as its Index, others as double; the array that is like its own tells Real."""
    wide = count >= MANY
    index = np.int64 if wide else np.int32
    values = tuple(index(value) if isinstance(value, int) else value for value in args)
    _kernel(name, like.dtype.name, wide)(grid, block, values)


def each(name: str, count: int, *args: Any) -> None:
    """Start a kernel with a thread for each of its elements, or for every so many where there are very many."""
    if count:
        launch(name, args[0], (min(-(-count // _THREADS), 1 << 16), 1), (_THREADS, 1), count, *args)


def over_lines(name: str, shape: tuple[int, int, int], count: int, *args: Any) -> None:
    """Start a kernel of ``sources/columns.cu`` over so many lines of places, each of which has so many numbers."""
    lines, places, numbers = shape
    if lines > 0 < places:
        width = -(-numbers // -(-numbers // _ROW))  # equal parts, so that no thread of a row idles
        height = min(places, _THREADS // width)
        launch(name, args[0], (-(-places // height), min(lines, 1 << 15)), (width, height), count, *args)


def over_rows(name: str, results: Sequence[Array], arrays: Sequence[Array], *numbers: Any, sums: int = 1) -> None:
    """Start a kernel that reads arrays, the first of them (..., C), and takes so many sums over its rows.

    It has several blocks of threads for a strip of channels where rows are many, and memory for the sums of each.
    """
    channels = arrays[0].shape[-1]
    rows, width = arrays[0].size // channels, min(channels, _STRIP)
    height, strips = _THREADS // width, -(-channels // width)
    blocks = max(1, min(rows // (16 * height), _BLOCKS // strips))
    memory = array_module(arrays[0]).empty((blocks, sums, channels), arrays[0].dtype)
    args = (*results, memory, *arrays, rows, channels, *numbers)
    launch(name, arrays[0], (strips, blocks), (width, height), rows * channels, *args)


def over_arrays(
    name: str, groups: Sequence[Sequence[Array]], changing: Array | None, *numbers: Any, sums: bool = False
) -> Array:
    """Start a kernel once for many groups of arrays, all of one type; see ``sources/network.cu``.

    groups   of arrays of one size, as the kernel takes them: the last one it reads, the others it changes
    changing numbers of NumPy's that may differ from one time to the next, or None
    sums     whether each block of threads leaves one; returned are those, (groups, blocks)
    """
    like, flat = groups[0][0], [contiguous(*group) for group in groups]
    table = np.array([[*(array.data.ptr for array in group), group[0].size] for group in flat], np.int64)
    most, xp = int(table[:, -1].max()), array_module(like)
    grid = max(1, min(-(-most // _THREADS), _ACROSS)), len(groups)
    memory = xp.empty(grid[::-1], like.dtype)
    uploaded, starts = upload(name, table, *([] if changing is None else [changing]))
    if not starts:
        return memory
    args = (*([memory] if sums else []), *uploaded, *numbers)
    launch(name, like, grid, (1, _THREADS) if sums else (_THREADS, 1), most, *args)
    for group, copies in zip(groups, flat, strict=True):
        for array, copy in zip(group[:-1], copies, strict=False):
            if copy is not array:
                array[...] = copy.reshape(array.shape)
    return memory


def contiguous(*arrays: Array) -> tuple[Array, ...]:
    """Return arrays as a kernel reads them, one row after the other: themselves where they lie so."""
    return tuple(array_module(array).ascontiguousarray(array) for array in arrays)
