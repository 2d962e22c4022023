"""Files of weights as others write them, made by hand: PyTorch's two formats instruction by instruction, and models."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from minisrgan.models import Discriminator, Generator
from minisrgan.nn import Module

State = Mapping[str, np.ndarray]

MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
VERSION = b"\x80\x02M\xe9\x03."
MACHINE = b"\x80\x02}X\x0d\x00\x00\x00little_endian\x88s."
STORAGES = {"<f4": "FloatStorage", "<f8": "DoubleStorage", "<f2": "HalfStorage", "<i8": "LongStorage"}


def text(value: str) -> bytes:
    """Return the instruction that puts a text on the stack."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    """Return the instruction that puts a number on the stack."""
    return b"\x8a" + bytes([8]) + value.to_bytes(8, "little", signed=True)


def tuple_of(*parts: bytes) -> bytes:
    """Return the instructions that put a tuple on the stack."""
    return b"(" + b"".join(parts) + b"t"


def call(name: str, *arguments: bytes) -> bytes:
    """Return the instructions that call a function by its name."""
    module, _, function = name.rpartition(".")
    return f"c{module}\n{function}\n".encode() + tuple_of(*arguments) + b"R"


def storage(kind: str, key: str, length: int, *more: bytes) -> bytes:
    """Return the instructions that refer to a storage."""
    return tuple_of(text("storage"), f"ctorch\n{kind}\n".encode(), text(key), text("cpu"), number(length), *more) + b"Q"


def tensor(array: np.ndarray, key: str, **other: bytes) -> bytes:
    """Return the instructions that make a tensor of a storage; `other` replaces storage, offset, shape or stride."""
    parts = {
        "storage": storage(STORAGES[array.dtype.str], key, array.size),
        "offset": number(0),
        "shape": tuple_of(*map(number, array.shape)),
        "stride": tuple_of(*(number(step // array.itemsize) for step in array.strides)),
    } | other
    return call("torch._utils._rebuild_tensor_v2", *parts.values(), b"\x89", call("collections.OrderedDict"))


def dictionary(items: Mapping[str, bytes]) -> bytes:
    """Return the instructions that put a dictionary on the stack."""
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def tensors(state: State) -> bytes:
    """Return the instructions for a state dict, its storages numbered."""
    return dictionary({name: tensor(array, str(i)) for i, (name, array) in enumerate(state.items())})


def write_zip(path: Path, program: bytes, arrays: list[np.ndarray], **parts: bytes) -> Path:
    """Write what PyTorch has written since 2020."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + program + b".")
        for name, content in parts.items():
            archive.writestr(f"archive/{name}", content)
        for key, array in enumerate(arrays):
            archive.writestr(f"archive/data/{key}", array.tobytes())
    return path


def write_old(path: Path, program: bytes, arrays: list[np.ndarray], machine: bytes = MACHINE) -> Path:
    """Write what PyTorch wrote before."""
    keys = b"\x80\x02](" + b"".join(text(str(key)) for key in range(len(arrays))) + b"e."
    numbers = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in arrays)
    path.write_bytes(MAGIC + VERSION + machine + b"\x80\x02" + program + b"." + keys + numbers)
    return path


WRITERS = {"zip": write_zip, "old": write_old}


def npy(array: np.ndarray, header: str | None = None) -> bytes:
    """Return a part of an .npz file, with another header if one is given."""
    file = io.BytesIO()
    np.save(file, array)
    if header is None:
        return file.getvalue()
    line = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(line)) + line + array.tobytes()


def write_npz(path: Path, parts: Mapping[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    """Write an .npz file from its parts."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(f"{name}.npy", content)
    return path


def write_safetensors(path: Path, header: object, numbers: bytes = b"", length: int | None = None) -> Path:
    """Write a safetensors file with any header."""
    words = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(words) if length is None else length) + words + numbers)
    return path


# Models, and what they are in PyTorch's layout


def used(model: Module, seed: int = 3) -> Module:
    """Give every array of a model values of its own, running statistics included."""
    rng = np.random.default_rng(seed)
    for name, array in model.state_dict().items():
        array[...] = rng.uniform(0.5, 1.5, array.shape) if name.endswith("var") else 0.2 * rng.normal(size=array.shape)
    return model.eval()


def small_generator(scale: int = 4, channels: int = 4, blocks: int = 2, **settings: object) -> Generator:
    """Return a generator whose arrays all differ."""
    return used(Generator(scale, channels, blocks, **settings))


def small_discriminator(crop: int = 32, channels: int = 2) -> Discriminator:
    """Return a discriminator whose arrays all differ."""
    return used(Discriminator(crop, channels))


def torch_layout(state: State) -> dict[str, np.ndarray]:
    """Return arrays as PyTorch has them: (out, in, kh, kw), (out, in), and behind a flattening (C, H, W)."""
    arrays = {}
    for name, array in state.items():
        if name == "head.1.weight":
            channels = state["features.20.weight"].shape[3]
            side = round((len(array) / channels) ** 0.5)
            array = array.reshape(side, side, channels, -1).transpose(2, 0, 1, 3).reshape(len(array), -1)
        axes = {4: (3, 2, 0, 1), 2: (1, 0)}.get(array.ndim)
        arrays[name] = np.ascontiguousarray(array.transpose(axes) if axes else array)
    return arrays
