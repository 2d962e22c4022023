"""Checks of the inputs of operations, made first, so that no error comes from deep inside of NumPy."""

from typing import Any

import numpy as np

from minisrgan.autograd import Operand, Tensor, how_to_wrap
from minisrgan.autograd.arguments import is_integer
from minisrgan.backend import is_array
from minisrgan.errors import ArgumentError, DTypeError, ShapeError


def as_tensor(op: str, name: str, value: Any) -> Tensor:
    """Return a Tensor unchanged, and an array as a Tensor."""
    if isinstance(value, Tensor):
        return value
    if not is_array(value):
        raise DTypeError(op, expected=f"a Tensor as {name}", got=type(value).__name__, fix=how_to_wrap(value))
    return Tensor(value)


def require_images(op: str, x: Any, name: str = "x") -> Tensor:
    """Check that x is a batch (N, H, W, C) with at least one image; return it as a Tensor."""
    images = as_tensor(op, name, x)
    shape = images.shape
    if len(shape) != 4:
        missing = {2: "add batch and channel axes: x[None, :, :, None]", 3: "add the batch axis: x[None]"}
        fix = missing.get(len(shape), "batches are (N, H, W, C)")
        raise ShapeError(op, expected="a batch of images (N, H, W, C)", got=f"{len(shape)} axes, {shape}", fix=fix)
    if 0 in shape:
        expected, fix = "at least one image of one pixel", "this batch is empty; skip it"
        raise ShapeError(op, expected=expected, got=str(shape), fix=fix)
    return images


def require_channels(op: str, x: Any, channels: int, why: str) -> None:
    """Check that the last axis has the given number of channels."""
    shape, unit = x.shape, "channels" if x.ndim == 4 else "features"
    if shape[-1] == channels:
        return
    fix = f"compare the layer before, which gives {shape[-1]} {unit}, with this one"
    if len(shape) == 4 and shape[1] == channels:
        fix = "this looks like (N, C, H, W); batches are (N, H, W, C): x.transpose(0, 2, 3, 1)"
    elif len(shape) == 4 and channels == 3 and shape[-1] == 1:
        fix = "repeat the channel of a grey photo: ops.broadcast_to(x, (*x.shape[:3], 3))"
    elif len(shape) == 4 and channels == 3 and shape[-1] == 4:
        fix = "leave out the fourth channel of RGBA: x[..., :3]"
    elif len(shape) == 4 and shape[-1] == 3:
        fix = "batches are (N, H, W, C). This looks like the photo itself; did a layer before it get skipped?"
    expected = f"an input with {channels} {unit} on its last axis, since {why}"
    raise ShapeError(op, expected=expected, got=str(shape), fix=fix)


def broadcast_shape(op: str, a: Operand, b: Operand) -> tuple[int, ...]:
    """Return the shape that two inputs broadcast to; the error names the axis that does not fit."""
    shape_a, shape_b = getattr(a, "shape", ()), getattr(b, "shape", ())
    try:
        return np.broadcast_shapes(shape_a, shape_b)
    except ValueError:
        expected = "shapes that agree from the last axis backwards, or are 1 there"
        short, long, name = (shape_a, shape_b, "a") if len(shape_a) < len(shape_b) else (shape_b, shape_a, "b")
        fix = "reshape one of them; a number a channel is (C,), and meets the last axis of (N, H, W, C)"
        if short == long[: len(short)] and len(short) < len(long):
            fix = f"let it meet the first axes: {name}[..., {', '.join(['None'] * (len(long) - len(short)))}]"
        raise ShapeError(op, expected=expected, got=f"{shape_a} and {shape_b}", fix=fix) from None


def normalized_axes(op: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """Return axes as a sorted tuple of numbers >= 0; None means all axes."""
    axes = range(ndim) if axis is None else axis if isinstance(axis, tuple | list) else (axis,)
    known = all(is_integer(a) and -ndim <= a < ndim for a in axes)
    if not known or len({a % ndim for a in axes}) != len(axes):
        expected, fix = f"different axes from {-ndim} to {ndim - 1}", f"the input has {ndim} axes"
        raise ArgumentError(op, expected=expected, got=str(axis), fix=fix)
    return tuple(sorted(a % ndim for a in axes))
