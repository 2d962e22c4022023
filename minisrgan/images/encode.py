"""Encode photographs into a file: Pillow encodes, and this file decides what each format stores."""

import itertools
from collections.abc import Iterable
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from minisrgan.backend import Array
from minisrgan.images import png, tiff
from minisrgan.images.decode import Tell, to_srgb
from minisrgan.images.pixels import Photo, over_white, to_8_bits

Subsampling: TypeAlias = Literal["auto", "444", "422", "420"]

# How many bytes of EXIF, XMP and text a format can hold; in a JPEG, one segment of XMP and one of text. BMP holds none.
_ROOM = {"PNG": (inf, inf, inf), "TIFF": (inf, inf, 0), "WEBP": (inf, inf, 0), "JPEG": (inf, 65_500, 65_500)}
_GAMMA = 1 / 2.2  # of a picture without gAMA, in PNG's notation


def encode(path: Path, kind: str, photo: Photo, options: dict[str, Any], tell: Tell) -> None:
    """Write a photograph with its metadata, and with its pages or frames, as far as the format can store them.

    kind      the format, by Pillow's name
    options   Pillow's options for this format
    tell      called with each thing that was left out or changed without being requested
    """
    pages, moving = [photo, *photo.more], "duration" in photo.info
    if len(pages) > 1 and not (kind == "TIFF" or (moving and kind in ("PNG", "WEBP"))):
        frames, better = ("frames", "png and webp keep") if moving else ("pages", "tif keeps")
        tell(f"only the first of {len(pages)} {frames}; --format {better} all")
        pages = pages[:1]
    if moving and kind == "TIFF":
        tell("the frames became pages, and lost their times")
    if kind == "TIFF" or (kind == "PNG" and len(pages) == 1 and photo.pixels.dtype == np.uint16):
        encode_bands(path, kind, [(page.pixels.shape[:2], [page]) for page in pages], tell)
        return
    pages = [_fit(page, kind, False, tell) for page in pages]
    images = [_image(_planes(page)) for page in pages]
    options |= _beside(kind, pages[0], tell)
    if len(pages) > 1:
        if len({image.mode for image in images}) > 1:  # all frames of a file have the same channels
            images = [image.convert("RGBA") for image in images]
        times = [min(round(page.info.get("duration", 0)), 65_535) for page in pages]  # ms; PNG stores no longer times
        options |= {"save_all": True, "append_images": images[1:], "duration": times, "loop": photo.info.get("loop", 0)}
    images[0].save(path, kind, **options)


def encode_bands(path: Path, kind: str, pages: Iterable[tuple[tuple[int, ...], Iterable[Photo]]], tell: Tell) -> None:
    """Write a TIFF, or a PNG of one page, band by band and in all its bits, which Pillow cannot do.

    pages   for each page its height and width, and its bands; the rest is as in `encode`
    """
    contents = list[Any]()
    for size, bands in pages:
        fitting = (_fit(band, kind, True, tell) for band in bands)
        first = next(fitting)
        contents.append((size, map(_planes, itertools.chain([first], fitting)), _beside(kind, first, tell)))
    with path.open("wb") as file:
        if kind == "TIFF":
            tiff.write_pages(file, contents)
        else:
            png.write_rows(file, *contents[0])


def _planes(photo: Photo) -> Array:
    """Return pixels and alpha as one array."""
    return photo.pixels if photo.alpha is None else np.dstack([photo.pixels, photo.alpha])


def _fit(photo: Photo, kind: str, deep: bool, tell: Tell) -> Photo:
    """Convert a photograph to what the format can store; keep the colour profile only if it will be written."""
    pixels, alpha, profile = photo.pixels, photo.alpha, photo.icc_profile
    if alpha is not None and kind in ("JPEG", "BMP"):
        pixels, alpha = over_white(photo), None
    if pixels.dtype == np.uint16 and not deep:
        tell("its 16 bits a channel are rounded to 8")
        pixels, alpha = to_8_bits(pixels), None if alpha is None else to_8_bits(alpha)
    space = {b"GRAY": 1, b"RGB ": 3}.get((profile or b"")[16:20])  # the channels that the profile describes
    if space not in (None, pixels.shape[2]):
        profile = None
    elif profile and (kind == "BMP" or (kind == "WEBP" and space == 1)):  # in a WebP grey becomes RGB
        pixels, profile = np.atleast_3d(np.array(to_srgb(_image(pixels), profile, tell))), None
    lost = {} if kind == "PNG" else photo.info.get("colour", {})
    if b"cICP" in lost:
        tell("its cICP, which says what its colours mean, is left out: colours may look different")
    if b"gAMA" in lost and not (photo.icc_profile or b"sRGB" in lost):
        white, power = np.iinfo(pixels.dtype).max, _GAMMA / (int.from_bytes(lost[b"gAMA"]) / 100_000 or _GAMMA)
        table = ((np.arange(white + 1) / white) ** power * white).round().astype(pixels.dtype)
        pixels = table[pixels] if abs(power - 1) > 0.01 else pixels
    return replace(photo, pixels=pixels, alpha=alpha, icc_profile=profile)


def _beside(kind: str, photo: Photo, tell: Tell) -> dict[str, Any]:
    """Return Pillow's options for what is written besides the pixels: the profile, the resolution, the metadata."""
    info = PngInfo()  # the other formats ignore it
    options: dict[str, Any] = {"icc_profile": photo.icc_profile, "dpi": photo.info.get("dpi"), "pnginfo": info}
    for name, body in photo.info.get("colour", {}).items():
        info.add(name, body)
    xmp, text, exif = photo.info.get("xmp"), photo.info.get("text", {}), photo.exif
    lines = "\n".join(value if key == "Comment" else f"{key}: {value}" for key, value in text.items()).encode()
    if kind == "PNG":
        for key, value in text.items():
            info.add_text(key, value)
        if xmp:
            info.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8", "replace"))
    elif kind == "TIFF" and xmp:
        tags = Image.Exif()
        tags.load(exif or b"")
        tags[tiff.XMP] = xmp
        exif = tags.tobytes()
    found = ("exif", exif, "EXIF"), ("xmp", xmp, "XMP"), ("comment", lines, "text")
    for (option, value, name), room in zip(found, _ROOM.get(kind, (0, 0, 0)), strict=True):
        if value and len(value) <= room:
            options[option] = value
        elif value:
            tell(f"its {name} is left out, for which the format has no place")
    return {key: value for key, value in options.items() if value}


def _image(planes: Array) -> Image.Image:
    return Image.fromarray(planes[..., 0] if planes.shape[2] == 1 else np.ascontiguousarray(planes))
