"""Models to files and back, and the refusal of what is not a model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from minisrgan import Tensor, no_grad
from minisrgan.errors import WeightsError
from minisrgan.models import Discriminator, Generator
from minisrgan.weights import load_discriminator, load_generator, load_state, load_vgg19, save_model, save_state
from tests.paths import SHARED, needs_shared

VGG = "weights/vgg19_caffe_conv.npz"


def small_generator() -> Generator:
    """Return a generator whose running statistics have been used."""
    generator = Generator(scale=2, channels=4, blocks=2, rng=np.random.default_rng(3))
    generator(Tensor(np.random.default_rng(0).random((2, 6, 6, 3), dtype=np.float32)))
    return generator


def test_a_generator_survives_the_file_bit_for_bit(tmp_path: Path) -> None:
    """A buffer left out would change the picture only in evaluation, where nobody compares."""
    generator = small_generator().eval()
    save_model(tmp_path / "g.safetensors", generator, content="mse")
    loaded = load_generator(tmp_path / "g.safetensors")
    x = Tensor(np.random.default_rng(1).random((1, 5, 7, 3), dtype=np.float32))
    with no_grad():
        assert (loaded(x).numpy() == generator(x).numpy()).all()
    assert loaded.state_dict().keys() == generator.state_dict().keys()
    assert not loaded.training
    assert load_state(tmp_path / "g.safetensors")[1]["content"] == "mse"


def test_a_discriminator_survives_the_file(tmp_path: Path) -> None:
    """SRGAN training continues against the discriminator it had."""
    discriminator = Discriminator(crop=16, channels=2, rng=np.random.default_rng(3))
    save_model(tmp_path / "d.safetensors", discriminator)
    loaded = load_discriminator(tmp_path / "d.safetensors")
    for name, array in discriminator.state_dict().items():
        assert (loaded.state_dict()[name] == array).all(), name


def test_saving_never_leaves_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk in the middle of saving must leave the last good weights where they were."""
    path = tmp_path / "g.safetensors"
    save_state(path, {"x": np.ones(3, np.float32)}, {})

    def disk_full(self: Path, data: bytes) -> None:
        with open(self, "wb") as file:
            file.write(data[:20])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", disk_full)
    with pytest.raises(WeightsError, match="No space left"):
        save_state(path, {"x": np.zeros(3, np.float32)}, {})
    assert (load_state(path)[0]["x"] == 1).all()
    assert [p.name for p in tmp_path.iterdir()] == ["g.safetensors"]


def test_what_is_no_generator_is_refused(tmp_path: Path) -> None:
    """A wrong file must say what it is, not end in a KeyError."""
    generator = small_generator()
    whole = tmp_path / "whole.safetensors"
    save_model(whole, generator)
    (tmp_path / "cut.safetensors").write_bytes(whole.read_bytes()[:-100])
    (tmp_path / "text.safetensors").write_text("hello")
    (tmp_path / "empty.safetensors").write_bytes(b"")
    save_file({"x": np.ones(1, np.float32)}, tmp_path / "foreign.safetensors")
    save_file({"x": np.ones(1, np.float32)}, tmp_path / "words.safetensors", {"model": "not json"})
    save_model(tmp_path / "d.safetensors", Discriminator(crop=16, channels=2))
    for name in ("cut", "text", "empty", "foreign", "words", "d", "missing"):
        with pytest.raises(WeightsError, match=f"{name}.safetensors"):
            load_generator(tmp_path / f"{name}.safetensors")
    with pytest.raises(WeightsError, match="holds Discriminator"):
        load_generator(tmp_path / "d.safetensors")


def test_settings_that_do_not_fit_the_weights_are_refused(tmp_path: Path) -> None:
    """Metadata and arrays can contradict each other in a file that somebody has edited."""
    save_state(
        tmp_path / "g.safetensors",
        small_generator().state_dict(),
        {"model": "Generator", "settings": {"scale": 2, "channels": 4, "blocks": 3}},
    )
    with pytest.raises(WeightsError, match=r"missing: blocks.2.conv1.weight \(3, 3, 4, 4\)"):
        load_generator(tmp_path / "g.safetensors")


def test_missing_vgg_names_the_file_and_the_choices(tmp_path: Path) -> None:
    """Most users do not have VGG19; they need to hear what they can do instead."""
    with pytest.raises(WeightsError, match=r"(?s)nowhere.npz.*content mse"):
        load_vgg19(tmp_path / "nowhere.npz")


def test_a_vgg_file_that_is_short_or_unsafe_is_refused(tmp_path: Path) -> None:
    """Half a VGG19 gives half a loss; a pickled one could run code."""
    np.savez(tmp_path / "short.npz", **{"block1_conv1.kernel": np.zeros((3, 3, 3, 64), np.float32)})
    with pytest.raises(WeightsError, match=r"missing: block1_conv1\.bias"):
        load_vgg19(tmp_path / "short.npz", "1,1")
    np.savez(tmp_path / "pickled.npz", **{"block1_conv1.kernel": np.array([object()], dtype=object)})
    with pytest.raises(WeightsError, match=r"pickled\.npz"):
        load_vgg19(tmp_path / "pickled.npz", "1,1")
    (tmp_path / "text.npz").write_text("hello")
    with pytest.raises(WeightsError, match=r"text\.npz"):
        load_vgg19(tmp_path / "text.npz")


@needs_shared(VGG, "data/Set5")
def test_real_vgg_features_tell_a_blurred_photo_from_a_noisy_one() -> None:
    """With the wrong channel order or range VGG19 still computes something; on a photograph its features are sparse.

    After training, relu5_4 is zero at nearly all positions, and its distance sees what PSNR does not.
    """
    from minisrgan.images import imresize, read_image

    vgg = load_vgg19(SHARED / VGG)
    assert not any(parameter.requires_grad for parameter in vgg.parameters())
    photo = read_image(SHARED / "data/Set5/HR/bird.png")[:224, :224]
    blurred = imresize(imresize(photo, 0.25), 4)
    with no_grad():
        original, blur = (vgg(Tensor(p[None].astype(np.float32) / 127.5 - 1)).numpy() for p in (photo, blurred))
    assert original.shape == (1, 14, 14, 512)
    assert 0.005 < (original > 0).mean() < 0.3
    assert np.square(original - blur).sum() > 0.1 * np.square(original).sum()
