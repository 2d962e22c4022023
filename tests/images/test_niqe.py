"""NIQE: the figure of its authors' program, the fits behind it, and files that are not its parameters."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from minisrgan.errors import DTypeError, ShapeError, WeightsError
from minisrgan.images import imresize, niqe, read_image, read_natural
from minisrgan.images.niqe import Natural, fit
from tests.paths import SHARED, needs_shared

PARAMETERS = "weights/niqe_parameters.npz"
# Of any other parameters the distance is as good a test of the features, wherever the published ones are missing.
PLAIN: Natural = (np.zeros(36), np.eye(36))


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return noise on top of something coarser."""
    rng = np.random.default_rng(seed)
    coarse = imresize(rng.integers(60, 190, (height // 8 + 1, width // 8 + 1), dtype=np.uint8), 8)[:height, :width]
    return np.round(coarse + rng.normal(0, 8, (height, width))).clip(0, 255).astype(np.uint8)


@needs_shared(PARAMETERS, "data/Set14")
def test_baboon_has_the_published_figure() -> None:
    """5.72957338 by the authors' MATLAB program: another bicubic, border, scale or rounding shows."""
    baboon = read_image(SHARED / "data/Set14/HR/baboon.png")
    assert niqe(baboon, read_natural(SHARED / PARAMETERS)) == pytest.approx(5.72957338, abs=1e-6)


@needs_shared(PARAMETERS, "data/Set5", "data/Set14")
@pytest.mark.parametrize(
    ("name", "expected"), [("Set5", (8.357, 5.105)), pytest.param("Set14", (7.699, 4.841), marks=pytest.mark.slow)]
)
def test_figures_of_the_sets(name: str, expected: tuple[float, float]) -> None:
    """Bicubic and the originals. In ppt3 large areas are flat."""
    natural, found = read_natural(SHARED / PARAMETERS), []
    for path in sorted((SHARED / "data" / name / "HR").iterdir()):
        small = read_image(path.parents[1] / "LRx4" / path.name, keep_grey=True)
        found.append([niqe(p, natural) for p in (imresize(small, 4), read_image(path, keep_grey=True))])
    assert np.mean(found, axis=0).tolist() == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize("alpha", [0.7, 1.0, 2.0, 4.0])
@pytest.mark.parametrize(("left", "right"), [(1.0, 1.0), (0.5, 2.0), (3.0, 1.0)])
def test_the_fit_finds_the_distribution(alpha: float, left: float, right: float) -> None:
    """Sides exchanged, scales that are deviations, moments of another density."""
    rng, count = np.random.default_rng(0), 400_000
    # |x / scale|^alpha is gamma-distributed; a side has the share of its scale.
    sizes = rng.gamma(1 / alpha, size=count) ** (1 / alpha)
    x = np.where(rng.random(count) < left / (left + right), -left, right) * sizes
    fitted = [value.item() for value in fit(x.reshape(1, 500, 800))]
    mean = (right - left) * math.gamma(2 / alpha) / math.gamma(1 / alpha)
    assert fitted == pytest.approx([alpha, mean, left, right], rel=0.03, abs=0.02)


def test_parts_that_are_not_measured() -> None:
    """Blocks that are cut off at the border, windows that look beyond the part measured."""
    photo = picture(192, 288)
    larger = np.pad(photo, ((0, 95), (0, 40)), constant_values=200)
    assert niqe(larger, PLAIN) == niqe(photo, PLAIN)
    assert niqe(photo, PLAIN) != niqe(photo[:, ::-1], PLAIN) != pytest.approx(niqe(picture(192, 288, 1), PLAIN))


def test_flat_blocks_are_left_out() -> None:
    """What is flat has no distribution; rounding errors of 1e-14 in it have one, on each machine another."""
    photo = picture(192, 192)
    a_page, two_pages = (np.pad(photo, ((0, 0), (0, 96 * blocks)), constant_values=231) for blocks in (2, 3))
    assert niqe(a_page, PLAIN) == pytest.approx(niqe(two_pages, PLAIN), rel=1e-9)
    assert math.isnan(niqe(np.full((100, 200, 3), 231, np.uint8), PLAIN))


def test_a_single_block_does_not_vary() -> None:
    """A covariance of one value is 0 / 0."""
    assert 0 < niqe(picture(96, 96), PLAIN) < math.inf


def test_covariance_counts_half() -> None:
    """Of one block the distance is sqrt(2) times that in the covariance of good photographs alone."""
    mean, deviation = np.arange(36) / 36, np.arange(1, 37) / 10
    photo = picture(96, 96)
    one, four = (niqe(photo, (mean, np.diag(factor * deviation**2))) for factor in (1, 4))
    assert one == pytest.approx(2 * four)
    far = niqe(photo, (mean + 1000, np.eye(36)))
    assert far == pytest.approx(math.sqrt(2) * 1000 * 6, rel=0.01)


def test_errors() -> None:
    """A picture without a whole block, in the words of the size that is needed."""
    with pytest.raises(ShapeError, match=r"(?s)at least 96 pixels a side\n.*\(95, 300\)"):
        niqe(picture(95, 300), PLAIN)
    with pytest.raises(ShapeError, match="96 pixels a side"):
        niqe(picture(300, 95), PLAIN)
    with pytest.raises(DTypeError, match="float64"):
        niqe(picture(96, 96) / 255, PLAIN)


@needs_shared(PARAMETERS)
def test_published_parameters() -> None:
    """Shapes as the formula takes them."""
    mean, covariance = read_natural(SHARED / PARAMETERS)
    assert (mean.shape, covariance.shape) == ((36,), (36, 36))
    assert np.array_equal(covariance, covariance.T)


@pytest.mark.parametrize("kind", ["missing", "folder", "text", "cut", "other", "transposed", "nan", "words", "pickle"])
def test_files_that_are_no_parameters(kind: str, tmp_path: Path) -> None:
    """Each is one error that names the file and the command that gets the right one; nothing is unpickled."""
    path = tmp_path / "niqe.npz"
    arrays = {"mu_pris_param": np.zeros((1, 36)), "cov_pris_param": np.eye(36)}
    np.savez(path, **arrays)
    assert read_natural(path)[0].shape == (36,)
    match kind:
        case "missing":
            path.unlink()
        case "folder":
            path = tmp_path
        case "text":
            path.write_text("404: not found")
        case "cut":
            path.write_bytes(path.read_bytes()[:900])
        case "other":
            np.savez(path, weight=np.zeros((3, 3)))
        case "transposed":
            np.savez(path, **arrays | {"mu_pris_param": np.zeros((36, 1))})
        case "nan":
            np.savez(path, **arrays | {"cov_pris_param": np.full((36, 36), np.nan)})
        case "words":
            np.savez(path, **arrays | {"mu_pris_param": np.array([["a"] * 36])})
        case "pickle":
            np.savez(path, **arrays | {"mu_pris_param": np.array([[None] * 36], object)}, allow_pickle=True)
    with pytest.raises(WeightsError, match=r"(?s)niqe.*weights fetch niqe") as error:
        read_natural(path)
    assert str(path) in str(error.value)
