"""Named arrays in a safetensors file, with a few words about them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from minisrgan.backend import Array, to_numpy
from minisrgan.errors import WeightsError
from minisrgan.images import replacing


def save_state(path: str | Path, state: Mapping[str, Array], metadata: Mapping[str, Any]) -> None:
    """Write named arrays and metadata to a safetensors file; it appears only once it is whole.

    state     as from `Module.state_dict`
    metadata  what JSON can hold; read back by `load_state`
    Errors    WeightsError if the file cannot be written

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_state(Path(folder, "a.safetensors"), {"x": np.ones(2, np.float32)}, {"scale": 4})
    ...     load_state(Path(folder, "a.safetensors"))
    ({'x': array([1., 1.], dtype=float32)}, {'scale': 4})
    """
    from safetensors.numpy import save_file

    arrays = {name: np.ascontiguousarray(to_numpy(array)) for name, array in state.items()}
    words = {key: json.dumps(value) for key, value in metadata.items()}
    try:
        with replacing(path) as temporary:
            save_file(arrays, temporary, words)
    except OSError as error:
        raise WeightsError(
            "save_state", expected=f"to write {path}", got=f"{type(error).__name__}: {error}", fix="check the disk"
        ) from error


def load_state(path: str | Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read named arrays and metadata from a safetensors file.

    Errors  WeightsError if the file is missing, damaged or of another kind
    """
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise WeightsError(
            "load_state", expected="a .safetensors file", got=f"{path}, which does not exist", fix="check the spelling"
        )
    try:
        with safe_open(path, "np") as file:
            words = {key: json.loads(value) for key, value in (file.metadata() or {}).items()}
            return {name: file.get_tensor(name) for name in file.keys()}, words  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError) as error:
        told = "a whole .safetensors file, written by minisrgan"
        fix = "copy it again, or train again"
        raise WeightsError("load_state", expected=told, got=f"{path}: {error}", fix=fix) from error
