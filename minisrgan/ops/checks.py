"""What the operations ask of their inputs before they compute, so that NumPy never has to complain three calls deep."""

from __future__ import annotations

from typing import Any

import numpy as np

from minisrgan.autograd import Operand, Scalar, Tensor, how_to_wrap
from minisrgan.backend import as_number, is_array
from minisrgan.errors import ArgumentError, DTypeError, ShapeError


def as_tensor(op: str, name: str, value: Any) -> Tensor:
    """Take a Tensor as it is, and an array as a Tensor."""
    if isinstance(value, Tensor):
        return value
    if not is_array(value):
        raise DTypeError(op, expected=f"a Tensor as {name}", got=type(value).__name__, fix=how_to_wrap(value))
    return Tensor(value)


def require_images(op: str, x: Any) -> Tensor:
    """Ask for a batch (N, H, W, C) with at least one image."""
    images = as_tensor(op, "a batch (N, H, W, C)", x)
    shape = images.shape
    if len(shape) != 4:
        fix = "add the batch axis: photo[None]" if len(shape) == 3 else "batches are (N, H, W, C)"
        raise ShapeError(op, expected="a batch of images (N, H, W, C)", got=f"{len(shape)} axes, {shape}", fix=fix)
    if 0 in shape:
        raise ShapeError(
            op, expected="at least one image of one pixel", got=str(shape), fix="this batch is empty; skip it"
        )
    return images


def require_channels(op: str, x: Any, channels: int, why: str) -> None:
    """Ask for a number of channels on the last axis."""
    shape = x.shape
    if shape[-1] == channels:
        return
    if len(shape) == 4 and shape[1] == channels:
        fix = "this looks like (N, C, H, W); batches are (N, H, W, C): x.transpose(0, 2, 3, 1)"
    elif channels == 3 and shape[-1] in (1, 4):
        fix = "make it RGB: repeat the channel of a grey photo three times, leave out the fourth of RGBA"
    elif shape[-1] == 3:
        fix = "batches are (N, H, W, C). This looks like the photo itself; did a layer before it get skipped?"
    else:
        fix = "batches are (N, H, W, C); compare the layer before with this one"
    raise ShapeError(
        op, expected=f"an input with {channels} channels on its last axis, since {why}", got=str(shape), fix=fix
    )


def require_integer(op: str, name: str, value: Any, least: int) -> None:
    """Ask for an integer that is not too small."""
    if not _is_integer(value) or value < least:
        raise ArgumentError(op, expected=f"{name} as an integer >= {least}", got=repr(value), fix="give one number")


def require_sizes(op: str, name: str, value: Any, least: int, count: int | None = None) -> tuple[int, ...]:
    """Ask for integers that are not too small, as a shape or a kernel size is; return them as a tuple."""
    good = isinstance(value, tuple | list) and count in (None, len(value))
    if not good or any(not _is_integer(n) or n < least for n in value):
        expected = f"{name} as a tuple of {'' if count is None else f'{count} '}integers >= {least}"
        raise ArgumentError(op, expected=expected, got=repr(value), fix="write it as (2, 3)")
    return tuple(int(n) for n in value)


def require_number(op: str, name: str, value: Any) -> Scalar:
    """Ask for a number and return it as Python's, which changes no dtype."""
    number = as_number(value)
    if not isinstance(number, int | float):
        fix = "give one number, the same for all elements"
        raise ArgumentError(op, expected=f"{name} as a number", got=type(value).__name__, fix=fix)
    return number


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def broadcast_shape(op: str, a: Operand, b: Operand) -> tuple[int, ...]:
    """Return the shape that two inputs broadcast to, or say which axis stands in the way."""
    shape_a, shape_b = getattr(a, "shape", ()), getattr(b, "shape", ())
    try:
        return np.broadcast_shapes(shape_a, shape_b)
    except ValueError:
        told = "shapes that agree from the last axis backwards, or are 1 there"
        fix = "reshape one of them; a number a channel is (C,), and meets the last axis of (N, H, W, C)"
        raise ShapeError(op, expected=told, got=f"{shape_a} and {shape_b}", fix=fix) from None


def normalized_axes(op: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """Return axes as a sorted tuple of numbers from 0, all of them for None."""
    axes = range(ndim) if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    known = all(_is_integer(a) and -ndim <= a < ndim for a in axes)
    if not known or len({a % ndim for a in axes}) != len(axes):
        raise ArgumentError(
            op, expected=f"different axes from {-ndim} to {ndim - 1}", got=str(axis), fix=f"the input has {ndim} axes"
        )
    return tuple(sorted(a % ndim for a in axes))
