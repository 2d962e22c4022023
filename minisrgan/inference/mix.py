"""Two ways to better results without more training: averaging eight views, and blending two networks."""

from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from minisrgan.autograd.arguments import require_number
from minisrgan.autograd.checks import state_of
from minisrgan.backend import Array
from minisrgan.errors import ArgumentError, WeightsError

Margins: TypeAlias = tuple[tuple[int, int], tuple[int, int]]  # (top, bottom), (left, right)


def self_ensemble(
    enlarge: Callable[[Array, Margins], Array], image: Array, margins: Margins = ((0, 0), (0, 0))
) -> Array:
    """Return the mean of eight enlargements: of the image in four rotations, and of its mirror image in four.

    A network enlarges a rotated photograph slightly differently. In the mean of the results, rotated back, details on
    which all eight agree remain, and the others become weaker: a higher PSNR for eight times the work.

    enlarge  a function of a view of the image and the margins of that view; returns the enlargement without margins
    image    (H, W, C); the result does not include its margins
    Returns  float32 (scale * rows, scale * cols, C)
    Source   Timofte et al. 2016, Seven ways to improve example-based single image super resolution

    >>> self_ensemble(lambda view, margins: view * 2, np.array([[[1.0], [2.0]]], np.float32)).ravel()
    array([2., 4.], dtype=float32)
    """
    rows, cols = margins
    total: Array = 0
    for mirrored in (False, True):
        view, around = (image[:, ::-1], (rows, cols[::-1])) if mirrored else (image, (rows, cols))
        for turns in range(4):
            large = np.rot90(enlarge(np.rot90(view, turns), around), -turns)
            total = total + (large[:, ::-1] if mirrored else large)
            around = around[1][::-1], around[0]  # a quarter turn to the left: the right side becomes the top
    return total / 8


def blend(state_a: Mapping[str, Array], state_b: Mapping[str, Array], ratio: float) -> dict[str, Array]:
    """Interpolate the weights of two generators, such as SRGAN (for detail) and SRResNet (for fidelity).

    Formula  (1 - ratio) * a + ratio * b for every parameter and the running statistics of batch norm
    ratio    0 gives a, 1 gives b
    Errors   ArgumentError for a ratio outside 0..1; WeightsError that names the differences of two architectures, or
             for what is no dict of arrays, such as a module
    Source   Wang et al. 2018, arXiv 1809.00219 (ESRGAN), sec. 3.4

    >>> blend({"x": np.float32([0, 4])}, {"x": np.float32([1, 0])}, 0.25)
    {'x': array([0.25, 3.  ], dtype=float32)}
    """
    if not 0 <= require_number("blend", "ratio", ratio, switch=False) <= 1:
        raise ArgumentError("blend", expected="a ratio from 0 to 1", got=f"{ratio:g}", fix="0.3 takes 30 % of b")
    state_a, state_b = state_of("blend", state_a), state_of("blend", state_b)
    shapes = [{name: array.shape for name, array in state.items()} for state in (state_a, state_b)]
    different = sorted(dict(shapes[0].items() ^ shapes[1].items()))
    if different:
        first = [f"{name}: {' and '.join(str(each.get(name, 'none')) for each in shapes)}" for name in different[:3]]
        told = "two generators of one architecture: equal scale, channels and blocks"
        got = [*first, f"{len(different)} entries that differ in all"]
        fix = "blend srgan.safetensors with the srresnet.safetensors that it was trained from"
        raise WeightsError("blend", expected=told, got=got, fix=fix)
    return {name: (1 - ratio) * array + ratio * state_b[name] for name, array in state_a.items()}
