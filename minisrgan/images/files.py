"""The formats that are read and written, and files that appear complete or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

# Suffix of a file -> Pillow's name of the format.
FORMATS = {
    ".bmp": "BMP", ".jpeg": "JPEG", ".jpg": "JPEG", ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP",
}  # fmt: skip
# The formats that are opened, by Pillow's names; the suffix of a file does not matter.
RASTER = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "AVIF", "JPEG2000", "PPM")


@contextmanager
def replacing(path: str | Path, durable: bool = False) -> Iterator[Path]:
    """Yield the name of a temporary file to write, and move this file to `path` once it is complete.

    The temporary file is in the same folder, which is created if it is missing. If writing fails or is interrupted, the
    temporary file is removed, and `path` is unchanged.

    durable  return only when the file and its name are stored on the disk, so that they survive a loss of power

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with replacing(Path(folder, "runs", "note.txt")) as temporary:
    ...         _ = temporary.write_text("whole")
    ...     [file.name for file in Path(folder, "runs").iterdir()]
    ['note.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid4().hex}.tmp")
    try:
        yield temporary
        if durable:
            _sync(temporary)
        os.replace(temporary, path)
        if durable and os.name != "nt":  # Windows cannot open a folder
            _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: str | Path, text: str, durable: bool = False) -> None:
    """Write a text in UTF-8 by `replacing`; "?" replaces what UTF-8 cannot hold, as in some file names."""
    with replacing(path, durable) as temporary:
        temporary.write_text(text, "utf-8", errors="replace")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
