"""The formats that are read and written, files that appear complete or not at all, and the images in a folder."""

import os
import stat
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from uuid import uuid4

from PIL import Image

from minisrgan.errors import ImageError, plain

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


def write_whole(path: str | Path, content: str | bytes, durable: bool = False) -> None:
    """Write bytes, or a text in UTF-8, by `replacing`; "?" replaces what UTF-8 cannot hold, as in some file names."""
    with replacing(path, durable) as temporary:
        temporary.write_bytes(content.encode("utf-8", "replace") if isinstance(content, str) else content)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def list_images(folder: str | Path, skipped: dict[Path, str] | None = None) -> list[Path]:
    """Return every image in a folder and its subfolders, sorted by path; links to files and folders are followed.

    A file with the suffix of a raster format counts as an image, even if it turns out to be damaged. Any other file
    counts if its content is an image. Hidden files and folders are left out.

    skipped  filled with what is left out: path -> reason
    Errors   ImageError if the folder is missing or is a file, or if it contains no image

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b.PNG", "a/c.jpg", "notes.txt"):
    ...         Path(folder, name).parent.mkdir(exist_ok=True); Path(folder, name).touch()
    ...     Image.new("L", (1, 1)).save(Path(folder, "d"), "GIF")
    ...     found = list_images(folder, skipped := {})
    ...     [path.relative_to(folder).as_posix() for path in found], list(skipped.values())
    (['a/c.jpg', 'b.PNG', 'd'], ['no image in a format that is read here'])
    """
    folder = Path(folder)
    expected = f"a folder with images ({', '.join(sorted(_suffixes()))})"
    if not folder.is_dir():
        fix, why = f"check the spelling; relative paths start at {Path.cwd()}", "does not exist"
        if folder.is_file():
            fix, why = f"pass the folder {folder.parent}", "is a file"
        raise ImageError("list_images", expected=expected, got=f"{folder}, which {why}", fix=fix)
    found, left_out = list[Path](), {} if skipped is None else skipped
    inside = {str(folder): {os.path.realpath(folder)}}  # path of a folder -> the real folders on the way to it
    # A folder that cannot be opened is listed as if it were an image: reading it fails, so the error is not overlooked.
    for place, folders, files in os.walk(folder, onerror=lambda e: found.append(Path(e.filename)), followlinks=True):
        for name in sorted(folders):
            below, real = os.path.join(place, name), os.path.realpath(os.path.join(place, name))
            inside[below] = inside[place] | {real}
            if name.startswith(".") or real in inside[place]:
                folders.remove(name)  # os.walk will not enter it
                left_out[Path(below)] = "hidden" if name.startswith(".") else "a link to a folder that it lies in"
        for path in (Path(place, name) for name in sorted(files)):
            if reason := _why_not(path):
                left_out[path] = reason
            else:
                found.append(path)
    if not found:
        fix = "is it the right folder? Other formats have to be converted first"
        got = [f"none in {folder}", *describe_skipped(left_out)]
        raise ImageError("list_images", expected=expected, got=got, fix=fix)
    return sorted(found)


def describe_skipped(skipped: Mapping[Path, str] | Mapping[str, str], every: bool = False) -> list[str]:
    """Return lines with what was skipped and why; more than 5 files with the same reason share a line, unless `every`.

    >>> describe_skipped({"a.txt": "no image", "b.txt": "no image", ".c": "hidden"})
    ['skipped a.txt: no image', 'skipped b.txt: no image', 'skipped .c: hidden']
    >>> describe_skipped({f"{n}.txt": "no image" for n in range(1234)})
    ['skipped 1,234 files: no image (0.txt, 1.txt, ...)']
    """
    lines, reasons = list[str](), dict[str, list[str]]()
    for path, reason in skipped.items():
        reasons.setdefault(reason, []).append(plain(str(path)))
    for reason, names in reasons.items():
        if every or len(names) <= 5:
            lines += [f"skipped {name}: {reason}" for name in names]
        else:
            lines.append(f"skipped {len(names):,} files: {reason} ({names[0]}, {names[1]}, ...)")
    return lines


def _why_not(path: Path) -> str:
    """Return the reason why a file is not an image, or "" if it is one."""
    if path.name.startswith("."):  # macOS writes "._photo.jpg" beside photo.jpg on other file systems: not an image
        return "hidden"
    usual = path.suffix.lower() in _suffixes()
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return "neither a file nor a folder"  # a pipe: reading it would wait for ever
    except OSError as error:
        return "" if usual else error.strerror or "cannot be opened"
    if usual:
        return ""  # checked when it is read: an error is then a failure, not a skipped file
    try:
        known = [name for name in RASTER if name in Image.OPEN]  # an older Pillow knows fewer
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=known) as image:
            # Camera raw files are TIFFs that begin with a thumbnail: .nef, .dng, .arw and others.
            raw = image.format == "TIFF" and path.suffix
            return f"TIFF under the name *{path.suffix}, as camera raw files are: develop them first" if raw else ""
    except Image.DecompressionBombError:
        return ""
    except Exception:  # decoders raise exceptions of many types for other formats
        return "no image in a format that is read here"


@cache
def _suffixes() -> frozenset[str]:
    """Return the suffixes of the formats in `RASTER`, in lower case, as Pillow knows them."""
    return frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in RASTER)
