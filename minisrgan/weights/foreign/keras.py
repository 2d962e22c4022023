"""Read Keras's .h5 files."""

import re
from collections import Counter
from pathlib import Path
from typing import Any

from minisrgan.backend import Array
from minisrgan.weights.store import need

_NUMBERED = ("conv2d", "batch_normalization", "p_re_lu", "dense")  # layers that Keras numbers


def read_keras(path: str | Path) -> dict[str, Array]:
    """Return arrays named module.part; the numbers of Keras's layers, as in conv2d_37, are changed to start at 0."""
    need("h5py", "weights", "Keras's .h5")
    import h5py

    found: dict[str, dict[str, Array]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer_weights"):
            if item.external or item.is_virtual or item.nbytes > 10 * Path(path).stat().st_size:
                raise ValueError(f"{name} lies in another file, or would grow when unpacked")
            parts = name.removeprefix("model_weights/").removesuffix(":0").split("/")
            module, part = parts[0].replace("normalization_v1", "normalization"), parts[-1]
            found.setdefault(module, {})[part.removeprefix(f"{module}_").removesuffix("_1")] = item[()]

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    counts: Counter[str] = Counter()
    arrays: dict[str, Array] = {}
    for module in sorted(found, key=lambda name: int((re.findall(r"_(\d+)$", name) or [0])[0])):
        kind = re.sub(r"_\d+$", "", module)
        name = f"{kind}_{counts[kind]}" if kind in _NUMBERED else module
        counts[kind] += 1
        arrays |= {f"{name}.{part}": array for part, array in found[module].items()}
    return arrays
