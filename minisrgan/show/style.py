"""The style of all figures: colours that colour-blind readers can distinguish, and sizes suitable for print.

matplotlib is imported inside the functions, so that importing this package is quick and works without matplotlib.
Figures are created directly, not with pyplot: there is no window, no global state, and nothing to close. In a notebook,
``%matplotlib inline`` displays a figure that is the value of a cell.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from minisrgan.errors import ConfigError, turned_into
from minisrgan.images import replacing

if TYPE_CHECKING:  # for annotations, here and in the other files of this folder
    from matplotlib.axes import Axes as Axes
    from matplotlib.figure import Figure as Figure
else:
    Axes = Figure = Any

# Okabe and Ito 2008, Color Universal Design: blue, vermillion, green, orange, purple, sky blue, black.
PALETTE: Sequence[str] = ("#0072B2", "#D55E00", "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#000000")

TITLE, TEXT, SMALL = 11, 10, 9  # font sizes in points

_KINDS = (".pdf", ".png", ".svg")


def new_figure(width: float, height: float, layout: Literal["constrained", "tight"] | None = None) -> Figure:
    """Create an empty white figure; width and height in inches, layout as in matplotlib.

    Raises ConfigError if matplotlib is not installed.

    >>> new_figure(4, 3).get_size_inches()
    array([4., 3.])
    """
    expected, fix = "matplotlib, which draws the figures", 'pip install "minisrgan[course]"'
    with turned_into(ConfigError, "show", expected=expected, fix=fix, of=(ImportError,)):
        from matplotlib.figure import Figure
    return Figure(figsize=(width, height), dpi=100, facecolor="white", layout=layout)


def style_plot(axes: Axes) -> None:
    """Style a plot: no border at the top and right, a light grid behind the data.

    >>> axes = new_figure(4, 3).add_subplot(); style_plot(axes)
    >>> axes.spines["top"].get_visible()
    False
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("0.5")
    axes.tick_params(labelsize=SMALL, color="0.5")
    axes.grid(True, color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)


def save_figure(figure: Figure, path: str | Path, dpi: int = 200) -> None:
    """Save a figure in the format of the file's suffix; the file appears complete or not at all (`replacing`).

    A missing folder is created. Characters that the font lacks or that are invalid are drawn as placeholders.
    Raises ConfigError for another suffix.

    >>> save_figure(new_figure(1, 1), "curves.doc")
    Traceback (most recent call last):
    minisrgan.errors.ConfigError: ConfigError in save_figure
      expected  a file name that ends in .pdf, .png, .svg
      got       curves.doc
      fix       .png is for the screen, .pdf for print
    """
    path = Path(path)
    require_figure(path, what="save_figure")
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_text(text.get_text().encode(errors="replace").decode())
    with replacing(path) as temporary, warnings.catch_warnings(action="ignore", category=UserWarning):  # of glyphs
        figure.savefig(temporary, format=path.suffix.lower().removeprefix("."), dpi=dpi)


def require_figure(path: Path, *others: str, what: str = "require_figure") -> None:
    """Raise the errors of `save_figure`, and for a missing matplotlib, before a long computation instead of after it.

    others  further suffixes to list in the error
    what    the calling function, for the error
    Raises ConfigError.

    >>> require_figure(Path("strips.jpg"))
    Traceback (most recent call last):
    minisrgan.errors.ConfigError: ConfigError in require_figure
      expected  a file name that ends in .pdf, .png, .svg
      got       strips.jpg
      fix       .png is for the screen, .pdf for print
    """
    if path.suffix.lower() not in _KINDS:
        expected = f"a file name that ends in {', '.join([*_KINDS, *others])}"
        raise ConfigError(what, expected=expected, got=str(path), fix=".png is for the screen, .pdf for print")
    new_figure(1, 1)
