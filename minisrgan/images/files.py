"""Photographs in and out of files, so that every kind of file becomes the same kind of array.

Pillow decodes; this file sees to what Pillow leaves to its caller: the turn a camera wrote down, 16 bits, transparency,
damaged files, and that a picture which is being written never exists by halves.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
from PIL import Image, ImageOps

from minisrgan.backend import Array
from minisrgan.errors import ImageError
from minisrgan.images.checks import require_image

# Suffix of a file -> Pillow's name of the format and how to save in it.
FORMATS: dict[str, tuple[str, dict[str, int]]] = {
    ".bmp": ("BMP", {}),
    ".jpeg": ("JPEG", {"quality": 95}),
    ".jpg": ("JPEG", {"quality": 95}),
    ".png": ("PNG", {}),
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {}),
    ".webp": ("WEBP", {"quality": 95}),
}


def read_image(path: str | Path, *, keep_grey: bool = False) -> Array:
    """Read a photograph as uint8 RGB, the right way up.

    Turned as its EXIF orientation says. Grey, palette and CMYK become RGB. 16-bit grey is divided by 257 and rounded
    (65535 becomes 255). Transparent pixels are laid over white. Of an animation, the first frame. Colour profiles are
    not applied; 16-bit colour is read with the 8 bits that Pillow keeps.

    keep_grey  return a grey file as (H, W) instead: the benchmark tables use a grey photo as luminance as it is
    Returns    uint8 (H, W, 3)
    Errors     ImageError, naming the file, if it is missing, damaged, not an image, or too large for Pillow's limit

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_image(Path(folder, "red.png"), np.array([[[255, 0, 0]]], np.uint8))
    ...     read_image(Path(folder, "red.png"))
    array([[[255, 0, 0]]], dtype=uint8)
    """
    path = Path(path)
    if not path.is_file():
        raise ImageError(
            "read_image",
            expected="an image file",
            got=f"{path}, which is a folder" if path.is_dir() else f"{path}, which does not exist",
            fix="list_images(folder) finds the images in a folder"
            if path.is_dir()
            else f"check the spelling; relative paths start at {Path.cwd()}",
        )
    try:
        with Image.open(path) as image:
            return _to_array(ImageOps.exif_transpose(image), keep_grey)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            "read_image",
            expected="an image small enough not to be a decompression bomb, made to exhaust the memory",
            got=f"{path}: {error}",
            fix="if you trust the file, raise PIL.Image.MAX_IMAGE_PIXELS first",
        ) from error
    except Exception as error:  # decoders meet damaged files with errors of a dozen kinds, from SyntaxError to KeyError
        raise ImageError(
            "read_image",
            expected="an image file that is whole",
            got=f"{path}: {type(error).__name__}: {error}",
            fix="open it in an image viewer: if that works, save it as PNG; if not, the file is damaged or no image",
        ) from error


def _to_array(image: Image.Image, keep_grey: bool) -> Array:
    """Any of Pillow's modes as uint8 (H, W, 3), or (H, W) if grey is to be kept."""
    if image.mode == "F":
        raise ValueError("floating-point pixels, of which nobody knows what is white; save them as 8 or 16 bits")
    if image.mode.startswith("I"):  # whole numbers of 16 bits, or of 32, in which Pillow stores some 16-bit files
        levels = np.asarray(image).astype(np.int64)
        if levels.min() < 0 or levels.max() > 65535:
            raise ValueError(f"grey levels {levels.min()} to {levels.max()} do not fit into 16 bits")
        image = Image.fromarray(((levels + 128) // 257).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        # "La" and "RGBa" hold colours already multiplied by alpha; Pillow undoes that only one step at a time.
        image = image.convert({"La": "LA", "RGBa": "RGBA"}.get(image.mode, image.mode)).convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    elif keep_grey and image.mode in ("1", "L"):
        return np.array(image.convert("L"))
    return np.array(image.convert("RGB"))


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give the name of a temporary file to write, and move it to `path` once it is whole.

    It lies in the same folder, which is made where it is missing. If writing fails or is interrupted, it is removed
    and whatever was at `path` is still there.

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
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_image(path: str | Path, image: Array) -> None:
    """Write an image in the format of the file's suffix; JPEG and WebP with quality 95.

    Shapes  uint8 (H, W, 3), or (H, W) for grey
    Errors  ImageError for an unknown suffix or a file that cannot be written, ShapeError, DTypeError

    A missing folder is made, and the file appears only once it is whole (`replacing`).

    >>> write_image("picture.xyz", np.zeros((2, 2), np.uint8))
    Traceback (most recent call last):
    minisrgan.errors.ImageError: ImageError in write_image
      expected  a file name that ends in .bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp
      got       picture.xyz
      fix       picture.png keeps every pixel exactly
    """
    path = Path(path)
    require_image("write_image", image)
    if path.suffix.lower() not in FORMATS:
        raise ImageError(
            "write_image",
            expected=f"a file name that ends in {', '.join(FORMATS)}",
            got=str(path),
            fix=f"{path.stem or 'picture'}.png keeps every pixel exactly",
        )
    name, options = FORMATS[path.suffix.lower()]
    try:
        with replacing(path) as temporary:
            Image.fromarray(image).save(temporary, name, **options)
    except (OSError, ValueError, KeyError) as error:
        raise ImageError(
            "write_image",
            expected=f"a folder open for writing, a format that takes {image.shape[1]} x {image.shape[0]} pixels",
            got=f"{path}: {type(error).__name__}: {error}",
            fix="check the folder, its permissions and the space left; for very large images choose .png or .tif",
        ) from error


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
    if not folder.is_dir():
        raise ImageError(
            "list_images",
            expected=looked_for,
            got=f"{folder}, which is a file" if folder.exists() else f"{folder}, which does not exist",
            fix=f"pass the folder {folder.parent}"
            if folder.exists()
            else f"check the spelling; relative paths start at {Path.cwd()}",
        )
    found = [
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in FORMATS
        and path.is_file()
        # macOS leaves "._photo.jpg" beside photo.jpg on foreign drives: not an image
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not found:
        raise ImageError(
            "list_images",
            expected=looked_for,
            got=f"none in {folder}",
            fix="is it the right folder? Other formats have to be converted first",
        )
    return sorted(found)
