"""Read files that hold many arrays and whose sizes may be forged: zip files such as NumPy's .npz, and Keras's .h5."""

import re
from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np

from minisrgan.backend import Array
from minisrgan.weights.store import need

_GROWTH = 10  # largest ratio of unpacked to packed size; weights are almost random bits and hardly compress
_NUMBERED = ("conv2d", "batch_normalization", "p_re_lu", "dense")  # layers that Keras numbers


def open_zip(path: str | Path) -> ZipFile:
    """Open a zip file; ValueError if it has a name twice, or unpacks to more than ten times its size."""
    archive = ZipFile(path)
    infos = archive.infolist()
    if len({info.filename for info in infos}) < len(infos):
        raise ValueError("a name stands there twice")
    if sum(info.file_size for info in infos) > _GROWTH * Path(path).stat().st_size + (1 << 20):
        raise ValueError(f"unpacked it would be more than {_GROWTH} times as large")
    return archive


def read_npz(path: str | Path) -> dict[str, Array]:
    """Return the arrays of an .npz file. `np.load` would allocate memory for any shape that the file claims."""
    arrays = {}
    with open_zip(path) as archive:
        for info in archive.infolist():
            file = BytesIO(archive.read(info))
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = header(file)
            if dtype.hasobject:
                raise ValueError(f"{info.filename} holds pickled objects: save each array under a name of its own")
            flat = np.frombuffer(file.getbuffer(), dtype, offset=file.tell())
            arrays[info.filename.removesuffix(".npy")] = flat.reshape(shape, order="F" if fortran else "C")
    return arrays


def read_keras(path: str | Path) -> dict[str, Array]:
    """Return arrays named module.part; the numbers of Keras's layers, as in conv2d_37, are changed to start at 0."""
    need("h5py", "weights", "Keras's .h5")
    import h5py

    found: dict[str, dict[str, Array]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer_weights"):
            if item.external or item.is_virtual or item.nbytes > _GROWTH * Path(path).stat().st_size:
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
