"""The models in the box are as good as their cards say."""

from __future__ import annotations

import functools
from pathlib import Path

import numpy as np
import pytest

from minisrgan.images import detail, psnr, read_image
from minisrgan.inference import upscale
from minisrgan.inference.evaluate import Score, average
from minisrgan.inference.measures import Texture
from minisrgan.weights import load_generator
from tests.paths import SHARED, needs_shared

# A set, and whether VGG19 compares the pictures too: that takes longer than all else together.
SETS = [("Set5", False), *(pytest.param(name, True, marks=pytest.mark.slow) for name in ("Set5", "Set14"))]


@functools.cache
def pictures(name: str) -> list[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Return of each photo of a set the original, and what each method makes of the small one; made once."""
    models = {model: load_generator(model) for model in ("srresnet", "srgan")}
    found = []
    for path in sorted(Path(SHARED, "data", name, "HR").iterdir()):
        low = read_image(next(Path(SHARED, "data", name, "LRx4").glob(f"{path.stem}.*")))
        made = {model: upscale(generator, low) for model, generator in models.items()}
        found.append((read_image(path), made))
    return found


@needs_shared("data/Set5")
def test_srresnet_is_better_than_the_small_networks_before_it() -> None:
    """Set5: SRCNN has 30.07 dB, ESPCN 30.76 (SRGAN, table 2); the bar for the box is 31.5; it has 31.5003.

    Processors round differently, hence 31.49.
    """
    assert np.mean([psnr(made["srresnet"], original) for original, made in pictures("Set5")]) >= 31.49


# What the SRGAN in the box is to reach on each set; ``missed`` says by what its card owns up to falling short.
BARS = {
    "top_octave": (0.40, 9.0), "detail": (0.78, 1.2), "grid_4": (0.0, 1.15), "grid_2": (0.0, 1.15),
    "psnr": (28.5, 99.0), "vgg_54": (0.0, 32.0),
    "shift_red": (-1.5, 1.5), "shift_green": (-1.5, 1.5), "shift_blue": (-1.5, 1.5),
}  # fmt: skip
SET14 = BARS | {"detail": (0.65, 1.2), "psnr": (26.0, 99.0), "vgg_54": (0.0, 34.5), "niqe": (0.0, 4.8)}
MISSED = {"Set5": ("vgg_54",), "Set14": ("grid_2", "vgg_54")}


@needs_shared("data/Set5", "data/Set14", "weights/vgg19_caffe_conv.npz", "weights/niqe_parameters.npz")
@pytest.mark.parametrize(("name", "with_vgg"), SETS)
def test_srgan_has_texture_and_neither_grid_nor_tint(
    name: str, with_vgg: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What SRGAN is for, by the measures of docs/measures.md; a lattice or a tint costs no PSNR and hardly any VGG.

    A bar that is missed must be named in MISSED, and one that is named and met must be taken out: the card says which.
    """
    monkeypatch.setenv("MINISRGAN_CACHE", str(tmp_path))  # no VGG19 but the one that is named
    folder = SHARED / "weights"
    measures = Texture(folder / "vgg19_caffe_conv.npz" if with_vgg else None, folder / "niqe_parameters.npz")
    found = [
        Score(psnr(made["srgan"], original), 0.0, **measures.measure({"srgan": made["srgan"]}, original)["srgan"])
        for original, made in pictures(name)
    ]
    mean = average(found)
    measured = {key: bar for key, bar in (SET14 if name == "Set14" else BARS).items() if with_vgg or key != "vgg_54"}
    missed = [key for key, (low, high) in measured.items() if not low <= getattr(mean, key) <= high]
    assert missed == [key for key in MISSED[name] if key in measured], {key: getattr(mean, key) for key in measured}


@needs_shared("data/Set5")
def test_srgan_looks_different_from_srresnet() -> None:
    """The SRGAN that was in the box before could not be told from its SRResNet: 0.30 of the detail, and 0.29."""
    for original, made in pictures("Set5"):
        assert detail(made["srgan"], original) > 1.5 * detail(made["srresnet"], original)
