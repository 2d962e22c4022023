"""Read photographs for training from a folder."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from minisrgan.backend import Array
from minisrgan.errors import DataError, ImageError
from minisrgan.images import list_images, read_image
from minisrgan.threads import can_start

Fingerprint: TypeAlias = tuple[int, int, int]


def fingerprint(photo: Array) -> Fingerprint:
    """Return height, width and a checksum of a photograph's pixels, to detect a changed file.

    >>> import numpy as np
    >>> fingerprint(np.zeros((2, 3, 3), np.uint8))
    (2, 3, 1729875789)
    """
    return photo.shape[0], photo.shape[1], zlib.crc32(photo.tobytes())


class PhotoCache(Mapping[str, Array]):
    """Photographs of a folder by name, uint8 (H, W, 3), kept decoded up to a memory limit, else read from disk.

    The choice of the photos that are kept is never changed: all photos are drawn equally often, so replacing one by
    another would not help. `fetch` decodes the others ahead, on threads of its own.

    memory  bytes of decoded photos to keep
    known   name -> `fingerprint` of every photo
    Errors  ImageError from ``photos[name]`` if its file is missing or has changed
    """

    def __init__(self, folder: str | Path, memory: int) -> None:
        self.folder, self.free = Path(folder), memory
        self.known: dict[str, Fingerprint] = {}
        self._kept: dict[str, Array] = {}
        self._coming: dict[str, Future[Array]] = {}
        # Pillow releases Python's lock while decoding. Without threads, each photo is decoded when it is needed.
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="photos") if can_start() else None

    def add(self, name: str, photo: Array) -> None:
        """Add a decoded photo."""
        self.known[name] = fingerprint(photo)
        if photo.nbytes <= self.free:
            self.free -= photo.nbytes
            self._kept[name] = photo

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, Array | ImageError]]:
        """Decode files on several threads; return each name with its photo, or with the error."""

        def one(name: str) -> Array | ImageError:
            try:
                return read_image(self.folder / name)
            except ImageError as error:
                return error

        names = list(names)
        for start in range(0, len(names), 32):  # at most this many are in memory at a time
            part = names[start : start + 32]
            yield from zip(part, self._pool.map(one, part) if self._pool else map(one, part), strict=True)

    def fetch(self, names: Iterable[str]) -> None:
        """Start to decode the photos among these that are not kept, for a later `__getitem__`."""
        if pool := self._pool:
            wanted = sorted(set(names) - self._kept.keys())
            self._coming = {name: self._coming.get(name) or pool.submit(self._decode, name) for name in wanted}

    def take(self, name: str) -> Array:
        """Remove a photo that is used for validation, and return it."""
        photo = self[name]
        del self.known[name]
        self._kept.pop(name, None)
        return photo

    def __getitem__(self, name: str) -> Array:
        """Return a photo; decode it now if it is neither kept nor fetched."""
        if name not in self.known:
            raise KeyError(name)
        if name in self._kept:
            return self._kept[name]
        coming = self._coming.get(name)  # only one look-up: another thread may call fetch
        return coming.result() if coming else self._decode(name)

    def _decode(self, name: str) -> Array:
        photo = read_image(self.folder / name, known=True)
        if fingerprint(photo) != self.known[name]:
            told, fix = "the picture that was there at the beginning", "leave photographs alone while they are used"
            raise ImageError("PhotoCache", expected=told, got=f"another one in {self.folder / name}", fix=fix)
        return photo

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in order."""
        return iter(self.known)

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self.known)


@dataclass
class PhotoFolder:
    """The photographs read from a folder, and the files that were skipped.

    photos   path below the folder -> uint8 (H, W, 3)
    skipped  path -> reason, for files that are no images or cannot be read, and photos smaller than a crop
    """

    photos: PhotoCache
    skipped: dict[str, str] = field(default_factory=dict)


def load_photos(folder: str | Path, crop: int, memory: int = 2 << 30, without: Iterable[Path] = ()) -> PhotoFolder:
    """Read all photographs below a folder that are large enough for a crop, once, on several threads.

    crop     side of a crop in pixels
    memory   bytes of decoded photos that stay in memory; the others are read again for each crop
    without  folders whose files are left out, if they lie below this one
    Errors   ImageError if the folder is missing or has no images; DataError if none of them can be used. A single
             bad file is skipped and named in ``skipped``.

    >>> import tempfile
    >>> import numpy as np
    >>> from minisrgan.images import write_image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_image(Path(folder, "large.png"), np.zeros((40, 50, 3), np.uint8))
    ...     write_image(Path(folder, "small.png"), np.zeros((8, 8, 3), np.uint8))
    ...     found = load_photos(folder, crop=32)
    >>> list(found.photos), found.skipped
    (['large.png'], {'small.png': '8 x 8 pixels, smaller than a crop of 32'})
    """
    left_out: dict[Path, str] = {}
    paths = list_images(folder, left_out)
    inner = {place.resolve() for place in without if Path(folder).resolve() in place.resolve().parents}
    name_of = {path: path.relative_to(folder).as_posix() for path in (*paths, *left_out)
               if inner.isdisjoint(path.resolve().parents)}  # fmt: skip
    names = [name_of[path] for path in paths if path in name_of]
    found = PhotoFolder(PhotoCache(folder, memory))
    found.skipped |= {name_of[path]: why for path, why in left_out.items() if path in name_of}
    for name, photo in found.photos.read(names):
        if isinstance(photo, ImageError):
            found.skipped[name] = " ".join(photo.got.split())
        elif min(photo.shape[:2]) < crop:
            found.skipped[name] = f"{photo.shape[1]} x {photo.shape[0]} pixels, smaller than a crop of {crop}"
        else:
            found.photos.add(name, photo)
    if not found.photos:
        reasons = [f"{name}: {why}" for name, why in list(found.skipped.items())[:5]]
        more = [f"... and {len(found.skipped) - 5} more"] if len(found.skipped) > 5 else []
        told = f"photographs of at least {crop} x {crop} pixels in {folder}"
        got = ["none that can be used", *reasons, *more]
        raise DataError("load_photos", expected=told, got=got, fix="add larger photographs, or train on smaller crops")
    return found
