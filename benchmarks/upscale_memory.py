"""Peak memory and time of upscaling a photograph to 8K: ``python -m benchmarks.upscale_memory``.

1920x1080 to 7680x4320 with the paper's generator, as `minisrgan upscale` does it; other sizes by options. The peak is
that of the whole process, VmHWM of Linux: Python, NumPy and the result included. Takes minutes.
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path

import numpy as np

from minisrgan.inference import upscale
from minisrgan.inference.upscale import MEMORY
from minisrgan.models import Generator


def peak() -> int:
    """Return the most bytes that this process has held at a time."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def main() -> None:
    """Upscale noise and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in {"width": 1920, "height": 1080, "channels": 64, "blocks": 16, "memory": MEMORY}.items():
        parser.add_argument(f"--{name}", type=int, default=default, help=f"default {default}")
    args = parser.parse_args()
    generator = Generator(4, args.channels, args.blocks)
    image = np.random.default_rng(0).integers(0, 256, (args.height, args.width, 3), dtype=np.uint8)
    before, start = peak(), time.perf_counter()

    def show(done: int, total: int) -> None:
        seconds = time.perf_counter() - start
        print(f"\r{done / total:.0%}, {seconds:.0f} s, {peak() / 1e6:.0f} MB ", end="", flush=True)

    large = upscale(generator, image, memory=args.memory, progress=show)
    print(f"\r{args.width}x{args.height} -> {large.shape[1]}x{large.shape[0]}, {generator.describe()}: "
          f"{time.perf_counter() - start:.0f} s, peak {peak() / 1e6:.0f} MB, {before / 1e6:.0f} MB of it before; "
          f"allowed {args.memory / 1e6:.0f} MB beside the image")  # fmt: skip


if __name__ == "__main__":
    main()
