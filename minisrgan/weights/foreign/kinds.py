"""Recognise the kind of a file by its first bytes, and other architectures by the names of their arrays.

The first bytes of other kinds of files are in signs.txt, and the names in other architectures in families.txt.
"""

from collections.abc import Collection
from functools import cache
from pathlib import Path

from minisrgan.errors import WeightsError
from minisrgan.weights.foreign.archive import open_zip
from minisrgan.weights.foreign.torch_file import MAGIC

_SCRIPT = (
    "a program that PyTorch exported, TorchScript or torch.export, with its weights inside; save them alone: "
    "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')"
)
_KERAS = "Keras's newer format; save the weights in Keras: model.save_weights('weights.h5')"


def kind_of(path: str | Path) -> str:
    """Return "torch", "npz", "h5" or "safetensors"; for any other file, a WeightsError says what it is."""
    if Path(path).is_dir():
        raise _refused(path, "a folder; give the file in it that holds the weights")
    with open(path, "rb") as file:
        start = file.read(512)
    if start.startswith(b"PK\x03\x04"):
        with open_zip(path) as archive:
            parts = archive.namelist()
        if any("/code/" in part or part.endswith(("constants.pkl", "archive_format")) for part in parts):
            raise _refused(path, _SCRIPT)
        if any(part.endswith("data.pkl") for part in parts):
            return "torch"
        if all(part.endswith(".npy") for part in parts) and parts:
            return "npz"
        keras = "model.weights.h5" in parts
        raise _refused(path, _KERAS if keras else f"a zip archive, of {', '.join(parts[:3])[:100]}; unpack it")
    if start.startswith(MAGIC):
        return "torch"
    if start.startswith(b"\x89HDF"):
        return "h5"
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= Path(path).stat().st_size:
        return "safetensors"
    raise _refused(path, _other(start))


def _other(start: bytes) -> str:
    start = start.lstrip(b"\xef\xbb\xbf \t\r\n")
    for place, told in _table("signs.txt"):
        at, _, sign = place.partition(" ")
        if start[int(at) :].startswith(sign.encode().decode("unicode_escape").encode("latin-1")):
            return told
    text = start.decode("utf-8", errors="replace")
    if text and sum((c.isprintable() or c.isspace()) and c != "\ufffd" for c in text) > 0.95 * len(text):
        return f"text, which begins with {text[:60].splitlines()[:1]}; get the file with the weights"
    return "of no known kind, or damaged; get it again" if start else "an empty file; get it again"


def _refused(path: str | Path, told: str) -> WeightsError:
    what, _, fix = told.partition("; ")
    expected = "the weights of a generator or discriminator of SRGAN, or of VGG19, as .safetensors, .npz, .pth or .h5"
    got, fix = f"{path}, which is {what}", fix or "give the file with the weights"
    return WeightsError("read_weights", expected=expected, got=got, fix=fix)


def family_of(names: Collection[str]) -> str:
    """Return the name of another architecture with arrays of these names, from families.txt, or "" if none is known.

    >>> family_of(["conv_first.weight", "body.0.rdb1.conv1.weight"])
    'ESRGAN, BSRGAN or Real-ESRGAN (RRDBNet)'
    """
    text = "\n".join(names).lower()
    for words, title in _table("families.txt"):
        if all((word.strip("!") in text) != word.startswith("!") for word in words.split()):
            return title
    return ""


@cache
def _table(name: str) -> list[tuple[str, str]]:
    """Read the two columns of families.txt or signs.txt."""
    lines = Path(__file__).with_name(name).read_text(encoding="utf-8").splitlines()
    return [(left.rstrip(), right) for left, bar, right in (line.partition(" | ") for line in lines) if bar]
