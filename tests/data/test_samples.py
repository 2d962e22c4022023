"""Sample photographs out of scikit-image, without a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from minisrgan.data import sample_photos, samples
from minisrgan.errors import DataError


def test_photos_are_scikit_images():
    """A file that was swapped or turned would not be noticed by its shape alone."""
    data = pytest.importorskip("skimage.data")
    photos = sample_photos()
    assert list(photos) == ["astronaut", "coffee", "chelsea", "rocket"]
    for name in ("astronaut", "coffee", "chelsea"):
        assert photos[name].dtype == np.uint8
        assert np.array_equal(photos[name], getattr(data, name)())
    assert photos["rocket"].shape == (427, 640, 3)


def test_one_name_is_enough():
    """A string is a sequence of letters: "coffee" must not become six unknown photos."""
    pytest.importorskip("skimage")
    assert list(sample_photos("coffee")) == ["coffee"]
    assert sample_photos([]) == {}


def test_unknown_names_are_refused():
    """scikit-image knows more photos, some of which it would download."""
    with pytest.raises(DataError, match="'eagle'"):
        sample_photos(["coffee", "eagle"])


def test_missing_scikit_image(monkeypatch: pytest.MonkeyPatch):
    """A student without the course extra needs the command to type, not a ModuleNotFoundError."""
    monkeypatch.setattr(samples, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r'pip install "minisrgan\[course\]"'):
        sample_photos()


def test_package_without_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Distributions may strip the photos from the package; falling back on a download would hang without a network."""

    class Spec:
        origin = str(tmp_path / "__init__.py")

    monkeypatch.setattr(samples, "find_spec", lambda name: Spec)
    with pytest.raises(DataError, match=r"chelsea\.png"):
        sample_photos(["chelsea"])
