"""Find the files to upscale, choose where each result goes, and record what each result was made from."""

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
    """The record of what the results in a folder were made from: a line of JSON for each in its `.minisrgan.jsonl`.

    folder  contains the results, also in its subfolders; it need not exist yet

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
        self._made: dict[str, dict[str, Any]] = {}  # path of a result, relative to the folder -> its line
        lines = (folder / RECORD).read_text("utf-8", "replace").split("\n") if (folder / RECORD).is_file() else []
        for line in lines:
            with suppress(ValueError, KeyError, TypeError):  # a line that is incomplete, as after a power failure
                entry = json.loads(line)
                self._made[entry["result"]] = {key: entry[key] for key in ("result", "source", "sha256", "settings")}

    def __contains__(self, path: Path) -> bool:
        """Return whether a file is one of the results."""
        return self.path(path) in self._made

    def belongs(self, target: Path, source: Path) -> bool:
        """Return whether `target` is unused, or is the result of this photograph or of one with the same content."""
        entry = self._made.get(self.path(target))
        if not entry or entry["source"] in ("", self.path(source)):
            return True
        with suppress(OSError):  # a file that cannot be read is reported later, when it is upscaled
            return bool(entry["sha256"] == digest(source))
        return False

    def holds(self, target: Path, source: Path, settings: Mapping[str, Any] | None) -> bool:
        """Return whether a result exists, and was made from this photograph with these settings.

        settings  None means that any existing file is to be replaced
        Errors    ImageError for a file that was made in another way; OSError for a name that cannot be used
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
        """Record what a result is made from; the result is written inside the `with` block.

        A new result is recorded before it is written, so that it is known even if the program is stopped. A result that
        replaces a file is recorded after it is written; until then, the file counts as of unknown origin.
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
            file.write(f"\n{line}")  # starts a new line even after an incomplete one
        self._made[entry["result"]] = json.loads(line)

    def path(self, path: Path) -> str:
        """Return a path relative to the folder, so that both may be moved together."""
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
    """Return whether there is a file; raise OSError for a folder of that name, and for a name that no file can have."""
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
    """Return the photographs to upscale, as {photograph: result}, and an error for each given word that cannot be used.

    given    files; folders, of which the images in all subfolders are used; patterns such as ``*.jpg`` or ``**/*.png``
    out      folder for the results, with the subfolders of the given ones. Results in it are not used as photographs.
    ending   what is added to each name, ``_x4``
    suffix   format of the results; "same" is that of each photograph, or PNG if that format cannot be written
    name     photograph -> name of its result without suffix, instead of the rule below
    skipped  filled with what is left out, path -> reason

    The name of a result depends only on the name of its photograph: a.png becomes a_x4.png, but a.jpg becomes
    a.jpg_x4.png. If that is already the result of a photograph from another folder, in this call or in the `Record`, a
    checksum of the path is added, as in a_x4-1f6a33c2.png.

    >>> jobs, _ = find_jobs(["one.png", "one.jpg"], Path("large"), "_x4")
    >>> [result.as_posix() for result in jobs.values()]
    ['large/one_x4.png', 'large/one.jpg_x4.png']
    """
    jobs, problems, left_out = dict[Path, Path](), list[ImageError](), {} if skipped is None else skipped
    seen, taken, record, results = set[str](), set[Path](), Record(out), Path(os.path.realpath(out))
    for place in itertools.chain.from_iterable(_matches(str(word), problems) for word in given):
        folder = os.path.isdir(place)
        try:
            sources = list_images(place, left_out) if folder else [place]
        except ImageError as error:
            problems.append(error)
            continue
        base = place if folder else place.parent
        around = folder and Path(os.path.realpath(base)) in results.parents
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
    """Return the paths that a word names: the files that match it as a pattern, or itself if it exists or none match.

    The names of folders may contain brackets, stars and question marks, so each part of a path is first taken
    literally, and then as a pattern.
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
    """Return a name without its suffix if this is the suffix of the result, else the whole name.

    Different names give different results: a stem that contains a dot keeps its suffix, so that `a.jpg.png` differs
    from `a.jpg`, and a name without a suffix gets a dot, so that `a` differs from `a.png`.

    >>> [_stem(name, ".png") for name in ("a.png", "a.jpg", "a.jpg.png", "a", "a.")]
    ['a', 'a.jpg', 'a.jpg.png', 'a.', 'a..']
    """
    stem, suffix = os.path.splitext(name)
    if suffix == kind and "." not in stem:
        return stem
    return name if "." in name.rstrip(".") else f"{name}."
