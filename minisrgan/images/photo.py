"""Photographs in and out of files, so that every kind of file becomes the same kind of array.

Pillow decodes; this file sees to what Pillow leaves to its caller: the turn a camera wrote down, 16 bits, transparency,
colour profiles and damaged files. `read_photo` and `write_photo` keep all that a file holds; `read_image` and
`write_image` are for code that wants nothing but 8-bit pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from minisrgan.backend import Array
from minisrgan.errors import ArgumentError, ImageError, ShapeError
from minisrgan.images.checks import require_image
from minisrgan.images.files import FORMATS, replacing

_PHOTOMETRIC, _ORIENTATION, _EXIF_IFD, _GPS_IFD = 0x0106, 0x0112, 0x8769, 0x8825
# What EXIF says of the photo, and not of how the file stores it: in a TIFF both stand in one table, and offsets or
# a bit depth copied from one file would damage another. In this order: description, make, model; resolution (3);
# software, date, artist, copyright; title, comment, author, keywords, subject.
_DESCRIBING = {*range(0x010E, 0x0111), 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x8298, *range(0x9C9B, 0x9CA0)}
# Width and height, untrue once the photo is turned or enlarged, and an offset that is untrue in any other file.
_UNTRUE = {0xA002, 0xA003, 0xA005}


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph with all that its file said of it.

    pixels       uint8 (H, W, 3) RGB or (H, W, 1) grey, or uint16 (H, W, 1) for 16-bit grey
    alpha        (H, W) of the same dtype, 0 where transparent; None where the file has no transparency. The colours
                 are those of the file, not multiplied by it.
    icc_profile  the colour profile, which says what colours the numbers mean, or None
    exif         EXIF as JPEG stores it, without orientation, size and thumbnail, or None
    Errors       ShapeError, DTypeError

    >>> Photo(np.zeros((4, 6), np.uint8))
    Traceback (most recent call last):
    minisrgan.errors.ShapeError: ShapeError in Photo
      expected  pixels (H, W, 3), or (H, W, 1) for grey; 16 bits for grey alone
      got       (4, 6) uint8
      fix       grey pixels become (H, W, 1) with pixels[..., None]
    """

    pixels: Array
    alpha: Array | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None

    def __post_init__(self) -> None:
        """Refuse shapes and dtypes that no file can hold."""
        pixels, alpha = self.pixels, self.alpha
        require_image("Photo", pixels, dtypes=("uint8", "uint16"), rgb=False)
        if pixels.shape[2:] != (1,) and (pixels.shape[2:] != (3,) or pixels.dtype != np.uint8):
            told = "pixels (H, W, 3), or (H, W, 1) for grey; 16 bits for grey alone"
            fix = "grey pixels become (H, W, 1) with pixels[..., None]"
            raise ShapeError("Photo", expected=told, got=f"{pixels.shape} {pixels.dtype}", fix=fix)
        if alpha is not None and (alpha.shape, alpha.dtype) != (pixels.shape[:2], pixels.dtype):
            told = f"alpha {pixels.shape[:2]} {pixels.dtype}, as the pixels are {pixels.shape} {pixels.dtype}"
            fix = "enlarge alpha with the pixels; None says that nothing is transparent"
            raise ShapeError("Photo", expected=told, got=f"{alpha.shape} {alpha.dtype}", fix=fix)


def read_photo(path: str | Path) -> Photo:
    """Read a photograph with its transparency, colour profile and EXIF, the right way up.

    Turned as its EXIF orientation says. Palettes and CMYK become RGB, 1-bit grey becomes 8-bit; 16-bit grey keeps its
    16 bits, 16-bit colour (and grey with alpha) the 8 that Pillow keeps. Of an animation, the first frame. The content
    decides what a file is, not its suffix. Colour profiles are not applied. EXIF that cannot be read is left out.

    Errors  ImageError, naming the file, if it is missing, damaged, not an image, or too large for Pillow's limit

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_photo(Path(folder, "grey.png"), Photo(np.array([[[1], [65535]]], np.uint16)))
    ...     read_photo(Path(folder, "grey.png")).pixels[..., 0]
    array([[ 1, 65535]], dtype=uint16)
    """
    return _read("read_photo", Path(path))


def read_image(path: str | Path, *, keep_grey: bool = False) -> Array:
    """Read a photograph as uint8 RGB, the right way up.

    As `read_photo`, but grey becomes RGB, 16-bit grey is divided by 257 and rounded (65535 becomes 255), and
    transparent pixels are laid over white.

    keep_grey  return a grey file as (H, W) instead: the benchmark tables use a grey photo as luminance as it is
    Returns    uint8 (H, W, 3)
    Errors     ImageError, naming the file, if it is missing, damaged, not an image, or too large for Pillow's limit

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_image(Path(folder, "red.png"), np.array([[[255, 0, 0]]], np.uint8))
    ...     read_image(Path(folder, "red.png"))
    array([[[255, 0, 0]]], dtype=uint8)
    """
    photo = _read("read_image", Path(path))
    pixels = _to_8_bits(_over_white(photo))
    if keep_grey and photo.alpha is None and pixels.shape[2] == 1:
        return pixels[..., 0]
    return pixels.repeat(3, axis=2) if pixels.shape[2] == 1 else pixels


def _read(what: str, path: Path) -> Photo:
    """Read a photograph in the name of `what`."""
    if not path.is_file():
        folder, spelling = path.is_dir(), f"check the spelling; relative paths start at {Path.cwd()}"
        got = f"{path}, which {'is a folder' if folder else 'does not exist'}"
        fix = "list_images(folder) finds the images in a folder" if folder else spelling
        raise ImageError(what, expected="an image file", got=got, fix=fix)
    try:
        # An open file, since from a path Pillow maps uncompressed TIFFs into memory, and those that lie on their side
        # with width and height mixed up.
        with path.open("rb") as file, Image.open(file) as image:
            if image.format == "PNG" and image.mode == "L" and "transparency" in image.info:
                # Pillow stretches 2 and 4 bits to 8, but not the one level that is transparent.
                image.info["transparency"] *= {"L;2": 85, "L;4": 17}.get(str(image.tile[0][3]), 1)
            # Before EXIF, which may lie behind the pixels; and Pillow turns a TIFF, and no other format, while loading,
            # after which its orientation is gone.
            image.load()
            turn, exif = _read_exif(image)
            pixels, alpha = _planes(image)
            # The profile of CMYK or LAB does not describe the RGB that they have become.
            profile = None if image.mode in ("CMYK", "LAB") else image.info.get("icc_profile") or None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        told = "an image small enough not to be a decompression bomb, made to exhaust the memory"
        fix = "if you trust the file, raise PIL.Image.MAX_IMAGE_PIXELS first"
        raise ImageError(what, expected=told, got=f"{path}: {error}", fix=fix) from error
    except Exception as error:  # decoders meet damaged files with errors of a dozen kinds, from SyntaxError to KeyError
        unknown = isinstance(error, UnidentifiedImageError)
        got = f"{path}, which is in no format known here" if unknown else f"{path}: {type(error).__name__}: {error}"
        fix = "open it in an image viewer: if that works, save it as PNG; if not, the file is damaged or no image"
        raise ImageError(what, expected="an image file that is whole", got=got, fix=fix) from error
    return Photo(_upright(pixels, turn), None if alpha is None else _upright(alpha, turn), profile, exif)


def _planes(image: Image.Image) -> tuple[Array, Array | None]:
    """Any of Pillow's modes as the pixels and alpha of a `Photo`."""
    clear = image.info.get("transparency")  # the one level, colour or list of palette entries that is transparent
    if image.mode == "F":
        raise ValueError("floating-point pixels, of which nobody knows what is white; save them as 8 or 16 bits")
    if image.mode.startswith("I"):  # whole numbers of 16 bits, or of 32, in which Pillow stores some 16-bit files
        levels = np.asarray(image)
        if levels.min() < 0 or levels.max() > 65535:
            raise ValueError(f"grey levels {levels.min()} to {levels.max()} do not fit into 16 bits")
        levels = levels.astype(np.uint16)
        if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == 0:  # a TIFF where 0 is white: Pillow inverts only 8 bits
            levels = 65535 - levels
        opaque = None if clear is None else np.where(levels == clear, 0, 65535).astype(np.uint16)
        return levels[..., None], opaque
    grey = image.mode in ("1", "L", "LA", "La")
    transparent = clear is not None or image.mode[-1] in "Aa"  # "a": colours multiplied by alpha, which convert undoes
    planes = np.atleast_3d(np.array(image.convert(("L" if grey else "RGB") + "A" * transparent)))  # (H, W, 1..4)
    return (planes[..., :-1], planes[..., -1]) if transparent else (planes, None)


def _read_exif(image: Image.Image) -> tuple[Any, bytes | None]:
    """The orientation that EXIF (or else XMP) gives, and what EXIF says of the photo."""
    turn, kept = 1, Image.Exif()
    try:
        exif = image.getexif()
        turn = exif.get(_ORIENTATION, 1)
        kept.update({tag: exif[tag] for tag in exif if tag in _DESCRIBING})
        for ifd in (_EXIF_IFD, _GPS_IFD):
            inner = {tag: value for tag, value in exif.get_ifd(ifd).items() if tag not in _UNTRUE}
            if inner:
                kept[ifd] = inner
        return turn, kept.tobytes() if len(kept) else None
    except Exception:  # as many kinds as above, but the picture is whole
        return turn, None


def _upright(plane: Array, turn: object) -> Array:
    """Turn (H, W, ...) by an EXIF orientation: 5 to 8 swap the axes first; then rows and columns may be reversed."""
    if turn in (5, 6, 7, 8):
        plane = plane.swapaxes(0, 1)
    rows, columns = -1 if turn in (3, 4, 7, 8) else 1, -1 if turn in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(plane[::rows, ::columns])


def _over_white(photo: Photo) -> Array:
    """The pixels as they look on white paper: (c * alpha + white * (white - alpha)) / white, rounded."""
    if photo.alpha is None:
        return photo.pixels
    white = np.iinfo(photo.pixels.dtype).max
    alpha = photo.alpha[..., None].astype(np.uint32)  # 65535^2 + 32767 just fits
    blend = (photo.pixels * alpha + white * (white - alpha) + white // 2) // white
    return blend.astype(photo.pixels.dtype)


def _to_8_bits(levels: Array) -> Array:
    """0..65535 as 0..255, rounded; 8 bits stay as they are."""
    return levels if levels.dtype == np.uint8 else ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def write_photo(path: str | Path, photo: Photo, *, quality: int = 95, keep_metadata: bool = False) -> None:
    """Write a photograph in the format of the file's suffix.

    Transparency  kept in PNG, TIFF and WebP; laid over white in JPEG and BMP, which have none
    16-bit grey   kept in PNG and TIFF; divided by 257 and rounded in JPEG, WebP and BMP, and where there is alpha,
                  since Pillow writes 16 bits for grey alone
    quality       1 (small) to 100 (good), of JPEG and WebP; the others lose nothing. WebP turns grey into RGB.
    keep_metadata write EXIF and colour profile too (BMP holds neither). A profile for RGB does not go with grey
                  pixels, nor one for grey with RGB.
    Errors        ImageError for an unknown suffix or a file that cannot be written, ArgumentError for the quality

    A missing folder is made, and the file appears only once it is whole (`replacing`).

    >>> write_photo("picture.jpg", Photo(np.zeros((2, 2, 3), np.uint8)), quality=0)
    Traceback (most recent call last):
    minisrgan.errors.ArgumentError: ArgumentError in write_photo
      expected  a quality from 1 to 100
      got       quality=0
      fix       95 is hard to tell from the original; 75 takes about half the space
    """
    _write("write_photo", Path(path), photo, quality, keep_metadata)


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
    _write("write_image", Path(path), Photo(np.atleast_3d(image)))


def _write(what: str, path: Path, photo: Photo, quality: int = 95, keep_metadata: bool = False) -> None:
    """Write a photograph in the name of `what`."""
    name = FORMATS.get(path.suffix.lower())
    if name is None:
        fix = f"{path.stem or 'picture'}.png keeps every pixel exactly"
        raise ImageError(what, expected=f"a file name that ends in {', '.join(FORMATS)}", got=str(path), fix=fix)
    if not isinstance(quality, (int, np.integer)) or not 1 <= quality <= 100:
        fix = "95 is hard to tell from the original; 75 takes about half the space"
        raise ArgumentError(what, expected="a quality from 1 to 100", got=f"quality={quality!r}", fix=fix)
    planes = photo.pixels
    if photo.alpha is not None:
        planes = _over_white(photo) if name in ("JPEG", "BMP") else np.dstack([planes, photo.alpha])
    if planes.shape[2] > 1 or name not in ("PNG", "TIFF"):
        planes = _to_8_bits(planes)
    # exact: WebP otherwise blackens the colours under transparent pixels.
    options: dict[str, Any] = {"quality": int(quality), "exact": True} if name in ("JPEG", "WEBP") else {}
    if keep_metadata and photo.exif:
        options["exif"] = photo.exif
    space = {b"GRAY": 1, b"RGB ": 3}.get((photo.icc_profile or b"")[16:20])  # the channels that the profile describes
    if keep_metadata and photo.icc_profile and space in (None, photo.pixels.shape[2]):
        options["icc_profile"] = photo.icc_profile
    try:
        with replacing(path) as temporary:
            Image.fromarray(planes[..., 0] if planes.shape[2] == 1 else planes).save(temporary, name, **options)
    except Exception as error:  # encoders know as many kinds as decoders
        told = f"a folder open for writing, a format that takes {planes.shape[1]} x {planes.shape[0]} pixels"
        fix = "check the folder, its permissions and the space left; for very large images choose .png or .tif"
        raise ImageError(what, expected=told, got=f"{path}: {type(error).__name__}: {error}", fix=fix) from error
