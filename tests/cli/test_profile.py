"""The command that shows where the time goes."""

from __future__ import annotations

from pathlib import Path

import pytest

from minisrgan.autograd import Cost, Profile
from minisrgan.autograd.profile import profiler
from minisrgan.cli import profile as command
from minisrgan.cli.main import main
from minisrgan.show import PALETTE, profile_figure
from minisrgan.training import Config

SMALL = Config(channels=4, blocks=1, d_channels=4, crop=32, batch=2)


@pytest.mark.parametrize(
    ("work", "expected"), [("srresnet", "batch_norm_training"), ("srgan", "leaky_relu"), ("upscale", "prelu")]
)
def test_each_work(work: str, expected: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """A step of the other stage, or the warm-up counted in, shows costs that training does not have."""
    monkeypatch.setattr(command, "PRESETS", {"tiny": SMALL})
    assert main(["profile", work, "--steps", "2"]) == 0
    rows = {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}
    assert expected in rows
    assert rows["pixel_shuffle"][1] == "4"  # two upsamplings, twice


@pytest.mark.parametrize("steps", ["0", "-2"])
def test_there_must_be_a_step(steps: str, capsys: pytest.CaptureFixture[str]):
    """Without one the table would be empty, as if nothing took any time."""
    assert main(["profile", "--steps", steps]) == 2
    assert "at least 1" in capsys.readouterr().err


def test_the_first_time_is_not_recorded(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """It fills caches and starts threads, and would show what no later step costs."""
    calls: list[bool] = []
    monkeypatch.setattr(command, "PRESETS", {"tiny": SMALL})
    monkeypatch.setattr(command, "upscale", lambda *inputs: calls.append(profiler.get() is not None))
    assert main(["profile", "upscale", "--steps", "2"]) == 0
    assert calls == [False, True, True]


def test_the_plot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An option that nobody runs."""
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(command, "PRESETS", {"tiny": SMALL})
    assert main(["profile", "--steps", "1", "--plot", str(tmp_path / "new" / "costs.svg")]) == 0
    assert "conv2d" in (tmp_path / "new" / "costs.svg").read_text()


def test_the_figure_stacks_backward_on_forward():
    """Bars side by side would make the longer of the two look like the whole."""
    pytest.importorskip("matplotlib")
    axes = profile_figure(Profile(costs={"relu": Cost(0.1, 0.2), "conv2d": Cost(0.3, 0.3)}, seconds=1.0)).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["conv2d", "relu", "rest"]
    assert axes.get_ylim()[0] > axes.get_ylim()[1]  # the first row is on top
    forward, backward = axes.containers
    assert [round(bar.get_width()) for bar in forward] == [300, 100, 100]
    assert [(round(bar.get_x()), round(bar.get_width())) for bar in backward] == [(300, 300), (100, 200), (100, 0)]
    assert forward[-1].get_facecolor() != forward[0].get_facecolor()
    assert axes.get_legend_handles_labels()[1] == ["forward", "backward"]
    assert PALETTE[0] != PALETTE[1]
