"""Draw random crops from photographs: the batches of a training."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from minisrgan.autograd.arguments import require_flag, require_integer, require_rng
from minisrgan.backend import Array
from minisrgan.data.photos import Fingerprint, PhotoCache, fingerprint
from minisrgan.errors import ArgumentError, DataError, ImageError
from minisrgan.images import imresize

T = TypeVar("T")


class CropSampler:
    """Draw batches of random crops: originals, and the same crops downscaled with bicubic.

    photos   name -> uint8 (H, W, 3)
    crop     side of an original, a multiple of scale
    scale    the factor by which the low-resolution crop is smaller
    augment  rotate and reflect each crop at random, into one of 8 orientations
    rng      the generator of all random numbers; seed 0 if it is None
    lost     name -> reason, for photos that could no longer be read; no more crops are drawn from them
    part     (k, n): of n processes that draw the same batch, this one reads and returns the k-th part
    agree    function: photos lost by this process -> photos lost by any of the processes
    Errors   ArgumentError for a crop that is not a multiple of scale, or an rng that is a plain seed;
             DataError for a photo smaller than a crop, and if all photos are lost
    Source   SRGAN sec. 3.2: random crops of distinct training images, downscaled with a bicubic kernel

    >>> sampler = CropSampler({"grey": np.full((40, 50, 3), 255, np.uint8)}, 32, 4, np.random.default_rng(0))
    >>> low, high = sampler.batch(2)
    >>> low.shape, low.max(), high.shape, high.max()
    ((2, 8, 8, 3), np.float32(1.0), (2, 32, 32, 3), np.float32(1.0))
    """

    def __init__(
        self, photos: Mapping[str, Array], crop: int, scale: int, rng: np.random.Generator, augment: bool = True
    ) -> None:
        require_integer("CropSampler", "scale", scale, 1)
        require_integer("CropSampler", "crop", crop, 1)
        if crop % scale:
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
        self.crop, self.scale, self.rng = crop, scale, require_rng("CropSampler", rng)
        self.augment = require_flag("CropSampler", "augment", augment)
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
        require_integer("CropSampler.batch", "size", size, 1)
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
        """Return finish(batch(size)), and prepare the next batch on a thread.

        The next batch is drawn by a copy of the sampler. It is used if the sampler is still in the state in which
        it was copied, and the sampler then gets the state of the copy. Otherwise (a state was restored, a photograph
        lost) it is drawn again. So the batches, and the sampler's state after each, are those of `batch`.
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
        """Return the photos of a part of a batch; in all parts, replace photos that can no longer be read."""
        if not isinstance(self.photos, PhotoCache):
            return [self.photos[name] for name in names[mine]]
        while True:
            photos, lost = [], {}
            for name in names[mine]:
                try:
                    photos.append(self.photos[name])
                except ImageError as error:
                    lost[name] = " ".join(error.got.split())
            if not (lost := self.agree(lost)):
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
