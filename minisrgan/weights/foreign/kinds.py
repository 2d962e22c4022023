"""What a file is, told from its first bytes; and which other architecture it holds, told from the names of arrays."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from pathlib import Path

from minisrgan.errors import WeightsError
from minisrgan.weights.foreign.archive import open_zip
from minisrgan.weights.foreign.torch_file import MAGIC

# Files that hold no weights, or none that are read here: where a sign stands, what it is a sign of, what to do.
_OTHERS = (
    (0, b"version https://git-lfs", "a pointer of Git LFS, without the weights; run `git lfs pull` where it lies"),
    (0, b"<", "a web page, which a download gives where a click or a login is needed; get the file again"),
    (0, b"\x93NUMPY", "a single array of NumPy, without a name; save all of them with numpy.savez"),
    (0, b"MATLAB", "a MATLAB file; save its arrays with numpy.savez"), (0, b"GGUF", "a language model (GGUF)"),
    (0, b"\x1f\x8b", "packed with gzip; unpack it"), (0, b"BZh", "packed with bzip2; unpack it"),
    (0, b"\xfd7zXZ", "packed with xz; unpack it"), (0, b"7z\xbc\xaf", "a 7z archive; unpack it"),
    (0, b"Rar!", "a RAR archive; unpack it"), (257, b"ustar", "a tar archive; unpack it"),
    (0, b"\x89PNG", "a picture"), (0, b"\xff\xd8\xff", "a picture"),
    *((0, bytes([0x80, n]), "a pickle, which is a program, and not as PyTorch writes it; save its arrays with "
       "numpy.savez") for n in range(2, 6)),
    (4, b"TFL3", "a graph of TensorFlow Lite; save the weights where it was exported from"),
    (0, b"\x08", "a graph of ONNX or TensorFlow; save the weights where it was exported from"),
)  # fmt: skip
_SCRIPT = (
    "a program that PyTorch exported, TorchScript or torch.export, with its weights inside; save them alone: "
    "torch.save(torch.jit.load(FILE).state_dict(), 'weights.pth')"
)
_KERAS = "Keras's newer format; save the weights in Keras: model.save_weights('weights.h5')"


def kind_of(path: str | Path) -> str:
    """Return "torch", "npz", "h5" or "safetensors"; WeightsError that says what the file is if it is none of them."""
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
    if known := [told for at, sign, told in _OTHERS if start[at:].startswith(sign)]:
        return known[0]
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
    """Say which other architecture has arrays of these names, from families.txt; "" if it is none that is known.

    >>> family_of(["conv_first.weight", "body.0.rdb1.conv1.weight"])
    'ESRGAN, BSRGAN or Real-ESRGAN (RRDBNet)'
    """
    text = "\n".join(names).lower()
    for words, title in _families():
        if all((word.strip("!") in text) != word.startswith("!") for word in words):
            return title
    return ""


@cache
def _families() -> list[tuple[list[str], str]]:
    lines = Path(__file__).with_name("families.txt").read_text(encoding="utf-8").splitlines()
    return [(line.partition(" | ")[0].split(), line.partition(" | ")[2]) for line in lines if " | " in line]
