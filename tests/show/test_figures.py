"""The figures say what they should: numbers, frames, details, curves; and touch nothing outside themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minisrgan.errors import ArgumentError, ConfigError
from minisrgan.images import imresize, nearest, read_image, rgb_to_y
from minisrgan.show import PALETTE, curves_figure, make_strip, new_figure, save_figure, strips_figure
from minisrgan.show.curves import smooth

pytest.importorskip("matplotlib")


def pictures() -> dict[str, np.ndarray]:
    """Two enlargements and their original."""
    original = imresize(np.random.default_rng(3).integers(0, 256, (10, 15, 3), dtype=np.uint8), 4)
    small = imresize(original, 1 / 4)
    return {"nearest": nearest(small, 4), "bicubic": imresize(small, 4), "original": original}


def records(count: int, stage: str = "srresnet", **values: float) -> list[dict[str, object]]:
    """Records of one stage, ten steps apart, all alike."""
    return [{"step": 10 * number, "stage": stage, **values} for number in range(count)]


def test_curves_draw_what_was_logged():
    """Records that lack a key, hold None or NaN must be passed over, not drawn as zero."""
    log = records(4, loss=2.0)
    log[1]["loss"], log[2]["loss"], log[3]["psnr"] = float("nan"), None, 28.0
    figure = curves_figure(log, {"loss": ["loss"], "PSNR (dB)": ["psnr"]}, log_scale=["loss"])
    loss, quality = figure.axes
    assert loss.lines[0].get_xydata().tolist() == [[0, 2.0], [30, 2.0]]
    assert quality.lines[0].get_xydata().tolist() == [[30, 28.0]]
    assert (loss.get_yscale(), quality.get_yscale()) == ("log", "linear")
    assert (loss.get_xlabel(), quality.get_xlabel()) == ("", "training step")


def test_curves_show_both_lines_when_there_are_many_values():
    """The smoothed line alone would hide how noisy a training is."""
    log = [{"step": step, "a": step % 2, "b": 3} for step in range(200)]
    (axes,) = curves_figure(log, {"loss": ["a", "b"]}).axes
    raw, smoothed, *_ = axes.lines
    assert raw.get_ydata().tolist() == [step % 2 for step in range(200)]
    assert np.ptp(smoothed.get_ydata()[20:-20]) < 0.3
    assert np.mean(smoothed.get_ydata()) == pytest.approx(0.5, abs=0.02)
    assert smoothed.get_linewidth() > raw.get_linewidth()
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["a", "b"]


def test_smoothing_neither_lags_nor_sinks():
    """A one-sided average shows a falling loss too high all along, one without division starts from zero."""
    falling = [100.0 - step for step in range(101)]
    assert smooth(falling, span=5)[50] == pytest.approx(50)
    assert smooth([7.0] * 30, span=5) == pytest.approx([7.0] * 30)
    reach = np.exp(-np.abs(np.subtract.outer(np.arange(5), np.arange(5))) / 2)
    values = np.array([3.0, 1.0, 4.0, 1.0, 5.0])
    assert smooth(values.tolist(), span=2) == pytest.approx(reach @ values / reach.sum(axis=1))


def test_smoothing_a_long_log_takes_no_square_of_time():
    """The paper trains for a million steps; a convolution of that with weights of that length would not end."""
    assert smooth([1.0] * 200_000, span=3000) == pytest.approx([1.0] * 200_000)


@pytest.mark.parametrize("first_step", [0, 30])
def test_curves_mark_a_new_stage(first_step: int):
    """Steps that begin anew would draw the second stage over the first; steps that go on must not be shifted."""
    second = [record | {"step": record["step"] + first_step} for record in records(3, stage="srgan", loss=1.0)]
    log = records(3, loss=2.0) + second
    (axes,) = curves_figure(log, {"loss": ["loss"]}).axes
    start = first_step or 20
    assert [line.get_xdata().tolist() for line in axes.lines[:2]] == [[0, 10, 20], [start, start + 10, start + 20]]
    assert list(axes.lines[2].get_xdata()) == [start, start]
    assert [text.get_text() for text in axes.texts] == ["srresnet", "srgan"]


def test_curves_without_stages_have_no_marks():
    """A line for the first stage, or for records that do not mention it, would be noise."""
    log = records(3, loss=2.0)
    del log[0]["stage"], log[2]["stage"]
    (axes,) = curves_figure(log, {"loss": ["loss"]}).axes
    assert len(axes.lines) == 1
    assert not axes.texts


@pytest.mark.parametrize("panels", range(1, 7))
@pytest.mark.parametrize("count", [0, 1, 3])
def test_curves_of_a_run_that_has_just_begun(tmp_path: Path, count: int, panels: int):
    """A student looks at the curves after one step; an empty panel must be drawn, without a warning."""
    names = {f"panel {number}": [f"loss {number}", "other"] for number in range(panels)}
    figure = curves_figure(records(count, **{"loss 0": 1.0}), names, log_scale=["panel 0"])
    save_figure(figure, tmp_path / "curves.png", dpi=30)
    assert len(figure.axes) == panels
    if count == 0:
        assert "no values of loss 0" in figure.axes[0].texts[0].get_text()


def test_log_scale_without_positive_values(tmp_path: Path):
    """A loss that has vanished is worth seeing: matplotlib would warn and draw nothing."""
    figure = curves_figure(records(3, loss=0.0), {"loss": ["loss"]}, log_scale=["loss"])
    save_figure(figure, tmp_path / "curves.png", dpi=30)
    assert figure.axes[0].get_yscale() == "linear"


def test_curves_refuse():
    """A misspelt panel in log_scale would silently draw a linear axis."""
    with pytest.raises(ArgumentError, match="panel"):
        curves_figure([], {})
    with pytest.raises(ArgumentError, match="psnr"):
        curves_figure([], {"loss": ["loss"]}, log_scale=["psnr"])
    with pytest.raises(ArgumentError, match="record 1 with loss"):
        curves_figure([{"step": 0}, {"loss": 1.0}], {"loss": ["loss"]})


@pytest.mark.parametrize(("suffix", "begins"), [("png", b"\x89PNG"), ("PDF", b"%PDF"), ("svg", b"<?xml")])
def test_save_figure(tmp_path: Path, suffix: str, begins: bytes):
    """The format must follow the suffix of the target, not of the temporary file that is written first."""
    path = tmp_path / "new" / f"figure.{suffix}"
    save_figure(new_figure(2, 1), path, dpi=50)
    assert path.read_bytes().startswith(begins)
    assert list(path.parent.iterdir()) == [path]
    if suffix == "png":
        assert read_image(path).shape == (50, 100, 3)


def test_save_figure_refuses_other_formats(tmp_path: Path):
    """matplotlib's own error speaks of canvases and backends."""
    for name in ("figure", "figure.doc"):
        with pytest.raises(ConfigError, match=r"\.pdf"):
            save_figure(new_figure(1, 1), tmp_path / name)


def test_failed_saving_keeps_the_old_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The curves of a long run are rewritten again and again; an interruption must not cost them."""
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")
    figure = new_figure(1, 1)
    monkeypatch.setattr(figure, "savefig", lambda target, **_: Path(target).write_bytes(b"ne") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        save_figure(figure, path)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("figure.png", b"old")]


def test_missing_matplotlib(monkeypatch: pytest.MonkeyPatch):
    """Upscaling works without matplotlib; asking for a figure then needs the command to type."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for draw in (
        lambda: new_figure(1, 1),
        lambda: curves_figure([], {"loss": ["loss"]}),
        lambda: strips_figure([make_strip("a", pictures(), {}, (0, 0, 4, 4))]),
    ):
        with pytest.raises(ConfigError, match=r'pip install "minisrgan\[course\]"'):
            draw()


def test_no_global_state():
    """pyplot would pick a window system, and fail on a server; the room itself must not even import matplotlib."""
    code = """
import io, sys
import minisrgan.show as show
assert "matplotlib" not in sys.modules
show.curves_figure([{"step": 1, "loss": 2.0}], {"loss": ["loss"]}).savefig(io.BytesIO())
assert "matplotlib.pyplot" not in sys.modules
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_palette_survives_a_grey_printer():
    """Two curves in one panel are the usual case: their colours must differ in lightness, not only in hue."""
    rgb = np.array([[[int(color[i : i + 2], 16) for i in (1, 3, 5)] for color in PALETTE[:2]]], np.uint8)
    blue, vermillion = rgb_to_y(rgb)[0]
    assert abs(blue - vermillion) > 15
