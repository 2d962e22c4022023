"""Generators for other programs: what `minisrgan export` writes, refuses, and reads back."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisrgan.errors import WeightsError
from minisrgan.inference.fold import folded
from minisrgan.models import VGG19, Generator
from minisrgan.nn import Conv2d, Module, Sequential
from minisrgan.weights import load_generator, load_model, load_state, save_model, save_state
from minisrgan.weights.foreign.onnx_file import save_onnx
from tests.cli.conftest import command
from tests.weights.files import small_discriminator, small_generator, torch_layout

SETTINGS = [{}, {"scale": 2, "tanh": True}, {"scale": 8, "blocks": 0, "channels": 1}, {"eps": 1e-3, "channels": 5}]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder of our own, which holds a generator."""
    monkeypatch.chdir(tmp_path)
    save_model("model.safetensors", small_generator(), licence="MIT", steps=7)
    return tmp_path


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("half", [[], ["--half"]], ids=["32 bits", "16 bits"])
def test_to_pytorch_and_back_changes_no_bit(settings: dict[str, object], half: list[str]) -> None:
    """An axis or a setting that is lost on the way shows in the picture alone, as noise or another brightness."""
    save_model("model.safetensors", small_generator(**settings), half=bool(half), licence="MIT", steps=7)
    generator = load_generator("model.safetensors")
    assert command("export", "model.safetensors", "-o", "torch.safetensors", *half) == 0
    arrays, about = load_state("torch.safetensors")
    for name, array in torch_layout(generator.state_dict()).items():
        assert np.array_equal(arrays[name], array), name
    assert about["licence"] == "MIT"
    assert command("weights", "convert", "torch.safetensors", "-o", "again.safetensors") == 0
    again, told = load_model("again.safetensors")
    for name, array in generator.state_dict().items():
        assert np.array_equal(again.state_dict()[name], array), name
    assert (again.describe(), again.tanh, again.eps) == (generator.describe(), generator.tanh, generator.eps)
    assert (told["licence"], told["steps"], told["name"]) == ("MIT", 7, "model")
    assert not load_state("again.safetensors")[1].keys() & {"layout"}


def test_a_file_for_pytorch_is_a_model_here_too() -> None:
    """Read as if it had our layout, its square kernels would load mirrored, and compute rubbish without a word."""
    assert command("export", "model.safetensors", "-o", "torch.safetensors") == 0
    expected, got = (load_generator(f"{name}.safetensors").state_dict() for name in ("model", "torch"))
    assert all(np.array_equal(expected[name], got[name]) for name in expected)


def test_what_was_folded_cannot_come_back() -> None:
    """Its arrays fit a generator without batch norms, which there is not."""
    assert command("export", "model.safetensors", "-o", "torch.safetensors", "--fold") == 0
    names = load_state("torch.safetensors")[0].keys()
    assert names == {name for name in small_generator().state_dict() if "bn" not in name}
    with pytest.raises(WeightsError, match=r"(?s)torch\.safetensors.*batch norms.*without --fold"):
        load_generator("torch.safetensors")


def test_what_pytorch_counts_beside_the_weights_is_left_out() -> None:
    """A state_dict saved in PyTorch has num_batches_tracked for each batch norm, in whatever naming."""
    generator = small_generator()
    arrays = torch_layout(generator.state_dict())
    counts = {name.replace("running_mean", "num_batches_tracked"): np.array(7) for name in arrays}
    save_state("theirs.safetensors", arrays | {name: n for name, n in counts.items() if "tracked" in name}, {})
    state = load_generator("theirs.safetensors").state_dict()
    assert all(np.array_equal(array, state[name]) for name, array in generator.state_dict().items())


class Attentive(Generator):
    """A generator of somebody's own."""


OTHERS = [small_discriminator(), VGG19("1,1"), Sequential(Conv2d(3, 3, 3)), Attentive(2, 4, 1)]


@pytest.mark.parametrize("model", OTHERS, ids=lambda model: type(model).__name__)
@pytest.mark.parametrize("kind", ["onnx", "safetensors"])
def test_other_networks_are_refused(model: Module, kind: str) -> None:
    """A subclass may compute anything: written down as our generator it would give other pictures."""
    if kind == "onnx":
        pytest.importorskip("onnx", reason="onnx is not installed: ONNX files cannot be written")
    write: Any = save_onnx if kind == "onnx" else partial(save_model, layout="OIHW")
    with pytest.raises(WeightsError, match=f"(?s)export.*Generator.*{type(model).__name__}.*minisrgan weights list"):
        write(f"new.{kind}", model)
    assert {path.name for path in Path().iterdir()} == {"model.safetensors"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["d.safetensors", "-o", "d.onnx"], ["d.safetensors, which holds Discriminator", "minisrgan weights list"]),
        (["d.safetensors", "-o", "new.safetensors"], ["d.safetensors, which holds Discriminator", "Generator"]),
        (["other.safetensors", "-o", "o.onnx"], ["another architecture: ESRGAN", "minisrgan weights list"]),
        (["none.safetensors", "-o", "n.onnx"], ["none.safetensors, which does not exist"]),
        (["nobody", "-o", "n.onnx"], ["nobody", "srresnet", "minisrgan weights fetch srgan"]),
        (["model.safetensors", "-o", "model.pth"], ["model.pth", ".onnx", "minisrgan export srgan -o srgan.onnx"]),
        (["model.safetensors", "-o", "folder"], ["folder", ".onnx"]),
        (["model.safetensors", "-o", "x.onnx", "--format", "torch"], ["x.onnx", ".safetensors, as --format torch"]),
        (["model.safetensors", "-o", "x.safetensors", "--format", "onnx"], ["x.safetensors", ".onnx, as --format"]),
        (["model.safetensors", "-o", "x.onnx", "--about", "scale=9"], ["none of", "scale", "scale=9"]),
        (["model.safetensors", "-o", "model.safetensors", "--overwrite"], ["model.safetensors", "a new file"]),
        (["model.safetensors", "-o", "there.safetensors"], ["there.safetensors, which is there", "--overwrite"]),
        (["model.safetensors", "-o", "there.onnx"], ["there.onnx, which is there", "--overwrite"]),
        (["model.safetensors", "-o", "dir.safetensors", "--overwrite"], ["dir.safetensors, which is a folder"]),
        (["model.safetensors", "-o", "there.onnx/x.safetensors"], ["there.onnx is a file, not a folder"]),
        (["model.safetensors", "-o", "new.safetensors", "--about", "layout=OIHW"], ["layout=OIHW", "KEY=VALUE"]),
        (["model.safetensors", "-o", "new.safetensors", "--about", "licence"], ["licence", "--about licence=MIT"]),
        (["large.safetensors", "-o", "new.safetensors", "--half"], ["conv_first.weight", "70000", "--half"]),
    ],
    ids=lambda value: " ".join(value) if "-o" in value else "",
)
def test_bad_requests_get_one_clear_error(
    words: list[str], told: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever is wrong, it is said in one message, and no file is written or lost."""
    save_model("d.safetensors", small_discriminator())
    save_state("other.safetensors", {"body.0.rdb1.conv1.weight": np.zeros((4, 4, 3, 3), np.float32)}, {})
    generator = small_generator()
    generator.conv_first.weight.data[0, 0, 0, 0] = 7e4
    save_model("large.safetensors", generator)
    for name in ("there.safetensors", "there.onnx"):
        Path(name).write_text("mine")
    Path("dir.safetensors").mkdir()
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert command("export", *words) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert message.count("Error in ") == 1
    for part in told:
        assert part in message
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_onnx_is_missed_by_name(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """onnx is optional: who lacks it needs the one command that helps, not a traceback."""
    monkeypatch.setitem(sys.modules, "onnx", None)
    assert command("export", "model.safetensors", "-o", "model.onnx") == 2
    message = capsys.readouterr().err
    assert 'pip install "minisrgan[onnx]"' in message
    assert "Traceback" not in message
    assert not Path("model.onnx").exists()


def test_overwrite_and_format(capsys: pytest.CaptureFixture[str]) -> None:
    """Both are asked for, so both are done; what is printed names the files and the size."""
    Path("new.safetensors").write_text("mine")
    words = ("model.safetensors", "-o", "new.safetensors", "--format", "torch", "--overwrite", "--about", "licence=CC0")
    assert command("export", *words) == 0
    assert load_state("new.safetensors")[1]["licence"] == "CC0"
    assert capsys.readouterr().out == "model.safetensors -> new.safetensors: x4, 4 channels, 2 blocks\n"


def test_folding_leaves_the_file_as_it_is() -> None:
    """`folded` shares arrays with nobody: the generator that was given can be trained on."""
    generator = small_generator()
    before = {name: array.copy() for name, array in generator.state_dict().items()}
    save_model("folded.safetensors", folded(generator), layout="OIHW")
    assert all(np.array_equal(array, before[name]) for name, array in generator.state_dict().items())
