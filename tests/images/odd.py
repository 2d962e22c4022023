"""Files that Pillow cannot write, built by hand: TIFF page by page, PNG chunk by chunk."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

Array = np.ndarray


@dataclass
class Page:
    """A page of a TIFF.

    planes       (H, W, C) of any dtype
    photometric  1 grey, 2 RGB, 5 CMYK
    apart        one plane after another
    tile         side of the tiles, 0 for one strip
    predictor    store differences from the pixel to the left
    extra        what the samples beyond the colours are: 0 nothing known, 1 alpha multiplied in, 2 alpha
    pack         the compression, and its number in a TIFF
    tags         others
    """

    planes: Array
    photometric: int = 2
    apart: bool = False
    tile: int = 0
    predictor: bool = False
    extra: Sequence[int] = ()
    pack: tuple[Callable[[bytes], bytes], int] = (bytes, 1)
    tags: dict[int, int] = field(default_factory=dict)

    def parts(self, order: str) -> list[bytes]:
        """Return the strips or tiles."""
        height, width, samples = self.planes.shape
        found = []
        for plane in np.split(self.planes, samples, axis=2) if self.apart else [self.planes]:
            rows, columns = (range(0, length, self.tile or length) for length in (height, width))
            for top, left in itertools.product(rows, columns):
                part = plane[top : top + self.tile, left : left + self.tile] if self.tile else plane
                if self.tile:
                    missing = [(0, self.tile - length) for length in part.shape[:2]]
                    part = np.pad(part, (*missing, (0, 0)), mode="edge")
                if self.predictor:
                    part = np.diff(part, axis=1, prepend=np.zeros_like(part[:, :1]))
                found.append(self.pack[0](part.astype(part.dtype.newbyteorder(order)).tobytes()))
        return found


def write_tiff(path: Path, *pages: Page, order: str = "<") -> Path:
    """Write a TIFF."""
    data, link = bytearray(struct.pack(order + "2sHL", b"II" if order == "<" else b"MM", 42, 0)), 4
    for page in pages:
        height, width, samples = page.planes.shape
        starts, sizes = [], []
        for part in page.parts(order):
            starts.append(len(data))
            sizes.append(len(part))
            data += part + bytes(len(part) % 2)
        kind = {"u": 1, "i": 2, "f": 3}[page.planes.dtype.kind]
        entries = {
            256: [width], 257: [height], 258: [page.planes.dtype.itemsize * 8] * samples, 259: [page.pack[1]],
            262: [page.photometric], 277: [samples], 284: [1 + page.apart], 339: [kind] * samples,
        } | {tag: [value] for tag, value in page.tags.items()}  # fmt: skip
        if page.tile:
            entries |= {322: [page.tile], 323: [page.tile], 324: starts, 325: sizes}
        else:
            entries |= {273: starts, 278: [height], 279: sizes}
        entries |= {317: [2]} if page.predictor else {}
        entries |= {338: list(page.extra)} if page.extra else {}
        table, lines, long = len(data), b"", b""
        for tag, values in sorted(entries.items()):
            letter, code = ("L", 4) if tag in (273, 279, 324, 325) else ("H", 3)
            packed = struct.pack(f"{order}{len(values)}{letter}", *values)
            if len(packed) > 4:
                beyond = table + 6 + 12 * len(entries) + len(long)
                packed, long = struct.pack(order + "L", beyond), long + packed + bytes(len(packed) % 2)
            lines += struct.pack(order + "HHL", tag, code, len(values)) + packed.ljust(4, b"\0")
        struct.pack_into(order + "L", data, link, table)
        data += struct.pack(order + "H", len(entries)) + lines
        link = len(data)
        data += bytes(4) + long + bytes(len(long) % 2)
    path.write_bytes(data)
    return path


def chunk(name: bytes, body: bytes, *, damaged: bool = False) -> bytes:
    """Return a chunk of a PNG; damaged: with a wrong checksum."""
    checksum = zlib.crc32(name + body) ^ damaged
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum)


def write_png(
    path: Path, planes: Array, kind: int, *, laced: bool = False, before: bytes = b"", after: bytes = b""
) -> Path:
    """Write a PNG: (H, W, C) of 8 or 16 bits, PNG's number of the kind, in seven passes or one; chunks around them."""
    height, width, _ = planes.shape
    deep = planes.dtype == np.uint16
    passes = [planes]
    if laced:
        steps = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
        passes = [planes[top::down, left::right] for top, left, down, right in steps]
    rows = (row.astype(">u2" if deep else "u1").tobytes() for part in passes if part.size for row in part)
    header = struct.pack(">IIBBBBB", width, height, 16 if deep else 8, kind, 0, 0, laced)
    pixels = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + pixels + after + chunk(b"IEND", b"")
    )  # fmt: skip
    return path
