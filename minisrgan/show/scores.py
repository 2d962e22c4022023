"""The tables of `minisrgan evaluate`: a block of lines per photograph, a line per method."""

from collections.abc import Iterable, Mapping

from minisrgan.errors import plain
from minisrgan.inference.evaluate import Score

_LONGEST = 28  # characters of a name
_WIDTH = 100  # of a table, in characters


def shorten(name: str, longest: int = _LONGEST) -> str:
    """Remove the middle of a long name; its end often says more than its beginning.

    >>> shorten("butterfly"), shorten("IMG_20240131_after_the_rain_0042", 16)
    ('butterfly', 'IMG_2..rain_0042')
    """
    if len(name) <= longest:
        return name
    head = (longest - 2) // 3 + 1
    return f"{name[:head]}..{name[head + 2 - longest :]}"


# The heading of each column, as wide as the column; the field of Score in it; and its decimals.
Columns = Mapping[str, tuple[str, int]]
FIDELITY: Columns = {
    " PSNR-Y": ("psnr", 3), "SSIM daala": ("ssim_daala", 4), "SSIM Wang": ("ssim_wang", 4), "  s/MP": ("pace", 3),
}  # fmt: skip
TEXTURE: Columns = {
    "detail": ("detail", 2), "octave": ("top_octave", 3), " grid": ("grid_4", 2), "grid2": ("grid_2", 2),
    "local": ("local_grid_4", 2), "local2": ("local_grid_2", 2), "shift": ("shift", 2), "  VGG": ("vgg_54", 1),
    " NIQE": ("niqe", 2),
}  # fmt: skip


class ScoreTable:
    """The lines of a table, with columns wide enough for all names.

    photos, methods  all names; shortened in the middle if the table would be wider than 100 characters
    columns          `FIDELITY` or `TEXTURE`

    >>> table = ScoreTable(["baby", "average"], ["bicubic", "SRGAN (paper)"])
    >>> print(table.header())
    photo     method          PSNR-Y  SSIM daala  SSIM Wang    s/MP
    >>> print(table.block("baby", {"bicubic": Score(31.7791, 0.8571, 0.8567, 0.5, 0.25)}))
    baby      bicubic         31.779      0.8571     0.8567   2.000
    >>> print(table.block("average", {"SRGAN (paper)": Score(29.4, 0.8472)}))
    average   SRGAN (paper)   29.40       0.8472          -       -
    """

    def __init__(self, photos: Iterable[str], methods: Iterable[str], columns: Columns = FIDELITY) -> None:
        self._columns = columns
        room = _WIDTH - 3 - sum(len(heading) + 2 for heading in columns)
        self._method = min(max(len(plain(name)) for name in (*methods, "method")), _LONGEST, room * 3 // 5)
        self._photo = min(max(len(plain(name)) for name in (*photos, "photo")), _LONGEST, room - self._method)

    def header(self) -> str:
        """Return the names of the columns."""
        return self._line("photo", "method", self._columns)

    def block(self, photo: str, scores: Mapping[str, Score]) -> str:
        """Return a line for each method, with the photograph's name in the first; missing values are dashes."""
        lines = []
        for number, (method, score) in enumerate(scores.items()):
            cells = [_cell(score, *column, len(heading)) for heading, column in self._columns.items()]
            lines.append(self._line("" if number else plain(photo), plain(method), cells))
        return "\n".join(lines)

    def _line(self, photo: str, method: str, cells: Iterable[str]) -> str:
        names = f"{shorten(photo, self._photo):<{self._photo}}   {shorten(method, self._method):<{self._method}}"
        padded = (f"{cell:>{len(column)}}" for cell, column in zip(cells, self._columns, strict=True))
        return "  ".join([names, *padded])


def _cell(score: Score, field: str, decimals: int, width: int) -> str:
    value = getattr(score, field)
    if value is None:
        return "-"
    if field == "psnr" and not score.megapixels:
        return f"{value:.2f} "  # a paper's two decimals, aligned at the decimal point
    text = f"{value:.{decimals}f}"
    return text if len(text) <= width else f"{value:.0f}"
