"""What is refused when weights are written, because it could not be read back, or only as something else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor
from minisrgan.errors import MinisrganError
from minisrgan.models import Generator
from minisrgan.nn import Conv2d, MaxPool2d, Sequential
from minisrgan.weights import load_model, load_state, save_model, save_state


def test_a_pool_keeps_its_stride(tmp_path: Path) -> None:
    """A stack with MaxPool2d(3, 2) came back with stride 3: another network, without a word."""
    stack = Sequential(Conv2d(3, 4, 3), MaxPool2d(3, 2))
    save_model(tmp_path / "s.safetensors", stack)
    loaded, _ = load_model(tmp_path / "s.safetensors")
    x = Tensor(np.random.default_rng(0).random((1, 9, 9, 3), dtype=np.float32))
    np.testing.assert_array_equal(loaded(x).numpy(), stack(x).numpy())


SMALL = Generator(2, 4, 1)


@pytest.mark.parametrize(
    ("write", "expected"),
    [
        (lambda path: save_model(path, SMALL, settings=3), "(?s)notes.*settings"),
        (lambda path: save_model(path, SMALL, input="BGR"), "(?s)notes.*input"),
        (lambda path: save_model(path, Conv2d(3, 2, 3)), "(?s)or Sequential.*Conv2d"),
        (lambda path: save_model(path, SMALL.state_dict()), "(?s)or Sequential.*dict"),
        (lambda path: save_model(path, SMALL, seen=np.float32(1)), "(?s)safetensors can store.*TypeError"),
        (lambda path: save_model(path, SMALL, half="no"), "half as True or False"),
        (lambda path: save_state(path, SMALL, {}), r"(?s)a dict of arrays.*state_dict\(\)"),
        (lambda path: save_state(path, {"a": [1.0]}, {}), "(?s)arrays by name.*a: list"),
        (lambda path: save_state(path, {"a": np.ma.ones(2)}, {}), "(?s)arrays by name.*a: MaskedArray"),
        (lambda path: save_state(path, {"a": np.array([None])}, {}), "(?s)safetensors can store.*object"),
    ],
)
def test_what_could_not_be_read_back_is_not_written(
    write: Callable[[Path], Any], expected: str, tmp_path: Path
) -> None:
    """A note named settings replaced those of the model, and half="no" halved: the file was of no use."""
    with pytest.raises(MinisrganError, match=expected):
        write(tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("layout", ["HWIO", "OIHW"])
def test_a_model_is_written_again_with_its_notes(layout: Any, tmp_path: Path) -> None:
    """The notes of a file say what its input and output are, too: they are no other model's."""
    save_model(tmp_path / "a.safetensors", SMALL, layout=layout, licence="MIT")
    model, about = load_model(tmp_path / "a.safetensors")
    save_model(tmp_path / "b.safetensors", model, layout=layout, **about)
    assert load_state(tmp_path / "b.safetensors")[1] == load_state(tmp_path / "a.safetensors")[1]


def test_only_floats_are_halved(tmp_path: Path) -> None:
    """A count of 40,001 came back as 40,000.0; and a Tensor is an array to whoever saves it."""
    save_state(tmp_path / "a", {"a": Tensor([1.5]), "count": np.array([40001])}, {}, half=True)
    state, _ = load_state(tmp_path / "a")
    assert (state["a"].dtype, state["count"].tolist()) == (np.float16, [40001])
