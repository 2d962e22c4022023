"""Compile GPU kernels when they are first called, and start them with a thread for each element.

The kernels are CUDA C, in ``sources/*.cu`` beside this file. NVRTC, called by CuPy, compiles them together, once for
float and once for double; CuPy stores the result on disk for the next process.
"""

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from minisrgan.backend import Array, array_module, workspace_bytes
from minisrgan.kernels.cuda.graph import upload
from minisrgan.kernels.schemes import POINTS, toom_cook

Pair = tuple[int, int]

SOURCES = ("common", "sums", "norm", "rectify", "columns", "moves", "network", "winograd")
_THREADS, _STRIP, _BLOCKS = 256, 32, 512  # threads of a block; channels of a strip; most blocks of a sum (sums.cu)
_ROW = 32  # most threads per place: with more, each thread would have too few numbers for the divisions that it makes
_ACROSS = 256  # most blocks per array in a launch over many arrays, as most arrays are small
MANY = 1 << 30  # elements from which 32 bits may be too few for an index


def source() -> str:
    """Return the CUDA C of all kernels, with the matrices of Winograd's algorithm before the file that uses them."""
    *files, last = ((Path(__file__).parent / f"sources/{name}.cu").read_text(encoding="utf-8") for name in SOURCES)
    for name, matrix in zip(("BT", "G", "AT"), toom_cook(POINTS, taps=3), strict=True):
        rows = ", ".join(f"{{{', '.join(map(str, row))}}}" for row in matrix.tolist())
        files.append(f"static __device__ const Real {name}[{len(matrix)}][{len(matrix[0])}] = {{{rows}}};")
    return "\n".join([*files, last])


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
    """Start a kernel with integers as Index and other numbers as double; Real is the dtype of ``like``."""
    wide = count >= MANY
    index = np.int64 if wide else np.int32
    values = tuple(index(value) if isinstance(value, int) else value for value in args)
    _kernel(name, like.dtype.name, wide)(grid, block, values)


def each(name: str, count: int, *args: Any) -> None:
    """Start a kernel with a thread for each element; above 2^24 elements, each thread takes several."""
    if count:
        launch(name, args[0], (min(-(-count // _THREADS), 1 << 16), 1), (_THREADS, 1), count, *args)


def over_lines(name: str, shape: tuple[int, int, int], count: int, *args: Any) -> None:
    """Start a kernel of ``sources/columns.cu``; shape is (lines, places per line, numbers per place)."""
    lines, places, numbers = shape
    if lines > 0 < places:
        width = -(-numbers // -(-numbers // _ROW))  # equal parts, so that no thread of a row idles
        height = min(places, _THREADS // width)
        launch(name, args[0], (-(-places // height), min(lines, 1 << 15)), (width, height), count, *args)


def over_rows(name: str, results: Sequence[Array], arrays: Sequence[Array], *numbers: Any, sums: int = 1) -> None:
    """Start a kernel that computes ``sums`` sums per channel over the rows of the first array (..., C).

    If there are many rows, several blocks of threads share a strip of channels, each with memory for its sums.
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

    groups   each of arrays of one size, in the kernel's order: it reads the last one and changes the others
    changing an array of NumPy with numbers that may change from one run to the next, or None
    sums     whether each block of threads writes a sum into the result, which has the shape (groups, blocks)
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


def blocks(like: Array, count: int, width: int, kept: int = 0) -> Iterator[tuple[int, Array]]:
    """Cut a number of pixels or tiles into blocks that fit the workspace, of which ``kept`` bytes are in use.

    Yields the first of each block, and an array (size of the block, width) in the same memory for all blocks.
    """
    xp, itemsize = array_module(like), like.dtype.itemsize
    most = max(1, min((workspace_bytes(xp) - kept) // (width * itemsize), MANY // width))
    step = -(-count // -(-count // most))
    memory = xp.empty((step, width), like.dtype)
    for first in range(0, count, step):
        yield first, memory[: count - first]


def contiguous(*arrays: Array) -> tuple[Array, ...]:
    """Return the arrays in row-major order, as kernels read them; copy only those that are not."""
    return tuple(array_module(array).ascontiguousarray(array) for array in arrays)
