"""Read zip files, whose table of contents may be forged, and NumPy's .npz, which is a zip file."""

from io import BytesIO
from pathlib import Path
from zipfile import ZipFile

import numpy as np

from minisrgan.backend import Array

_GROWTH = 10  # largest ratio of unpacked to packed size; weights are almost random bits and hardly compress


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
