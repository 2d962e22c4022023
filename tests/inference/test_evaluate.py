"""The protocol behind `minisrgan evaluate`: which files belong together, what is measured, which set it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from minisrgan.errors import ConfigError, DataError, ImageError
from minisrgan.images import imresize, nearest, psnr, read_image, ssim, write_image
from minisrgan.inference.evaluate import (
    Method,
    Pair,
    Score,
    average,
    find_pairs,
    judge,
    load_methods,
    read_pair,
    whole_pixels,
)
from minisrgan.inference.known_sets import PAPER, photo_digest, recognise
from minisrgan.models import Generator
from minisrgan.weights import save_model
from tests.paths import SHARED, needs_shared

# FACTS.md's measured table: PSNR, SSIM of Daala, SSIM of Wang.
MEASURED = {
    "Set5": {"nearest": (26.258, 0.7539, 0.7380), "bicubic": (28.430, 0.8201, 0.8111)},
    "Set14": {"nearest": (24.646, 0.7093, 0.6533), "bicubic": (25.997, 0.7481, 0.7029)},
}


@dataclass
class Judged:
    """What becomes of a photograph: its name, itself, the enlargements and their scores."""

    name: str
    original: np.ndarray
    pictures: dict[str, np.ndarray]
    scores: dict[str, Score]


def evaluate(pairs: list[Pair], methods: Mapping[str, Method], scale: int, *how: str) -> Iterator[Judged]:
    """Read and judge one pair after another, as the command does."""
    for pair in pairs:
        low, original = read_pair(pair, scale, *how)
        yield Judged(pair.name, original, *judge(low, original, methods, scale))


def photo(height: int = 50, width: int = 70, *, grey: bool = False, seed: int = 0) -> np.ndarray:
    """Return a smooth picture with some noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), dtype=np.uint8)
    picture = imresize(coarse, 8)[:height, :width]
    return picture[..., 0].copy() if grey else picture


def tiny(path: Path, scale: int = 4, seed: int = 0) -> Path:
    """Save a small generator that adds some error of its own to nearest."""
    generator = Generator(scale, channels=4, blocks=1, rng=np.random.default_rng(seed)).start_as_nearest()
    generator.conv_last.weight.data[4, 4] *= np.float32(0.9)
    save_model(path, generator)
    return path


@pytest.mark.parametrize("name", MEASURED)
def test_measured_numbers_of_the_sets(name: str) -> None:
    """Another luminance, crop, bicubic or SSIM, and no number compares with any paper."""
    if not (SHARED / "data" / name).exists():
        pytest.skip(f"needs ../shared/data/{name}")
    _, methods = load_methods([])
    judged = list(evaluate(find_pairs(SHARED / "data" / name, 4), methods, 4))
    for method, (db, daala, wang) in MEASURED[name].items():
        score = average([one.scores[method] for one in judged])
        assert score.psnr == pytest.approx(db, abs=6e-4)
        assert (score.ssim_daala, score.ssim_wang) == pytest.approx((daala, wang), abs=6e-5)
        assert score.psnr == pytest.approx(PAPER[name][method].psnr, abs=0.011)
    assert recognise(photo_digest(one.original) for one in judged) == name
    assert recognise(photo_digest(one.original) for one in judged[1:]) is None


@needs_shared("data/Set14")
def test_grey_through_rgb_reads_higher() -> None:
    """Full-range luminance of a grey photo in studio range: 0.095 dB on the set that come from nowhere."""
    _, methods = load_methods([])
    pairs = find_pairs(SHARED / "data/Set14", 4)
    (index,) = [number for number, pair in enumerate(pairs) if pair.name == "bridge"]
    as_it_is, through_rgb = (
        next(evaluate(pairs[index : index + 1], methods, 4, "replicate", grey)).scores["bicubic"].psnr
        for grey in ("y", "rgb")
    )
    assert (through_rgb - as_it_is) / len(pairs) == pytest.approx(0.095, abs=1e-3)


@needs_shared("data/Set5")
def test_symmetric_border_is_newer_matlab_both_ways() -> None:
    """Shrunk with one border and enlarged with the other, the pictures are those of no MATLAB."""
    _, methods = load_methods([], border="symmetric")
    for one in evaluate(find_pairs(SHARED / "data/Set5", 4, own=True), methods, 4, "symmetric"):
        theirs = read_image(SHARED / "data/Set5/bicubic_x4" / f"{one.name}.png")
        assert np.array_equal(one.pictures["bicubic"], theirs), one.name


def test_scores_are_those_of_the_pictures(tmp_path: Path) -> None:
    """Numbers of one method in the row of another; low-resolution photos made otherwise than said."""
    original = photo()
    write_image(tmp_path / "photos/deep/a.png", original)
    model = tiny(tmp_path / "model.safetensors")
    scale, methods = load_methods([model])
    (one,) = evaluate(find_pairs(tmp_path / "photos", scale), methods, scale)
    assert one.name == "deep/a"
    cropped = original[:48, :68]
    low = imresize(cropped, 1 / 4)
    assert np.array_equal(one.original, cropped)
    assert list(one.pictures) == ["nearest", "bicubic", "model"]
    assert np.array_equal(one.pictures["nearest"], nearest(low, 4))
    assert np.array_equal(one.pictures["bicubic"], imresize(low, 4))
    assert psnr(one.pictures["model"], cropped) < psnr(nearest(low, 4), cropped) - 0.1
    for method, picture in one.pictures.items():
        score = one.scores[method]
        expected = (psnr(picture, cropped), ssim(picture, cropped), ssim(picture, cropped, method="wang"))
        assert (score.psnr, score.ssim_daala, score.ssim_wang) == expected
        assert score.megapixels == 48 * 68 / 1e6
        assert score.seconds is not None
        assert score.seconds > 0


def test_as_many_pixels_as_the_scale_are_cropped() -> None:
    """4 pixels at every scale: x2 papers crop 2, x8 would count borders that no method can know."""
    for scale in (2, 8):
        original = whole_pixels(photo(64, 64), scale)
        low = imresize(original, 1 / scale)
        score = judge(low, original, load_methods([], scale)[1], scale)[1]["nearest"]
        enlarged = nearest(low, scale)
        assert score.psnr == psnr(enlarged, original, crop=scale)
        assert score.ssim_wang == ssim(enlarged, original, scale, "wang")
        assert score.ssim_daala == ssim(enlarged, original, scale)


def test_a_model_sees_a_grey_photo_as_three_equal_channels(tmp_path: Path) -> None:
    """Otherwise grey photos fail, or are measured in another range than they are stored in."""
    write_image(tmp_path / "photos/a.png", photo(grey=True))
    save_model(tmp_path / "same.safetensors", Generator(4, channels=4, blocks=1).start_as_nearest())
    scale, methods = load_methods([tmp_path / "same.safetensors"])
    for grey, shape in (("y", (48, 68)), ("rgb", (48, 68, 3))):
        (one,) = evaluate(find_pairs(tmp_path / "photos", scale), methods, scale, "replicate", grey)
        assert one.pictures["same"].shape == shape
        assert np.array_equal(one.pictures["same"], one.pictures["nearest"])
    generator = Generator(4, channels=4, blocks=1).start_as_nearest()
    generator.conv_last.bias.data[:] = (1, -1, -1)  # red
    save_model(tmp_path / "red.safetensors", generator)
    red = load_methods([tmp_path / "red.safetensors"])[1]["red"](np.zeros((2, 2), np.uint8))
    assert np.unique(red).tolist() == [85]  # the mean of red, green and blue, as `minisrgan upscale` writes it


def test_equal_pictures_score_infinity() -> None:
    """A division by zero, or a large number in its place."""
    flat = np.full((32, 32, 3), 7, np.uint8)
    score = judge(flat[::4, ::4], flat, load_methods([])[1], 4)[1]["nearest"]
    assert score.psnr == math.inf
    assert score.ssim_daala == 1
    assert average([score, Score(20.0, 0.5, 0.5, 1.0, 1.0)]).psnr == math.inf


def test_ready_files_are_found_and_used(tmp_path: Path) -> None:
    """Low-resolution photos made here instead of the published ones differ where a set was shrunk otherwise."""
    published = np.full((12, 17, 3), 99, np.uint8)
    for name in ("a", "deep/b"):
        write_image(tmp_path / "set/HR" / f"{name}.png", photo())
    write_image(tmp_path / "set/LRx4/a.png", published)
    write_image(tmp_path / "set/LRx4/deep/b.bmp", published)
    write_image(tmp_path / "set/LRx2/a.png", published)
    pairs = find_pairs(tmp_path / "set", 4)
    assert [(pair.name, pair.low and pair.low.name) for pair in pairs] == [("a", "a.png"), ("deep/b", "b.bmp")]
    low, high = read_pair(pairs[0], 4)
    assert np.array_equal(low, published)
    assert np.array_equal(high, photo()[:48, :68])
    assert [pair.low for pair in find_pairs(tmp_path / "set", 4, own=True)] == [None, None]
    assert [pair.low for pair in find_pairs(tmp_path / "set/HR", 4)] == [None, None]
    assert find_pairs(tmp_path / "set/HR", 4, tmp_path / "set/LRx4") == pairs
    with pytest.raises(DataError, match=r"none for .*b\.png"):  # LRx2 lacks it
        find_pairs(tmp_path / "set", 2)


def test_names_with_the_scale_and_of_two_suffixes(tmp_path: Path) -> None:
    """DIV2K calls its files 0001x4.png; a.jpg beside a.png must neither share a low file nor a row."""
    highs, lows = ("1.png", "2.png", "a.jpg", "a.png"), ("1x4.png", "2_x4.png", "a.jpg", "a.png", "1x4x4.png")
    for path in (*(Path("HR", name) for name in highs), *(Path("low", name) for name in lows)):
        write_image(tmp_path / path, photo())
    found = {pair.name: pair.low.name for pair in find_pairs(tmp_path / "HR", 4, tmp_path / "low") if pair.low}
    assert found == {"1": "1x4.png", "2": "2_x4.png", "a": "a.jpg", "a.png": "a.png"}


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    """A x2 file beside a x4 original, or a photo without pixels to measure, in words that name the file."""
    write_image(tmp_path / "a.png", photo())
    write_image(tmp_path / "low.png", photo(25, 35))
    write_image(tmp_path / "small.png", photo(18, 40))
    with pytest.raises(ImageError, match=r"(?s)68 x 48.*low\.png: 35 x 25"):
        read_pair(Pair("a", tmp_path / "a.png", tmp_path / "low.png"), 4)
    with pytest.raises(ImageError, match=r"(?s)19 x 19.*small\.png: 40 x 16"):
        read_pair(Pair("small", tmp_path / "small.png"), 4)


def test_grey_and_rgb_files_of_one_pair(tmp_path: Path) -> None:
    """Set14's bridge is stored as grey here and as RGB there; both are the same photograph."""
    grey = photo(48, 48, grey=True)
    rgb = np.stack([grey] * 3, axis=2)
    low = imresize(grey, 1 / 4)
    for name, picture in {"g": grey, "c": rgb, "lg": low, "lc": np.stack([low] * 3, axis=2)}.items():
        write_image(tmp_path / f"{name}.png", picture)
    for high_name, low_name in (("g", "lc"), ("g", "lg"), ("c", "lg"), ("c", "lc")):
        pair = Pair("a", tmp_path / f"{high_name}.png", tmp_path / f"{low_name}.png")
        read_low, high = read_pair(pair, 4)
        assert read_low.ndim == high.ndim == (2 if high_name == "g" else 3)
        assert np.array_equal(read_low if read_low.ndim == 2 else read_low[..., 1], low)
    assert photo_digest(grey) == photo_digest(rgb)
    assert photo_digest(grey) != photo_digest(grey.T.copy())


def test_models_get_names_that_differ(tmp_path: Path) -> None:
    """Two runs each write srgan.safetensors: one row would replace the other."""
    paths = [tiny(tmp_path / run / f"{name}.safetensors") for run, name in (("a", "srgan"), ("b", "srgan"))]
    assert list(load_methods(paths)[1]) == ["nearest", "bicubic", "a/srgan", "b/srgan"]
    assert list(load_methods(paths[:1])[1]) == ["nearest", "bicubic", "srgan"]
    copy = tiny(tmp_path / "a/bicubic.safetensors")
    assert list(load_methods([copy])[1]) == ["nearest", "bicubic", "a/bicubic"]
    with pytest.raises(ConfigError, match="once"):
        load_methods([paths[0], paths[0]])


def test_one_scale_at_a_time(tmp_path: Path) -> None:
    """Bicubic x4 beside a model x2 compares nothing."""
    two, four = tiny(tmp_path / "two.safetensors", 2), tiny(tmp_path / "four.safetensors", 4)
    assert load_methods([two])[0] == 2
    assert load_methods([], 8)[0] == 8
    with pytest.raises(ConfigError, match="two: 2, four: 4"):
        load_methods([two, four])
    with pytest.raises(ConfigError, match="two: 2, --scale: 4"):
        load_methods([two], 4)
