"""Photographs for training: read from a folder, and cut into random crops."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from minisrgan.backend import Array
from minisrgan.errors import ArgumentError, DataError, ImageError
from minisrgan.images import imresize, list_images, read_image


@dataclass
class PhotoFolder:
    """What was read from a folder, and what was not.

    photos   path below the folder -> uint8 (H, W, 3)
    skipped  path -> why: files that cannot be read, and photos smaller than a crop
    """

    photos: dict[str, Array] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)


def load_photos(folder: str | Path, crop: int) -> PhotoFolder:
    """Read all photographs below a folder that are large enough for a crop.

    crop     side of a crop in pixels
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
    found = PhotoFolder()
    for path in list_images(folder):
        name = path.relative_to(folder).as_posix()
        try:
            photo = read_image(path)
        except ImageError as error:
            found.skipped[name] = " ".join(error.got.split())
            continue
        height, width = photo.shape[:2]
        if min(height, width) < crop:
            found.skipped[name] = f"{width} x {height} pixels, smaller than a crop of {crop}"
        else:
            found.photos[name] = photo
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
        for name, photo in photos.items():
            if photo.ndim != 3 or photo.shape[2] != 3 or photo.dtype != np.uint8 or min(photo.shape[:2]) < crop:
                told = f"uint8 RGB photographs (H, W, 3) of at least {crop} x {crop}, the size of a crop"
                fix = "use a smaller crop, or leave this photograph out (load_photos does)"
                raise DataError("CropSampler", expected=told, got=f"{name}: {photo.shape}, {photo.dtype}", fix=fix)
        self.photos = list(photos.values())
        self.crop, self.scale, self.rng, self.augment = crop, scale, rng, augment

    def batch(self, size: int) -> tuple[Array, Array]:
        """Return (low, high), float32: low (N, h, w, 3) in [0, 1] with h = crop/scale, high (N, H, W, 3) in [-1, 1].

        The crops of a batch come from distinct photographs as long as there are enough of them.
        """
        order: list[int] = []
        while len(order) < size:
            order.extend(self.rng.permutation(len(self.photos)).tolist())
        crops = [self._crop(self.photos[index]) for index in order[:size]]
        low = np.stack([imresize(crop, 1 / self.scale) for crop in crops])
        high = np.stack(crops)
        return low.astype(np.float32) / np.float32(255), high.astype(np.float32) / np.float32(127.5) - np.float32(1)

    def _crop(self, photo: Array) -> Array:
        top, left = (int(self.rng.integers(length - self.crop + 1)) for length in photo.shape[:2])
        crop = photo[top : top + self.crop, left : left + self.crop]
        if self.augment:
            turns, mirror = int(self.rng.integers(4)), bool(self.rng.integers(2))
            crop = np.rot90(crop[:, ::-1] if mirror else crop, turns)
        return np.ascontiguousarray(crop)
