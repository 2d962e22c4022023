"""The measures of texture: on photographs as published, and on pictures whose spectrum is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from minisrgan.errors import ArgumentError, DTypeError, ShapeError
from minisrgan.images import colour_shift, detail, grid, imresize, local_grid, nearest, read_image, top_octave
from minisrgan.inference import upscale
from minisrgan.weights import load_generator
from tests.paths import SHARED, needs_shared

Enlarge = Callable[[np.ndarray], np.ndarray]

# detail, top octave, grid at 4 and at 2, local grid at 4 and at 2: geometric means over the set.
TABLE = {
    ("Set5", "nearest"): (0.994, 1.581, 0.317, 0.331, 0.987, 1.070),
    ("Set5", "bicubic"): (0.166, 0.002, 0.433, 0.831, 0.459, 0.943),
    ("Set5", "original"): (1.000, 1.000, 1.010, 0.896, 0.866, 0.793),
    ("Set5", "SRResNet"): (0.457, 0.126, 1.013, 2.603, 0.689, 1.147),
    ("Set14", "nearest"): (0.656, 0.635, 0.241, 0.238, 0.781, 0.792),
    ("Set14", "bicubic"): (0.116, 0.001, 0.877, 1.004, 0.537, 0.974),
    ("Set14", "original"): (1.000, 1.000, 1.016, 0.938, 0.986, 0.778),
    ("Set14", "SRResNet"): (0.374, 0.112, 0.990, 1.795, 0.782, 1.270),
}


def geometric_means(name: str, enlarge: Enlarge | None) -> list[float]:
    """Measure a set of photographs, or what a method makes of their small versions."""
    found = []
    for path in sorted((SHARED / "data" / name / "HR").iterdir()):
        original = read_image(path, keep_grey=True)
        picture = enlarge(read_image(path.parents[1] / "LRx4" / path.name, keep_grey=True)) if enlarge else original
        grids = [measure(picture, period) for measure in (grid, local_grid) for period in (4, 2)]
        found.append([detail(picture, original), top_octave(picture, original), *grids])
    return np.exp(np.log(found).mean(axis=0)).tolist()


# Of Set14 the originals alone: a grey photo, large flat areas, sides that 4 does not divide.
FIGURES = [key for key in TABLE if key[1] != "SRResNet"]
SLOW_FIGURES = [("Set14", "nearest"), ("Set14", "bicubic")]


@needs_shared("data/Set5", "data/Set14")
@pytest.mark.parametrize(
    ("name", "method"), [pytest.param(*key, marks=[pytest.mark.slow] * (key in SLOW_FIGURES)) for key in FIGURES]
)
def test_figures_of_the_sets(name: str, method: str) -> None:
    """Another kernel, window, width of line or neighbourhood, or a plain mean, and no figure compares with another."""
    enlarge = {"nearest": lambda low: nearest(low, 4), "bicubic": lambda low: imresize(low, 4), "original": None}
    assert geometric_means(name, enlarge[method]) == pytest.approx(TABLE[name, method], abs=6e-4)


@pytest.mark.slow
@needs_shared("data/Set5", "data/Set14", "weights/srresnet_krasserm.npz")
@pytest.mark.parametrize("name", ["Set5", "Set14"])
def test_figures_of_a_published_srresnet(name: str) -> None:
    """No grid of 4 pixels and a faint one of 2; float sums differ between machines, and round some pixels otherwise."""
    generator = load_generator(SHARED / "weights" / "srresnet_krasserm.npz")

    def enlarge(low: np.ndarray) -> np.ndarray:
        return upscale(generator, low) if low.ndim == 3 else upscale(generator, low[..., None])[..., 0]

    assert geometric_means(name, enlarge) == pytest.approx(TABLE[name, "SRResNet"], abs=2e-3)


def noise(height: int, width: int, deviation: float = 10, seed: int = 0) -> np.ndarray:
    """Return grey noise around 128: a flat spectrum of energy deviation^2 a pixel."""
    values = np.random.default_rng(seed).normal(128, deviation, (height, width))
    return np.round(values).clip(0, 255).astype(np.uint8)


def add(picture: np.ndarray, *layers: np.ndarray) -> np.ndarray:
    """Add to a picture, and round."""
    return np.round(picture + sum(layers)).clip(0, 255).astype(np.uint8)


def lattice(shape: tuple[int, ...], axis: int, period: int, amplitude: float) -> np.ndarray:
    """Return a wave of the period along an axis."""
    return amplitude * np.cos(2 * np.pi * np.indices(shape)[axis] / period)


@pytest.mark.parametrize("period", [4, 2])
@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
@pytest.mark.parametrize("shape", [(256, 320), (254, 319)])
def test_grid_is_the_energy_of_the_line(shape: tuple[int, int], axes: tuple[int, ...], period: int) -> None:
    """Periods exchanged, an axis forgotten, magnitudes for energies, a line lost where 4 does not divide the size.

    In noise of variance v, a wave of amplitude a has n a^2 / (6 v) times the noise's energy in its own bin, and a
    quarter of that in either bin beside it: sums of Hann's sin^2 and sin^4. The wave of period 2 has no phase, and four
    times as much. Over 5 bins the mean is 3/10 of it, and a line that lies between two bins has the same sum.
    """
    amplitude = 6 if period == 4 else 3
    waves = [lattice(shape, axis, period, amplitude) for axis in axes]
    measured = grid(add(noise(*shape), *waves), period)
    excess = [0.3 * shape[axis] * 36 / (6 * 100) for axis in axes]
    assert measured == pytest.approx(1 + sum(excess) / 2, rel=0.1)
    assert grid(add(noise(*shape), *waves), 6 - period) == pytest.approx(1, abs=0.15)
    assert grid(noise(*shape), period) == pytest.approx(1, abs=0.1)


def test_grid_is_not_covered_up_by_the_borders() -> None:
    """From one border to the opposite one a ramp has a step, which without a window has energy at every frequency."""
    wave, ramp = lattice((256, 256), 1, 4, 3), np.linspace(-100, 100, 256)[None, :]
    plain, on_a_ramp = (grid(add(noise(256, 256, 2), wave, layer)) for layer in (np.zeros((1, 256)), ramp))
    assert plain > 5
    assert on_a_ramp == pytest.approx(plain, rel=0.1)


def test_grid_is_not_hidden_by_stripes_beside_it() -> None:
    """A fabric whose period is nearly 4 in the neighbourhood: with the mean in the median's place it is the measure."""
    wave, stripes = lattice((256, 256), 1, 4, 6), lattice((256, 256), 1, 256 / 54, 40)
    plain, striped = (grid(add(noise(256, 256), wave, layer)) for layer in (np.zeros((256, 256)), stripes))
    assert plain > 1.8
    assert striped == pytest.approx(plain, rel=0.1)


def test_local_grid_looks_where_it_is_smooth() -> None:
    """A faint grid in a sky drowns in the energy of a meadow; a meadow may have any structure of its own."""
    rough, smooth = noise(256, 384, 50), noise(256, 128, 1)
    both = np.concatenate([rough, smooth], axis=1)
    wave = lattice(both.shape, 1, 4, 1)
    sky, meadow = wave * (np.arange(512) >= 384), 30 * wave * (np.arange(512) < 384)
    assert grid(add(both, sky)) == pytest.approx(1, abs=0.1)
    # 64 pixels, 3 bins: 0.5 * 64 / 6 = 5.3 for each unit of a^2 / v; v is 1 of the noise and 1/12 twice of rounding.
    assert local_grid(add(both, sky)) == pytest.approx(1 + 5.33 / (1 + 1 / 6) / 2, rel=0.1)
    assert local_grid(add(both, sky), 2) == pytest.approx(1, abs=0.1)
    assert local_grid(add(both, meadow)) == pytest.approx(1, abs=0.1)
    assert local_grid(add(both.T, sky.T)) == pytest.approx(local_grid(add(both, sky)), rel=1e-6)


def test_local_grid_takes_a_quarter_of_the_tiles() -> None:
    """The smoothest tile alone, or all of them."""
    deviations = (2, 4, 8, 16, 32, 64, 64, 64)
    tiles = np.concatenate([noise(64, 64, deviation) for deviation in deviations], axis=1)
    tile = np.arange(512) // 64
    first, second, third = (
        local_grid(add(tiles, lattice(tiles.shape, 1, 4, deviations[number]) * (tile == number))) for number in range(3)
    )
    clean = local_grid(tiles)
    # a^2 is v: each tile has 1 + 5.33 / 2, and the geometric mean of two its root.
    assert (first / clean, second / clean) == pytest.approx((1.9, 1.9), abs=0.2)
    assert third == pytest.approx(clean, rel=1e-6)


def test_flat_pictures() -> None:
    """Divisions by zero with warnings; a rounding error of one level that reads as a grid of any height."""
    flat, photo = np.full((128, 192, 3), 77, np.uint8), noise(128, 192)
    assert np.isnan([detail(flat, flat), top_octave(flat, flat), grid(flat)]).all()
    assert [local_grid(flat), local_grid(flat, 2)] == [1, 1]
    assert (detail(flat[..., 0], photo), top_octave(flat[..., 0], photo)) == (0, 0)


def test_detail_is_the_laplacian_of_four_neighbours() -> None:
    """For a wave along one axis |L| is 2 - 2 cos(w); with eight neighbours, or a first difference, it is another."""
    base = np.full((64, 64), 128, np.uint8)
    coarse, fine = (add(base, lattice((64, 64), 1, period, 100)) for period in (8, 4))
    diagonal = add(base, 100 * np.cos(np.indices((64, 64)).sum(axis=0) * np.pi / 2))
    assert detail(coarse, fine) == pytest.approx((2 - np.sqrt(2)) / 2, abs=0.005)
    assert detail(diagonal, fine) == pytest.approx(2, abs=0.1)


def test_top_octave_ends_at_both_sides() -> None:
    """Coarser frequencies hold nearly all energy of a photograph; the corners beyond 0.5 are no octave."""
    fine = lattice((120, 120), 0, 3, 20)
    coarse, corner = lattice((120, 120), 1, 5, 60), lattice((120, 120), 0, 2, 1) * lattice((120, 120), 1, 2, 30)
    base = np.full((120, 120), 128, np.uint8)
    original = add(base, fine)
    assert top_octave(add(base, fine, coarse, corner), original) == pytest.approx(1, abs=0.02)
    assert top_octave(add(base, fine / 2, coarse, corner), original) == pytest.approx(0.25, abs=0.02)


def test_colour_shift_is_signed_and_by_channel() -> None:
    """Channels exchanged, absolute values of pixels, uint8 that wraps around."""
    photo = np.stack([noise(40, 50, seed=seed) for seed in range(3)], axis=2)
    assert colour_shift(photo + np.array([1, 255, 4], np.uint8), photo).tolist() == [1, -1, 4]
    assert colour_shift(photo[..., 0] - np.uint8(2), photo[..., 0]).tolist() == [-2]
    swapped = photo.copy()
    swapped[:20] += np.uint8(3)
    swapped[20:] -= np.uint8(3)
    assert colour_shift(swapped, photo).tolist() == [0, 0, 0]


def test_errors() -> None:
    """A picture too small for the neighbourhood, pictures that do not fit, a period that no shuffle leaves."""
    photo = noise(64, 70)
    for measure in (grid, local_grid):
        assert measure(photo) > 0
        with pytest.raises(ShapeError, match="at least 64 pixels a side"):
            measure(photo[:63])
        for period in (3, 0, 4.5):
            with pytest.raises(ArgumentError, match="period of 2 or 4"):
                measure(photo, period)  # type: ignore[arg-type]
        with pytest.raises(DTypeError, match="float64"):
            measure(photo / 255)
    for measure in (detail, top_octave, colour_shift):
        with pytest.raises(ShapeError, match=r"\(64, 70\)"):
            measure(photo[1:], photo)
        with pytest.raises(DTypeError, match="float64"):
            measure(photo / 255, photo / 255)
