"""CUDA kernels compiled by a C compiler, and run by the processor: what `cupy.RawModule` is in the stand-in.

A kernel's arguments are handed over as CUDA's driver takes them, an array of pointers to values, and are checked more
strictly than there: an int where the kernel declares a long long is read beyond its end on a GPU, and nobody says so.
"""

from __future__ import annotations

import ctypes
import functools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="no C compiler to run CUDA kernels with: cc")

OPTIMIZED = "-O1"  # takes twice as long to compile as -O0, and half as long to run
GUARD = 16  # elements before and behind every array, which no kernel may touch
WAITING = r"\b(__syncthreads|add_up|keep|is_last|total)\("  # what a barrier is in
SCALARS = {"int": np.int32, "long long": np.int64, "double": np.float64}
ELEMENTS = {"float": np.float32, "double": np.float64, "Items": None, "long long": np.int64}


@functools.cache
def library(code: str, options: tuple[str, ...]) -> tuple[ctypes.CDLL, dict[str, tuple[list[str], bool]]]:
    """Compile kernels; return the library, the types of each kernel's arguments, and whether its threads may wait."""
    assert COMPILER is not None
    threads = Path(__file__).with_name("threads.c").read_text(encoding="utf-8")
    assert code.count('extern "C" __global__ void') > 0
    plain = threads + code.replace('extern "C" __global__ void', "GLOBAL void")
    with tempfile.TemporaryDirectory() as folder:
        source, built = Path(folder, "kernels.c"), Path(folder, "kernels.so")
        source.write_text(plain, encoding="utf-8")
        expanded = _run(COMPILER, "-E", "-P", *options, str(source))
        kernels = {
            name: ([_type(parameter) for parameter in parameters.split(",")], bool(re.search(WAITING, body)))
            for name, parameters, body in re.findall(r"GLOBAL void (\w+)\(([^)]*)\)(.*?)(?=GLOBAL|\Z)", expanded, re.S)
        }
        entries = [
            f"void enter_{name}(void **a) {{ {name}({', '.join(f'*({t} *)a[{i}]' for i, t in enumerate(types))}); }}"
            for name, (types, _) in kernels.items()
        ]
        source.write_text("\n".join([plain, *entries]), encoding="utf-8")
        lenient = "-Wno-unused-function", "-Wno-deprecated-declarations"
        strict = (OPTIMIZED, "-Wall", *lenient, "-Werror", "-DGLOBAL=static")
        _run(COMPILER, "-shared", "-fPIC", *strict, *options, "-o", str(built), str(source), "-lm")
        return ctypes.CDLL(str(built)), kernels


def _type(parameter: str) -> str:
    """Return ``float*`` for ``const float *x``, ``long long`` for ``long long n``."""
    words = parameter.replace("const ", "").replace("*", "* ").split()[:-1]
    return " ".join(words).replace(" *", "*")


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]
    return done.stdout


tapes: list[list[Callable[[], object]]] = []  # of the capture that goes on, if any


class RawModule:
    """CUDA source, to be compiled when a kernel is asked for."""

    def __init__(self, *, code: str, options: tuple[str, ...] = ()) -> None:
        self.code, self.options = code, options

    def get_function(self, name: str) -> Kernel:
        """Return a kernel."""
        built, kernels = library(self.code, self.options)
        return Kernel(built, name, *kernels[name])


class Kernel:
    """A kernel, to be called with grid, block and arguments."""

    def __init__(self, built: ctypes.CDLL, name: str, types: list[str], waits: bool) -> None:
        self.built, self.name, self.types, self.waits = built, name, types, waits

    def __call__(self, grid: tuple[int, int], block: tuple[int, int], args: tuple[Any, ...]) -> None:
        """Run every thread of every block."""
        assert len(args) == len(self.types), f"{self.name} takes {len(self.types)} arguments, and is given {len(args)}"
        assert 1 <= block[0] * block[1] <= 256
        assert min(grid) >= 1
        assert grid[1] < 1 << 16  # CUDA's limit
        values: list[Any] = []
        for value, kind in zip(args, self.types, strict=True):
            values.append(self._pointer(value, kind) if kind.endswith("*") else self._scalar(value, kind))
        for tape in tapes:  # an address in a table is filled in only before a start
            tape.append(lambda: self(grid, block, args))
            return
        pointers = (ctypes.c_void_p * len(values))(*(ctypes.addressof(value) for value in values))
        enter = ctypes.cast(getattr(self.built, f"enter_{self.name}"), ctypes.c_void_p)
        self.built.launch(enter, pointers, *map(ctypes.c_uint, (*grid, *block, self.waits)))
        for value in args:
            if hasattr(value, "check_guard"):
                value.check_guard(self.name)

    def _pointer(self, value: Any, kind: str) -> Any:
        array = value._array
        element = ELEMENTS[kind[:-1].strip()]
        assert array.flags.c_contiguous, f"{self.name} is given an array that is not contiguous"
        assert element is None or array.dtype == element, f"{self.name} wants {kind}, and is given {array.dtype}"
        assert element is not None or array.ctypes.data % 16 == 0, f"{self.name} moves 16 bytes from an odd address"
        return ctypes.c_void_p(array.ctypes.data)

    def _scalar(self, value: Any, kind: str) -> Any:
        value = np.float64(value) if type(value) is float else np.int64(value) if type(value) is int else value
        assert type(value) is SCALARS[kind], f"{self.name} wants {kind}, and is given {type(value).__name__} {value}"
        return np.ctypeslib.as_ctypes_type(SCALARS[kind])(value)
