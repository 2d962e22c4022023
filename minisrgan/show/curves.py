"""Training curves from the records of a log."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from math import ceil, isfinite
from typing import Any, TypeAlias

import numpy as np

from minisrgan.errors import ArgumentError
from minisrgan.show.style import PALETTE, SMALL, TEXT, Axes, Figure, new_figure, style_plot

Stage: TypeAlias = tuple[int, str]  # number and name
_SMOOTH_FROM = 50  # fewer points than this are shown as they are, with dots


def smooth(values: Sequence[float], span: float) -> list[float]:
    """Average each value with its neighbours on both sides, weighted by exp(-distance / span).

    Formula     m_t = sum_s k^|t-s| x_s / sum_s k^|t-s|,  k = exp(-1 / span)

    Both sides, so that the curve does not lag behind the values; the division keeps the ends from sinking to 0.

    >>> [round(value, 3) for value in smooth([1.0, 1.0, 4.0], span=1e9)]
    [2.0, 2.0, 2.0]
    """
    distance = np.abs(np.arange(1 - len(values), len(values)))
    weights = np.exp(-distance / span)
    totals = np.convolve(weights, values, "valid") / np.convolve(weights, np.ones(len(values)), "valid")
    return [float(value) for value in totals]


def curves_figure(
    log: Sequence[Mapping[str, Any]], panels: Mapping[str, Sequence[str]], *, log_scale: Collection[str] = (),
    names: Mapping[str, str] | None = None,
) -> Figure:  # fmt: skip
    """Draw training curves: one panel a group, a thin line as logged and a thick one smoothed.

    log        records in the order in which they were written, each with "step" and any of the keys to draw; one
               that lacks a key or holds NaN there is passed over. Where "stage" changes, a line across the panels says
               so; if the steps begin anew with a stage, they are counted on from the last.
    panels     label of a panel -> keys drawn in it, e.g. ``{"PSNR (dB)": ["psnr"]}``; the label stands at the y axis
               and should carry the unit
    names      key -> its name in the legend, where that is to be another
    log_scale  labels of the panels with a logarithmic y axis (linear as long as no value is above 0)
    Errors     ArgumentError if there are no panels, log_scale names none of them, or a record lacks "step";
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
    starts: dict[Stage, float] = {}
    for step, stage in places:
        starts.setdefault(stage, step)
    columns = 1 if len(panels) <= 3 else 2
    rows = ceil(len(panels) / columns)
    figure = new_figure(8.0 if columns == 1 else 11.0, 0.4 + 2.2 * rows, "constrained")
    first: Axes | None = None
    for number, (label, keys) in enumerate(panels.items()):
        axes = figure.add_subplot(rows, columns, number + 1, sharex=first)
        first = first or axes
        style_plot(axes)
        axes.set_ylabel(label, fontsize=TEXT)
        if number + columns >= len(panels):
            axes.set_xlabel("training step", fontsize=TEXT)
        else:
            axes.tick_params(labelbottom=False)
        for index, key in enumerate(keys):
            values = (record.get(key) for record in log)
            points = [(*at, y) for at, y in zip(places, values, strict=True) if y is not None and isfinite(y)]
            _draw(axes, points, (names or {}).get(key, key), PALETTE[index % len(PALETTE)])
        if label in log_scale and axes.dataLim.y1 > 0:
            axes.set_yscale("log")
        if not axes.lines:
            axes.set_yticks([])
            empty = f"no values of {', '.join(keys)}"
            axes.text(0.5, 0.5, empty, transform=axes.transAxes, fontsize=TEXT, ha="center", color="0.35")
        elif len(keys) > 1:  # beside the plot, where it hides nothing
            axes.legend(fontsize=SMALL, frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
        for (count, name), step in starts.items() if len(starts) > 1 else ():
            if count:
                axes.axvline(step, color="0.35", linewidth=1, linestyle="--")
            if number < columns:
                axes.annotate(name, (step, 1.02), xycoords=("data", "axes fraction"), fontsize=SMALL)
    return figure


def _timeline(log: Sequence[Mapping[str, Any]]) -> list[tuple[float, Stage]]:
    """The step of each record, counted through all stages, and its stage."""
    places: list[tuple[float, Stage]] = []
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


def _draw(axes: Axes, points: Sequence[tuple[float, Stage, float]], name: str, color: str) -> None:
    """One key's line, broken between stages: dots for few values, else a thin line as logged under a smoothed one.

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
