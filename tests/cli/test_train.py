"""Options of `minisrgan train` that contradict each other, or that a training would not use."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from minisrgan.images import write_image
from minisrgan.models import Generator
from minisrgan.training import Config
from minisrgan.training.config import read_config, write_config
from minisrgan.weights import save_model
from tests.cli.conftest import command

SMALL = ("--set", "d_channels=2", "--set", "srresnet_warmup=0", "--crop", "16", "--batch", "1", "--steps", "1")
TINY = ("--set", "channels=4", "--set", "blocks=1", *SMALL)

pytestmark = pytest.mark.usefixtures("no_figures")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in a folder with photographs, a generator and settings."""
    monkeypatch.chdir(tmp_path)
    for number in range(3):
        write_image(tmp_path / f"photos/{number}.png", np.full((40, 40, 3), 50 * number, np.uint8))
    save_model("init.safetensors", Generator(4, channels=4, blocks=1))
    write_config(Path("full.toml"), Config(preset="tiny", channels=4, blocks=1, crop=16, batch=1, srresnet_steps=1))
    lines = Path("full.toml").read_text().splitlines()
    Path("nameless.toml").write_text("\n".join(line for line in lines if not line.startswith("preset")))
    Path("some.toml").write_text("channels = 4\nblocks = 1\n")
    Path("wide.toml").write_text("channels = 8\nblocks = 1\n")
    Path("nearest.toml").write_text('channels = 4\nstart = "nearest"\n')
    return tmp_path


def train(*words: str, stage: str = "srresnet") -> int:
    """Begin a training in the folder `run`."""
    return command("train", "--stage", stage, "--data", "photos", "--out", "run", *words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--config", "full.toml", "--preset", "paper"], ["full.toml", "preset = 'tiny'", "'paper'"]),
        (["--config", "full.toml", "--set", "preset=paper"], ["full.toml", "preset = 'tiny'", "'paper'"]),
        (["--config", "nameless.toml", "--preset", "tiny"], ["nameless.toml", "'tiny'"]),
        ([*TINY, "--vgg", "nowhere.npz"], ["--vgg", "vgg22 or vgg54", "mse"]),
        ([*TINY, "--vgg", "nowhere.npz", "--content", "features:f.npz"], ["--vgg", "features:f.npz"]),
        ([*SMALL, "--init", "init.safetensors", "--set", "channels=8"], ["channels=8", "4 channels", "--init"]),
        ([*SMALL, "--init", "init.safetensors", "--set", "blocks=2", "--set", "tanh=true"], ["blocks=2, tanh=True"]),
        ([*SMALL, "--init", "init.safetensors", "--set", "eps=1e-3"], ["eps=0.001"]),
        ([*SMALL, "--init", "init.safetensors", "--set", "start=nearest"], ["start=nearest"]),
        ([*SMALL, "--init", "init.safetensors", "--config", "wide.toml"], ["wide.toml", "channels=8", "4 channels"]),
        ([*TINY, "--set", "batch=2"], ["batch", "1", "2"]),
        ([*TINY, "--set", "srresnet_steps=2"], ["srresnet_steps", "1", "2"]),
    ],
)
def test_contradictions_are_refused(words: list[str], told: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """One of the two would be ignored without a word, and a night be spent on another training than was asked for."""
    for path in Path("photos").iterdir():
        path.write_bytes(b"")  # whoever reads them complains about these
    assert train(*words) == 2
    error = " ".join(capsys.readouterr().err.split())
    assert "ConfigError" in error
    assert all(part in error for part in told), error
    assert not Path("run").exists()


def test_weights_of_vgg_that_a_resumed_training_does_not_use(capsys: pytest.CaptureFixture[str]) -> None:
    """Its content is that of its first day, which nobody remembers."""
    assert train(*TINY) == 0
    assert train(*TINY, "--resume", "--vgg", "nowhere.npz") == 2
    assert "content mse" in " ".join(capsys.readouterr().err.split())


def test_initial_weights_and_none(capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is named and not used, or the other way round."""
    with pytest.raises(SystemExit) as end:
        train(*SMALL, "--init", "init.safetensors", "--from-scratch", stage="srgan")
    assert end.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["--preset", "tiny", "--init", "init.safetensors", *SMALL], {"preset": "tiny", "channels": 4, "blocks": 1}),
        (["--init", "init.safetensors", *TINY], {"channels": 4}),
        (["--config", "full.toml", "--preset", "tiny"], {"preset": "tiny", "channels": 4}),
        (["--config", "full.toml", "--batch", "2"], {"preset": "tiny", "batch": 2}),
        (["--config", "full.toml", "--init", "init.safetensors"], {"preset": "tiny", "channels": 4}),
        (["--config", "some.toml", "--init", "init.safetensors", *SMALL], {"channels": 4, "blocks": 1}),
        (["--config", "nearest.toml", "--init", "init.safetensors", *SMALL], {"channels": 4}),
        (["--config", "some.toml", "--preset", "small", *SMALL], {"preset": "small", "channels": 4}),
        ([*TINY, "--set", "batch=1"], {"batch": 1}),
        ([*TINY, "--set", "real_label=.7", "--set", "seed=08"], {"real_label": 0.7, "seed": 8}),
        ([*TINY, "--set", "channels=3"], {"channels": 3}),  # the last counts, as for every option
    ],
)
def test_what_is_no_contradiction(words: list[str], settings: dict[str, object]) -> None:
    """A preset gives what nobody has asked for; what is said twice may be the same."""
    assert train(*words) == 0
    found = asdict(read_config("run/srresnet.toml", Config()))
    assert settings == {name: found[name] for name in settings}
