"""Thousands of small changes to good files: each is refused by the one class of error, or makes another good file."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from minisrgan.errors import WeightsError
from minisrgan.weights import load_model, save_model
from minisrgan.weights.store import digest
from tests.weights.files import npy, small_generator, tensors, torch_layout, write_npz, write_old, write_zip

FORMATS = ("safetensors", "npz", "zip.pth", "old.pth", "h5")


def good_file(folder: Path, format_: str) -> Path:
    """Write a small generator in a format, or in Keras's the start of VGG19."""
    generator = small_generator(2, channels=2, blocks=1)
    path, arrays = folder / f"good.{format_}", torch_layout(generator.state_dict())
    if format_ == "safetensors":
        save_model(path, generator, licence="MIT")
    elif format_ == "h5":
        h5py = pytest.importorskip("h5py", reason="h5py is not installed: Keras's .h5 files cannot be read")
        with h5py.File(path, "w") as file:
            file["block1_conv1/block1_conv1/kernel:0"] = np.ones((3, 3, 3, 64), np.float32)
            file["block1_conv1/block1_conv1/bias:0"] = np.ones(64, np.float32)
    elif format_ == "npz":
        write_npz(path, {name: npy(array) for name, array in arrays.items()})
    else:
        (write_zip if format_ == "zip.pth" else write_old)(path, tensors(arrays), list(arrays.values()))
    return path


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Change a few bytes, or cut, double, move or fill a piece; at either end, where the structure is, most often."""
    changed = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        end = len(changed) if rng.random() < 0.4 else max(1, min(len(changed), 4000))
        at, size = int(rng.integers(end)), int(rng.integers(1, 40))
        at = len(changed) - 1 - at if rng.random() < 0.3 else at
        match rng.integers(6):
            case 0:
                changed[at] ^= 1 << rng.integers(8)
            case 1:
                changed[at] = rng.choice([0, 1, 127, 128, 255, int(rng.integers(256))])
            case 2:
                del changed[at : at + size]
            case 3:
                changed[at:at] = changed[at : at + size]
            case 4:
                changed[at:at] = rng.bytes(size)
            case 5:
                piece = changed[at : at + size]
                other = int(rng.integers(max(1, len(changed) - size)))
                changed[other : other + len(piece)] = piece
    return bytes(changed)


def try_mutations(folder: Path, format_: str, count: int) -> Counter[str]:
    """Load a number of changed files; return how often each of the two things happened that may happen."""
    good = good_file(folder, format_)
    data, whole = good.read_bytes(), digest(good)
    load_model(good, whole)
    rng, seen = np.random.default_rng(len(format_)), Counter[str]()
    for number in itertools.count():
        if sum(seen.values()) == count:
            return seen
        path = folder / f"{number}.{format_}"
        path.write_bytes(mutated(data, rng))
        if path.read_bytes() == data:
            continue
        with pytest.raises(WeightsError, match="SHA-256"):
            load_model(path, whole)
        try:
            model, _ = load_model(path, digest(path))
            assert all(np.isfinite(array).all() for array in model.state_dict().values())
            seen["loaded"] += 1
        except WeightsError:
            seen["refused"] += 1
        path.unlink()
    raise AssertionError


@pytest.mark.parametrize("count", [100, pytest.param(3000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("format_", FORMATS)
def test_mutations(format_: str, count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody thinks of all the ways in which a file can be broken, and some ways are rare."""
    seen = try_mutations(tmp_path, format_, count)
    with capsys.disabled():
        print(f"\n{format_}: {dict(seen)} of {count} mutations; all {count} fail the checksum")
    assert seen["refused"] > count / 3


@pytest.mark.parametrize("count", [40, pytest.param(400, marks=pytest.mark.slow)])
def test_weights_in_a_zip_have_a_checksum_of_their_own(count: int, tmp_path: Path) -> None:
    """Of the changes above some load: in these two formats none may change a number."""
    expected = small_generator(2, channels=2, blocks=1).state_dict()
    for format_ in ("npz", "zip.pth"):
        good = good_file(tmp_path, format_)
        data = good.read_bytes()
        rng = np.random.default_rng(1)
        for _ in range(count):
            good.write_bytes(mutated(data, rng))
            try:
                state = load_model(good, digest(good))[0].state_dict()
            except WeightsError:
                continue
            for name, array in expected.items():
                np.testing.assert_array_equal(state[name], array)
