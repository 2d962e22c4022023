"""Check what computing on a GPU needs, step by step: driver, CuPy, the libraries of CUDA, compiler, memory."""

import contextlib
import ctypes
import os
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from minisrgan.backend import tf32
from minisrgan.errors import ArgumentError
from minisrgan.kernels.cuda import launch


class Finding(NamedTuple):
    """The name of a requirement, what was found, and the command that fixes it, if it needs a fix."""

    name: str
    fact: str
    fix: str = ""


def driver_version() -> int:
    """Return the newest CUDA that the driver of this machine can run, 12090 for 12.9; 0 without a driver."""
    version = ctypes.c_int(0)
    with contextlib.suppress(OSError, AttributeError):
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
        driver.cuDriverGetVersion(ctypes.byref(version))
    return version.value


def packages() -> dict[str, str]:
    """Return the installed packages that bring CuPy, with their versions."""
    installed = {d.metadata["Name"] or "": d.version for d in metadata.distributions()}
    return {name: version for name, version in sorted(installed.items()) if name.startswith("cupy")}


def findings() -> Iterator[Finding]:
    """Check one requirement after the other; stop at a missing one that the others depend on."""
    driver, found = driver_version(), packages()
    wanted = "12" if driver < 13000 or [*found] == ["cupy-cuda12x"] else "13"  # a newer driver runs older CUDA
    install = f'pip install "minisrgan[cuda{wanted}]"'  # it installs the libraries of CUDA as well
    if found and [*found] != [f"cupy-cuda{wanted}x"]:  # two of them overwrite one another
        install = f"pip uninstall -y {' '.join(found)} && {install}"
    if not driver:
        vendors = [path.read_text().strip() for path in Path("/sys/bus/pci/devices").glob("*/vendor")]
        if "0x10de" in vendors:
            fix = "sudo ubuntu-drivers install  # or your system's package of the driver; then restart"
            yield Finding("NVIDIA driver", "none, although there is a card of NVIDIA's", fix)
        else:
            yield Finding("GPU", "none of NVIDIA's, or no driver; everything runs on the CPU")
        return
    yield Finding("NVIDIA driver", f"runs CUDA up to {_dotted(driver)}")
    if len(found) != 1:
        yield Finding("CuPy", f"{', '.join(found)}, which overwrite one another" if found else "none", install)
        return
    ((package, version),) = found.items()
    old = int(version.partition(".")[0]) < 13
    yield Finding("CuPy", f"{package} {version}", f"pip install --upgrade {package}" if old else "")
    try:
        tf32()
        import cupy

        runtime = cupy.cuda.get_local_runtime_version()
        yield Finding("CUDA runtime", _dotted(runtime), install if runtime // 1000 > driver // 1000 else "")
        cupy.cuda.get_cublas_handle()
        launch.compile_all()
        nvrtc = ".".join(map(str, cupy.cuda.nvrtc.getVersion()))
        yield Finding("libraries", f"cuBLAS is there, NVRTC {nvrtc} compiles our kernels")
        for device in range(cupy.cuda.runtime.getDeviceCount()):
            facts, (free, total) = cupy.cuda.runtime.getDeviceProperties(device), cupy.cuda.Device(device).mem_info
            memory = f"{free / 2**30:.1f} of {total / 2**30:.1f} GB free"
            yield Finding(f"cuda:{device}", f"{facts['name'].decode()}, {facts['major']}.{facts['minor']}, {memory}")
    except ArgumentError as error:
        yield Finding("CUPY_TF32", f"{error.got}, where CuPy expects {error.expected}", "unset CUPY_TF32")
    except Exception as error:  # exceptions of CuPy, and of the loader of libraries
        yield Finding("using CuPy", f"{type(error).__name__}: {error}".splitlines()[0], install)


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"
