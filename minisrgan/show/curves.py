"""Figures of a training: its curves, from the records of a log, and its pictures after some of the steps."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import accumulate, groupby
from math import ceil, exp, isfinite
from pathlib import Path
from typing import Any, TypeAlias

from minisrgan.backend import Array
from minisrgan.errors import ArgumentError
from minisrgan.images import read_image
from minisrgan.show.comparison import busy_detail, make_strip, strips_figure
from minisrgan.show.scores import shorten
from minisrgan.show.style import PALETTE, SMALL, TEXT, Axes, Figure, new_figure, save_figure, style_plot
from minisrgan.training.log import read_log

_Stage: TypeAlias = tuple[int, str]  # number and name
_SMOOTH_FROM = 50  # fewer points than this are shown as they are, with dots

# The panels of a training: label, and keys of the log.
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


def smooth(values: Sequence[float], span: float) -> list[float]:
    """Average each value with its neighbours on both sides, with weights exp(-distance / span).

    Formula     m_t = sum_s k^|t-s| x_s / sum_s k^|t-s|,  k = exp(-1 / span)

    Since both sides are used, the curve does not lag behind the values; the division keeps the ends from falling to 0.
    The sums are computed recursively, in linear time, since a log may hold a million steps.

    >>> [round(value, 3) for value in smooth([1.0, 1.0, 4.0], span=1e9)]
    [2.0, 2.0, 2.0]
    """
    keep = exp(-1 / span)

    def gathered(numbers: Iterable[float]) -> list[float]:
        return list(accumulate(numbers, lambda total, number: keep * total + number))

    def both_sides(numbers: Sequence[float]) -> list[float]:
        before, after = gathered(numbers), gathered(reversed(numbers))[::-1]
        return [b + a - number for b, a, number in zip(before, after, numbers, strict=True)]  # itself counts once

    weights = both_sides([1.0] * len(values))
    return [total / weight for total, weight in zip(both_sides(values), weights, strict=True)]


def curves_figure(
    log: Sequence[Mapping[str, Any]], panels: Mapping[str, Sequence[str]], *, log_scale: Collection[str] = (),
    names: Mapping[str, str] | None = None,
) -> Figure:  # fmt: skip
    """Draw training curves, one panel per group: a thin line of the logged values, and a thick smoothed line.

    log        records in the order in which they were written, each with "step" and any of the keys to draw; a record
               without a key, or with NaN there, is skipped. A vertical line marks a change of "stage"; if the steps of
               a stage start again, they are counted from the last step before it.
    panels     label of a panel -> its keys, e.g. ``{"PSNR (dB)": ["psnr"]}``; the label is written at the y axis and
               should contain the unit
    names      key -> its name in the legend, if it differs from the key
    log_scale  labels of the panels with a logarithmic y axis (linear if no value is above 0)
    Errors     ArgumentError if there are no panels, log_scale has a label of no panel, or a record lacks "step";
               ConfigError if matplotlib is not installed

    >>> log = [{"step": 0, "psnr": 20.0}, {"step": 100, "psnr": 25.0, "loss": 0.1}]
    >>> figure = curves_figure(log, {"PSNR (dB)": ["psnr"], "loss": ["loss"]})
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['PSNR (dB)', 'loss']
    """
    if not panels or not set(log_scale) <= set(panels):
        told = "at least one panel, and in log_scale only labels of panels"
        got = f"panels {list(panels)}, log_scale {list(log_scale)}"
        fix = 'for example panels={"PSNR (dB)": ["psnr"], "loss": ["content", "adversarial"]}, log_scale=["loss"]'
        raise ArgumentError("curves_figure", expected=told, got=got, fix=fix)
    places = _timeline(log)
    starts: dict[_Stage, float] = {}
    for step, stage in places:
        starts.setdefault(stage, step)
    columns = 1 if len(panels) <= 3 else 2
    rows = ceil(len(panels) / columns)
    figure = new_figure(8.0 if columns == 1 else 11.0, 0.4 + 2.2 * rows, "constrained")
    for number, (label, keys) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, number + 1, sharex=figure.axes[0] if number else None)
        style_plot(axes)
        axes.set_ylabel(label, fontsize=TEXT)
        lowest = number + columns >= len(panels)
        axes.set_xlabel("training step" if lowest else "", fontsize=TEXT)
        axes.tick_params(labelbottom=lowest)
        for index, key in enumerate(keys):
            values = (record.get(key) for record in log)
            points = [(*at, y) for at, y in zip(places, values, strict=True) if y is not None and isfinite(y)]
            _draw(axes, points, (names or {}).get(key, key), PALETTE[index % len(PALETTE)])
        if label in log_scale and axes.dataLim.y1 > 0:
            axes.set_yscale("log")
        if not axes.lines:
            axes.set_yticks([])
            empty = f"no values of {', '.join(keys)}"
            axes.text(0.5, 0.5, empty, transform=axes.transAxes, fontsize=TEXT, ha="center", color="0.35",
                      parse_math=False)  # fmt: skip
        elif len(keys) > 1:  # beside the plot, where it covers nothing
            legend = axes.legend(fontsize=SMALL, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
            for text in legend.get_texts():
                text.set_parse_math(False)  # a name may hold a dollar sign
        for (count, name), step in starts.items() if len(starts) > 1 else ():
            if count:
                axes.axvline(step, color="0.35", linewidth=1, linestyle="--")
            if number < columns:
                axes.annotate(name, (step, 1.02), xycoords=("data", "axes fraction"), fontsize=SMALL)
    return figure


def _timeline(log: Sequence[Mapping[str, Any]]) -> list[tuple[float, _Stage]]:
    """Return the step of each record, counted through all stages, and its stage."""
    places: list[tuple[float, _Stage]] = []
    stage, count, offset = next((str(record["stage"]) for record in log if "stage" in record), ""), 0, 0.0
    for number, record in enumerate(log):
        if "step" not in record:
            got = f"record {number} with {', '.join(record) or 'nothing'}"
            fix = "pass the records as the training wrote them"
            raise ArgumentError("curves_figure", expected='a "step" in every record of the log', got=got, fix=fix)
        if stage != (now := str(record.get("stage", stage))):
            stage, count = now, count + 1
            if record["step"] + offset < places[-1][0]:
                offset = places[-1][0]
        places.append((record["step"] + offset, (count, stage)))
    return places


def _draw(axes: Axes, points: Sequence[tuple[float, _Stage, float]], name: str, color: str) -> None:
    """Draw the line of a key, broken between stages: with dots for few values, else thin with a smoothed line on top.

    points  (step, stage, value) of each record that has the key
    """
    for number, (_, group) in enumerate(groupby(points, key=lambda point: point[1])):
        x, _, y = zip(*group, strict=True)
        label = "" if number else name  # one entry in the legend, however many stages
        if len(points) < _SMOOTH_FROM:
            axes.plot(x, y, color=color, linewidth=1.8, marker="o", markersize=4, label=label)
        else:
            axes.plot(x, y, color=color, linewidth=0.7, alpha=0.4)
            axes.plot(x, smooth(y, span=len(points) / 60), color=color, linewidth=1.8, label=label)


def training_figure(log: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw the curves that a log holds: PSNR, losses, the answers of D, gradients of the terms, contrast of the output.

    >>> figure = training_figure([{"step": 1, "content": 0.5}, {"step": 2, "content": 0.25}])
    >>> [axes.get_ylabel() for axes in figure.axes]
    ['content loss']
    """
    there = {key for record in log for key in record}
    panels = {label: found for label, keys in _PANELS.items() if (found := [key for key in keys if key in there])}
    return curves_figure(log, panels, log_scale=_LOG_SCALE & panels.keys())


def runs_figure(logs: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    """Draw several runs in the same panels: the first curve of each panel of `training_figure`, once for each run."""
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
    """Draw the generator's picture of each photo after some of the steps, beside the original (as in SRGAN fig. 8).

    steps      number of steps -> name -> picture, uint8 (H, W, 3)
    originals  name -> the photo that they should look like
    most       the largest number of steps to show, spread evenly from the first to the last
    """
    known = sorted(steps)
    shown = sorted({known[round(k * (len(known) - 1) / max(1, most - 1))] for k in range(most)})
    strips = []
    for name, photo in originals.items():
        pictures = {f"step {step:,}": steps[step][name] for step in shown} | {"original": photo}
        strips.append(make_strip(name, pictures, {}, busy_detail(photo, 96)))
    return strips_figure(strips)


def draw_run(folder: Path, name: str, originals: Mapping[str, Array]) -> None:
    """Save two figures in the folder of a run: the curves of a stage so far, and the pictures of its validation photos.

    name       name of the stage; its log and pictures/ are in the folder
    originals  the photos, in the order of the pictures' numbers
    Errors     ConfigError if matplotlib is not installed, or for a log that somebody has changed
    """
    titles = list(originals)
    steps: dict[int, dict[str, Array]] = {}
    for path in sorted((folder / "pictures").glob(f"{name}-*.png")):
        step, number = (int(part) for part in path.stem.split("-")[1:])
        steps.setdefault(step, {})[titles[number]] = read_image(path)
    save_figure(training_figure(read_log(folder / f"{name}.jsonl")), folder / f"{name}_curves.png")
    if steps:
        save_figure(progress_figure(steps, originals), folder / f"{name}_pictures.png")
