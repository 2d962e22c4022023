"""`minisrgan compare` as a person types it: a figure, or a page with a slider."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minisrgan.images import imresize, nearest, psnr, read_image, write_image
from tests.cli.conftest import command

pytest.importorskip("matplotlib")


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Return the file of a photograph whose sides are no multiples of 4."""
    coarse = np.random.default_rng(2).integers(0, 256, (7, 10, 3), dtype=np.uint8)
    write_image(tmp_path / "photo.png", imresize(coarse, 8)[:50, :70])
    return tmp_path / "photo.png"


def embedded(page: Path) -> list[np.ndarray]:
    """Decode all pictures of a page."""
    data = re.findall(r"data:image/png;base64,([\w+/=]+)", page.read_text("utf-8"))
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(part)))) for part in data]


def test_page_of_a_small_photo(photo: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pictures of another method than their name; a detail counted in pixels of another picture than PHOTO."""
    out = tmp_path / "new/page.html"
    assert command("compare", photo, "--model", model, "--out", out, "--detail", "2,3,8,5") == 0
    low = read_image(photo)
    large = [nearest(low, 4), imresize(low, 4), nearest(low, 4)]
    details = [picture[12:32, 8:40] for picture in large]
    for ours, expected in zip(embedded(out), large + details, strict=True):
        assert np.array_equal(ours, expected)
    text = out.read_text("utf-8")
    assert re.findall(r'data-label="([^"]*)"', text) == ["nearest", "bicubic", "model"]
    assert 'data-start="left=bicubic&amp;right=model"' in text
    assert "detail 32 x 20 at 8, 12 of the enlarged picture" in capsys.readouterr().out


def test_page_from_the_original(photo: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The original beside the enlargements must be the photo, with numbers for the others and none for itself."""
    out = tmp_path / "page.html"
    assert command("compare", photo, "--from-original", "--out", out, "--detail", "2,3,8,5") == 0
    original = read_image(photo)[:48, :68]
    low = imresize(original, 1 / 4)
    expected = [nearest(low, 4), imresize(low, 4), original]
    found = embedded(out)
    assert all(np.array_equal(a, b) for a, b in zip(found[:3], expected, strict=True))
    assert np.array_equal(found[5], original[3:8, 2:10])
    labels = re.findall(r'data-label="([^"]*)"', out.read_text("utf-8"))
    assert labels[1].startswith(f"bicubic, {psnr(expected[1], original):.2f} dB / ")
    assert labels[2] == "original"
    assert f"bicubic: {psnr(expected[1], original):.2f} dB" in capsys.readouterr().out
    assert 'data-start="left=bicubic&amp;right=original"' in out.read_text("utf-8")
    page = out.read_bytes()
    assert command("compare", photo, "--from-original", "--model", model, "--out", out) == 2
    assert "page.html, which is there" in " ".join(capsys.readouterr().err.split())
    assert out.read_bytes() == page
    assert command("compare", photo, "--from-original", "--model", model, "--out", out, "--overwrite") == 0
    assert 'data-start="left=bicubic&amp;right=model"' in out.read_text("utf-8")  # what one has come to see


@pytest.mark.parametrize("source", ["--lr", "--from-original"])
def test_figure(source: str, photo: Path, model: Path, tmp_path: Path) -> None:
    """The figure has a column a method, and one more for the original where there is one."""
    assert command("compare", photo, source, "--model", model, "--out", tmp_path / "figure.png") == 0
    widths = {"--lr": 3, "--from-original": 4}
    assert read_image(tmp_path / "figure.png").shape[1] == round(200 * (0.2 + 3.3 + 2.3 * widths[source]))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["photo.png", "--out", "a.gif"], ".pdf, .png, .svg, .html"),
        (["nowhere.png", "--out", "a.html"], "nowhere.png, which does not exist"),
        (["photo.png", "--out", "a.html", "--detail", "1,2,3"], "left,top,width,height"),
        (["photo.png", "--out", "a.html", "--detail", "60,0,11,4"], "inside 70 x 50"),
        (["photo.png", "--out", "a.html", "--detail", "1,1,0,4"], "1,1,0,4"),
        (["photo.png", "--out", "a.html", "--model", "none.safetensors"], "none.safetensors"),
        (["photo.png", "--out", "photo.png/a.html"], "a file that can be opened"),
        (["tiny.png", "--out", "a.html", "--from-original"], "tiny.png: 0 x 0"),
        (["small.png", "--out", "a.html", "--from-original"], "at least 19 x 19 pixels"),
    ],
)
def test_wrong_words(
    words: list[str], told: str, photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each mistake in four lines that name it, and no half a page left behind."""
    monkeypatch.chdir(photo.parent)
    for name, side in (("tiny", 3), ("small", 16)):
        write_image(f"{name}.png", read_image(photo)[:side, :side])
    assert command("compare", *words) == 2
    assert told in " ".join(capsys.readouterr().err.split())
    assert not Path("a.html").exists()
