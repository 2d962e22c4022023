"""The commands as a person types them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from minisrgan.cli.main import main
from minisrgan.images import read_image, write_image
from minisrgan.models import Generator
from minisrgan.weights import load_discriminator, load_generator, save_model
from tests.paths import SHARED, needs_shared


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder of three photographs, one in a folder below, beside a damaged one and a small one."""
    y, x = np.mgrid[0:80, 0:96]
    picture = np.stack([3 * y, 2 * x, 255 * ((x // 8 + y // 8) % 2)], axis=2).astype(np.uint8)
    for name in ("one.png", "two.jpg", "deep/three.png"):
        write_image(tmp_path / "photos" / name, picture)
    write_image(tmp_path / "photos" / "small.png", picture[:9, :7])
    (tmp_path / "photos" / "broken.png").write_bytes(b"\x89PNG but no more")
    return tmp_path / "photos"


def command(*words: object) -> int:
    """Run a command line."""
    return main([str(word) for word in words])


def test_help_of_every_command_is_enough_to_start(capsys: pytest.CaptureFixture[str]) -> None:
    """An option without an explanation might as well not exist."""
    for words in ([], ["demo"], ["train"], ["upscale"], ["summary"]):
        with pytest.raises(SystemExit) as end:
            main([*words, "--help"])
        assert end.value.code == 0
        text = capsys.readouterr().out
        assert "usage: minisrgan" in text
        assert len(text) > 300
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2


def test_train_both_stages_then_upscale(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The way of a tinkerer from a folder of photographs to a larger picture, with real files all the way."""
    run = tmp_path / "run"
    common = ("--data", photos, "--out", run, "--crop", 32, "--batch", 2, "--steps", 2, "--seed", 3)
    assert command("train", "--stage", "srresnet", *common) == 0
    captured = capsys.readouterr()
    assert "3 photographs, 2 skipped" in captured.out
    assert "skipped broken.png: " in captured.err
    assert "skipped small.png: 7 x 9 pixels, smaller than a crop of 32" in captured.err
    assert command("train", "--stage", "srgan", *common, "--init", run / "srresnet.safetensors") == 0
    files = {f"{stage}.{kind}" for stage in ("srresnet", "srgan") for kind in ("toml", "jsonl", "safetensors")}
    files |= {f"{stage}_{figure}.png" for stage in ("srresnet", "srgan") for figure in ("curves", "pictures")}
    files |= {"srgan_discriminator.safetensors", "checkpoints", "pictures", ".lock"}
    assert {path.name for path in run.iterdir()} == files
    assert tomllib.loads((run / "srgan.toml").read_text())["seed"] == 3
    assert len((run / "srgan.jsonl").read_text().splitlines()) == 2
    assert load_discriminator(run / "srgan_discriminator.safetensors").crop == 32

    assert command("upscale", photos, "--model", run / "srgan.safetensors", "--out", tmp_path / "large") == 3
    captured = capsys.readouterr()
    assert "4 upscaled, 0 kept, 1 failed" in captured.out
    assert "broken.png" in captured.err
    assert read_image(tmp_path / "large" / "deep" / "three_x4.png").shape == (320, 384, 3)
    assert read_image(tmp_path / "large" / "small_x4.png").shape == (36, 28, 3)


@pytest.mark.usefixtures("no_figures")
def test_srgan_starts_from_srresnets_weights(photos: Path, tmp_path: Path) -> None:
    """With --init read but not used, SRGAN would start from noise and nobody would see it in the log."""
    generator = Generator(4, channels=4, blocks=1, rng=np.random.default_rng(5))
    save_model(tmp_path / "start.safetensors", generator)
    words = ("train", "--stage", "srgan", "--data", photos, "--crop", 32, "--batch", 2, "--steps", 1)
    assert command(*words, "--init", tmp_path / "start.safetensors", "--out", tmp_path / "run") == 0
    trained = load_generator(tmp_path / "run" / "srgan.safetensors")
    assert trained.describe() == generator.describe()
    start, end = generator.conv_first.weight.data, trained.conv_first.weight.data
    assert 0 < np.abs(start - end).max() < 1e-2


@pytest.mark.usefixtures("no_figures")
def test_a_run_can_be_repeated_from_its_settings(photos: Path, tmp_path: Path) -> None:
    """Settings that a run writes down and nobody can read again are no record."""
    common = ("train", "--stage", "srresnet", "--data", photos)
    small = ("--set", "channels=4", "--set", "blocks=1", "--set", "srresnet_lr=5e-4", "--set", "start=random")
    assert command(*common, *small, "--crop", 32, "--batch", 2, "--steps", 2, "--out", tmp_path / "a") == 0
    assert command(*common, "--config", tmp_path / "a" / "srresnet.toml", "--out", tmp_path / "b") == 0
    settings, again = ((tmp_path / run / "srresnet.toml").read_text() for run in "ab")
    assert settings == again
    assert "srresnet_lr = 0.0005\n" in settings
    first, second = (load_generator(tmp_path / run / "srresnet.safetensors").state_dict() for run in "ab")
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_srgan_without_srresnet_is_refused(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From scratch the discriminator wins at once: hours lost, and not a word."""
    assert command("train", "--stage", "srgan", "--data", photos, "--out", tmp_path / "run") == 2
    message = capsys.readouterr().err
    assert "--init FILE" in message
    assert "--from-scratch" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--data", "nowhere"], "nowhere, which does not exist"),
        (["--data", "photos", "--crop", "4000"], "smaller than a crop of 4000"),
        (["--data", "photos", "--crop", "33"], "a multiple of scale 4"),
        (["--data", "photos", "--steps", "0"], "srresnet_steps"),
        (["--data", "photos", "--content", "vgg54"], "content mse"),
        (["--data", "photos", "--content", "vgg22", "--vgg", "none.npz"], "none.npz, which does not exist"),
        (["--data", "photos", "--init", "none.safetensors"], "none.safetensors"),
        (["--data", "photos", "--device", "tpu"], "cpu, cuda or cuda:N"),
        (["--data", "photos", "--save-every", "0"], "at least 1"),
        (["--data", "photos", "--set", "chanels=8"], "chanels"),
        (["--data", "photos", "--set", "blocks=many"], "blocks as a whole number"),
        (["--data", "photos", "--set", "blocks=0"], "blocks at least 1"),
        (["--data", "photos", "--set", "content=vgg"], "mse, vgg22, vgg54"),
        (["--data", "photos", "--preset", "small", "--set", "channels=2"], 'start "nearest"'),
        (["--data", "photos", "--content", "vgg33"], "features:FILE"),
        (["--data", "photos", "--content", "features:none.safetensors"], "none.safetensors"),
        (["--data", "photos", "--config", "none.toml"], "none.toml"),
        (["--data", "photos", "--config", "photos/broken.png"], "a TOML file"),
    ],
)
def test_wrong_words_for_training(
    words: list[str], told: str, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each mistake of the first evening: four lines that name it, no traceback, exit status 2."""
    monkeypatch.chdir(photos.parent)
    assert command("train", "--stage", "srresnet", "--out", "run", *words) == 2
    message = " ".join(capsys.readouterr().err.split())
    assert told in message
    assert "fix" in message


def test_summary_of_each_model(capsys: pytest.CaptureFixture[str]) -> None:
    """The numbers of the paper, where a student looks for them."""
    assert command("summary", "generator") == 0
    text = capsys.readouterr().out
    assert "1,550,659 parameters" in text
    assert "(1.28 G)" in text
    assert text.count("ResidualBlock") == 0
    assert "blocks.15.conv2" in text
    assert command("summary", "discriminator") == 0
    assert "23,565,505 parameters" in capsys.readouterr().out
    assert command("summary", "vgg19", "--phi", "2,2", "--input", "32x48") == 0
    assert "16 x 24 x 128" in capsys.readouterr().out
    assert command("summary", "generator", "--blocks", "-1") == 2
    assert "blocks as an integer >= 0" in capsys.readouterr().err
    for size in ("24", "\u00b2x\u00b2", "0x24"):
        assert command("summary", "generator", "--input", size) == 2
        assert "24x24" in capsys.readouterr().err


@pytest.mark.parametrize("seed", [0])
def test_demo_in_short(seed: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first command of every newcomer: here with two steps of each stage, to see that every file is written."""
    assert command("demo", "--out", tmp_path, "--steps", 2, 2, "--seed", seed) == 0
    text = capsys.readouterr().out
    for name in ("box.png", "comparison.png", "curves.png"):
        assert str(tmp_path / name) in text
        assert read_image(tmp_path / name).shape[1] > 1000
    assert "SRGAN in the box" in text
    assert "31.47" in text  # bicubic of the held-out photo does not depend on the training
    for stage in ("srresnet", "srgan"):
        assert load_generator(tmp_path / "training" / f"{stage}.safetensors").scale == 4
        assert len((tmp_path / "training" / f"{stage}.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("wrong", [("--steps", 0, 5), ("--seed", -1)])
def test_a_demo_that_is_refused_leaves_the_one_before(wrong: tuple[str | int, ...], tmp_path: Path) -> None:
    """Its models are removed when the next one can begin."""
    mark, model = tmp_path / "training" / ".demo", tmp_path / "training" / "srgan.safetensors"
    mark.parent.mkdir()
    mark.touch()
    model.touch()
    assert command("demo", "--out", tmp_path, *wrong) == 2
    assert model.exists()


@needs_shared("weights/vgg19_caffe_conv.npz", "data/Set5")
@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("content", [pytest.param("vgg22", marks=pytest.mark.slow), "vgg54"])
def test_training_on_real_vgg_features(content: str, photos: Path, tmp_path: Path) -> None:
    """With real weights and real photographs the content term has a size; a detached or vanishing one is seen here."""
    save_model(tmp_path / "g.safetensors", Generator(4, channels=4, blocks=1).start_as_nearest())
    words = ("--data", SHARED / "data/Set5/HR", "--out", tmp_path / "run", "--batch", 1, "--steps", 2, "--crop", 32)
    vgg = ("--set", "d_head_start=0", "--content", content, "--vgg", SHARED / "weights/vgg19_caffe_conv.npz")
    assert command("train", "--stage", "srgan", "--init", tmp_path / "g.safetensors", *words, *vgg) == 0
    for line in (tmp_path / "run" / "srgan.jsonl").read_text().splitlines():
        assert json.loads(line)["content"] > 1
