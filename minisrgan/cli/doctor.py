"""`minisrgan doctor`: check processor and GPU: what is installed, what is missing, how fast they are.

Check versions and threads, and for a GPU its driver, CuPy, CUDA's libraries and memory; then compute a convolution for
a second on each device and compare the results. Below each problem is a command that fixes it. The exit status is 1 if
there is a problem.
"""

import argparse
import platform
import textwrap
import time
from collections.abc import Iterator

import numpy as np

from minisrgan import __version__, backend, kernels
from minisrgan.kernels.cuda.check import Finding, findings

SECONDS, MOST = 1.0, 1e-4  # duration of a measurement; allowed difference of two devices, relative to the maximum
SHAPES = (4, 96, 96, 64), (3, 3, 64, 64)  # images and weight, as in the middle of the generator


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add no options."""


def run(args: argparse.Namespace) -> int:
    """Print each finding as soon as it is known."""
    amiss = 0
    for finding in examine():
        lines = textwrap.wrap(finding.fact, 92, break_long_words=False, break_on_hyphens=False) or [""]
        print(f"{finding.name:<16}{lines[0]}", *(f"{'':<16}{line}" for line in lines[1:]), sep="\n", flush=True)
        if finding.fix:
            print(f"{'  to mend it:':<16}{finding.fix}", flush=True)
            amiss += 1
    print("\n" + (f"{amiss} to mend, from the top down." if amiss else "All is well."))
    return int(bool(amiss))


def examine() -> Iterator[Finding]:
    """Check the processor, everything a GPU needs, and the results of each device."""
    libraries = [f"{b['internal_api']} {b['version']}" for b in backend._blas().info() if b["user_api"] == "blas"]
    versions = f"Python {platform.python_version()}, NumPy {np.__version__}, {', '.join(libraries) or 'unknown BLAS'}"
    yield Finding("minisrgan", f"{__version__}, {versions}, {platform.system()} {platform.machine()}")
    speed, right = convolve("cpu")
    yield Finding("cpu", f"{backend.thread_count()} threads (MINISRGAN_THREADS sets another number): {speed}")
    devices = []
    for finding in findings():
        yield finding
        devices += [finding.name] if finding.name.startswith("cuda:") else []
    for device in devices:
        speed, result = convolve(backend.choose_device(device))
        difference = float(abs(result - right).max() / abs(right).max())
        told = f"{speed}, {'TF32' if backend.tf32() else 'float32'}, differs from the CPU by {difference:.0e}"
        too_much = difference > MOST and not backend.tf32()
        yield Finding(f"{device} computes", told, "nvidia-smi -q  # look for errors of its memory" if too_much else "")


def convolve(device: str) -> tuple[str, backend.Array]:
    """Compute convolutions for a second; return the speed as text, and the result."""
    rng = np.random.default_rng(0)
    x, weight = (backend.to_device(rng.standard_normal(shape, dtype=np.float32), device) for shape in SHAPES)
    result, start, count = backend.to_numpy(kernels.conv2d(x, weight, padding=1)), time.perf_counter(), 0
    while (seconds := time.perf_counter() - start) < SECONDS:
        backend.to_numpy(kernels.conv2d(x, weight, padding=1)[0, 0, 0])  # waits for the result
        count += 1
    return f"{2 * count * result[..., 0].size * weight.size / seconds / 1e9:,.0f} GFLOP/s in a 3x3 convolution", result
