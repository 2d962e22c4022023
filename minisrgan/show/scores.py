"""The table of `minisrgan evaluate`: a block of lines a photograph, a line a method."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from minisrgan.inference.evaluate import Score

_LONGEST = 28  # characters of a name


def shorten(name: str, longest: int = _LONGEST) -> str:
    """Cut the middle out of a long name, as its end often tells more than its beginning.

    >>> shorten("butterfly"), shorten("IMG_20240131_after_the_rain_0042", 16)
    ('butterfly', 'IMG_2..rain_0042')
    """
    if len(name) <= longest:
        return name
    head = (longest - 2) // 3 + 1
    return f"{name[:head]}..{name[head + 2 - longest :]}"


class ScoreTable:
    """Lines of a table whose columns are as wide as the names that will come.

    photos, methods  all names

    >>> table = ScoreTable(["baby", "average"], ["bicubic", "SRGAN (paper)"])
    >>> print(table.header())
    photo     method          PSNR-Y  SSIM daala  SSIM Wang    s/MP
    >>> print(table.block("baby", {"bicubic": Score(31.7791, 0.8571, 0.8567, 0.5, 0.25)}))
    baby      bicubic         31.779      0.8571     0.8567   2.000
    >>> print(table.block("average", {"SRGAN (paper)": Score(29.4, 0.8472)}))
    average   SRGAN (paper)   29.40       0.8472          -       -
    """

    def __init__(self, photos: Iterable[str], methods: Iterable[str]) -> None:
        self._photo = max(len(shorten(name)) for name in (*photos, "photo"))
        self._method = max(len(shorten(name)) for name in (*methods, "method"))

    def header(self) -> str:
        """Return the names of the columns; s/MP is seconds for a megapixel of output."""
        return self._line("photo", "method", "PSNR-Y", "SSIM daala", "SSIM Wang", "s/MP")

    def block(self, photo: str, scores: Mapping[str, Score]) -> str:
        """Return a line for each method, the photograph's name in the first; what is not known is a dash."""
        lines = []
        for number, (method, score) in enumerate(scores.items()):
            # A paper's two decimals stay two, below the same point.
            psnr = f"{score.psnr:.3f}" if score.megapixels else f"{score.psnr:.2f} "
            wang = "-" if score.ssim_wang is None else f"{score.ssim_wang:.4f}"
            pace = f"{(score.seconds or 0) / score.megapixels:.3f}" if score.megapixels else "-"
            lines.append(self._line("" if number else photo, method, psnr, f"{score.ssim_daala:.4f}", wang, pace))
        return "\n".join(lines)

    def _line(self, photo: str, method: str, psnr: str, daala: str, wang: str, pace: str) -> str:
        names = f"{shorten(photo):<{self._photo}}   {shorten(method):<{self._method}}"
        return f"{names}  {psnr:>7}  {daala:>10}  {wang:>9}  {pace:>6}"
