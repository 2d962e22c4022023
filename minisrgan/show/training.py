"""Figures of a training: its curves, and how its images change over the steps."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from minisrgan.backend import Array
from minisrgan.images import read_image
from minisrgan.show.comparison import Strip, busy_detail, strips_figure
from minisrgan.show.curves import curves_figure
from minisrgan.show.scores import shorten
from minisrgan.show.style import Figure, save_figure
from minisrgan.training.log import read_log

_TERMS = ("content", "adversarial", "total_variation", "consistency", "grid")
_PANELS = {
    "PSNR on validation\nphotos (dB)": ("psnr",),
    "content loss": ("content", "content_validation"),
    "adversarial loss of G": ("adversarial",),
    "D's answer": ("d_fake", "d_real"),
    "gradient at the output": tuple(f"grad_{term}" for term in _TERMS),
    "adversarial weight": ("adversarial_weight",),
    "standard deviation,\noutput / original": ("contrast",),
}
_LOG_SCALE = {"content loss", "gradient at the output"}


def training_figure(log: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the curves of a log: PSNR, losses, D's probabilities, gradients of the terms, contrast of the output.

    >>> figure = training_figure([{"step": 1, "content": 0.5}, {"step": 2, "content": 0.25}])
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['content loss']
    """
    there = {key for record in log for key in record}
    panels = {label: found for label, keys in _PANELS.items() if (found := [key for key in keys if key in there])}
    return curves_figure(log, panels, log_scale=_LOG_SCALE & panels.keys())


def runs_figure(logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Draw several runs, by name, in one figure: the first curve of each panel of `training_figure`."""
    records = [
        {"step": record["step"], **{f"{name}: {key}": value for key, value in record.items()}}
        for name, log in logs.items() for record in log
    ]  # fmt: skip
    there = {key for log in logs.values() for record in log for key in record}
    panels = {f"{label}\n({keys[0]})" if len(keys) > 1 else label: [f"{name}: {keys[0]}" for name in logs]
              for label, keys in _PANELS.items() if keys[0] in there}  # fmt: skip
    names = {key: shorten(key.rpartition(": ")[0], 24) for keys in panels.values() for key in keys}
    log_scale = [label for label in panels if label.partition("\n")[0] in _LOG_SCALE]
    return curves_figure(records, panels, log_scale=log_scale, names=names)


def progress_figure(steps: Mapping[int, Mapping[str, Array]], originals: Mapping[str, Array], most: int = 5) -> Figure:
    """Draw the generator's output for each photo after some of the steps, beside the original (like SRGAN fig. 8).

    steps      number of steps -> name -> image, uint8 (H, W, 3)
    originals  name -> the original photo
    most       at most this many steps are shown, evenly spaced, including the first and the last
    """
    known = sorted(steps)
    shown = sorted({known[round(k * (len(known) - 1) / max(1, most - 1))] for k in range(most)})
    strips = []
    for name, photo in originals.items():
        top, left, height, width = zoom = busy_detail(photo, 96)
        pictures = {f"step {step:,}": steps[step][name] for step in shown} | {"original": photo}
        details = {title: picture[top : top + height, left : left + width] for title, picture in pictures.items()}
        strips.append(Strip(name, photo, zoom, details, {}))
    return strips_figure(strips)


def draw_run(folder: Path, name: str, originals: Mapping[str, Array]) -> None:
    """Draw the curves of a stage so far, and its output for the validation photos, into the folder of its run.

    name       the stage; its log and pictures/ are in the folder
    originals  the photos, in the order of the images' numbers; characters of a name that the font does not have, or
               that are not text, are drawn as far as possible
    Errors     ConfigError if matplotlib is not installed, or if the log is damaged
    """
    titles = [title.encode(errors="replace").decode() for title in originals]
    steps: dict[int, dict[str, Array]] = {}
    for path in sorted((folder / "pictures").glob(f"{name}-*.png")):
        step, number = (int(part) for part in path.stem.split("-")[1:])
        steps.setdefault(step, {})[titles[number]] = read_image(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about missing glyphs
        save_figure(training_figure(read_log(folder / f"{name}.jsonl")), folder / f"{name}_curves.png")
        if steps:
            figure = progress_figure(steps, dict(zip(titles, originals.values(), strict=True)))
            save_figure(figure, folder / f"{name}_pictures.png")
