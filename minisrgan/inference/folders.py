"""Which files are to be upscaled, where each result goes, and what a result that is there was made from."""

import glob
import hashlib
import itertools
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from minisrgan.errors import ImageError
from minisrgan.images import list_images
from minisrgan.images.files import FORMATS
from minisrgan.images.photo import Photo
from minisrgan.weights.store import digest

RECORD = ".minisrgan.jsonl"

_SIDES = {".webp": 16_383, ".jpg": 65_500, ".jpeg": 65_500}  # pixels; libwebp's and libjpeg's limits


class Record:
    """What the results in a folder were made from: `.minisrgan.jsonl` in it, a line of JSON for each result.

    folder  the results lie in it or below; it need not exist yet

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     record, photo, target = Record(Path(folder)), Path(folder, "a.png"), Path(folder, "a_x4.png")
    ...     _ = photo.write_bytes(b"a photograph")
    ...     with record.making(target, photo, {"scale": 4}):
    ...         _ = target.write_bytes(b"its enlargement")
    ...     Record(Path(folder)).holds(target, photo, {"scale": 4})
    True
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._made: dict[str, dict[str, Any]] = {}  # path of a result, as seen from the folder -> its line
        lines = (folder / RECORD).read_text("utf-8", "replace").split("\n") if (folder / RECORD).is_file() else []
        for line in lines:
            with suppress(ValueError, KeyError, TypeError):  # a line that was cut off when the power failed
                entry = json.loads(line)
                self._made[entry["result"]] = {key: entry[key] for key in ("result", "source", "sha256", "settings")}

    def __contains__(self, path: Path) -> bool:
        """Whether a file is one of the results."""
        return self.path(path) in self._made

    def belongs(self, target: Path, source: Path) -> bool:
        """Whether a name is free for the result of a photograph, or holds that of the same or of an equal file."""
        entry = self._made.get(self.path(target))
        if not entry or entry["source"] in ("", self.path(source)):
            return True
        with suppress(OSError):  # what cannot be read now will be told when its turn comes
            return bool(entry["sha256"] == digest(source))
        return False

    def holds(self, target: Path, source: Path, settings: Mapping[str, Any] | None) -> bool:
        """Whether a result is there, and was made from this photograph with these settings.

        settings  None says that any file is to be replaced
        Errors    ImageError for a file that was made otherwise; OSError for a name that cannot be used
        """
        if not _exists(target) or settings is None:
            return False
        entry, now = self._made.get(self.path(target)), json.loads(json.dumps(settings))
        if entry is None or not entry["source"]:
            got = f"{target}, and no record of what it was made from: by an earlier version, or another program"
        elif entry["sha256"] != digest(source):
            got = f"{target}, made from another photograph ({entry['source']}, as it was then)"
        elif entry["settings"] != now:
            then = entry["settings"]
            different = sorted(key for key in now.keys() | then if now.get(key) != then.get(key))
            got = f"{target}, made with {', '.join(f'{key} {then.get(key)}, not {now.get(key)}' for key in different)}"
        else:
            return True
        expected = "a result of this photograph, model and settings, or no file there"
        raise ImageError("upscale", expected=expected, got=got, fix="--overwrite replaces it; another --out keeps both")

    @contextmanager
    def making(self, target: Path, source: Path, settings: Mapping[str, Any]) -> Iterator[None]:
        """Note what a result is made from, around the writing of it.

        A new one is noted before it is written, so that it is known whenever the program is stopped. One that replaces
        a file is noted when it is written, and until then the file counts as of unknown origin.
        """
        blank = {"result": self.path(target), "source": "", "sha256": "", "settings": {}}
        entry = blank | {"source": self.path(source), "sha256": digest(source), "settings": settings}
        replaces = _exists(target)
        self._append(blank if replaces else entry)
        yield
        if replaces:
            self._append(entry)

    def _append(self, entry: Mapping[str, Any]) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        line = json.dumps(entry)
        with open(self.folder / RECORD, "a", encoding="utf-8") as file:
            file.write(f"\n{line}")  # the line break first: a line that was cut off does not spoil the next
        self._made[entry["result"]] = json.loads(line)

    def path(self, path: Path) -> str:
        """Return a path as seen from the folder, so that both may be moved together."""
        try:
            return Path(os.path.relpath(path, self.folder)).as_posix()
        except ValueError:  # on another drive of Windows
            return path.absolute().as_posix()


def require_fits(target: Path, photo: Photo, factor: float) -> None:
    """Refuse an enlargement that the format of the target cannot hold, before it is computed.

    >>> import numpy as np
    >>> require_fits(Path("a.webp"), Photo(np.zeros((2, 5000, 3), np.uint8)), 4)
    Traceback (most recent call last):
    minisrgan.errors.ImageError: ImageError in upscale
      expected  at most 16,383 pixels a side in a .webp
      got       20,000 x 8 pixels for a.webp
      fix       --format png has room for more
    """
    height, width = (math.ceil(side * factor) for side in photo.pixels.shape[:2])
    kind, size = target.suffix.lower(), height * width * photo.pixels[0, 0].nbytes
    expected = ""
    if kind in _SIDES and max(height, width) > _SIDES[kind]:
        expected = f"at most {_SIDES[kind]:,} pixels a side in a {kind}"
    elif kind in (".bmp", ".tif", ".tiff") and size >= 1 << 32:
        expected = f"less than 4.3 GB in a {kind}, as its offsets have 32 bits"
    if expected:
        got = f"{width:,} x {height:,} pixels for {target}"
        raise ImageError("upscale", expected=expected, got=got, fix="--format png has room for more")


def _exists(target: Path) -> bool:
    """Whether there is a file; OSError for a folder of that name, and for a name that no file can have."""
    if target.is_dir():
        raise IsADirectoryError(f"{target}, where the result is to go, is a folder")
    with suppress(FileNotFoundError):
        target.lstat()
        return True
    return False


def find_jobs(
    given: Iterable[str | Path],
    out: Path,
    ending: str,
    suffix: str = ".png",
    name: Callable[[Path], str] | None = None,
    skipped: dict[Path, str] | None = None,
) -> tuple[dict[Path, Path], list[ImageError]]:
    """List what is to be done, as {photograph: result}, and which of the given words cannot be used.

    given    files, folders with images below them, whose tree is kept, and patterns such as ``*.jpg`` or ``**/*.png``
    out      folder for the results. Results that lie in it already are not taken for photographs.
    ending   what is added to each name, ``_x4``
    suffix   format of the results, or "same": that of each photograph, PNG where it cannot be written
    name     photograph -> name of its result without suffix, instead of the rule below
    skipped  gets what is left out, path -> why

    The name of a result depends on its photograph's alone: a.png becomes a_x4.png, but a.jpg becomes a.jpg_x4.png. Only
    where the result of a photograph from another folder has that name, in this call or by the `Record`, a checksum of
    the path is added, as in a_x4-1f6a33c2.png.

    >>> jobs, _ = find_jobs(["one.png", "one.jpg"], Path("large"), "_x4")
    >>> [result.as_posix() for result in jobs.values()]
    ['large/one_x4.png', 'large/one.jpg_x4.png']
    """
    jobs, problems, left_out = dict[Path, Path](), list[ImageError](), {} if skipped is None else skipped
    seen, taken, record = set[str](), set[Path](), Record(out)
    for place in itertools.chain.from_iterable(_matches(str(word), problems) for word in given):
        try:
            sources = list_images(place, left_out) if os.path.isdir(place) else [place]
        except ImageError as error:
            problems.append(error)
            continue
        base = place if os.path.isdir(place) else place.parent
        results = Path(os.path.realpath(out))
        around = os.path.isdir(place) and Path(os.path.realpath(base)) in results.parents
        for source in sources:
            if source in record or (around and results in Path(os.path.realpath(source)).parents):
                left_out[source] = f"a result in {out}"
            elif (absolute := os.path.abspath(source)) not in seen:
                seen.add(absolute)
                kind = suffix if suffix != "same" else source.suffix if source.suffix.lower() in FORMATS else ".png"
                stem = name(source) if name else _stem(source.name, kind) + ending
                target = out / source.relative_to(base).parent / f"{stem}{kind}"
                if target in taken or not record.belongs(target, source):
                    mark = hashlib.sha256(os.fsencode(record.path(source))).hexdigest()[:8]
                    target = target.with_name(f"{stem}-{mark}{kind}")
                taken.add(target)
                jobs[source] = target
    for path in [path for path in left_out if path.name == RECORD]:
        del left_out[path]
    return jobs, problems


def _matches(word: str, problems: list[ImageError]) -> list[Path]:
    """Return the paths that a word names: itself where it exists, else what it matches as a pattern.

    Folders may have brackets, stars and question marks in their names: what is found when they are taken literally
    comes first.
    """
    if not word:
        fix = "is a variable of the shell empty? The current folder is ."
        problems.append(ImageError("upscale", expected="a file, a folder or a pattern", got="an empty word", fix=fix))
        return []
    choices = ([glob.escape(part), part] if glob.has_magic(part) else [part] for part in Path(word).parts)
    for parts in itertools.product(*choices) if not os.path.lexists(word) else ():
        if found := sorted(glob.glob(os.path.join(*parts), recursive=True)):
            return [Path(path) for path in found]
    return [Path(word)]


def _stem(name: str, kind: str) -> str:
    """Return the name without the suffix where it is that of the result, else the whole; no two names give the same.

    So a stem with a dot in it stays whole, as `a.jpg.png` would become what `a.jpg` is; and a name without a suffix
    gets a dot, as `a` would become what `a.png` is.

    >>> [_stem(name, ".png") for name in ("a.png", "a.jpg", "a.jpg.png", "a", "a.")]
    ['a', 'a.jpg', 'a.jpg.png', 'a.', 'a..']
    """
    stem, suffix = os.path.splitext(name)
    if suffix == kind and "." not in stem:
        return stem
    return name if "." in name.rstrip(".") else f"{name}."
