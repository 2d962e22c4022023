"""Named arrays and metadata in a safetensors file."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from minisrgan.autograd.arguments import require_flag
from minisrgan.autograd.checks import state_of
from minisrgan.backend import Array, is_array, to_numpy
from minisrgan.errors import WeightsError, turned_into
from minisrgan.images import write_whole

_KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?"}
_KINDS |= {f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)}
SIZE_LIMIT = 2 << 30  # four times the size of torchvision's VGG19, the largest useful file


def save_state(
    path: str | Path, state: Mapping[str, Array], metadata: Mapping[str, Any], *, half: bool = False
) -> None:
    """Write named arrays and metadata to a safetensors file; the file appears complete or not at all.

    state     as from `Module.state_dict`
    metadata  values that JSON can represent; `load_state` returns them
    half      store floats in 16 bits: half the size, with three significant digits; models convert them back
    Errors    WeightsError if the file cannot be written, what is given cannot be stored, or a number is too large for
              16 bits; ArgumentError unless half is True or False

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_state(Path(folder, "a.safetensors"), {"x": np.ones(2, np.float32)}, {"scale": 4})
    ...     load_state(Path(folder, "a.safetensors"))
    ({'x': array([1., 1.], dtype=float32)}, {'scale': 4})
    """
    from safetensors.numpy import save

    state = state_of("save_state", state)
    if wrong := [f"{name}: {type(array).__name__}" for name, array in state.items() if not is_array(array)]:
        raise WeightsError("save_state", expected="arrays by name", got=wrong[:5], fix="np.asarray(values)")
    arrays = {name: np.ascontiguousarray(to_numpy(array)) for name, array in state.items()}
    if require_flag("save_state", "half", half):
        arrays = {name: halved(name, array) for name, array in arrays.items()}
    fix = "notes are texts, numbers, lists and dicts; arrays are of floats, integers or bool"
    with turned_into(WeightsError, "save_state", expected="what safetensors can store", fix=fix, of=(Exception,)):
        content = save(arrays, {key: json.dumps(value) for key, value in metadata.items()})
    with turned_into(WeightsError, "save_state", expected=f"to write {path}", fix="check the disk"):
        write_whole(path, content)  # safetensors would write a file that nobody else may read


def halved(name: str, array: Array) -> Array:
    """Return floats in 16 bits; WeightsError if a number is too large for them, which would become infinite."""
    if array.dtype.kind != "f":
        return array
    if (largest := float(np.abs(array).max(initial=0))) > 65504:
        got = f"{name}, which reaches {largest:g}"
        raise WeightsError("16 bits", expected="numbers up to 65,504", got=got, fix="leave out --half (half=True)")
    return array.astype(np.float16)


def load_state(path: str | Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read named arrays and metadata from a safetensors file.

    Errors  WeightsError if the file is missing, damaged or of another kind
    """
    from safetensors import deserialize, safe_open

    with refusing("load_state", path):
        with safe_open(path, "np") as file:
            words = {key: _value(text) for key, text in sorted((file.metadata() or {}).items())}
        parts = deserialize(Path(path).read_bytes())  # type: ignore[no-untyped-call]
        return {name: _array(part["data"], part["dtype"], part["shape"]) for name, part in parts}, words


def _array(data: bytearray, kind: str, shape: list[int]) -> Array:
    flat = np.frombuffer(data, _KINDS[kind])
    return (widened(flat) if kind == "BF16" else flat).reshape(shape)


def widened(bits: Array) -> Array:
    """Convert bfloat16 bits to float32: bfloat16 stores the upper half of a float32."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _value(text: str) -> Any:
    """Decode a metadata value: our files have JSON, other files plain text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def digest(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def need(package: str, extra: str, use: str) -> None:
    """Raise a WeightsError that says how to install an optional package if it is missing."""
    if find_spec(package) is None:
        fix = f'pip install "minisrgan[{extra}]", or pip install {package}'
        raise WeightsError(use, expected=f"the package {package}", got="it is not installed", fix=fix)


@contextmanager
def refusing(what: str, path: str | Path) -> Iterator[None]:
    """Convert every error that a missing, forged or damaged file causes to a WeightsError that names the file."""
    told, fix = "a whole file of weights: .safetensors, .npz, .pth or .h5", "check the name, or get the file again"
    try:
        if Path(path).stat().st_size > SIZE_LIMIT:
            raise ValueError(f"larger than {SIZE_LIMIT >> 30} GB")
        yield
    except WeightsError as error:
        if str(path) not in str(error):
            error.inside(str(path))
        raise
    except Exception as error:  # the libraries that read such files do not document all their errors
        kind = "" if type(error) is ValueError else f"{type(error).__name__}: "
        missing = isinstance(error, FileNotFoundError)
        got = f"{path}, which does not exist" if missing else f"{path}: {kind}{error}"
        raise WeightsError(what, expected=told, got=got[:500], fix=fix) from error
