"""The tables of `minisrgan evaluate`: a block of lines a photograph, a line a method."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from minisrgan.inference.evaluate import Score

_LONGEST = 28  # characters of a name
_WIDTH = 100  # of a table, in characters


def shorten(name: str, longest: int = _LONGEST) -> str:
    """Cut the middle out of a long name, as its end often tells more than its beginning.

    >>> shorten("butterfly"), shorten("IMG_20240131_after_the_rain_0042", 16)
    ('butterfly', 'IMG_2..rain_0042')
    """
    if len(name) <= longest:
        return name
    head = (longest - 2) // 3 + 1
    return f"{name[:head]}..{name[head + 2 - longest :]}"


def text_table(table: Sequence[Sequence[str]], words: int | None = None, markdown: bool = False) -> list[str]:
    """Lay out rows of cells as lines, the headings first and underlined.

    words  as many columns stand at the left of theirs, the others at the right; by default all at the left

    >>> text_table([["layer", "sees"], ["conv1", "9"]], words=1)
    ['layer  sees', '-----  ----', 'conv1     9']
    """
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    words = len(widths) if words is None else words
    lines = []
    for row in (table[0], ["-" * width for width in widths], *table[1:]):
        cells = [c.ljust(w) if i < words else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths, strict=True))]
        lines.append(f"| {' | '.join(cells)} |" if markdown else "  ".join(cells).rstrip())
    return lines


def _number(name: str, decimals: int, width: int = 5) -> Callable[[Score], str]:
    def cell(score: Score) -> str:
        value = getattr(score, name)
        if value is None:
            return "-"
        text = f"{value:.{decimals}f}"
        return text if len(text) <= width else f"{value:.0f}"

    return cell


def _psnr(score: Score) -> str:
    # A paper's two decimals stay two, below the same point.
    return f"{score.psnr:.3f}" if score.megapixels else f"{score.psnr:.2f} "


def _pace(score: Score) -> str:
    return f"{(score.seconds or 0) / score.megapixels:.3f}" if score.megapixels else "-"


def _shift(score: Score) -> str:
    shifts = (score.shift_red, score.shift_green, score.shift_blue)
    known = [shift for shift in shifts if shift is not None]
    return f"{max(known, key=abs):+.2f}" if known else "-"


# Headings as wide as their columns, and what stands in a line; s/MP is seconds for a megapixel of output.
FIDELITY: dict[str, Callable[[Score], str]] = {
    " PSNR-Y": _psnr,
    "SSIM daala": _number("ssim_daala", 4, 9),
    "SSIM Wang": _number("ssim_wang", 4, 9),
    "  s/MP": _pace,
}
TEXTURE: dict[str, Callable[[Score], str]] = {
    "detail": _number("detail", 2),
    "octave": _number("top_octave", 3),
    " grid": _number("grid_4", 2),
    "grid2": _number("grid_2", 2),
    "local": _number("local_grid_4", 2),
    "local2": _number("local_grid_2", 2),
    " shift": _shift,
    "  VGG": _number("vgg_54", 1),
    " NIQE": _number("niqe", 2),
}


class ScoreTable:
    """Lines of a table whose columns are as wide as the names that will come.

    photos, methods  all names; cut in the middle where the table would be wider than 100 characters
    columns          `FIDELITY` or `TEXTURE`

    >>> table = ScoreTable(["baby", "average"], ["bicubic", "SRGAN (paper)"])
    >>> print(table.header())
    photo     method          PSNR-Y  SSIM daala  SSIM Wang    s/MP
    >>> print(table.block("baby", {"bicubic": Score(31.7791, 0.8571, 0.8567, 0.5, 0.25)}))
    baby      bicubic         31.779      0.8571     0.8567   2.000
    >>> print(table.block("average", {"SRGAN (paper)": Score(29.4, 0.8472)}))
    average   SRGAN (paper)   29.40       0.8472          -       -
    """

    def __init__(
        self, photos: Iterable[str], methods: Iterable[str], columns: Mapping[str, Callable[[Score], str]] = FIDELITY
    ) -> None:
        self._columns = columns
        room = _WIDTH - 3 - sum(len(heading) + 2 for heading in columns)
        self._method = min(max(len(name) for name in (*methods, "method")), _LONGEST, room * 3 // 5)
        self._photo = min(max(len(name) for name in (*photos, "photo")), _LONGEST, room - self._method)

    def header(self) -> str:
        """Return the names of the columns."""
        return self._line("photo", "method", self._columns)

    def block(self, photo: str, scores: Mapping[str, Score]) -> str:
        """Return a line for each method, the photograph's name in the first; what is not known is a dash."""
        names = [photo] + [""] * len(scores)
        rows = [(method, [cell(score) for cell in self._columns.values()]) for method, score in scores.items()]
        return "\n".join(self._line(name, *row) for name, row in zip(names, rows, strict=False))

    def _line(self, photo: str, method: str, cells: Iterable[str]) -> str:
        names = f"{shorten(photo, self._photo):<{self._photo}}   {shorten(method, self._method):<{self._method}}"
        padded = (f"{cell:>{len(column)}}" for cell, column in zip(cells, self._columns, strict=True))
        return "  ".join([names, *padded])
