"""Evaluate enlargements by the protocol of the SRGAN paper: pairs of photographs, methods, scores.

The original is cropped to a multiple of the scale. PSNR and SSIM omit `scale` pixels at each border. The low-resolution
photograph is read from a file, or made by our own bicubic.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from minisrgan.backend import Array
from minisrgan.errors import ConfigError, DataError, ImageError
from minisrgan.images import imresize, list_images, nearest, psnr, read_image, ssim
from minisrgan.images.resize import Border
from minisrgan.inference.folders import RECORD, Record
from minisrgan.inference.measures import Texture
from minisrgan.inference.upscale import upscale
from minisrgan.models import Generator
from minisrgan.weights import load_generator

Grey = Literal["y", "rgb"]
Method = Callable[[Array], Array]  # low-resolution photo -> photo `scale` times larger


@dataclass(frozen=True)
class Score:
    """The measurements of an enlargement; None stands for what was not measured, or what a paper does not report.

    psnr, ssim_daala, ssim_wang     of the luminance, PSNR in dB: see `minisrgan.images`
    seconds, megapixels             the time of enlarging, and the size of the result
    all others                      how natural the texture is: see `minisrgan.inference.measures`
    """

    psnr: float
    ssim_daala: float
    ssim_wang: float | None = None
    seconds: float | None = None
    megapixels: float | None = None
    detail: float | None = None
    top_octave: float | None = None
    grid_4: float | None = None
    grid_2: float | None = None
    local_grid_4: float | None = None
    local_grid_2: float | None = None
    shift_red: float | None = None
    shift_green: float | None = None
    shift_blue: float | None = None
    vgg_54: float | None = None
    niqe: float | None = None

    @property
    def pace(self) -> float | None:
        """Return the seconds per megapixel of output."""
        return (self.seconds or 0) / self.megapixels if self.megapixels else None

    @property
    def shift(self) -> float | None:
        """Return the colour shift with the largest absolute value of the three channels."""
        known = [s for s in (self.shift_red, self.shift_green, self.shift_blue) if s is not None]
        return max(known, key=abs, default=None)


_SUMS = ("seconds", "megapixels")
_RATIOS = ("detail", "top_octave", "grid_4", "grid_2", "local_grid_4", "local_grid_2")


@dataclass(frozen=True)
class Pair:
    """A photograph, its path without suffix as its name, and the file of its low-resolution version if there is one."""

    name: str
    high: Path
    low: Path | None = None


def load_methods(
    models: Sequence[Path], scale: int | None = None, border: Border = "replicate", device: str = "cpu"
) -> tuple[int, dict[str, Method]]:
    """Return the scale and the methods that enlarge by it: nearest, bicubic, and one for each file of a generator.

    scale    by default that of the models, and 4 without models
    border   how bicubic continues the image beyond its border, see `minisrgan.images.imresize`
    Returns  (scale, methods); a model has the name of its file, with as many folders as are needed to tell models apart
    Errors   ConfigError if the scales differ or a file is named twice; WeightsError for a file that is no generator

    >>> scale, methods = load_methods([])
    >>> scale, [(name, method(np.zeros((2, 3), np.uint8)).shape) for name, method in methods.items()]
    (4, [('nearest', (8, 12)), ('bicubic', (8, 12))])
    """
    names = _names_of(models)
    generators = {name: load_generator(path).to(device) for name, path in zip(names, models, strict=True)}
    scales = {name: generator.scale for name, generator in generators.items()} | ({"--scale": scale} if scale else {})
    if len(set(scales.values())) > 1:
        told = ", ".join(f"{name}: {factor}" for name, factor in scales.items())
        raise ConfigError("load_methods", expected="one scale", got=told, fix="run once for each scale")
    factor = next(iter(scales.values()), 4)
    plain = {"nearest": partial(nearest, factor=factor), "bicubic": partial(imresize, scale=factor, border=border)}
    return factor, {**plain, **{name: partial(_enlarge, generator) for name, generator in generators.items()}}


def _names_of(models: Sequence[Path]) -> list[str]:
    """Return the shortest ends of the paths that differ from each other and from the other names in a table."""
    parts = [path.with_suffix("").parts for path in models]
    for length in range(1, max(map(len, parts), default=1) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len({*names, "nearest", "bicubic", "original"}) == len(names) + 3:
            return names
    told = ", ".join(map(str, models))
    raise ConfigError("load_methods", expected="models of different names", got=told, fix="name each once or rename it")


def _enlarge(generator: Generator, low: Array) -> Array:
    """Upscale RGB, or grey (H, W), which the generator sees as three equal channels (`upscale`)."""
    return upscale(generator, low) if low.ndim == 3 else upscale(generator, low[..., None])[..., 0]


def find_pairs(
    folder: Path, scale: int, lr: Path | None = None, *, own: bool = False,
    skipped: dict[Path, str] | None = None, lacking: dict[str, DataError] | None = None,
) -> list[Pair]:  # fmt: skip
    """Find the photographs of a folder, and their low-resolution files.

    folder   originals, also in its subfolders; or the folder of a data set that contains HR and, for example, LRx4
    lr       low-resolution files with the same names, or with x4 or _x4 after them; any suffix
    own      ignore LRx4, as low-resolution photographs are to be made by our bicubic
    skipped  filled with what is left out, path -> reason: see `minisrgan.images.list_images`; and the results of
             minisrgan upscale that are among the originals
    lacking  filled with the photographs without a file in lr, name -> error; if it is None, the error is raised
    Errors   ImageError for a folder that is missing or empty; DataError for a photograph without its file in lr, and
             if all images are results of minisrgan upscale
    """
    if (folder / "HR").is_dir():
        ready = folder / f"LRx{scale}"
        lr = lr or (ready if ready.is_dir() and not own else None)
        folder = folder / "HR"
    lows: dict[str, Path] = {}
    for path, whole, name in _named(lr) if lr else ():  # sorted, so that the exact name comes first
        for key in (whole, name, name.removesuffix(f"_x{scale}"), name.removesuffix(f"x{scale}")):
            lows.setdefault(key, path)
    pairs: dict[str, Pair] = {}
    left_out = {} if skipped is None else skipped
    originals = _named(folder, left_out)
    records = [Record(path.parent) for path in left_out if path.name == RECORD]
    for path, whole, name in originals:
        if any(path in record for record in records):
            left_out[path] = "a result of minisrgan upscale"
            continue
        low = lows.get(whole) or lows.get(name)
        if lr and not low:
            told, fix = f"a file named {name}, {name}x{scale} or {name}_x{scale} in {lr}", "rename or add it"
            error = DataError("find_pairs", expected=told, got=f"none for {path}", fix=fix)
            if lacking is None:
                raise error
            lacking[whole] = error
            continue
        name = whole if name in pairs else name  # a.jpg beside a.png
        pairs[name] = Pair(name, path, low)
    if not pairs and not lacking:
        got, fix = f"only results of minisrgan upscale in {folder}", "give the folder of the photographs"
        raise DataError("find_pairs", expected="original photographs", got=got, fix=fix)
    return list(pairs.values())


def _named(folder: Path, skipped: dict[Path, str] | None = None) -> list[tuple[Path, str, str]]:
    """Return the images of a folder: for each its path, its path inside the folder, and the latter without suffix."""
    inside = [(path, path.relative_to(folder)) for path in list_images(folder, skipped)]
    return [(path, name.as_posix(), name.with_suffix("").as_posix()) for path, name in inside]


def read_pair(pair: Pair, scale: int, border: Border = "replicate", grey: Grey = "y") -> tuple[Array, Array]:
    """Read (low, original); the original is cropped to a multiple of the scale; without a low file, bicubic makes low.

    grey    "y" keeps a grey photograph as (H, W), whose levels are used as luminance; "rgb" converts it to RGB
    Errors  ImageError for files that cannot be read, are too small to measure, or do not fit each other
    """
    high = read_original(pair.high, scale, grey)
    if pair.low is None:
        return imresize(high, 1 / scale, border), high
    low = read_image(pair.low)
    if (low.shape[0] * scale, low.shape[1] * scale) != high.shape[:2]:
        told = f"{pair.high}, which is {_size(high)} in multiples of {scale}, {scale} times smaller"
        got, fix = f"{pair.low}: {_size(low)}", "are they of the same set and scale? Without them, bicubic makes them"
        raise ImageError("evaluate", expected=told, got=got, fix=fix)
    return (low.mean(axis=2).astype(np.uint8) if high.ndim == 2 else low), high  # a mean of three equal channels


def read_original(path: Path, scale: int, grey: Grey = "rgb") -> Array:
    """Read a photograph, cropped to a multiple of the scale; ImageError also for one that is too small to measure."""
    photo, smallest = whole_pixels(read_image(path, keep_grey=grey == "y"), scale), 11 + 2 * scale  # SSIM's window
    if min(photo.shape[:2]) < smallest:
        told, got = f"at least {smallest} x {smallest} pixels, in multiples of {scale}", f"{path}: {_size(photo)}"
        raise ImageError("evaluate", expected=told, got=got, fix="leave this photo out, or take a larger one")
    return photo


def whole_pixels(photo: Array, scale: int) -> Array:
    """Crop the right and bottom to a multiple of the scale, so that shrinking and enlarging give the same size.

    >>> whole_pixels(np.zeros((9, 7, 3), np.uint8), 4).shape
    (8, 4, 3)
    """
    height, width = photo.shape[:2]
    return photo[: height // scale * scale, : width // scale * scale]


def _size(image: Array) -> str:
    return f"{image.shape[1]} x {image.shape[0]}"


def judge(
    low: Array, original: Array, methods: Mapping[str, Method], scale: int, texture: Texture | None = None
) -> tuple[dict[str, Array], dict[str, Score]]:
    """Enlarge a photograph by every method and measure the results; PSNR and SSIM omit `scale` pixels at each border.

    texture  adds its measures, and the score of the original itself
    Returns  (pictures, scores), both by the names of the methods

    >>> ramp = np.arange(0, 256, 4, dtype=np.uint8).reshape(1, 64).repeat(64, axis=0)
    >>> pictures, scores = judge(imresize(ramp, 1 / 4), ramp, load_methods([])[1], 4)
    >>> {method: round(score.psnr, 2) for method, score in scores.items()}
    {'nearest': 35.12, 'bicubic': 62.6}
    """
    pictures, scores = {}, {}
    for method, enlarge in methods.items():
        start = time.perf_counter()
        picture = pictures[method] = enlarge(low)
        seconds, megapixels = time.perf_counter() - start, picture.shape[0] * picture.shape[1] / 1e6
        daala, wang = (ssim(picture, original, scale, which) for which in ("daala", "wang"))
        scores[method] = Score(psnr(picture, original, scale), daala, wang, seconds, megapixels)
    if texture:
        scores["original"] = Score(math.inf, 1.0, 1.0)
        found = texture.measure(pictures | {"original": original}, original)
        scores = {name: replace(score, **found[name]) for name, score in scores.items()}
    return pictures, scores


def average(scores: Sequence[Score]) -> Score:
    """Return the mean of each measure over the photographs that have it; each photograph counts once.

    Ratios to the original or to a neighbourhood have a geometric mean; seconds and megapixels are added up.

    >>> mean = average([Score(20.0, 0.5, seconds=1.0, detail=0.25), Score(30.0, 0.75, seconds=2.0, detail=1.0)])
    >>> mean.psnr, mean.ssim_daala, mean.ssim_wang, mean.seconds, mean.detail
    (25.0, 0.625, None, 3.0, 0.5)
    """
    means = {}
    for field in fields(Score):
        values = np.array([value for score in scores if (value := getattr(score, field.name)) is not None])
        if field.name in _SUMS:
            means[field.name] = float(values.sum())
        elif len(values):
            mean = np.prod(values ** (1 / len(values))) if field.name in _RATIOS else values.mean()
            means[field.name] = float(mean)
    return Score(**means)
