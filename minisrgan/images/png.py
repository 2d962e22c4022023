"""What Pillow does not handle in PNG: damaged optional chunks, missing rows, 16-bit colours, writing in bands."""

import io
import itertools
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import IO, Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import putchunk

from minisrgan.backend import Array

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_CHUNKS = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1, b"cICP": 4}  # chunks that define the colours, and their sizes
_SIZES = {**COLOUR_CHUNKS, b"pHYs": 9, b"acTL": 8}
# The passes of an interlaced PNG: first row, first column, step between rows, step between columns.
_PASSES = (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)
_FRAMES = (b"fcTL", b"fdAT")  # of an animation
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_PACKED = {b"zTXt": b"[^\0]*\0.", b"iTXt": b"[^\0]*\0\1.[^\0]*\0[^\0]*\0"}  # what precedes text that is packed
_MOST_TEXT, _MOST_PROFILE = 1 << 20, 1 << 24  # bytes; Pillow refuses a file with more text than that


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield each chunk of a PNG: its name, its body, and the whole chunk."""
    at = len(SIGNATURE)
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4])
        yield data[at + 4 : at + 8], data[at + 8 : end - 4], data[at:end]
        at = end


def sound(data: bytes, tell: Callable[[str], None]) -> tuple[bytes, dict[str, Any]]:
    """Remove what would make Pillow refuse the file, but is not part of the picture.

    These are optional chunks with a wrong checksum or size, and text beyond 1 MB.

    tell     called with what was left out
    Errors   ValueError for a wrong checksum in any other chunk, as Pillow does not check all of them
    Returns  the remaining PNG and its properties: "depth", "kind", "shape", "laced", "colour" (chunks), "icc_profile"
    """
    kept, said, room = [SIGNATURE], dict[str, Any](colour={}), _MOST_TEXT
    for name, body, whole in chunks(data):
        if name == b"IHDR":
            width, height, said["depth"], said["kind"] = struct.unpack(">LLBB", body[:10])
            said["shape"], said["laced"] = (height, width, 3 if said["kind"] & 2 else 1), body[12]
        if len(whole) == len(body) + 12:
            damaged = zlib.crc32(name + body) != int.from_bytes(whole[-4:])
            if damaged and (name[:1].isupper() or name in _FRAMES):
                raise ValueError(f"its {name.decode('latin-1')} chunk is damaged")
            if damaged or len(body) != _SIZES.get(name, len(body)):
                tell(f"its {name.decode('latin-1')} chunk is damaged and left out")
                continue
            if name in _TEXT:
                room -= _text_size(name, body, room + 1)
                if room < 0:
                    tell(f"text of more than {_MOST_TEXT >> 20} MB is left out")
                    room = 0
                    continue
            if name in COLOUR_CHUNKS:
                said["colour"][name] = body
            if name == b"iCCP":
                said["icc_profile"] = _unpacked(body.partition(b"\0")[2][1:], _MOST_PROFILE)
                if not said["icc_profile"]:
                    tell("its colour profile is damaged and left out")
                continue
        kept.append(whole)
    return b"".join(kept), said


def require_rows(data: bytes, said: dict[str, Any]) -> None:
    """Refuse a PNG in which the pixels of the picture, or of a frame, end too early: Pillow leaves the rest black."""
    (height, width, _), bits = said["shape"], said["depth"] * {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[said["kind"]]
    needed, there, unpacker = 0, 0, zlib.decompressobj()
    for name, body, _ in [*chunks(data), (b"IEND", b"", b"")]:
        if name in (b"fcTL", b"IEND"):  # here the pixels of a frame end
            if there < needed:
                raise ValueError(f"the pixels end after {there:,} of {needed:,} bytes")
            width, height = struct.unpack(">LL", body[4:12]) if body and needed else (width, height)
            needed, there, unpacker = 0, 0, zlib.decompressobj()
        if name in (b"IDAT", b"fdAT"):
            needed = needed or _bytes(height, width, bits, said["laced"])
            with suppress(zlib.error):  # Pillow reports this error itself
                there += len(unpacker.decompress(body[4 * (name == b"fdAT") :], needed))


def _bytes(height: int, width: int, bits: int, laced: int) -> int:
    """Return the number of bytes in the rows of a picture, each with one byte for its filter."""
    passes = _PASSES if laced else ((0, 0, 1, 1),)
    sizes = [(len(range(top, height, down)), len(range(left, width, right))) for top, left, down, right in passes]
    return sum(rows * (1 + (columns * bits + 7) // 8) for rows, columns in sizes if columns)


def _text_size(name: bytes, body: bytes, most: int) -> int:
    """Return the number of bytes in a chunk of text; `most` stands for that and more, if they are packed."""
    packed = name in _PACKED and re.match(_PACKED[name], body, re.DOTALL)
    return len(_unpacked(body[packed.end() :], most)) if packed else len(body)


def _unpacked(data: bytes, most: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, most)
    except zlib.error:
        return b""


def read_16_bits(image: Any, again: Any, kind: int) -> Array:
    """Return all 16 bits of a PNG with several channels; Pillow itself keeps only the upper 8.

    Pillow can also unpack the lower 8 bits if it is told that they come first, so it decodes the file twice. Grey with
    alpha needs only one pass: Pillow reads its 4 bytes per pixel as four channels.

    image    the file, opened by Pillow
    again    the same file, opened once more
    kind     PNG's number: 2 RGB, 4 grey with alpha, 6 RGB with alpha
    Returns  uint16 (H, W, 2, 3 or 4)
    """
    if kind == 4:
        return np.array(_unpacked_as(image, "RGBA")).view(">u2").astype(np.uint16)
    low = np.array(_unpacked_as(again, "RGB;16L" if kind == 2 else "RGBA;16L"))
    return np.array(image).astype(np.uint16) << 8 | low


def _unpacked_as(image: Any, raw: str) -> Any:
    image.tile = [(*image.tile[0][:3], raw)]
    return image


def write_rows(file: IO[bytes], size: tuple[int, ...], bands: Iterable[Array], options: dict[str, Any]) -> None:
    """Write a PNG band by band, also with 16-bit colours; Pillow can do neither.

    Pillow writes a PNG of a single pixel with all options; then its header and pixels are replaced with ours.

    size     height and width
    bands    uint8 or uint16 (rows, W, 1 to 4), from the top down
    options  those of Pillow
    """
    stream, packer, above, bands = io.BytesIO(), zlib.compressobj(), np.zeros(1, np.uint8), iter(bands)
    Image.new("L", (1, 1)).save(stream, "PNG", **options)
    first = next(bands)
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[first.shape[2]]
    header = struct.pack(">IIBBBBB", size[1], size[0], 8 * first.itemsize, kind, 0, 0, 0)
    file.write(SIGNATURE)
    for name, body, _ in chunks(stream.getvalue()):
        for band in itertools.chain([first], bands) if name == b"IDAT" else ():
            packed = []
            for row in band.astype(band.dtype.newbyteorder(">")).view(np.uint8).reshape(len(band), -1):
                packed.append(packer.compress(b"\2" + (row - above).tobytes()))  # filter 2: minus the row above
                above = row.copy()
            putchunk(file, name, *packed)
        putchunk(file, name, header if name == b"IHDR" else packer.flush() if name == b"IDAT" else body)
