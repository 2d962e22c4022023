"""CUDA's own compiler takes every kernel, which it does without a driver or a GPU."""

from __future__ import annotations

import ctypes
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from minisrgan.kernels.cuda import launch
from minisrgan.kernels.schemes import POINTS, toom_cook
from tests.gpu import sass

PACKAGES = "nvidia.cuda_nvrtc", "nvidia.cu13"


def library() -> Path | None:
    """Return the file of NVRTC that pip has installed."""
    for package in PACKAGES:
        try:
            spec = importlib.util.find_spec(package)
        except ModuleNotFoundError:
            continue
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            found = [path for pattern in ("libnvrtc.so.*", "nvrtc64*.dll") for path in Path(folder).rglob(pattern)]
            found = [path for path in found if "alt" not in path.name]
            if found:
                return found[0]
    return None


LIBRARY = library()
needs_nvrtc = pytest.mark.skipif(LIBRARY is None, reason="no NVRTC: pip install nvidia-cuda-nvrtc-cu12")


def compile_cuda(code: str, *options: str) -> tuple[int, str, bytes]:
    """Compile; return the status, 0 if all is well, what the compiler says, and what a GPU of the sm_... is given."""
    assert LIBRARY is not None
    # NVRTC opens this library by its name alone. Some wheels of CUDA 13 (13.0.48) do not make the loader look beside
    # NVRTC, but what has been loaded already it finds by name.
    for builtins in LIBRARY.parent.glob("*nvrtc-builtins*"):
        if ".alt." not in builtins.name:
            ctypes.CDLL(str(builtins))
    nvrtc = ctypes.CDLL(str(LIBRARY))
    program, size = ctypes.c_void_p(), ctypes.c_size_t()
    assert nvrtc.nvrtcCreateProgram(ctypes.byref(program), code.encode(), b"kernels.cu", 0, None, None) == 0
    try:
        words = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        status = nvrtc.nvrtcCompileProgram(program, len(options), words)
        assert nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size)) == 0
        log = ctypes.create_string_buffer(size.value)
        assert nvrtc.nvrtcGetProgramLog(program, log) == 0
        nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size))
        cubin = ctypes.create_string_buffer(size.value)
        nvrtc.nvrtcGetCUBIN(program, cubin)
        return status, log.value.decode(), cubin.raw
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def compiled_as_cupy_does(real: str, index: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, tuple[str, ...]]:
    """Return the source and the options that are handed to CuPy."""
    given: list[Any] = []

    def module(*, code: str, options: tuple[str, ...]) -> None:
        given.extend((code, options))

    stand_in = type("cupy", (), {"RawModule": staticmethod(module)})
    monkeypatch.setitem(sys.modules, "cupy", stand_in)
    make: Callable[..., Any] = launch._module.__wrapped__
    make(real, index)
    return given[0], given[1]


@needs_nvrtc
@pytest.mark.parametrize("index", ["int", "long long"])
@pytest.mark.parametrize("real", ["float", "double"])
@pytest.mark.parametrize("target", ["compute_75", "sm_80", "sm_90"])
def test_every_kernel_compiles(target: str, real: str, index: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a C compiler takes may not be CUDA: a GPU would refuse it at its first step."""
    code, options = compiled_as_cupy_does(real, index, monkeypatch)
    status, log, _ = compile_cuda(code, *options, f"--gpu-architecture={target}", "--std=c++14", "-default-device")
    assert status == 0, log
    assert log.strip() == ""  # no warnings either


@needs_nvrtc
def test_what_is_no_cuda_is_noticed() -> None:
    """The test above would pass too if nothing were compiled."""
    code = launch.source().replace("blockIdx.y", "blockIdx.row")
    assert compile_cuda(code, "-DReal=float", "-DIndex=int", "--gpu-architecture=compute_75")[0] != 0


@needs_nvrtc
@pytest.mark.skipif(sass.NVDISASM is None, reason="no nvdisasm: pip install nvidia-cuda-nvdisasm")
@pytest.mark.parametrize("target", ["sm_80", "sm_90"])
def test_columns_take_few_instructions(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six divisions for each element took 183 for 16 bytes.

    A thread of a 3x3 layer of 64 channels takes two of the 48 pieces of 16 bytes of each of the 3 rows of its window.
    """
    code, options = compiled_as_cupy_does("float", "int", monkeypatch)
    _, _, cubin = compile_cuda(code, *options, f"--gpu-architecture={target}", "--std=c++14", "-default-device")
    piece, row, line, whole = sass.loops(sass.functions(cubin)["im2col_by_16_bytes"])
    assert piece <= 20
    assert (whole - line) + (line - row) + 3 * ((row - piece) + 2 * piece) <= 60 * 3 * 2


@needs_nvrtc
@pytest.mark.skipif(sass.NVDISASM is None, reason="no nvdisasm: pip install nvidia-cuda-nvdisasm")
@pytest.mark.parametrize("target", ["sm_80", "sm_90"])
def test_tiles_stay_in_registers(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop that is not unrolled puts the tile into memory, and multiplies with zeros that it has to load.

    Bounds: the numbers that are read, and the factors that are not 0, of one transform or of two that share a kernel.
    """
    code, options = compiled_as_cupy_does("float", "int", monkeypatch)
    _, _, cubin = compile_cuda(code, *options, f"--gpu-architecture={target}", "--std=c++14", "-default-device")
    bt, g, at = (int((matrix != 0).sum()) for matrix in toom_cook(POINTS, taps=3))
    most = {
        "winograd_factors": (36 + 9, (6 + 6) * bt + (3 + 6) * g),
        "winograd_gradient_factors": (36 + 16, (6 + 6) * bt + (4 + 6) * at),
        "winograd_results": (2 * 36 + 1, 2 * ((6 + 4) * at + 16)),  # once with a bias and once without
        "winograd_weight_gradient": (36, (6 + 3) * g),
    }
    kernels = sass.functions(cubin)
    assert {name for name in kernels if name.startswith("winograd")} == most.keys()
    for name, (numbers, factors) in most.items():
        words = [line.split()[line.startswith("@")].partition(".")[0] for line in kernels[name] if line[0] != "."]
        assert not {"LDL", "STL"} & {*words}
        assert words.count("LDG") <= numbers
        assert sum(word in ("FFMA", "FADD", "FMUL") for word in words) <= factors
        assert len(words) <= 1300
