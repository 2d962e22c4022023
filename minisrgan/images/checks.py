"""Check that an array is an image, ``(H, W)`` or ``(H, W, C)``, before it is used."""

import numpy as np

from minisrgan.backend import Array
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
    if not isinstance(image, np.ndarray):
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
