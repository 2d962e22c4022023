"""Which files are to be upscaled, and where each result goes."""

from __future__ import annotations

import glob
import itertools
from collections.abc import Iterable
from pathlib import Path

from minisrgan.errors import ImageError
from minisrgan.images import list_images
from minisrgan.images.files import FORMATS


def find_jobs(
    given: Iterable[str | Path], out: Path, ending: str, suffix: str = ".png"
) -> tuple[dict[Path, Path], list[ImageError]]:
    """List what is to be done, as {photograph: result}, and which folders cannot be used.

    given    files, folders with images below them, whose tree is kept, and patterns such as ``*.jpg`` or ``**/*.png``
    out      folder for the results. Where it lies in a given folder, its images are not taken for photographs.
    ending   what is added to each name, ``_x4``
    suffix   format of the results, or "same": that of each photograph, PNG where it cannot be written

    Two photographs whose results would have the same name, a.jpg beside a.png, get different ones: the second's is
    called a.png_x4.png, and a.png-2_x4.png and so on where that is taken too.

    >>> find_jobs(["one.jpg"], Path("large"), "_x4")[0] == {Path("one.jpg"): Path("large", "one_x4.png")}
    True
    """
    jobs: dict[Path, Path] = {}
    taken: set[Path] = set()
    problems = []
    for word in map(str, given):
        matches = [] if Path(word).exists() else sorted(glob.glob(word, recursive=True))
        for place in map(Path, matches or [word]):
            try:
                sources = list_images(place) if place.is_dir() else [place]
            except ImageError as error:
                problems.append(error)
                continue
            base = place if place.is_dir() else place.parent
            results = out.resolve() if base.resolve() in out.resolve().parents and place.is_dir() else None
            for source in sources:
                if source in jobs or source in taken or results in source.resolve().parents:
                    continue
                kind = suffix if suffix != "same" else source.suffix if source.suffix.lower() in FORMATS else ".png"
                names = itertools.chain((source.stem, source.name), (f"{source.name}-{n}" for n in itertools.count(2)))
                folder = out / source.relative_to(base).parent
                jobs[source] = next(t for name in names if (t := folder / f"{name}{ending}{kind}") not in taken)
                taken.add(jobs[source])
    return jobs, problems
