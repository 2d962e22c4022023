"""Small figures for notebooks: pictures, kernels and feature maps in rows, lines, histograms, the bars of a profile."""

from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np

from minisrgan.autograd import Profile
from minisrgan.backend import Array, to_numpy
from minisrgan.show.style import PALETTE, SMALL, TEXT, Figure, new_figure, style_plot

_DASHES = ("-", "--", "-.", ":")  # lines can be distinguished without colours


def images_figure(
    images: Mapping[str, Array], columns: int = 6, *, width: float = 1.8, limit: float | None = None
) -> Figure:
    """Draw images side by side, each with a title above it, `columns` in a row.

    images  title -> (H, W, 3), uint8 or floats in [0, 1]; or (H, W): uint8 and non-negative floats are drawn from black
            (0) to white, floats with negative values from orange (negative) over white (0) to violet (positive). Below
            an image of floats are its smallest and largest value.
    width   width of an image in inches
    limit   the value drawn as white, or as the darkest violet; by default the largest magnitude in each image
    Errors  ConfigError if matplotlib is not installed

    >>> figure = images_figure({"kernel": np.array([[-1.0, 0.5]]), "photo": np.zeros((4, 6, 3), np.uint8)})
    >>> [axes.get_title() for axes in figure.axes], figure.axes[0].get_xlabel()
    (['kernel', 'photo'], '-1 to 0.5')
    """
    rows = ceil(len(images) / columns)
    columns = min(columns, len(images))
    tallest = max(image.shape[0] / image.shape[1] for image in images.values())
    figure = new_figure(columns * width, rows * (min(tallest, 2) * width + 0.5), "constrained")
    for number, (title, image) in enumerate(images.items(), 1):
        axes = figure.add_subplot(rows, columns, number, xticks=[], yticks=[])
        axes.set_title(title, fontsize=TEXT)
        x, scale = to_numpy(image), 255.0
        if x.dtype != np.uint8 and x.ndim == 3:
            x = x.clip(0, 1)  # a network's output may leave the range a little
        elif x.dtype != np.uint8:
            scale = limit or float(np.abs(x).max()) or 1.0
            axes.set_xlabel(f"{x.min():.3g} to {x.max():.3g}", fontsize=SMALL)
        axes.imshow(x, cmap="PuOr" if x.min() < 0 else "gray", vmin=-scale * (x.min() < 0), vmax=scale)
        axes.spines[:].set(color="0.5", linewidth=0.5)
    return figure


def lines_figure(
    lines: Mapping[str, tuple[Any, Any]], xlabel: str = "", ylabel: str = "", *, size: tuple[float, float] = (6, 3)
) -> Figure:
    """Draw lines, name -> (x, y), in one plot with a legend; size in inches.

    >>> figure = lines_figure({"square": ([0, 1, 2], [0, 1, 4])}, "x", "y")
    >>> figure.axes[0].get_xlabel(), figure.axes[0].lines[0].get_ydata().tolist()
    ('x', [0, 1, 4])
    """
    figure = new_figure(*size, "constrained")
    axes = figure.add_subplot()
    style_plot(axes)
    axes.set_xlabel(xlabel, fontsize=TEXT)
    axes.set_ylabel(ylabel, fontsize=TEXT)
    for number, (name, (x, y)) in enumerate(lines.items()):
        axes.plot(x, y, _DASHES[number % 4], color=PALETTE[number % 7], linewidth=1.8, label=name)
    if len(lines) > 1:
        axes.legend(fontsize=SMALL, frameon=False)
    return figure


def histogram_figure(values: Mapping[str, Array], xlabel: str = "value", bins: int = 60) -> Figure:
    """Draw histograms of arrays, name -> array, as lines with common bins.

    >>> figure = histogram_figure({"a": np.array([0.0, 1.0, 1.0])}, bins=2)
    >>> figure.axes[0].lines[0].get_ydata().round(2).tolist()
    [0.33, 0.67]
    """
    arrays = {name: to_numpy(array).ravel() for name, array in values.items()}
    edges = np.histogram_bin_edges(np.concatenate(list(arrays.values())), bins)
    middles = (edges[:-1] + edges[1:]) / 2
    lines = {name: (middles, np.histogram(array, edges)[0] / array.size) for name, array in arrays.items()}
    return lines_figure(lines, xlabel, "share of values")


def profile_figure(profile: Profile) -> Figure:
    """Draw the time of each operation, forward and backward, and its share of the total; the slowest is on top.

    Errors  ConfigError if matplotlib is not installed.

    >>> from minisrgan.autograd import Cost
    >>> figure = profile_figure(Profile(costs={"conv2d": Cost(0.2, 0.6)}, seconds=1.0))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['80 %', '20 %']
    """
    names, _, shares, costs = zip(*profile.rows(), strict=True)
    figure = new_figure(7, 1.2 + 0.28 * len(names), "tight")
    axes = figure.add_subplot()
    forward, backward = [cost.forward * 1e3 for cost in costs], [cost.backward * 1e3 for cost in costs]
    axes.barh(names, forward, color=[*[PALETTE[0]] * (len(names) - 1), "0.6"], label="forward")  # the rest is neither
    bars = axes.barh(names, backward, left=forward, color=PALETTE[1], label="backward")
    axes.bar_label(bars, [f"{share:.0%}".replace("%", " %") for share in shares], padding=3, fontsize=SMALL)
    axes.set(ylim=(len(names) - 0.4, -0.6), xmargin=0.1, xlabel=f"ms, {profile.seconds * 1e3:,.0f} in all")
    axes.legend(frameon=False, fontsize=SMALL, loc="lower right")
    style_plot(axes)
    return figure
