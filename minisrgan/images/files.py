"""Which files are images, where they lie, and that one which is being written never exists by halves."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from minisrgan.errors import ImageError

# Suffix of a file -> Pillow's name of the format.
FORMATS = {
    ".bmp": "BMP", ".jpeg": "JPEG", ".jpg": "JPEG", ".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".webp": "WEBP",
}  # fmt: skip
# What is opened, whatever a file is called: Pillow's names.
RASTER = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "AVIF", "JPEG2000", "PPM")


@contextmanager
def replacing(path: str | Path, durable: bool = False) -> Iterator[Path]:
    """Give the name of a temporary file to write, and move it to `path` once it is whole.

    It lies in the same folder, which is made where it is missing. If writing fails or is interrupted, it is removed
    and whatever was at `path` is still there.

    durable  return only when file and name are on the disk, where a loss of power does not reach them

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


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def list_images(folder: str | Path) -> list[Path]:
    """Every image below a folder, sorted by path; capitals in the suffix do not matter, hidden files are left out.

    Errors  ImageError if the folder is missing or is a file, or if no image lies in it

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.PNG", "a/c.jpg", "notes.txt"):
    ...         Path(folder, name).parent.mkdir(exist_ok=True); Path(folder, name).touch()
    ...     [path.relative_to(folder).as_posix() for path in list_images(folder)]
    ['a/c.jpg', 'b.PNG']
    """
    folder = Path(folder)
    looked_for = f"a folder with images ({', '.join(FORMATS)})"
    if folder.is_file():
        fix = f"pass the folder {folder.parent}"
        raise ImageError("list_images", expected=looked_for, got=f"{folder}, which is a file", fix=fix)
    if not folder.is_dir():
        fix = f"check the spelling; relative paths start at {Path.cwd()}"
        raise ImageError("list_images", expected=looked_for, got=f"{folder}, which does not exist", fix=fix)
    files = (path for path in folder.rglob("*") if path.suffix.lower() in FORMATS and path.is_file())
    # macOS leaves "._photo.jpg" beside photo.jpg on foreign drives: not an image
    found = [file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts)]
    if not found:
        fix = "is it the right folder? Other formats have to be converted first"
        raise ImageError("list_images", expected=looked_for, got=f"none in {folder}", fix=fix)
    return sorted(found)
