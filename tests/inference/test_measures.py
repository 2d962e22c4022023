"""What `minisrgan evaluate` measures beside PSNR and SSIM: which numbers, of which picture, and which are missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from minisrgan import Tensor
from minisrgan.errors import ShapeError, WeightsError
from minisrgan.images import colour_shift, detail, grid, imresize, local_grid, niqe, top_octave
from minisrgan.inference import measures
from minisrgan.inference.evaluate import Score, average, judge, load_methods
from minisrgan.inference.measures import Texture, niqe_parameters
from minisrgan.losses import VGGContent
from minisrgan.models import VGG19


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a cache folder with nothing in it."""
    monkeypatch.setenv("MINISRGAN_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir()
    return tmp_path / "cache"


def parameters(path: Path) -> Path:
    """Write a file of NIQE's kind."""
    np.savez(path, mu_pris_param=np.full((1, 36), 0.1), cov_pris_param=np.eye(36))
    return path


def photo(height: int = 112, width: int = 120, seed: int = 0) -> np.ndarray:
    """Return noise that is not the same in all channels."""
    noise = np.random.default_rng(seed).normal((90, 120, 150), (30, 20, 25), (height, width, 3))
    return np.round(noise).clip(0, 255).astype(np.uint8)


def test_each_measure_is_in_its_field(tmp_path: Path) -> None:
    """A period, a channel or a picture in the place of another."""
    original = photo()
    blurred = imresize(imresize(original, 1 / 2), 2)
    texture = Texture(niqe=parameters(tmp_path / "niqe.npz"))
    found = texture.measure({"blurred": blurred, "original": original}, original)
    natural = niqe_parameters(tmp_path / "niqe.npz")
    assert natural is not None
    red, green, blue = colour_shift(blurred, original)
    assert found["blurred"] == {
        "detail": detail(blurred, original), "top_octave": top_octave(blurred, original), "grid_4": grid(blurred),
        "grid_2": grid(blurred, 2), "local_grid_4": local_grid(blurred), "local_grid_2": local_grid(blurred, 2),
        "shift_red": red, "shift_green": green, "shift_blue": blue, "niqe": niqe(blurred, natural),
    }  # fmt: skip
    assert (found["original"]["detail"], found["original"]["shift_red"]) == (1, 0)
    assert found["original"]["niqe"] == niqe(original, natural)


@pytest.mark.parametrize("grey", [False, True])
def test_distance_of_features_is_the_content_loss(grey: bool) -> None:
    """Eq. 5 divides by the positions and not by the channels; by what content losses print, models are chosen."""
    original, picture = photo(40, 50), photo(40, 50, seed=1)
    if grey:
        original, picture = original[..., 0], picture[..., 0]
    texture, vgg = Texture(), VGG19("2,1", rng=np.random.default_rng(0))
    texture.content = VGGContent(vgg)

    def batch(image: np.ndarray) -> Tensor:
        rgb = image if image.ndim == 3 else np.stack([image] * 3, axis=2)
        return Tensor(rgb[None].astype(np.float32) / np.float32(127.5) - 1)

    found = texture.measure({"other": picture, "original": original}, original)
    assert found["other"]["vgg_54"] == pytest.approx(texture.content(batch(picture), batch(original)).item(), rel=1e-5)
    assert found["original"]["vgg_54"] == 0


def test_what_is_too_small_is_left_out(cache: Path, tmp_path: Path) -> None:
    """Of a folder of photos one is small, and the others' numbers are lost; or an error where NIQE was asked for."""
    parameters(cache / "niqe.npz")
    sizes = {63: {"detail"}, 64: {"detail", "grid_4", "local_grid_2"}, 95: {"grid_4"}, 96: {"grid_4", "niqe"}}
    for size, fields in sizes.items():
        found = Texture().measure({"a": photo(size)}, photo(size))["a"]
        assert {"detail", "grid_4", "local_grid_2", "niqe"} & {*found} >= fields
        assert ("grid_4" in found) == (size >= 64)
        assert ("niqe" in found) == (size >= 96)
    named = Texture(niqe=parameters(tmp_path / "named.npz"))
    assert "niqe" in named.measure({"a": photo(96)}, photo(96))["a"]
    with pytest.raises(ShapeError, match="at least 96 pixels a side"):
        named.measure({"a": photo(95)}, photo(95))


def test_what_is_too_large_for_vgg_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """12 megapixels take 12 GB: a machine that swaps, because VGG19 was once downloaded for a training."""
    monkeypatch.setattr(measures, "LARGEST_VGG", 16 * 20)
    texture = Texture()
    texture.content = VGGContent(VGG19("1,1", rng=np.random.default_rng(0)))
    found = [texture.measure({"a": p}, p)["a"] for p in (photo(16, 20), photo(17, 20))]
    assert ["vgg_54" in one for one in found] == [True, False]


def test_files(cache: Path, tmp_path: Path) -> None:
    """A cache that is not looked into; a damaged file of the cache that is taken for none."""
    assert niqe_parameters() is Texture().natural is Texture().content is None
    parameters(cache / "niqe.npz")
    assert niqe_parameters() is not None
    assert Texture().natural is not None
    (cache / "niqe.npz").write_bytes(b"half")
    with pytest.raises(WeightsError, match=r"niqe\.npz"):
        Texture()
    with pytest.raises(WeightsError, match=r"no\.npz"):
        niqe_parameters(tmp_path / "no.npz")
    with pytest.raises(WeightsError, match=r"no\.safetensors, which does not exist"):
        Texture(tmp_path / "no.safetensors")


def test_judge_measures_the_original_too() -> None:
    """NIQE and the grid of an enlargement say little without the original's."""
    original = photo(64, 64)
    low, (_, methods) = imresize(original, 1 / 4), load_methods([])
    pictures, scores = judge(low, original, methods, 4, Texture())
    assert list(pictures) == ["nearest", "bicubic"]
    assert list(scores) == ["nearest", "bicubic", "original"]
    assert scores["original"].grid_4 == grid(original)
    assert scores["bicubic"].grid_4 == grid(pictures["bicubic"])
    assert scores["bicubic"].psnr == judge(low, original, methods, 4)[1]["bicubic"].psnr
    assert scores["bicubic"].niqe is scores["bicubic"].vgg_54 is None


def test_averages() -> None:
    """Plain means of ratios; a photo without a value counted as 0; tints that do not cancel."""
    some = [
        Score(20.0, 0.5, detail=0.25, grid_4=4.0, local_grid_2=0.0, shift_red=3.0, niqe=4.0),
        Score(30.0, 0.5, detail=1.0, grid_4=1.0, local_grid_2=2.0, shift_red=-1.0),
        Score(40.0, 0.5),
    ]
    mean = average(some)
    expected = Score(30.0, 0.5, None, 0.0, 0.0, 0.5, grid_4=2.0, local_grid_2=0.0, shift_red=1.0, niqe=4.0)
    assert mean == expected
