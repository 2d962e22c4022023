"""Weights of others to ours: from PyTorch, Keras and NumPy, whose names and layouts differ."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from minisrgan.backend import Array
from minisrgan.errors import WeightsError
from minisrgan.weights.archive import open_zip, read_npz
from minisrgan.weights.names import Naming, find_naming, our_name
from minisrgan.weights.store import digest, load_state, refusing
from minisrgan.weights.torch_file import MAGIC, read_torch

# What PyTorch and Keras call the arrays of a module, where it is not what we do.
_PARTS = {
    "kernel": "weight", "W": "weight", "gamma": "weight", "alpha": "weight", "b": "bias", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip
_NUMBERED = ("conv2d", "batch_normalization", "p_re_lu", "dense")  # layers that Keras numbers


class Weights(NamedTuple):
    """A model as a file holds it: the name of its class, settings to build it from, arrays, and what is said of it."""

    model: str
    settings: dict[str, Any]
    state: dict[str, Array]
    about: dict[str, Any]


def read_weights(path: str | Path, sha256: str = "") -> Weights:
    """Read a model's weights from a file of ours, or from one of those that `minisrgan.weights.names` lists.

    path    .safetensors, .npz, .pth in either format, or with h5py Keras's .h5; its contents tell which
    sha256  what the file's SHA-256 is or begins with, at least 8 digits. PyTorch's files need it, here or in the name,
            as in vgg19-dcbb9e9d.pth
    Errors  WeightsError if the file is missing, damaged, of another kind, or has another checksum
    """
    sha256 = sha256.lower() or "".join(re.findall(r"-([0-9a-f]{8,64})\.pth$", Path(path).name))
    with refusing("read_weights", path):
        if sha256 and not (len(sha256) >= 8 and digest(path).startswith(sha256)):
            raise _wrong_checksum(path, f"a SHA-256 that begins with {sha256}")
        with open(path, "rb") as file:
            start = file.read(len(MAGIC))
        parts: list[str] = []
        if start.startswith(b"PK"):
            with open_zip(path) as archive:
                parts = archive.namelist()
        if start == MAGIC or any(part.endswith("data.pkl") for part in parts):
            if not sha256:
                raise _wrong_checksum(path, "a known checksum: a .pth file is a program")
            return ours(read_torch(path))
        if parts:
            return ours(read_npz(path))
        if start.startswith(b"\x89HDF"):
            return ours(_read_keras(path))
        arrays, about = load_state(path)
        return Weights(about.pop("model"), about.pop("settings"), arrays, about) if "model" in about else ours(arrays)


def _wrong_checksum(path: str | Path, expected: str) -> WeightsError:
    got = f"{path}, whose SHA-256 is {digest(path)}"
    fix = "compare with what the publisher says, and give it: minisrgan weights convert --sha256"
    return WeightsError("read_weights", expected=expected, got=got, fix=fix)


def _read_keras(path: str | Path) -> dict[str, Array]:
    """Return arrays as module.part; those numbered in a session, conv2d_37 and so on, are numbered from 0."""
    import h5py

    found: dict[str, dict[str, Array]] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith("optimizer_weights"):
            if item.external or item.is_virtual or item.nbytes > 10 * Path(path).stat().st_size:
                raise ValueError(f"{name} lies in another file, or would grow when unpacked")
            module, *_, part = name.removeprefix("model_weights/").removesuffix(":0").split("/")
            module = module.replace("normalization_v1", "normalization")
            found.setdefault(module, {})[part.removeprefix(f"{module}_").removesuffix("_1")] = item[()]

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    counts: Counter[str] = Counter()
    arrays: dict[str, Array] = {}
    for module in sorted(found, key=lambda name: int((re.findall(r"_(\d+)$", name) or [0])[0])):
        kind = re.sub(r"_\d+$", "", module)
        name = f"{kind}_{counts[kind]}" if kind in _NUMBERED else module
        counts[kind] += 1
        arrays |= {f"{name}.{part}": array for part, array in found[module].items()}
    return arrays


def ours(arrays: Mapping[str, Array]) -> Weights:
    """Rename and lay out what others have saved; ValueError if it is none of the models in `minisrgan.weights.names`.

    A convolution (out, in, kh, kw) becomes (kh, kw, in, out), a dense layer (out, in) becomes (in, out), and behind the
    flattening its inputs go from (C, H, W) to (H, W, C).
    """
    for prefix in ("module.", "_orig_mod.", "module."):  # wrapped for several GPUs, or compiled, or both
        if all(name.startswith(prefix) for name in arrays):
            arrays = {name.removeprefix(prefix): array for name, array in arrays.items()}
    naming, state = find_naming(arrays), dict[str, Array]()
    for theirs, array in arrays.items():
        module, _, part = theirs.rpartition(".")
        name = our_name(naming, module)
        if (name or not module) and part != "num_batches_tracked":
            if part == "weight" and array.ndim in (2, 4):  # PyTorch's; Keras calls it kernel, and orders it as we do
                array = array.transpose(2, 3, 1, 0) if array.ndim == 4 else array.T
            name = f"{name}.{_PARTS.get(part, part)}"
            if name in state:
                raise ValueError(f"two arrays for {name}")
            state[name] = array.reshape(-1) if part == "alpha" else array
    keras = any(name.endswith(".kernel") for name in arrays)
    if naming.model == "Generator":
        _finish_generator(state, naming, keras)
    elif naming.model == "Discriminator":
        _finish_discriminator(state, keras)
    return Weights(
        naming.model, {**settings_of(naming.model, state), **naming.settings}, state, {"names": naming.title}
    )


def _finish_generator(state: dict[str, Array], naming: Naming, keras: bool) -> None:
    width = settings_of("Generator", state)["channels"]
    for name, array in list(state.items()):
        if keras and re.fullmatch(r"upsample\.\d\.conv\.\w+", name):  # TensorFlow shuffles (r, r, C), we (C, r, r)
            state[name] = np.moveaxis(array.reshape(*array.shape[:-1], 2, 2, -1), -1, -3).reshape(array.shape)
        if "prelu" in name and array.shape == (1,):  # one slope for all channels
            state[name] = np.full(width, array[0])
        if naming.no_bias and re.fullmatch(r"(blocks\.\d+\.conv[12]|conv_middle)\.weight", name):
            state.setdefault(name.replace("weight", "bias"), np.zeros(width, np.float32))
    low, high = naming.output  # to -1..1
    for part, shift in (("weight", 0), ("bias", -(high + low) / (high - low))):
        if f"conv_last.{part}" in state:
            state[f"conv_last.{part}"] = state[f"conv_last.{part}"] * np.float32(2 / (high - low)) + np.float32(shift)


def _finish_discriminator(state: dict[str, Array], keras: bool) -> None:
    for name, array in list(state.items()):
        if name == "head.1.weight":
            channels = state["features.20.weight"].shape[3]
            side = math.isqrt(len(array) // channels)
            if keras:
                array = array.reshape(side, side, channels, -1)[::-1, ::-1]
            else:
                array = array.reshape(channels, side, side, -1).transpose(1, 2, 0, 3)
            state[name] = array.reshape(side * side * channels, -1)
        elif keras and array.ndim == 4:
            # At stride 2 TensorFlow pads below and at the right only. That is what we do, seen upside down: so the
            # discriminator is turned by 180 degrees, and judges photographs turned by 180 degrees.
            state[name] = array[::-1, ::-1]
        elif keras and name.endswith("running_var"):
            state[name] = array + np.float32(1e-3 - 1e-5)  # Keras's eps instead of ours


def settings_of(model: str, state: Mapping[str, Array]) -> dict[str, Any]:
    """Tell a model's settings from the shapes of its arrays; where one is missing, as in the smallest model."""

    def size(name: str, axis: int) -> int:
        return int(state[name].shape[axis]) if name in state else 1

    def count(pattern: str) -> int:
        return sum(bool(re.fullmatch(pattern, name)) for name in state)

    if model == "Generator":
        doublings, blocks = count(r"upsample\.\d+\.conv\.weight"), count(r"blocks\.\d+\.conv1\.weight")
        return {"scale": 1 << min(doublings, 9), "channels": size("conv_first.weight", 3), "blocks": blocks}
    if model == "Discriminator":
        width = size("features.0.weight", 3)
        return {"crop": 16 * math.isqrt(size("head.1.weight", 0) // (8 * width)), "channels": width}
    return {"phi": ",".join(max(re.findall(r"block(\d)_conv(\d)\.weight", " ".join(state)), default="11"))}
