"""Decode the bytes of a file into photographs.

Pillow decodes. This file does what Pillow leaves to its caller: it chooses which formats are opened, limits the size,
applies the EXIF orientation, handles transparency, pages and frames, and compares the result with the file's header.
"""

import io
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from minisrgan.backend import Array
from minisrgan.images import jpeg, png, tiff
from minisrgan.images.files import RASTER
from minisrgan.images.pixels import Photo, to_8_bits, upright

Tell: TypeAlias = Callable[[str], None]

# EXIF tags that describe the photo. Other tags describe how the file stores it: a TIFF has both in one table, and
# offsets or a bit depth copied from one file would damage another. In this order: description, make, model;
# resolution (3); software, date, artist, copyright; title, comment, author, keywords, subject.
_DESCRIBING = {*range(0x010E, 0x0111), 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x8298, *range(0x9C9B, 0x9CA0)}
# Width and height, which are wrong once the photo is rotated or enlarged; an offset, which is wrong in any other file.
_UNTRUE = {0xA002, 0xA003, 0xA005}
_OPENING = threading.Lock()
if hasattr(os, "register_at_fork"):  # held by another thread during a fork, it would stay locked in the child
    os.register_at_fork(before=_OPENING.acquire, after_in_parent=_OPENING.release, after_in_child=_OPENING.release)


class TooManyPixels(ValueError):
    """A picture is larger than allowed."""


def decode(data: bytes, tell: Tell, limit: float, every: bool = True, known: bool = False) -> Photo:
    """Decode a file and return its first picture of full size; the other pictures are in `Photo.more`.

    tell    called with a short description of each thing that was left out or changed
    limit   how many pixels the pictures may have together
    every   decode all pages and frames
    known   do not check that a JPEG is complete, see `photo.read_image`
    Errors  TooManyPixels; for damaged files and other formats, exceptions of many types, from SyntaxError to KeyError
    """
    read = _tiff_pages if tiff.is_tiff(data) else partial(_frames, known=known)
    first, *more = read(data, tell, limit, every)
    return replace(first, more=tuple(more))


def open_raster(data: bytes, load: bool = False) -> Any:
    """Open a file in a raster format. Other formats may make Pillow run a program, such as Ghostscript for PostScript.

    load   also decode the file, while Pillow's limit of size is off: Pillow checks it again when it decodes a TIFF
    """
    Image.init()
    formats = [name for name in RASTER if name in Image.OPEN]  # an older Pillow knows fewer
    with _OPENING:  # all threads share Pillow's limit; ours is checked before decoding
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            image = Image.open(io.BytesIO(data), formats=formats)
            if load:
                heard, _ = tiff.listen()
                heard.clear()
                image.load()
                if heard:
                    raise ValueError(heard[0])
            return image
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _decoded(data: bytes) -> Array:
    return np.asarray(open_raster(data, load=tiff.is_tiff(data)))  # other formats are decoded outside the lock


def _frames(data: bytes, tell: Tell, limit: float, every: bool, known: bool) -> Iterator[Photo]:
    """Decode a file of any format except TIFF."""
    said: dict[str, Any] = {}
    if data.startswith(png.SIGNATURE):
        data, said = png.sound(data, tell)
    image = open_raster(data)
    count = getattr(image, "n_frames", 1)
    if count > 1 and (image.format == "MPO" or not every):
        tell(f"of its {count} pictures only the first is taken")
        count = 1
    _check_size(image.size[0] * image.size[1] * count, limit)
    deep = _read_deep(image, data, said) if count == 1 else None
    depth = said.get("depth") or _depth(image, data)
    if depth > 8 and deep is None and not image.mode.startswith("I"):
        tell(f"of its {depth} bits a channel 8 are read")
    if said.get("kind") == 0 and "transparency" in image.info:
        # Pillow scales grey levels of 2 and 4 bits to 8 bits, but not the level that marks transparent pixels.
        image.info["transparency"] *= {2: 85, 4: 17}.get(depth, 1)
    still = bool(count > 1 and image.info.get("default_image"))
    if still:
        tell("its still picture, for viewers that show no animation, is left out")
    for number in range(still, count):
        image.seek(number)
        image.load()
        pixels, alpha = _planes(image, tell) if deep is None else _split(deep, image.info.get("transparency"))
        if image.format in ("JPEG", "MPO") and not known:
            jpeg.require_whole(data, np.asarray(image), _decoded)
        if image.format == "JPEG2000":
            jpeg.require_tiles(data)
        if pixels.shape != said.get("shape", pixels.shape):
            raise ValueError(f"{said['shape']} levels by the header, but Pillow decodes {pixels.shape}")
        if said and (count > 1 or said["laced"] or said["kind"] == 3 or not pixels[-1].any()):  # kind 3: a palette
            png.require_rows(data, said)
        found = {**image.info, "text": getattr(image, "text", {}), **said, "duration": None, "loop": None}
        if found.get("dpi") == (72, 72) and not found.get("jfif_unit"):  # Pillow's default for a JPEG without one
            del found["dpi"]
        if count > 1:
            # A GIF stores how often it is repeated, other formats how often it is played; 0 means forever.
            repeated = image.format == "GIF" and image.info.get("loop", 0) > 0
            found |= {"duration": image.info.get("duration", 0), "loop": image.info.get("loop", 1) + repeated}
        yield _photo(pixels, alpha, image.getexif, found)


def _tiff_pages(data: bytes, tell: Tell, limit: float, every: bool) -> Iterator[Photo]:
    """Decode the pages of a TIFF that are photographs, without thumbnails and masks."""
    found = list(tiff.pages(data))
    pages = [tags for tags in found if tiff.is_photo(tags)]
    if data[8:10] == b"CR" or (not pages and any(tiff.SUB_FILES in tags for tags in found)):
        raise ValueError("a camera's raw photograph, of which only a preview could be read; develop it first")
    if pages and len(found) > len(pages):
        tell(f"{len(found) - len(pages)} of its {len(found)} pages, smaller copies or masks of others, left out")
    pages = pages or found
    if len(pages) > 1 and not every:
        tell(f"of its {len(pages)} pages only the first is taken")
        pages = pages[:1]
    _check_size(sum(tags[tiff.WIDTH] * tags[tiff.HEIGHT] for tags in pages), limit)
    for tags in pages:
        if tags.get(tiff.COMPRESSION) == 32771:  # 1-bit pixels: libtiff returns wrong pixels, without an error
            raise ValueError(tiff.describe(tags))
        page, profile = tiff.beginning_with(data, tags), tags.get(tiff.PROFILE)
        if turned := not tiff.pillow_cannot(tags):
            try:
                image = open_raster(page, load=True)  # Pillow applies the orientation of a TIFF, and of no other format
            except UnidentifiedImageError:
                raise ValueError(tiff.describe(tags)) from None
            tiff.check(image, tags)
            pixels, alpha = _planes(image, tell)
            profile = image.info.get("icc_profile")
        else:
            grey = (np.array(open_raster(plane, load=True)) for plane in tiff.as_grey(page, tags))
            pixels, alpha = tiff.assemble(grey, tags)
            if pixels.shape[2] == 4:
                inks = Image.fromarray(to_8_bits(pixels), "CMYK")
                tell("of its 16 bits a channel 8 are read") if pixels.dtype == np.uint16 else None
                pixels, profile = np.array(to_srgb(inks, profile, tell)), None
                alpha = None if alpha is None else to_8_bits(alpha)
        tiff.require_parts(data, tags, _decoded)
        unit = {2: 1, 3: 2.54}.get(tags.get(tiff.DPI_UNIT, 2), 0)  # inches, centimetres, or an unknown unit
        dpi = [float(tags.get(tag, 0)) * unit for tag in tiff.DPI]
        about = {"icc_profile": profile, "xmp": tags.get(tiff.XMP), "dpi": dpi}
        yield _photo(pixels, alpha, partial(_tiff_exif, data, tags, turned), about)


def _tiff_exif(data: bytes, tags: tiff.Tags, turned: bool) -> Image.Exif:
    """Return the EXIF of a page of a TIFF; `turned` says that its orientation has been applied already."""
    exif = Image.Exif()
    exif.endian, exif.bigtiff = tiff.order(data), tiff.is_big(data)
    exif.load_from_fp(io.BytesIO(data), tags.offset)
    if turned:
        exif[tiff.ORIENTATION] = 1
    return exif


def _check_size(pixels: int, limit: float) -> None:
    if pixels > limit:
        raise TooManyPixels(f"{pixels / 1e6:,.1f} megapixels")


def _depth(image: Any, data: bytes) -> int:
    """Return the bits per channel, for formats of which Pillow does not report them."""
    if image.format == "PPM":
        return 16 if image.mode != "1" and image.tile[0][0].startswith("ppm") and image.tile[0][3][1] > 255 else 8
    start, beyond = {"JPEG2000": (b"\xff\x4f\xff\x51", 42), "AVIF": (b"pixi", 9)}.get(image.format, (b"", 0))
    at = data.find(start)
    if not start or at < 0:
        return 8
    return (data[at + beyond] & 0x7F) + int(image.format == "JPEG2000")


def _read_deep(image: Any, data: bytes, said: Mapping[str, Any]) -> Array | None:
    """Return the 16-bit colours of a PNG or a PPM, of which Pillow keeps 8 bits; None for any other file."""
    if said.get("depth") == 16 and said["kind"] in (2, 4, 6):
        return png.read_16_bits(image, open_raster(data), said["kind"])
    if image.format == "PPM" and image.mode == "RGB" and image.tile[0][0] == "ppm" and image.tile[0][3][1] > 255:
        (_, _, at, (_, white)), (width, height) = image.tile[0], image.size
        levels = np.frombuffer(data, ">u2", width * height * 3, at).reshape(height, width, 3)
        return np.minimum((levels * (65535 / white)).round(), 65535).astype(np.uint16)
    return None


def _split(planes: Array, clear: Any) -> tuple[Array, Array | None]:
    """Split planes (H, W, 1 to 4) into pixels and alpha. `clear`: the one 16-bit colour that is transparent."""
    if planes.shape[2] in (2, 4):
        return planes[..., :-1], planes[..., -1]
    return planes, None if clear is None else np.where((planes == clear).all(axis=2), 0, 65535).astype(np.uint16)


def _planes(image: Image.Image, tell: Tell) -> tuple[Array, Array | None]:
    """Return the pixels and alpha, as in a `Photo`, of a Pillow image of any mode."""
    clear = image.info.get("transparency")  # the one level, colour or list of palette entries that is transparent
    tags: Any = getattr(image, "tag_v2", {})
    if image.mode == "F":
        raise ValueError("floating-point pixels, of which nobody knows what is white; save them as 8 or 16 bits")
    if image.mode.startswith("I"):  # integers of 16 bits, or of 32, which Pillow uses for some 16-bit files
        levels = np.asarray(image)
        if levels.min() < 0 or levels.max() > 65535:
            raise ValueError(f"grey levels {levels.min()} to {levels.max()} do not fit into 16 bits")
        levels = levels.astype(np.uint16)
        if tags.get(tiff.BITS) in (12, (12,)):
            levels = (levels * (65535 / 4095)).round().astype(np.uint16)
        return _split(levels[..., None], clear)
    if image.mode in ("CMYK", "LAB"):  # their profile does not describe the RGB that they become
        image = to_srgb(image, image.info.pop("icc_profile", None), tell)
    grey = image.mode in ("1", "L", "LA", "La")
    transparent = clear is not None or image.mode[-1] in "Aa"  # "a": premultiplied by alpha; convert divides again
    planes = np.atleast_3d(np.array(image.convert(("L" if grey else "RGB") + "A" * transparent)))  # (H, W, 1..4)
    return _split(planes, None)


def to_srgb(image: Image.Image, profile: bytes | None, tell: Tell) -> Image.Image:
    """Convert grey, RGB, CMYK or LAB to sRGB (grey stays grey), using the colour profile if there is one."""
    mode = "L" if image.mode == "L" else "RGB"
    try:
        if profile:
            source, srgb = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
            image = ImageCms.profileToProfile(image, source, srgb, outputMode="RGB") or image
    except (ImageCms.PyCMSError, OSError, ImportError):
        tell("its colour profile cannot be applied: colours are not exact")
    return image.convert(mode)


def _photo(pixels: Array, alpha: Array | None, read_exif: Callable[[], Image.Exif], found: Mapping[str, Any]) -> Photo:
    """Return a photo with its orientation applied, and with the metadata in `found` that a `Photo` keeps."""
    turn, exif = _read_exif(read_exif)
    info = {key: found[key] for key in ("colour", "duration", "loop") if found.get(key) not in (None, {})}
    dpi = [float(value) for value in found.get("dpi", ())]
    if len(dpi) == 2 and all(1 < value < 1e6 for value in dpi):  # not NaN; Pillow reports 1 if there is none
        info["dpi"] = tuple(dpi[::-1] if turn in (5, 6, 7, 8) else dpi)
    if isinstance(xmp := found.get("xmp"), bytes):
        info["xmp"] = re.sub(rb"(tiff:Orientation\W{1,3})[2-8]", rb"\g<1>1", xmp)
    text = {str(key): str(value) for key, value in found.get("text", {}).items()}
    if isinstance(comment := found.get("comment"), bytes):
        text["Comment"] = comment.rstrip(b"\0").decode("utf-8", "replace")
    # XMP is handled above; raw profiles are copies of another file's EXIF and IPTC, with its size and orientation.
    if text := {key: value for key, value in text.items() if not re.match("XML:com.adobe|Raw profile", key)}:
        info["text"] = text
    alpha = None if alpha is None else upright(alpha, turn)
    profile = found.get("icc_profile")
    return Photo(upright(pixels, turn), alpha, profile if isinstance(profile, bytes) and profile else None, exif, info)


def _read_exif(read: Callable[[], Image.Exif]) -> tuple[Any, bytes | None]:
    """Return the orientation from EXIF (or else XMP), and the EXIF tags that describe the photo."""
    turn, kept = 1, Image.Exif()
    with suppress(Exception):  # exceptions of many types, as above, but the picture is intact
        exif = read()
        turn = exif.get(tiff.ORIENTATION, 1)
        kept.update({tag: exif[tag] for tag in exif if tag in _DESCRIBING})
        for ifd in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            if inner := {tag: value for tag, value in exif.get_ifd(ifd).items() if tag not in _UNTRUE}:
                kept[ifd] = inner
        return turn, kept.tobytes() if len(kept) else None
    return turn, None
