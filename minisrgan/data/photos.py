"""Read photographs for training from a folder, and draw random crops from them."""

from __future__ import annotations

import copy
import functools
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np

from minisrgan.backend import Array
from minisrgan.errors import ArgumentError, DataError, ImageError
from minisrgan.images import imresize, list_images, read_image
from minisrgan.threads import can_start

Fingerprint: TypeAlias = tuple[int, int, int]
T = TypeVar("T")


def fingerprint(photo: Array) -> Fingerprint:
    """Return height, width and a checksum of a photograph's pixels, to detect a changed file.

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
        coming = self._coming.get(name)  # once: another thread may fetch meanwhile
        return coming.result() if coming else self._decode(name)

    def _decode(self, name: str) -> Array:
        photo = read_image(self.folder / name)
        if fingerprint(photo) != self.known[name]:
            told, fix = "the picture that was there at the beginning", "leave photographs alone while they are used"
            raise ImageError("PhotoCache", expected=told, got=f"another one in {self.folder / name}", fix=fix)
        return photo

    def __iter__(self) -> Iterator[str]:
        """Walk over the names, in order."""
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


def load_photos(folder: str | Path, crop: int, memory: int = 2 << 30) -> PhotoFolder:
    """Read all photographs below a folder that are large enough for a crop, once, on several threads.

    crop     side of a crop in pixels
    memory   bytes of decoded photos that stay in memory; the others are read again for each crop
    Errors   ImageError if the folder is missing or has no images; DataError if none of them can be used. A single
             bad file is skipped and named in ``skipped``.

    >>> import tempfile
    >>> from minisrgan.images import write_image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_image(Path(folder, "large.png"), np.zeros((40, 50, 3), np.uint8))
    ...     write_image(Path(folder, "small.png"), np.zeros((8, 8, 3), np.uint8))
    ...     found = load_photos(folder, crop=32)
    >>> list(found.photos), found.skipped
    (['large.png'], {'small.png': '8 x 8 pixels, smaller than a crop of 32'})
    """
    left_out: dict[Path, str] = {}
    names = [path.relative_to(folder).as_posix() for path in list_images(folder, left_out)]
    found = PhotoFolder(PhotoCache(folder, memory))
    found.skipped |= {path.relative_to(folder).as_posix(): why for path, why in left_out.items()}
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


class CropSampler:
    """Draw batches of random crops: originals, and the same crops downscaled with bicubic.

    photos   name -> uint8 (H, W, 3)
    crop     side of an original, a multiple of scale
    scale    the factor by which the low-resolution crop is smaller
    augment  rotate and reflect each crop at random, into one of 8 orientations
    rng      the generator of all random numbers
    lost     name -> reason, for photos that could no longer be read; no more crops are drawn from them
    part     (k, n): of n processes that draw the same batch, this one reads and returns the k-th part
    agree    what all of these processes have lost, from what one has
    Errors   ArgumentError for a crop that is not a multiple of scale; DataError for a photo smaller than a crop, and
             if all photos are lost
    Source   SRGAN sec. 3.2: random crops of distinct training images, downscaled with a bicubic kernel

    >>> sampler = CropSampler({"grey": np.full((40, 50, 3), 255, np.uint8)}, 32, 4, np.random.default_rng(0))
    >>> low, high = sampler.batch(2)
    >>> low.shape, low.max(), high.shape, high.max()
    ((2, 8, 8, 3), np.float32(1.0), (2, 32, 32, 3), np.float32(1.0))
    """

    def __init__(
        self, photos: Mapping[str, Array], crop: int, scale: int, rng: np.random.Generator, augment: bool = True
    ) -> None:
        if crop < scale or crop % scale:
            raise ArgumentError(
                "CropSampler", expected=f"crop as a multiple of scale {scale}", got=str(crop), fix=f"crop {24 * scale}"
            )
        if not photos:
            raise DataError("CropSampler", expected="at least one photograph", got="none", fix="load_photos(folder)")
        for name, photo in photos.items() if not isinstance(photos, PhotoCache) else ():  # its photos have been checked
            if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or min(photo.shape[:2]) < crop:
                told = f"uint8 RGB photographs (H, W, 3) of at least {crop} x {crop}, the size of a crop"
                fix = "use a smaller crop, or leave this photograph out (load_photos does)"
                raise DataError("CropSampler", expected=told, got=f"{name}: {photo.shape}, {photo.dtype}", fix=fix)
        self.photos, self.names, self.lost = photos, list(photos), dict[str, str]()
        self.crop, self.scale, self.rng, self.augment = crop, scale, rng, augment
        self.part = 0, 1
        self.agree: Callable[[dict[str, str]], dict[str, str]] = dict
        self._ahead: tuple[Any, Future[Any]] | None = None

    def fingerprints(self) -> dict[str, Fingerprint]:
        """Return the fingerprints of all photos: with other photos, the same random numbers would give other crops."""
        known = self.photos.known if isinstance(self.photos, PhotoCache) else None
        return {name: known[name] if known else fingerprint(self.photos[name]) for name in self.names}

    def look_again(self) -> None:
        """Stop drawing from photographs whose files are missing, even if they are still in memory."""
        if isinstance(self.photos, PhotoCache):
            gone = [name for name in self.names if not (self.photos.folder / name).is_file()]
            self._lose(self.agree(dict.fromkeys(gone, "its file is gone")))

    def batch(self, size: int) -> tuple[Array, Array]:
        """Return (low, high), float32: low (N, h, w, 3) in [0, 1] with h = crop/scale, high (N, H, W, 3) in [-1, 1].

        The crops of a batch come from distinct photographs as long as there are enough of them.
        """
        cache = self.photos if isinstance(self.photos, PhotoCache) else None
        names, (k, n) = self._names(size, self.rng), self.part
        mine = slice(size * k // n, size * (k + 1) // n)
        if cache:
            cache.fetch(names[mine])
        photos = self._read(names, mine)
        places = [self._place(name) for name in names]  # of all crops: the random generator is the same in all parts
        crops = [self._cut(photo, *place) for photo, place in zip(photos, places[mine], strict=True)]
        del photos
        if cache:  # look ahead to the photos of the next batch, without advancing the random generator
            cache.fetch(self._names(size, copy.deepcopy(self.rng))[mine])
        low = np.stack([imresize(crop, 1 / self.scale) for crop in crops])
        high = np.stack(crops)
        return low.astype(np.float32) / np.float32(255), high.astype(np.float32) / np.float32(127.5) - np.float32(1)

    def ahead(self, size: int, finish: Callable[[tuple[Array, Array]], T]) -> T:
        """Return finish(batch(size)), and start on the next on a thread, to be ready when it is asked for.

        The next batch is drawn by a copy of the sampler. It counts if the sampler is by then where the copy began, and
        moves the sampler to where the copy ended. Otherwise (a state was restored, a photograph lost) it is drawn anew.
        So the batches, and the sampler's state after each, are those of `batch`.
        """
        begun, drawn = self._ahead if self._ahead else (None, None)
        work = self._later(size, finish)
        result, after = drawn.result() if drawn and begun == self._where(size) else work()
        self.rng.bit_generator.state = after.rng.bit_generator.state
        self.names, self.lost = after.names, after.lost
        self._ahead = self._where(size), _batches().submit(self._later(size, finish))
        return result

    def _where(self, size: int) -> Any:
        return size, list(self.names), copy.deepcopy(self.rng.bit_generator.state)

    def _later(self, size: int, finish: Callable[[tuple[Array, Array]], T]) -> Callable[[], tuple[T, CropSampler]]:
        other = copy.copy(self)
        other.rng, other.lost, other._ahead = copy.deepcopy(self.rng), dict(self.lost), None
        return lambda: (finish(other.batch(size)), other)

    def _names(self, size: int, rng: np.random.Generator) -> list[str]:
        order: list[int] = []
        while len(order) < size:
            order.extend(rng.permutation(len(self.names)).tolist())
        return [self.names[index] for index in order[:size]]

    def _read(self, names: list[str], mine: slice) -> list[Array]:
        """Return the photos of a part of a batch; replace names that can no longer be read by others, for all parts."""
        if not isinstance(self.photos, PhotoCache):
            return [self.photos[name] for name in names[mine]]
        while True:
            photos, lost = [], {}
            for name in names[mine]:
                try:
                    photos.append(self.photos[name])
                except ImageError as error:
                    lost[name] = " ".join(error.got.split())
            lost = self.agree(lost)
            if not lost:
                return photos
            self._lose(lost)
            for position in [position for position, name in enumerate(names) if name in lost]:
                others = [other for other in self.names if other not in names] or self.names
                names[position] = others[int(self.rng.integers(len(others)))]

    def _lose(self, why: Mapping[str, str]) -> None:
        """Stop drawing from some photos."""
        self.lost |= why
        left = [name for name in self.names if name not in why]
        if not left:
            got = ["none is left", *(f"{name}: {why}" for name, why in list(self.lost.items())[:5])]
            fix = "put them back, then go on with --resume"
            raise DataError("CropSampler", expected="photographs to draw from", got=got, fix=fix)
        self.names = left

    def _place(self, name: str) -> tuple[int, int, int, bool]:
        """Draw the place of a crop: top, left, quarter turns, and whether it is reflected."""
        shape = self.photos.known[name] if isinstance(self.photos, PhotoCache) else self.photos[name].shape
        top, left = (int(self.rng.integers(length - self.crop + 1)) for length in shape[:2])
        turns, mirror = (int(self.rng.integers(4)), bool(self.rng.integers(2))) if self.augment else (0, False)
        return top, left, turns, mirror

    def _cut(self, photo: Array, top: int, left: int, turns: int, mirror: bool) -> Array:
        crop = photo[top : top + self.crop, left : left + self.crop]
        return np.ascontiguousarray(np.rot90(crop[:, ::-1] if mirror else crop, turns))


@functools.cache
def _batches() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="batches")
