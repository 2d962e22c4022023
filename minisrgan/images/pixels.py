"""A photograph as arrays, checks of arrays that are images, and what reading and writing do to pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minisrgan.backend import Array, is_array
from minisrgan.errors import DTypeError, ShapeError


def require_image(what: str, image: Array, *, dtypes: tuple[str, ...] = ("uint8",), rgb: bool = True) -> None:
    """Check that an array is an image: it has an allowed dtype, the right number of axes, and at least one pixel.

    what    the name of the calling function, for the error message
    dtypes  the allowed dtypes
    rgb     whether a third axis must hold 3 channels; otherwise it may hold any number

    Raises ShapeError and DTypeError.

    >>> require_image("psnr", np.zeros((4, 6, 3), np.uint8))
    >>> require_image("psnr", np.zeros((4, 6, 3)))
    Traceback (most recent call last):
    minisrgan.errors.DTypeError: DTypeError in psnr
      expected  an image of dtype uint8
      got       float64
      fix       for values 0..1: np.round(image * 255).clip(0, 255).astype(np.uint8)
    """
    if not (isinstance(image, np.ndarray) and is_array(image)):
        fix = "read files with minisrgan.images.read_image; convert anything else with np.asarray"
        raise DTypeError(what, expected="an image as a NumPy array", got=type(image).__name__, fix=fix)
    if image.dtype.name not in dtypes:
        fix = "for values 0..1: np.round(image * 255).clip(0, 255).astype(np.uint8)"
        raise DTypeError(what, expected=f"an image of dtype {' or '.join(dtypes)}", got=image.dtype.name, fix=fix)
    channels_fit = image.ndim == 2 or (image.ndim == 3 and (image.shape[2] == 3 or not rgb))
    if not channels_fit or image.size == 0:
        told = f"one image with pixels, (H, W) or (H, W, {'3' if rgb else 'C'})"
        fix = "take one image out of a batch with batch[0]; drop a single channel with image[..., 0]"
        raise ShapeError(what, expected=told, got=str(image.shape), fix=fix)


@dataclass(frozen=True, eq=False)
class Photo:
    """A photograph, with everything that its file contained.

    pixels       (H, W, 3) RGB or (H, W, 1) grey, uint8 or uint16
    alpha        (H, W) of the same dtype, 0 where transparent; None if the file has no transparency. The colours are
                 not premultiplied by alpha.
    icc_profile  the colour profile, which says what colours the numbers mean, or None
    exif         EXIF as JPEG stores it, without orientation, size and thumbnail, or None
    info         the rest: "dpi" (x, y); "colour", PNG's chunks such as gAMA; "xmp"; "text", comments by keyword; for an
                 animation "duration" of the frame in ms, and "loop", how often it is played (0: forever)
    more         the other pages of the file, or frames of the animation
    Errors       ShapeError, DTypeError

    >>> Photo(np.zeros((4, 6), np.uint8))
    Traceback (most recent call last):
    minisrgan.errors.ShapeError: ShapeError in Photo
      expected  pixels (H, W, 3), or (H, W, 1) for grey
      got       (4, 6) uint8
      fix       grey pixels become (H, W, 1) with pixels[..., None]
    """

    pixels: Array
    alpha: Array | None = None
    icc_profile: bytes | None = None
    exif: bytes | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    more: tuple[Photo, ...] = ()

    def __post_init__(self) -> None:
        """Refuse shapes and dtypes that no file can hold."""
        pixels, alpha = self.pixels, self.alpha
        require_image("Photo", pixels, dtypes=("uint8", "uint16"), rgb=False)
        if pixels.shape[2:] not in ((1,), (3,)):
            fix = "grey pixels become (H, W, 1) with pixels[..., None]"
            expected, got = "pixels (H, W, 3), or (H, W, 1) for grey", f"{pixels.shape} {pixels.dtype}"
            raise ShapeError("Photo", expected=expected, got=got, fix=fix)
        if alpha is not None and (alpha.shape, alpha.dtype) != (pixels.shape[:2], pixels.dtype):
            expected = f"alpha {pixels.shape[:2]} {pixels.dtype}, as the pixels are {pixels.shape} {pixels.dtype}"
            fix = "enlarge alpha with the pixels; None says that nothing is transparent"
            raise ShapeError("Photo", expected=expected, got=f"{alpha.shape} {alpha.dtype}", fix=fix)


def upright(plane: Array, turn: object) -> Array:
    """Apply an EXIF orientation to (H, W, ...): 5 to 8 swap the axes first; then rows and columns may be reversed."""
    if turn in (5, 6, 7, 8):
        plane = plane.swapaxes(0, 1)
    rows, columns = -1 if turn in (3, 4, 7, 8) else 1, -1 if turn in (2, 3, 6, 7) else 1
    return np.ascontiguousarray(plane[::rows, ::columns])


def over_white(photo: Photo) -> Array:
    """Return the pixels as they look on white paper: (c * alpha + white * (white - alpha)) / white, rounded."""
    if photo.alpha is None:
        return photo.pixels
    white = np.iinfo(photo.pixels.dtype).max
    alpha = photo.alpha[..., None].astype(np.uint32)  # 65535^2 + 32767 just fits
    blend = (photo.pixels * alpha + white * (white - alpha) + white // 2) // white
    return blend.astype(photo.pixels.dtype)


def to_8_bits(levels: Array) -> Array:
    """Convert levels from 0..65535 to 0..255, rounded; 8-bit levels are unchanged."""
    return levels if levels.dtype == np.uint8 else ((levels.astype(np.uint32) + 128) // 257).astype(np.uint8)


def continue_colours(pixels: Array, alpha: Array) -> Array:
    """Replace fully transparent pixels with the colours around them, so that enlarging does not mix in hidden colours.

    Each gets the mean of the visible pixels in the smallest square of 2x2, 4x4, 8x8, ... pixels that contains any.

    pixels, alpha   as in `Photo`

    >>> continue_colours(np.array([[[200], [0], [0]]], np.uint8), np.array([[255, 0, 0]], np.uint8))[..., 0]
    array([[200, 200, 200]], dtype=uint8)
    """
    visible = alpha > 0
    if visible.all() or not visible.any():
        return pixels
    filled = _means(np.dstack([pixels * visible[..., None], visible]).astype(np.float32)).round()
    return np.where(visible[..., None], pixels, filled.astype(pixels.dtype))


def _means(planes: Array) -> Array:
    """Divide planes[..., :-1], sums, by the last plane, counts; where that is 0, use the mean of a larger square."""
    (height, width, _), sums, counts = planes.shape, planes[..., :-1], planes[..., -1:]
    means = sums / np.maximum(counts, 1)
    if counts.all():
        return means
    even = np.pad(planes, ((0, height % 2), (0, width % 2), (0, 0)))
    squares = even.reshape(-(-height // 2), 2, -(-width // 2), 2, -1).sum(axis=(1, 3))
    larger = _means(squares).repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.where(counts > 0, means, larger)
