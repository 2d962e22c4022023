"""Whether two runs of a notebook say the same: words exactly, numbers up to tolerance, pictures nearly."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import numpy as np
from nbformat import NotebookNode
from PIL import Image

RTOL, NOTHING = 1e-3, 1e-6  # numbers below NOTHING are rounding errors, and alike
PIXELS = 6.0  # mean difference of grey levels, after shrinking: fonts differ between machines
_NUMBER = re.compile(r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:[eE][+-]?\d+)?")
_EMBEDDED = re.compile(r"(?<=data:image/png;base64,)[A-Za-z0-9+/=]+")
_ADDRESS = re.compile(r"0x[0-9a-f]+")
_IMAGE = re.compile(r'<img alt="[^"]*" src="data:image/(png|svg\+xml);base64,([^"]*)">')
_INSIDE = re.compile(r'srcdoc="[^"]*"')  # of a page within the page: a slider's figures, a network's numbers


def differences(committed: NotebookNode, fresh: NotebookNode) -> list[str]:
    """List where the outputs of two notebooks differ.

    Of cells tagged "times", numbers and pixels are not compared; of those tagged "machine", only the kinds of output.
    """
    if [cell.source for cell in committed.cells] != [cell.source for cell in fresh.cells]:
        return ["the cells are not those of the source: run python notebooks/build.py"]
    found = []
    for number, (old, new) in enumerate(zip(committed.cells, fresh.cells, strict=True)):
        times = "times" in old.metadata.get("tags", [])
        kinds = [[o.output_type for o in cell.get("outputs", [])] for cell in (old, new)]
        if kinds[0] != kinds[1]:
            found.append(f"cell {number}: {kinds[0]} became {kinds[1]}")
            continue
        if "machine" in old.metadata.get("tags", []):
            continue
        for a, b in zip(old.get("outputs", []), new.get("outputs", []), strict=True):
            for kind, value in _parts(a).items():
                told = _differs(kind, value, _parts(b).get(kind), times)
                found += [f"cell {number}, {kind}: {told}"] if told else []
    return found


def _parts(output: NotebookNode) -> dict[str, Any]:
    """Return what is compared of an output: its texts, and the picture in an img tag as it was made."""
    parts = {"text": output.text} if output.output_type == "stream" else dict(output.get("data", {}))
    if match := _IMAGE.fullmatch(parts.get("text/html", "")):
        kind, data = match.groups()
        return {"image/png": data} if kind == "png" else {kind: base64.b64decode(data).decode()}
    return {kind: _INSIDE.sub("", value) for kind, value in parts.items()}


def _differs(kind: str, old: Any, new: Any, times: bool) -> str:
    if new is None:
        return "is missing"
    if kind == "image/png":
        return pictures_differ(old, new, times)
    if kind == "text/html":  # pictures embedded in a page are compared as such, and the text around them
        pairs = zip(_EMBEDDED.findall(old), _EMBEDDED.findall(new), strict=False)
        if told := next(filter(None, (pictures_differ(*pair, times) for pair in pairs)), ""):
            return told
        old, new = (_EMBEDDED.sub("picture", text) for text in (old, new))
    return texts_differ(old, new, times)


def texts_differ(old: str, new: str, times: bool = False) -> str:
    """Say where two texts differ, or nothing.

    A number may be off by RTOL, and by one unit of the last digit that is written.
    """
    old, new = (_ADDRESS.sub("0x", text) for text in (old, new))
    words = [re.sub(r"\s+", " ", _NUMBER.sub("#", text)) for text in (old, new)]
    if words[0] != words[1]:
        return f"{old[:300]!r} became {new[:300]!r}"
    for a, b in zip(_NUMBER.findall(old), _NUMBER.findall(new), strict=True):
        x, y = (float(text.replace(",", "")) for text in (a, b))
        mantissa, _, exponent = a.lower().partition("e")
        unit = 10.0 ** (int(exponent or 0) - len(mantissa.partition(".")[2]))
        unit = 0.0 if "." not in mantissa and not exponent else unit  # whole numbers count things
        if not times and abs(x - y) > max(RTOL * abs(x), 1.01 * unit, NOTHING):
            return f"{a} became {b} in {new[:300]!r}"
    return ""


def pictures_differ(old: str, new: str, times: bool = False) -> str:
    """Say how two pictures differ: in size by more than a tenth, or in grey levels when shrunk to 64 x 64."""
    a, b = (Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB") for text in (old, new))
    if any(abs(m - n) > 0.1 * m for m, n in zip(a.size, b.size, strict=True)):
        return f"size {a.size} became {b.size}"
    small = [np.asarray(picture.resize((64, 64), Image.Resampling.BOX), float) for picture in (a, b)]
    off = float(abs(small[0] - small[1]).mean())
    return f"pixels differ by {off:.1f} levels" if off > PIXELS and not times else ""
