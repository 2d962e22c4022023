"""Detect JPEG and JPEG 2000 files whose data end before the picture does, which Pillow does not report.

The decoders fill the rest with grey or black, without an error.
"""

import re
import struct
from collections import Counter
from collections.abc import Callable
from random import Random

import numpy as np

from minisrgan.backend import Array

_MARKER, _RESTART = re.compile(rb"\xff+([^\xff\0])"), re.compile(rb"\xff([\xd0-\xd7])")
_END = re.compile(rb"\xff[^\xff\0\xd0-\xd7]")  # the marker that ends the data of a scan
_NOISE = bytes(Random(0).choices(range(1, 255), k=100))  # no 0xff, so no marker


def require_whole(data: bytes, pixels: Array, decode: Callable[[bytes], Array]) -> None:
    """Refuse a JPEG with less data than its header promises: rows, scans or restart intervals are missing.

    If data are missing, a decoder reads whatever follows as data. So noise is inserted after the data of each interval:
    if that changes the picture, something was missing.

    pixels  the picture that the data were decoded to
    decode  decodes a JPEG
    Errors  ValueError; whatever `decode` raises
    """
    at, restarts, noisy, components, left = 2, False, data[:2], b"", dict[tuple[int, int], int]()
    while (marker := _MARKER.search(data, at)) and marker[1] != b"\xd9":
        kind, begin = marker[1][0], marker.end()
        body = data[begin + 2 : begin + int.from_bytes(data[begin : begin + 2])]
        end = begin + 2 + len(body)
        if kind in (0xC0, 0xC1, 0xC2):
            components = body[6::3]
        elif kind & 0xF0 == 0xC0 and kind not in (0xC4, 0xC8, 0xCC):
            return  # arithmetic coding: by the standard, its decoders add zeros at the end
        if kind == 0xDD:
            restarts = any(body)
        noisy += data[at:end]
        if kind == 0xDA:
            first, last, precision = body[-3:]
            left |= {(name, n): precision & 15 for name in body[1:-3:2] for n in range(first, last + 1)}
            at, end = end, found.start() if (found := _END.search(data, end)) else len(data)
            marks = [mark[0] for mark in _RESTART.findall(data, at, end)]
            if restarts and any(mark != 0xD0 + n % 8 for n, mark in enumerate(marks)):
                raise ValueError("parts of the data between restart markers are missing")
            following = b"".join(b"\xff%c" % (0xD0 + (len(marks) + n) % 8) + _NOISE for n in range(8 * restarts))
            noisy += _RESTART.sub(lambda mark: _NOISE + mark[0], data[at:end]) + _NOISE + following
        at = end
    if any(left.get((name, n), 1) for name in components for n in range(64)):
        raise ValueError("its last scans are missing")
    if not np.array_equal(pixels, decode(noisy + data[at:])):
        raise ValueError("the data end before the picture does")


def require_tiles(data: bytes) -> None:
    """Refuse a JPEG 2000 in which a tile, or a part of a tile, is missing.

    Errors  ValueError; struct.error if the file is cut off
    """
    at = data.index(b"\xff\x4f\xff\x51") + 2
    right, bottom, _, _, width, height, left, top = struct.unpack_from(">8L", data, at + 6)
    count = -(-(right - left) // width) * -(-(bottom - top) // height)
    there, parts = Counter[int](), dict.fromkeys(range(count), 1)
    while at < len(data) and data[at : at + 2] != b"\xff\xd9":
        kind, size = struct.unpack_from(">HH", data, at)
        if kind == 0xFF90:
            tile, length, _, count = struct.unpack_from(">HLBB", data, at + 4)
            there[tile] += 1
            parts[tile] = max(parts.get(tile, 1), count)
            size = length - 2 if length else len(data)  # a length of 0 means up to the end
        at += 2 + size
    if any(there[tile] < count for tile, count in parts.items()):
        raise ValueError(f"{there.total()} of {sum(parts.values())} parts of its tiles are there")
