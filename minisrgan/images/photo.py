"""Read and write photographs, so that every kind of file becomes the same kind of array.

`decode` turns bytes into photographs, `encode` turns photographs into files. `read_photo` and `write_photo` keep all
that a file contains; `read_image` and `write_image` are for code that needs only 8-bit pixels.
"""

import itertools
import threading
import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import UnidentifiedImageError

from minisrgan.backend import Array
from minisrgan.errors import ArgumentError, ImageError, ImageWarning, MinisrganError
from minisrgan.images.decode import TooManyPixels, decode
from minisrgan.images.encode import Subsampling, encode, encode_bands
from minisrgan.images.files import FORMATS, RASTER, replacing
from minisrgan.images.pixels import Photo, over_white, require_image, to_8_bits

__all__ = ["MOST_PIXELS", "READING", "Photo", "read_image", "read_photo", "write_bands", "write_image", "write_photo"]

MOST_PIXELS = 300_000_000
READING = threading.local()  # `path`: the file that this thread decodes, for the code that prints Pillow's warnings


def read_photo(path: str | Path, *, max_pixels: float = MOST_PIXELS) -> Photo:
    """Read a photograph with its transparency, colour profile, metadata and further pages or frames.

    The EXIF orientation is applied. Palettes become RGB, and 1-bit grey becomes 8-bit; 16-bit grey stays
    16-bit, as do 16-bit colours of PNG, TIFF and PPM. CMYK and LAB become sRGB, by their profile if there is one; other
    profiles are kept, but not applied. Of a TIFF, all pages except thumbnails and masks are read, and of an animation
    all frames, as 8 bits. The format is recognised by the content, not by the suffix. An `ImageWarning` says what is
    left out, except for unreadable EXIF.

    max_pixels  limit for all pages or frames together: a larger file may have been made to exhaust the memory
    Errors      ImageError, naming the file, if it is missing, damaged, too large, or in no format of `files.RASTER`

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_photo(Path(folder, "grey.png"), Photo(np.array([[[1], [65535]]], np.uint16)))
    ...     read_photo(Path(folder, "grey.png")).pixels[..., 0]
    array([[ 1, 65535]], dtype=uint16)
    """
    return _read("read_photo", Path(path), max_pixels)


def read_image(path: str | Path, *, keep_grey: bool = False, known: bool = False) -> Array:
    """Read a photograph as uint8 RGB, with its EXIF orientation applied.

    As `read_photo`, but only the first page or frame. Grey becomes RGB, 16-bit levels are divided by 257 and rounded
    (65535 becomes 255), and transparent pixels are blended with white.

    keep_grey  return a grey file as (H, W) instead: the benchmark tables use grey levels directly as luminance
    known      the caller compares the pixels with those of an earlier reading, so do not check that a JPEG is complete:
               for that check it is decoded twice
    Returns    uint8 (H, W, 3)
    Errors     ImageError, as `read_photo`

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_image(Path(folder, "red.png"), np.array([[[255, 0, 0]]], np.uint8))
    ...     read_image(Path(folder, "red.png"))
    array([[[255, 0, 0]]], dtype=uint8)
    """
    photo = _read("read_image", Path(path), MOST_PIXELS, every=False, known=known)
    pixels = to_8_bits(over_white(photo))
    if keep_grey and photo.alpha is None and pixels.shape[2] == 1:
        return pixels[..., 0]
    return pixels.repeat(3, axis=2) if pixels.shape[2] == 1 else pixels


def _read(what: str, path: Path, limit: float, every: bool = True, known: bool = False) -> Photo:
    """Read a photograph; `what` is the function that an error names."""
    if not path.is_file():
        folder, spelling = path.is_dir(), f"check the spelling; relative paths start at {Path.cwd()}"
        got = f"{path}, which {'is a folder' if folder else 'does not exist'}"
        fix = "list_images(folder) finds the images in a folder" if folder else spelling
        raise ImageError(what, expected="an image file", got=got, fix=fix)
    notes: dict[str, None] = {}  # each note once, in order
    READING.path = path
    try:
        photo = decode(path.read_bytes(), notes.setdefault, limit, every, known)
    except TooManyPixels as error:
        expected, fix = f"at most {limit / 1e6:,g} megapixels", "--max-megapixels allows more, in upscale"
        raise ImageError(what, expected=expected, got=f"{path} with {error}", fix=fix) from error
    except UnidentifiedImageError as error:
        got, fix = f"{path}, which is none of them, or of a kind that Pillow does not read", "save it as PNG elsewhere"
        raise ImageError(what, expected=f"an image file ({', '.join(RASTER)})", got=got, fix=fix) from error
    except Exception as error:  # decoders raise exceptions of many types, from SyntaxError to KeyError
        got = f"{path}: {type(error).__name__}: {error}"
        fix = "open it in an image viewer: if that works, save it as PNG; if not, the file is damaged or no image"
        raise ImageError(what, expected="an image file that is whole", got=got, fix=fix) from error
    finally:
        del READING.path
    for note in notes:
        warnings.warn(f"{path}: {note}", ImageWarning, stacklevel=3)
    return photo


def write_photo(
    path: str | Path,
    photo: Photo,
    *,
    quality: int = 95,
    subsampling: Subsampling = "auto",
    keep_metadata: bool = False,
    strip_metadata: bool = False,
) -> None:
    """Write a photograph in the format of the file's suffix.

    Transparency    kept in PNG, TIFF and WebP; blended with white in JPEG and BMP, which cannot store it
    16 bits         kept in TIFF, and in PNG except for animations; elsewhere divided by 257 and rounded
    Pages           TIFF stores all pages; PNG and WebP store all frames of an animation; the others only the first
    Colours         the profile is kept and, in PNG, gAMA, cHRM, cICP and sRGB. If the format cannot store the profile,
                    the colours are converted to sRGB. A profile for RGB is not written with grey pixels, and one for
                    grey not with RGB pixels. The resolution (dpi) is kept, too.
    quality         1 (small) to 100 (good), for JPEG and WebP; the others are lossless. WebP stores grey as RGB.
    subsampling     of the colours in JPEG: "444" keeps all, "422" every second, "420" every fourth. "auto" is 444 for a
                    quality of 95 or more, else 420.
    keep_metadata   also write EXIF, XMP, text and comments, if the format can store them
    strip_metadata  write only the pixels
    Errors          ImageError for an unknown suffix or a file that cannot be written, ArgumentError for the quality

    A missing folder is created, and the file appears only once it is complete (`replacing`). An `ImageWarning` says
    what is left out or rounded without being requested.

    >>> write_photo("picture.jpg", Photo(np.zeros((2, 2, 3), np.uint8)), quality=0)
    Traceback (most recent call last):
    minisrgan.errors.ArgumentError: ArgumentError in write_photo
      expected  a quality from 1 to 100
      got       quality=0
      fix       95 is hard to tell from the original; 75 takes about half the space
    """
    _write("write_photo", path, [photo], (), quality, subsampling, keep_metadata, strip_metadata)


def write_bands(path: str | Path, bands: Iterable[Photo], size: tuple[int, int], **options: Any) -> tuple[int, ...]:
    """Write a photograph that is given in bands of rows, from top to bottom; the result is that of `write_photo`.

    Only a few bands are in memory at a time. Several bands can become a PNG or TIFF; a single band can have any format.

    size      height and width of the whole
    options   those of `write_photo`
    Returns   height and width
    Errors    those of `write_photo`, and a MinisrganError or MemoryError raised while a band is computed

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     bands = (Photo(np.full((2, 3, 1), level, np.uint8)) for level in (10, 20))
    ...     size = write_bands(Path(folder, "a.png"), bands, (4, 3))
    ...     read_photo(Path(folder, "a.png")).pixels[:, 0, 0]
    array([10, 10, 20, 20], dtype=uint8)
    """
    return _write("write_bands", path, bands, size, **options)


def write_image(path: str | Path, image: Array) -> None:
    """Write an image as `write_photo` does, JPEG and WebP with quality 95.

    Shapes  uint8 (H, W, 3), or (H, W) for grey
    Errors  ImageError for an unknown suffix or a file that cannot be written, ShapeError, DTypeError

    >>> write_image("picture.xyz", np.zeros((2, 2), np.uint8))
    Traceback (most recent call last):
    minisrgan.errors.ImageError: ImageError in write_image
      expected  a file name that ends in .bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp
      got       picture.xyz
      fix       picture.png keeps every pixel exactly
    """
    require_image("write_image", image)
    _write("write_image", path, [Photo(np.atleast_3d(image))])


def _to_write(photo: Photo, keep: bool, strip: bool) -> Photo:
    """Return a photograph without the metadata that are not requested; by default colours and resolution remain."""
    if keep and not strip:
        return photo
    wanted = ("duration", "loop") if strip else ("duration", "loop", "dpi", "colour")
    info, profile = {key: photo.info[key] for key in wanted if key in photo.info}, None if strip else photo.icc_profile
    more = tuple(_to_write(page, keep, strip) for page in photo.more)
    return replace(photo, icc_profile=profile, exif=None, info=info, more=more)


def _write(
    what: str, path: str | Path, photos: Iterable[Photo], size: tuple[int, ...] = (), quality: int = 95,
    subsampling: Subsampling = "auto", keep_metadata: bool = False, strip_metadata: bool = False,
) -> tuple[int, ...]:  # fmt: skip
    """Write a photograph, or the bands of one of this size, and return its size; errors name the function `what`."""
    path, photos = Path(path), (_to_write(photo, keep_metadata, strip_metadata) for photo in photos)
    if not isinstance(quality, (int, np.integer)) or not 1 <= quality <= 100:
        fix = "95 is hard to tell from the original; 75 takes about half the space"
        raise ArgumentError(what, expected="a quality from 1 to 100", got=f"quality={quality!r}", fix=fix)
    first, second = next(photos), next(photos, None)
    size = first.pixels.shape[:2] if second is None else size
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        fix = f"{path.stem or 'picture'}.png keeps every pixel exactly"
        raise ImageError(what, expected=f"a file name that ends in {', '.join(FORMATS)}", got=str(path), fix=fix)
    options: dict[str, Any] = {"quality": int(quality)} if kind in ("JPEG", "WEBP") else {}
    if kind == "JPEG":
        options["subsampling"] = ":".join(("444" if quality >= 95 else "420") if subsampling == "auto" else subsampling)
    if kind == "WEBP":
        options["exact"] = True  # otherwise the colours under transparent pixels become black
    notes: dict[str, None] = {}
    try:
        with replacing(path) as temporary:
            if second is None:
                encode(temporary, kind, first, options, notes.setdefault)
            else:
                bands = itertools.chain([first, second], photos)
                encode_bands(temporary, kind, [(size, bands)], notes.setdefault)
    except (MinisrganError, MemoryError):  # raised while computing a band
        raise
    except Exception as error:  # encoders raise as many types as decoders
        expected = f"a folder open for writing, a format that takes {size[1]} x {size[0]} pixels"
        fix = "check the folder, its permissions and the space left; for very large images choose .png or .tif"
        raise ImageError(what, expected=expected, got=f"{path}: {type(error).__name__}: {error}", fix=fix) from error
    for note in notes:
        warnings.warn(f"{path}: {note}", ImageWarning, stacklevel=3)
    return size
