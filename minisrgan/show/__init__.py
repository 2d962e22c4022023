"""Figures and tables for notebooks and the command line: drawing only, no mathematics."""

from minisrgan.explain import summarize, summary_table
from minisrgan.show.comparison import make_strip, strips_figure
from minisrgan.show.curves import curves_figure
from minisrgan.show.grid import histogram_figure, images_figure, lines_figure, profile_figure
from minisrgan.show.style import PALETTE, new_figure, save_figure, style_plot

__all__ = [
    "PALETTE", "curves_figure", "histogram_figure", "images_figure", "lines_figure", "make_strip", "new_figure",
    "profile_figure", "save_figure", "strips_figure", "style_plot", "summarize", "summary_table",
]  # fmt: skip
