"""The command that writes a page to be clicked."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from minisrgan.images import write_image
from minisrgan.models import VGG19, Discriminator, Generator
from minisrgan.weights import save_model
from tests.cli.conftest import command


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    write_image(tmp_path / "photo.png", np.random.default_rng(0).integers(0, 256, (80, 100, 3), np.uint8))
    return tmp_path / "photo.png"


def written(path: Path) -> dict[str, Any]:
    """Return the record of a page."""
    return json.loads(re.search(r'id="record">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)[1])


def test_a_generator_and_its_loss(photo: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """With a loss the photograph is the original: the crop is of the small one, and the result has its size."""
    out = tmp_path / "new" / "page.html"
    assert command("inspect", photo, "--model", model, "--loss", "mse", "--crop", "3,5,12", "--out", out) == 0
    assert f"wrote {out}, 0." in capsys.readouterr().out
    (network,) = written(out)["networks"]
    assert network["name"] == "model"
    assert network["steps"][0]["shape"] == [1, 12, 12, 3]
    shapes = {step["path"]: step["shape"] for step in reversed(network["steps"])}
    assert shapes["conv_last"] == shapes["loss"] == [1, 48, 48, 3]
    assert all(step["flows"] for step in network["steps"])
    assert "model, photo.png at 3,5,12, loss mse" in out.read_text("utf-8")


def test_two_generators_without_a_loss(photo: Path, model: Path, tmp_path: Path):
    """Without a loss the crop is of the photograph as it is; a grey one has three channels like any other."""
    save_model(tmp_path / "other.safetensors", Generator(4, channels=4, blocks=1))
    write_image(tmp_path / "grey.png", np.full((30, 30), 99, np.uint8))
    out = tmp_path / "page.html"
    other = tmp_path / "other.safetensors"
    assert command("inspect", tmp_path / "grey.png", "--model", model, "--model", other, "--out", out) == 0
    networks = written(out)["networks"]
    assert [network["name"] for network in networks] == ["model", "other"]
    assert networks[0]["steps"][0]["shape"] == [1, 24, 24, 3]
    assert not any(step["flows"] for step in networks[0]["steps"])


def test_the_other_networks(photo: Path, model: Path, tmp_path: Path):
    """A discriminator of the crop's size with first weights, VGG19 on a shrunk and enlarged copy, and a judge."""
    save_model(tmp_path / "vgg.safetensors", VGG19("1,2"))
    save_model(tmp_path / "d.safetensors", Discriminator(32, channels=4))
    out, vgg = tmp_path / "page.html", tmp_path / "vgg.safetensors"
    assert command("inspect", photo, "--network", "discriminator", "--loss", "adversarial", "--out", out) == 0
    assert written(out)["networks"][0]["steps"][0]["shape"] == [1, 80, 80, 3]  # the photo is smaller than 96 x 96
    judge = ("--network", "discriminator", "--model", tmp_path / "d.safetensors")
    assert command("inspect", photo, *judge, "--out", out, "--overwrite") == 0
    assert written(out)["networks"][0]["steps"][0]["shape"] == [1, 32, 32, 3]  # the size that it is made for
    words = ("--network", "vgg19", "--model", vgg, "--phi", "1,2", "--loss", "vgg54", "--crop", "1,2,30")
    assert command("inspect", photo, *words, "--out", out, "--overwrite") == 0
    steps = written(out)["networks"][0]["steps"]
    assert [step["path"] for step in steps if step["op"] == "conv2d"] == ["block1_conv1", "block1_conv2"]
    assert steps[-1]["probe"]["value"][0] > 0  # the copy is not the original
    judged = ("--model", model, "--loss", "adversarial", "--loss-model", tmp_path / "d.safetensors", "--crop", "0,0,8")
    assert command("inspect", photo, *judged, "--out", out, "--overwrite") == 0
    assert written(out)["networks"][0]["steps"][0]["flows"]


def test_nothing_is_replaced(photo: Path, model: Path):
    """The page took the place of the photograph or of the model where `--out` named one."""
    for file in (photo, model):
        before = file.read_bytes()
        assert command("inspect", photo, "--model", model, "--crop", "0,0,8", "--out", file) == 2
        assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--crop", "90,0,24"], ["--crop", "inside the 100 x 80 pixels", "90,0,24"]),
        (["--crop", "0,0,0"], ["0,0,0"]),
        (["--crop=-1,0,24"], ["-1,0,24"]),
        (["--crop", "1,2"], ["X,Y,SIZE"]),
        (["--crop", "0,0,\u00b2"], ["X,Y,SIZE"]),
        (["--loss", "mse"], ["inside the 25 x 20 pixels", "0,0,24"]),
        (["--network", "vgg19", "--loss", "mse"], ["for the vgg19 vgg54"]),
        (["--model", "a", "--model", "b", "--model", "c"], ["one or two", "3"]),
        (["--max-megabytes", "0.001"], ["max_megabytes = 0.001", "MB", "weights", "set it to 2"]),
        (["--max-megabytes", "nan"], ["max_megabytes = nan"]),
        (["--model", "nothing-of-this-name"], ["nothing-of-this-name"]),
    ],
)
def test_what_cannot_be_done(words: list[str], told: list[str], photo: Path, model: Path, tmp_path: Path, capsys):
    """One error that says the numbers, and no page."""
    given = words if "--model" in words or "--network" in words else ["--model", str(model), *words]
    given = given if any("--crop" in word for word in given) else [*given, "--crop", "0,0,24"]
    assert command("inspect", photo, *given, "--out", tmp_path / "page.html") == 2
    error = " ".join(capsys.readouterr().err.split())
    assert error.count("expected") == 1
    assert all(part in error for part in told), error
    assert not (tmp_path / "page.html").exists()
