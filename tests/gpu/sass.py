"""What NVIDIA's compiler makes of a kernel: its loops, counted in the instructions of a GPU, without one.

Needs NVRTC and nvdisasm: ``pip install nvidia-cuda-nvrtc-cu12 nvidia-cuda-nvdisasm``.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOUND = next(Path(sys.prefix).glob("lib/python3*/site-packages/nvidia/**/nvdisasm"), None)
NVDISASM = shutil.which("nvdisasm") or (str(FOUND) if FOUND else None)


def functions(cubin: bytes) -> dict[str, list[str]]:
    """Return the instructions and labels of each kernel."""
    assert NVDISASM is not None
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernels.cubin")
        file.write_bytes(cubin)
        text = subprocess.run([NVDISASM, "-c", str(file)], capture_output=True, text=True, check=True).stdout
    kernels: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.splitlines():
        if name := re.match(r"\.text\.(\w+):", line):
            lines = kernels.setdefault(name[1], [])
        elif found := re.match(r"(\.L\w+):|\s+/\*[0-9a-f]{4,}\*/\s+(.*?);", line):
            lines.append(found[1] or found[2].strip())
    return kernels


def loops(lines: list[str]) -> list[int]:
    """Return how many instructions each loop has, the innermost first, and all of the kernel together."""
    places: dict[str, int] = {}
    count, found = 0, []
    for line in lines:
        if line.startswith(".L"):
            places[line] = count
        elif line != "NOP":
            count += 1
            back = re.search(r"\bBRA\b.*`\((\.L\w+)\)", line)
            if back and places.get(back[1], count) < count - 1:  # not the endless loop that follows a kernel
                found.append(count - places[back[1]])
    return [*sorted(found), count]
