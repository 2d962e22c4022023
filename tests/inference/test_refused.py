"""What upscaling, measuring and sampling refuse, instead of a black picture or a traceback of NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minisrgan.data import CropSampler
from minisrgan.errors import MinisrganError, NonFiniteError
from minisrgan.images import psnr
from minisrgan.inference import blend, upscale
from minisrgan.models import Generator

PHOTO = np.random.default_rng(0).integers(0, 256, (20, 24, 3), dtype=np.uint8)
SMALL = Generator(2, 4, 1).eval()
STATE = SMALL.state_dict()


def sampler(crop: Any = 8, scale: Any = 4) -> CropSampler:
    """A sampler of small crops."""
    return CropSampler({"a": PHOTO}, crop, scale, np.random.default_rng(0))


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda: upscale("srgan", PHOTO), "(?s)a Generator first.*str"),
        (lambda: upscale(Generator, PHOTO), "(?s)a Generator first.*load_generator"),
        (lambda: upscale(SMALL, np.ma.array(PHOTO, mask=True)), "(?s)uint8 RGB"),
        (lambda: upscale(SMALL, PHOTO, True), "tile True"),
        (lambda: upscale(SMALL, PHOTO, 8, overlap=1.5), r"overlap 1\.5"),
        (lambda: upscale(SMALL, PHOTO, 8, overlap="3"), "overlap '3'"),
        (lambda: upscale(SMALL, PHOTO, memory="1GB"), "(?s)memory in bytes.*1GB"),
        (lambda: upscale(SMALL, PHOTO, memory=float("nan")), "(?s)memory in bytes.*nan"),
        (lambda: blend(SMALL, STATE, 0.5), r"(?s)a dict of arrays.*state_dict\(\)"),
        (lambda: blend(STATE, "srgan", 0.5), "(?s)a dict of arrays.*str"),
        (lambda: blend(STATE, STATE, "0.5"), "(?s)ratio as a number.*str"),
        (lambda: psnr(np.ma.array(PHOTO, mask=True), PHOTO), "(?s)NumPy array.*MaskedArray"),
        (lambda: sampler(scale=0), "scale as an integer >= 1"),
        (lambda: sampler(crop=8.0), "crop as an integer >= 1"),
        (lambda: sampler().batch(0), "size as an integer >= 1"),
        (lambda: sampler().batch(1.5), "size as an integer >= 1"),
    ],
)
def test_what_is_refused(call: Callable[[], Any], expected: str) -> None:
    """Each of these ended in a traceback of NumPy, or did something else than it says."""
    with pytest.raises(MinisrganError, match=expected):
        call()


def test_a_tile_of_numpy_is_a_number() -> None:
    """A side computed by NumPy was refused, and True was a tile of one pixel."""
    np.testing.assert_array_equal(upscale(SMALL, PHOTO, np.int64(8)), upscale(SMALL, PHOTO, 8))


def test_a_result_of_nan_is_no_black_picture() -> None:
    """A network that has become NaN gave a black picture and a warning about a cast."""
    broken = Generator(2, 4, 1).eval()
    broken.conv_first.weight.data[...] = np.nan
    with pytest.raises(NonFiniteError, match=r"(?s)upscale.*NaN"):
        upscale(broken, PHOTO)
