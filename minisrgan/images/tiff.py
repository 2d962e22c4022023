"""What Pillow does not handle in TIFF: separate planes, 16-bit colours, thumbnails, missing parts, writing in bands."""

import io
import itertools
import math
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from ctypes import CDLL, CFUNCTYPE, c_char_p, c_void_p
from functools import cache
from typing import IO, Any, TypeAlias

import numpy as np
from PIL import Image, _imaging
from PIL.TiffImagePlugin import AppendingTiffWriter, ImageFileDirectory_v2

from minisrgan.backend import Array
from minisrgan.images import jpeg

Tags: TypeAlias = ImageFileDirectory_v2

SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC, FILL_ORDER = 254, 255, 256, 257, 258, 259, 262, 266
STRIPS, ORIENTATION, SAMPLES, STRIP_ROWS, STRIP_BYTES, PLANAR, PREDICTOR = 273, 274, 277, 278, 279, 284, 317
TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES, SUB_FILES, EXTRA, FORMAT, TABLES = 322, 323, 324, 325, 330, 338, 339, 347
XMP, PROFILE, DPI, DPI_UNIT = 700, 34675, (282, 283), 296
_COLOURS = {0: 1, 1: 1, 2: 3, 5: 4}  # number of colour channels in grey (0 is white), grey (0 is black), RGB, CMYK
_BYTEWISE = {1, 5, 8, 32773, 32946, 34925, 50000}  # compressions of bytes, which do not depend on pixels


def is_tiff(data: bytes) -> bool:
    """Return whether the first bytes of a file are those of a TIFF."""
    return data[:4] in (b"II*\0", b"MM\0*", b"II+\0")  # Pillow does not read a BigTIFF that begins with MM


def is_big(data: bytes) -> bool:
    """Return whether a TIFF is a BigTIFF, with offsets of 8 bytes."""
    return data[2:3] == b"+"


def order(data: bytes) -> str:
    """Return the byte order of a TIFF in the notation of `struct`."""
    return ">" if data[:1] == b"M" else "<"


def pages(data: bytes) -> Iterator[Tags]:
    """Yield the tags of each page.

    Errors  ValueError for a directory of tags that is cut off, whose beginning Pillow would take for all of it
    """
    header, stream, seen = data[: 16 if is_big(data) else 8], io.BytesIO(data), set[int]()
    first, each, kind = (8, 20, "Q") if is_big(data) else (2, 12, "H")
    at = ImageFileDirectory_v2(header).next
    while at and at not in seen:
        seen.add(at)
        count = struct.unpack_from(order(data) + kind, data, at)[0] if at + first <= len(data) else math.inf
        if at + first + each * count > len(data):
            raise ValueError("a directory of tags ends early")
        tags = ImageFileDirectory_v2(header)
        stream.seek(at)
        tags.load(stream)
        yield tags
        at = tags.next or 0


def beginning_with(data: bytes, tags: Tags) -> bytes:
    """Return a copy of a file with several pages in which this page is the first."""
    start, kind = (8, "Q") if is_big(data) else (4, "L")
    at = struct.pack(order(data) + kind, tags.offset)
    return data[:start] + at + data[start + len(at) :]


def is_photo(tags: Tags) -> bool:
    """Return whether a page is a photograph, and neither a smaller copy of another page nor its mask."""
    return not (tags.get(SUBFILE, 0) & 5 or tags.get(OLD_SUBFILE) == 2)


def layout(tags: Tags) -> tuple[int, int, int, tuple[int, ...], tuple[int, ...]]:
    """Return width, height, samples per pixel, the bits of each, and the kinds of the samples that are not colours."""
    samples = tags.get(SAMPLES, 3 if tags.get(COMPRESSION) == 6 else 1)  # 6: an old form of JPEG
    bits, extra = tags.get(BITS, (1,)), tags.get(EXTRA, ())
    bits, extra = (value if isinstance(value, tuple) else (value,) for value in (bits, extra))
    return tags[WIDTH], tags[HEIGHT], samples, bits, extra


def describe(tags: Tags) -> str:
    """Return a description of a TIFF of a kind that cannot be read."""
    _, _, samples, bits, _ = layout(tags)
    names = {"photometric": PHOTOMETRIC, "compression": COMPRESSION, "sample format": FORMAT, "planes": PLANAR}
    rest = ", ".join(f"{name} {tags[tag]}" for name, tag in names.items() if tag in tags)
    return f"a TIFF of a kind that is not read: {samples} x {bits[0]} bits, {rest}"


def are_apart(tags: Tags) -> bool:
    """Return whether planes are stored one after another; for a single compressed plane, the tag has no meaning."""
    return tags.get(PLANAR) == 2 and (layout(tags)[2] > 1 or tags.get(COMPRESSION, 1) == 1)


def pillow_cannot(tags: Tags) -> bool:
    """Return whether Pillow misreads a page: at least two of: samples > 1, not 8 bits, planes apart, white is 0."""
    _, _, samples, bits, _ = layout(tags)
    negative = tags.get(PHOTOMETRIC) == 0 and max(bits) in (8, 16)
    return (samples > 1) + (max(bits) != 8) + are_apart(tags) + negative >= 2


def _parts(tags: Tags) -> dict[int, list[int]]:
    """Return, by their tags, where the strips or tiles begin, and how many bytes each has."""
    names = (TILES, TILE_BYTES) if TILES in tags else (STRIPS, STRIP_BYTES)
    return {name: np.atleast_1d(tags.get(name, ())).tolist() for name in names}


def require_parts(data: bytes, tags: Tags, decode: Callable[[bytes], Array]) -> None:
    """Refuse a page with missing, short or damaged strips or tiles, of which libtiff and Pillow report no error.

    decode  decodes a JPEG
    Errors  ValueError; whatever `decode` raises
    """
    (width, height, samples, bits, _), apart, kind = layout(tags), are_apart(tags), tags.get(COMPRESSION, 1)
    starts, sizes = _parts(tags).values()
    tall, wide = tags.get(TILE_HEIGHT if TILES in tags else STRIP_ROWS, height), tags.get(TILE_WIDTH, width)
    down, across = -(-height // tall), -(-width // wide)
    if len(starts) < (needed := down * across * (samples if apart else 1)):
        raise ValueError(f"{len(starts)} of {needed} strips or tiles are there")
    for number, (start, size) in enumerate(zip(starts, sizes, strict=False)):
        part, rows = data[start : start + size], tall if TILES in tags else min(tall, height - number % down * tall)
        least = rows * ((wide * bits[0] * (1 if apart else samples) + 7) // 8)
        if kind == 1 and 0 < size < least and tags[PHOTOMETRIC] != 6:  # 6: YCbCr, in which pixels may share colours
            raise ValueError(f"one of its {needed} strips or tiles has {size:,} bytes, which is too few")
        if kind in (8, 32946):
            try:
                zlib.decompressobj().decompress(part)  # libtiff stops at the last pixel, before the checksum
            except zlib.error as error:
                raise ValueError(f"one of its {needed} strips or tiles is damaged: {error}") from error
        if kind == 7:
            whole = tags[TABLES][:-2] + part[2:] if TABLES in tags else part
            jpeg.require_whole(whole, pixels := decode(whole), decode)
            if pixels.shape[0] < rows or pixels.shape[1] < wide:
                raise ValueError(f"one of its {needed} strips or tiles is too small")


@cache
def listen() -> tuple[list[str], Any]:
    """Return a list to which libtiff's errors are added from now on, instead of being printed, and the function for it.

    Pillow does not report all of these errors.
    """
    heard: list[str] = []

    def note(where: bytes | None, what: bytes, _: object) -> None:
        heard.append(b": ".join([where or b"libtiff", what.partition(b"%")[0].strip()]).decode("latin-1"))

    called = CFUNCTYPE(None, c_char_p, c_char_p, c_void_p)(note)
    with suppress(AttributeError, OSError):  # not found if libtiff is linked into Pillow
        CDLL(_imaging.__file__).TIFFSetErrorHandler(called)
    return heard, called


def as_grey(data: bytes, tags: Tags) -> Iterator[bytes]:
    """Convert a page that Pillow cannot read to grey pages that it can read: one for each plane, or one wider page.

    Each file has the bytes of the original, and a new directory at the end.

    Errors  ValueError for a page that cannot be converted in this way
    """
    (width, _, samples, bits, _), apart = layout(tags), are_apart(tags)
    known = tags[PHOTOMETRIC] in _COLOURS and tags.get(COMPRESSION, 1) in _BYTEWISE
    if not known or set(bits) not in ({8}, {16}) or set(np.atleast_1d(tags.get(FORMAT, 1))) - {1, 4}:
        raise ValueError(describe(tags))
    parts = _parts(tags)
    starts, sizes = parts.values()
    if max(map(sum, zip(starts, sizes, strict=True))) > len(data):
        raise ValueError("the file is cut off")
    planes, wide = (samples, 1) if apart else (1, samples)
    new = {WIDTH: width * wide, BITS: bits[0], PHOTOMETRIC: 1, SAMPLES: 1}
    if TILE_WIDTH in tags:
        new[TILE_WIDTH] = tags[TILE_WIDTH] * wide
    same = (HEIGHT, COMPRESSION, FILL_ORDER, STRIP_ROWS, TILE_HEIGHT, *([PREDICTOR] if apart else []))
    kept: dict[int, Any] = {tag: tags[tag] for tag in same if tag in tags} | new
    for plane in range(planes):
        part = slice(plane * len(starts) // planes, (plane + 1) * len(starts) // planes)
        kept |= {tag: values[part] for tag, values in parts.items()}
        end = len(data) + len(data) % 2
        header = data[:2] + struct.pack(order(data) + "HL", 42, end)
        yield header + data[8:].ljust(end - 8, b"\0") + _directory(data, kept, end)


def _directory(data: bytes, tags: Mapping[int, int | list[int]], at: int) -> bytes:
    """Return the bytes of a directory with integer values, to be stored at the offset `at` of a file."""
    entries, long = [struct.pack(order(data) + "H", len(tags))], b""
    for tag, value in sorted(tags.items()):
        values = np.atleast_1d(value).tolist()
        packed = struct.pack(f"{order(data)}{len(values)}L", *values)
        if len(values) > 1:
            packed, long = struct.pack(order(data) + "L", at + 6 + 12 * len(tags) + len(long)), long + packed
        entries.append(struct.pack(order(data) + "HHL", tag, 4, len(values)) + packed)
    return b"".join(entries) + bytes(4) + long


def assemble(grey: Iterable[Array], tags: Tags) -> tuple[Array, Array | None]:
    """Combine the pages of `as_grey`, once decoded, into colours (H, W, 1, 3 or 4 for CMYK) and alpha."""
    width, height, samples, _, extra = layout(tags)
    planes = np.dstack([plane.reshape(height, width, -1) for plane in grey])
    planes = planes.astype(planes.dtype.newbyteorder("="))
    if tags.get(PREDICTOR) == 2 and not are_apart(tags):  # each pixel is the difference from its left neighbour
        step = tags.get(TILE_WIDTH, width)
        for left in range(0, width, step):
            part = planes[:, left : left + step]
            np.cumsum(part, axis=1, dtype=planes.dtype, out=part)
    count, white = _COLOURS[tags[PHOTOMETRIC]], np.iinfo(planes.dtype).max
    colours = planes[..., :count] if tags[PHOTOMETRIC] else white - planes[..., :count]
    place = next((n for n, kind in enumerate(extra or (2,) * (samples - count)) if kind in (1, 2, 999)), None)
    if place is None:
        return colours, None
    alpha = planes[..., count + place]
    if extra[place : place + 1] == (1,):  # 1: colours are premultiplied by alpha
        divided = colours.astype(np.float32) * white / np.maximum(alpha, 1)[..., None]
        colours = divided.round().clip(0, white).astype(planes.dtype)
    return colours, alpha


def check(image: Any, tags: Tags) -> None:
    """Refuse a page that Pillow has not decoded as its tags say: it has another size, or fewer planes or bits."""
    width, height, samples, bits, extra = layout(tags)
    signed = set(np.atleast_1d(tags.get(FORMAT, 1))) - {1, 4}
    planes, deepest = len(image.getbands()), 32 if image.mode[0] in "IF" else 8
    fits = samples - len(extra) <= planes <= samples and max(bits) <= deepest and not (signed and deepest == 8)
    if not fits or sorted(image.size) != sorted((width, height)):
        said = f"{width} x {height} pixels of {samples} x {max(bits)} bits, sample format {tags.get(FORMAT, 1)}"
        raise ValueError(f"{said} by its tags, but Pillow decodes {image.size[0]} x {image.size[1]} of {image.mode}")


def _change(out: bytearray, tags: Tags, new: Mapping[int, int], bits: int) -> None:
    """Change tags with integer values, and the bits of each channel, in a directory that Pillow has written."""
    for entry in range((tags.offset or 0) + 2, (tags.offset or 0) + 2 + 12 * len(tags), 12):
        tag, _, count, value = struct.unpack_from("<HHLL", out, entry)
        if tag in new:
            struct.pack_into("<HHLL", out, entry, tag, 4, 1, new[tag])
        if tag == BITS:
            struct.pack_into(f"<{count}H", out, value if count > 2 else entry + 8, *[bits] * count)


def write_pages(file: IO[bytes], contents: Iterable[tuple[tuple[int, ...], Iterable[Array], dict[str, Any]]]) -> None:
    """Write a TIFF, also with 16-bit colours and band by band; Pillow can do neither.

    Pillow writes the tags of all pages, each with a single pixel; the real pixels follow at the end of the file.

    contents   for each page its height and width; its bands, uint8 or uint16 (rows, W, 1 to 4), from the top down; and
               Pillow's options
    """
    stream, sizes, all_bands = io.BytesIO(), [], []
    with AppendingTiffWriter(stream) as writer:
        for size, bands, options in contents:
            first = next(bands := iter(bands))
            Image.new({1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[first.shape[2]], (1, 1)).save(writer, "TIFF", **options)
            writer.newFrame()
            sizes.append((*size, first.shape[2], first.itemsize))
            all_bands.append(itertools.chain([first], bands))
    out = bytearray(stream.getvalue())
    at = len(out)
    for tags, (height, width, samples, itemsize) in zip(pages(stream.getvalue()), sizes, strict=True):
        length = height * width * samples * itemsize
        new = {WIDTH: width, HEIGHT: height, STRIP_ROWS: height, STRIPS: at, STRIP_BYTES: length}
        _change(out, tags, new, 8 * itemsize)
        at += length
    file.write(out)
    for band in itertools.chain.from_iterable(all_bands):
        file.write(band.astype(band.dtype.newbyteorder("<")).tobytes())
