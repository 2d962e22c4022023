"""The models in the box are as good as their cards say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from minisrgan import Tensor, no_grad
from minisrgan.images import imresize, psnr, read_image
from minisrgan.inference import upscale
from minisrgan.inference.evaluate import Score, average
from minisrgan.inference.measures import Texture
from minisrgan.losses import VGGContent
from minisrgan.weights import load_generator, load_vgg19
from tests.paths import SHARED, needs_shared

SETS = ["Set5", pytest.param("Set14", marks=pytest.mark.slow)]


def pictures(name: str) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Walk over a set: the original, and what each method makes of the small photo."""
    models = {model: load_generator(model) for model in ("srresnet", "srgan")}
    for path in sorted(Path(SHARED, "data", name, "HR").iterdir()):
        low = read_image(next(Path(SHARED, "data", name, "LRx4").glob(f"{path.stem}.*")))
        made = {"bicubic": imresize(low, 4)} | {model: upscale(g, low) for model, g in models.items()}
        yield read_image(path), made


@needs_shared("data/Set5")
def test_srresnet_is_better_than_the_small_networks_before_it() -> None:
    """Set5: SRCNN has 30.07 dB, ESPCN 30.76 (SRGAN, table 2); the bar for the box is 30.8."""
    assert np.mean([psnr(made["srresnet"], original) for original, made in pictures("Set5")]) >= 30.8


@needs_shared("data/Set5", "data/Set14", "weights/vgg19_caffe_conv.npz")
@pytest.mark.parametrize("name", SETS)
def test_srgan_is_closer_in_features_than_bicubic_and_srresnet(name: str) -> None:
    """What SRGAN is for. By pixels it is further away than SRResNet: nothing else shows a failed second stage."""
    distance = VGGContent(load_vgg19(SHARED / "weights" / "vgg19_caffe_conv.npz", "5,4"))

    def batch(picture: np.ndarray) -> Tensor:
        return Tensor(picture[None].astype(np.float32) / np.float32(127.5) - 1)

    with no_grad():
        found = [
            [distance(batch(picture), batch(original)).item() for picture in made.values()]
            for original, made in pictures(name)
        ]
    bicubic, srresnet, srgan = np.mean(found, axis=0)
    print(f"\n{name}: bicubic {bicubic:.1f}, SRResNet {srresnet:.1f}, SRGAN {srgan:.1f}", end="")
    assert srgan < 0.95 * srresnet < 0.95 * bicubic


@pytest.fixture(scope="module", params=SETS)
def srgan(request: pytest.FixtureRequest) -> tuple[str, Score]:
    """Measure the texture of the SRGAN in the box: the set, and the averages over it."""
    found = [Texture().measure(made, original)["srgan"] for original, made in pictures(request.param)]
    return request.param, average([Score(0.0, 0.0, **measures) for measures in found])


@needs_shared("data/Set5", "data/Set14")
def test_srgan_has_no_colour_of_its_own(srgan: tuple[str, Score]) -> None:
    """VGG's features do not mind a tint: a first training of this model had 3 levels too little red."""
    _, mean = srgan
    assert max(map(abs, (mean.shift_red, mean.shift_green, mean.shift_blue))) <= 0.2


@needs_shared("data/Set5", "data/Set14")
@pytest.mark.xfail(strict=True, reason="the small model in the box has a grid of 4 pixels, and the detail of SRResNet")
def test_srgan_has_texture_and_no_grid(srgan: tuple[str, Score]) -> None:
    """What SRGAN is for, by the measures of docs/measures.md; a lattice of 4 or 2 pixels costs no PSNR and no VGG."""
    name, mean = srgan
    assert mean.detail >= {"Set5": 0.78, "Set14": 0.65}[name]
    assert mean.top_octave >= 0.4
    assert max(mean.grid_4, mean.grid_2) <= 1.15
