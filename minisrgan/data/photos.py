"""Photographs for training: read from a folder, and cut into random crops."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from minisrgan.backend import Array
from minisrgan.errors import ArgumentError, DataError, ImageError
from minisrgan.images import imresize, list_images, read_image


class PhotoCache(Mapping[str, Array]):
    """Photographs of a folder by name, uint8 (H, W, 3): decoded ones up to a limit of memory, and the others from disk.

    Which photos are kept is settled once: crops are drawn from all alike, so none is worth more than another. For the
    others `fetch` decodes ahead, on threads of its own.

    memory  bytes of decoded photos to keep
    shapes  name -> shape, of every photo
    """

    def __init__(self, folder: str | Path, memory: int) -> None:
        self.folder, self.free = Path(folder), memory
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._kept: dict[str, Array] = {}
        self._coming: dict[str, Future[Array]] = {}
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="photos")  # Pillow decodes outside of Python's lock

    def add(self, name: str, photo: Array) -> None:
        """Take a decoded photo in."""
        self.shapes[name] = photo.shape
        if photo.nbytes <= self.free:
            self.free -= photo.nbytes
            self._kept[name] = photo

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, Array | ImageError]]:
        """Decode files on the threads; return each with its name, or with what is wrong with it."""

        def one(name: str) -> Array | ImageError:
            try:
                return read_image(self.folder / name)
            except ImageError as error:
                return error

        names = list(names)
        for start in range(0, len(names), 32):  # no more than these are in memory at a time
            part = names[start : start + 32]
            yield from zip(part, self._pool.map(one, part), strict=True)

    def fetch(self, names: Iterable[str]) -> None:
        """Begin to decode those of these photos that are not kept, for `__getitem__` to find."""
        wanted = set(names) - self._kept.keys()
        self._coming = {name: self._coming.get(name) or self._pool.submit(read_image, self.folder / name)
                        for name in sorted(wanted)}  # fmt: skip

    def take(self, name: str) -> Array:
        """Remove a photo, and return it: one that is kept for validation."""
        photo = self[name]
        del self.shapes[name]
        self._kept.pop(name, None)
        return photo

    def __getitem__(self, name: str) -> Array:
        """Return a photo; one that is neither kept nor fetched is decoded now."""
        if name not in self.shapes:
            raise KeyError(name)
        if name in self._kept:
            return self._kept[name]
        return self._coming[name].result() if name in self._coming else read_image(self.folder / name)

    def __iter__(self) -> Iterator[str]:
        """Walk over the names, in order."""
        return iter(self.shapes)

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self.shapes)


@dataclass
class PhotoFolder:
    """What was read from a folder, and what was not.

    photos   path below the folder -> uint8 (H, W, 3)
    skipped  path -> why: files that cannot be read, and photos smaller than a crop
    """

    photos: PhotoCache
    skipped: dict[str, str] = field(default_factory=dict)


def load_photos(folder: str | Path, crop: int, memory: int = 2 << 30) -> PhotoFolder:
    """Read all photographs below a folder that are large enough for a crop, once, on several threads.

    crop     side of a crop in pixels
    memory   bytes of decoded photos that stay in memory; the others are read again for each crop
    Errors   ImageError if the folder is missing or holds no images; DataError if none of them can be used. A single
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
    found = PhotoFolder(PhotoCache(folder, memory))
    for name, photo in found.photos.read(path.relative_to(folder).as_posix() for path in list_images(folder)):
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
        got = "\n".join(["none that can be used", *reasons, *more])
        raise DataError("load_photos", expected=told, got=got, fix="add larger photographs, or train on smaller crops")
    return found


class CropSampler:
    """Draw batches of random crops: originals, and the same crops shrunk by bicubic.

    photos   name -> uint8 (H, W, 3)
    crop     side of an original, a multiple of scale
    scale    how much smaller the low-resolution crop is
    augment  turn and mirror each crop at random into one of its 8 orientations
    rng      draws everything
    Errors   ArgumentError for a crop that is not a multiple of scale; DataError for a photo smaller than a crop.
    Source   SRGAN sec. 3.2: random crops of distinct training images, shrunk with a bicubic kernel.

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
        for name, photo in photos.items() if not isinstance(photos, PhotoCache) else ():  # whose photos were checked
            if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or min(photo.shape[:2]) < crop:
                told = f"uint8 RGB photographs (H, W, 3) of at least {crop} x {crop}, the size of a crop"
                fix = "use a smaller crop, or leave this photograph out (load_photos does)"
                raise DataError("CropSampler", expected=told, got=f"{name}: {photo.shape}, {photo.dtype}", fix=fix)
        self.photos, self.names = photos, list(photos)
        self.crop, self.scale, self.rng, self.augment = crop, scale, rng, augment

    def photos_sha256(self) -> str:
        """Return a checksum of the photographs' names and shapes: with others, the same draws give other crops."""
        shapes = (
            self.photos.shapes if isinstance(self.photos, PhotoCache) else {n: p.shape for n, p in self.photos.items()}
        )
        return hashlib.sha256(repr(sorted(shapes.items())).encode()).hexdigest()

    def batch(self, size: int) -> tuple[Array, Array]:
        """Return (low, high), float32: low (N, h, w, 3) in [0, 1] with h = crop/scale, high (N, H, W, 3) in [-1, 1].

        The crops of a batch come from distinct photographs as long as there are enough of them.
        """
        cache = self.photos if isinstance(self.photos, PhotoCache) else None
        names = self._names(size, self.rng)
        if cache:
            cache.fetch(names)
        crops = [self._crop(self.photos[name]) for name in names]
        if cache:  # the photos of the next batch, by a look ahead that leaves the generator where it is
            cache.fetch(self._names(size, copy.deepcopy(self.rng)))
        low = np.stack([imresize(crop, 1 / self.scale) for crop in crops])
        high = np.stack(crops)
        return low.astype(np.float32) / np.float32(255), high.astype(np.float32) / np.float32(127.5) - np.float32(1)

    def _names(self, size: int, rng: np.random.Generator) -> list[str]:
        order: list[int] = []
        while len(order) < size:
            order.extend(rng.permutation(len(self.names)).tolist())
        return [self.names[index] for index in order[:size]]

    def _crop(self, photo: Array) -> Array:
        top, left = (int(self.rng.integers(length - self.crop + 1)) for length in photo.shape[:2])
        crop = photo[top : top + self.crop, left : left + self.crop]
        if self.augment:
            turns, mirror = int(self.rng.integers(4)), bool(self.rng.integers(2))
            crop = np.rot90(crop[:, ::-1] if mirror else crop, turns)
        return np.ascontiguousarray(crop)
