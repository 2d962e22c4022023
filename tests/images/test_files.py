"""Reading every kind of file into the same kind of array, and writing without ever losing one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minisrgan.errors import DTypeError, ImageError, ShapeError
from minisrgan.images import list_images, read_image, replacing, write_image
from minisrgan.images.files import FORMATS

COLOURS = np.random.default_rng(2).integers(0, 256, (6, 9, 3), dtype=np.uint8)


def saved(folder: Path, image: Image.Image, name: str = "image.png", **options: object) -> Path:
    """Save with Pillow and return the path."""
    path = folder / name
    image.save(path, **options)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_applies_exif_orientation(tmp_path: Path, orientation: int):
    """A phone stores portrait photos lying on their side and notes the turn; ignoring it turns every such picture."""
    turned = {
        1: COLOURS,
        2: COLOURS[:, ::-1],
        3: COLOURS[::-1, ::-1],
        4: COLOURS[::-1],
        5: COLOURS.swapaxes(0, 1),
        6: np.rot90(COLOURS, -1),
        7: COLOURS[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(COLOURS),
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, Image.fromarray(COLOURS), exif=exif)
    assert np.array_equal(read_image(path), turned[orientation])


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK"])
def test_every_mode_becomes_rgb(tmp_path: Path, mode: str):
    """A palette read as it is shows its indices as grey levels; grey kept grey breaks whatever expects 3 channels."""
    image = Image.fromarray(COLOURS).convert(mode)
    path = saved(tmp_path, image, "image.tif")
    result = read_image(path)
    assert (result.dtype, result.shape) == (np.uint8, (6, 9, 3))
    assert np.abs(result.astype(int) - np.asarray(image.convert("RGB"))).max() <= 1
    assert result.flags.writeable


@pytest.mark.parametrize(("suffix", "stored"), [("png", np.uint16), ("tif", np.uint16), ("tif", np.int32)])
def test_16_bits_are_scaled_not_cut(tmp_path: Path, suffix: str, stored: type):
    """Pillow's own conversion saturates 16-bit grey at 255: nearly the whole photo turns white."""
    levels = np.array([[0, 128, 129, 257, 257 * 100 + 128, 257 * 100 + 129, 65535]], stored)
    path = saved(tmp_path, Image.fromarray(levels), f"grey.{suffix}")
    expected = [[0, 0, 1, 1, 100, 101, 255]]
    assert np.array_equal(read_image(path, keep_grey=True), expected)
    assert np.array_equal(read_image(path)[..., 1], expected)


def test_transparency_lies_over_white(tmp_path: Path):
    """Dropping alpha shows whatever colour hides under transparent pixels, usually black."""
    pixels = np.array([[[200, 0, 0, 255], [0, 0, 0, 0], [0, 100, 0, 51]]], np.uint8)
    path = saved(tmp_path, Image.fromarray(pixels))
    expected = np.array([[[200, 0, 0], [255, 255, 255], [204, 224, 204]]])
    assert np.abs(read_image(path) - expected).max() <= 1
    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    assert np.array_equal(read_image(saved(tmp_path, palette, transparency=1))[0, 1], [255, 255, 255])
    grey = Image.fromarray(pixels[..., 3]).convert("LA")
    assert read_image(saved(tmp_path, grey), keep_grey=True).ndim == 3


def test_keep_grey(tmp_path: Path):
    """A grey benchmark photo read as RGB scores 0.1 dB more on the whole of Set14."""
    grey = COLOURS[..., 0]
    assert np.array_equal(read_image(saved(tmp_path, Image.fromarray(grey)), keep_grey=True), grey)
    assert read_image(saved(tmp_path, Image.fromarray(COLOURS)), keep_grey=True).shape == (6, 9, 3)


def test_unreadable_files_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """In a folder of a thousand photos, an error that does not say which file it was is of no use."""
    whole = saved(tmp_path, Image.fromarray(COLOURS.repeat(20, axis=0)), "whole.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not an image")
    saved(tmp_path, Image.fromarray(COLOURS[..., 0].astype(np.float32)), "float.tif")
    saved(tmp_path, Image.fromarray(COLOURS[..., 0].astype(np.int32) + 70000), "deep.tif")
    (tmp_path / "folder.png").mkdir()
    for name in ("cut.jpg", "empty.png", "text.png", "float.tif", "deep.tif", "folder.png", "missing.png"):
        with pytest.raises(ImageError, match="fix  ") as caught:
            read_image(tmp_path / name)
        assert name in caught.value.got
    monkeypatch.setattr("minisrgan.images.photo.MOST_PIXELS", 53)
    with pytest.raises(ImageError, match=r"image\.png with 0\.0 megapixels"):
        read_image(saved(tmp_path, Image.fromarray(COLOURS)))


@pytest.mark.parametrize("suffix", [*FORMATS, ".PNG"])
def test_written_files_read_back(tmp_path: Path, suffix: str):
    """Swapped channels or a format chosen by anything but the suffix; JPEG and WebP may differ a little."""
    smooth = np.stack(np.meshgrid(np.arange(0, 96, 2), np.arange(0, 80, 2)), axis=-1).astype(np.uint8)
    smooth = np.dstack([smooth, 200 - smooth[..., :1]])
    path = tmp_path / "new" / "folder" / f"image{suffix}"
    write_image(path, smooth[:, ::-1])
    difference = np.abs(read_image(path).astype(int) - smooth[:, ::-1])
    assert difference.mean() <= (2 if suffix in (".jpg", ".jpeg", ".webp") else 0)
    with Image.open(path) as image:
        assert image.format == FORMATS[suffix.lower()]
    write_image(path, smooth[..., 0])
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.skipif(os.name == "nt", reason="file modes are a POSIX matter")
def test_written_files_have_usual_permissions(tmp_path: Path):
    """Files of the tempfile module are private and stay so under a new name: nobody else could read them."""
    (tmp_path / "usual").touch()
    write_image(tmp_path / "image.png", COLOURS)
    assert (tmp_path / "image.png").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_failed_writing_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A full disk or Ctrl-C half-way through must not cost the picture that was there before."""
    path = tmp_path / "image.png"
    write_image(path, COLOURS)

    def breaks(error: BaseException):
        def save(self: Image.Image, target: Path, *_: object, **__: object) -> None:
            Path(target).write_bytes(b"half")
            raise error

        return save

    monkeypatch.setattr(Image.Image, "save", breaks(OSError("No space left on device")))
    with pytest.raises(ImageError, match="No space left"):
        write_image(path, COLOURS[::-1])
    monkeypatch.setattr(Image.Image, "save", breaks(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write_image(path, COLOURS[::-1])
    assert [file.name for file in tmp_path.iterdir()] == ["image.png"]
    assert np.array_equal(read_image(path), COLOURS)


def test_replacing_moves_only_what_is_whole(tmp_path: Path):
    """Checkpoints and figures trust it too."""
    target = tmp_path / "note.txt"
    with replacing(target) as temporary:
        temporary.write_text("old")
        assert not target.exists()
    with pytest.raises(ZeroDivisionError), replacing(target) as temporary:
        temporary.write_text(str(1 / 0))
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_refuses_what_cannot_be_written(tmp_path: Path):
    """Floats would be cut to 0 and 1, and a folder in the place of a file is not the caller's Python error."""
    for name in ("image.xyz", "image", "image.gif"):
        with pytest.raises(ImageError, match=r"\.png"):
            write_image(tmp_path / name, COLOURS)
    with pytest.raises(DTypeError):
        write_image(tmp_path / "image.png", COLOURS / 255)
    for wrong in (COLOURS[None], COLOURS[..., :2], COLOURS[:0]):
        with pytest.raises(ShapeError):
            write_image(tmp_path / "image.png", wrong)
    (tmp_path / "file").touch()
    with pytest.raises(ImageError, match="folder"):
        write_image(tmp_path / "file" / "image.png", COLOURS)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_list_images(tmp_path: Path):
    """Order must not depend on the file system, or the same seed would train on other patches on another machine."""
    for name in ("b.png", "a/z.JPG", "a/b.Tiff", "notes.txt", "._b.png", ".cache/c.png", "c.png/d.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert list_images(tmp_path) == [tmp_path / name for name in ("a/b.Tiff", "a/z.JPG", "b.png", "c.png/d.webp")]
    assert list_images(str(tmp_path)) == list_images(tmp_path)


def test_list_images_says_what_is_wrong(tmp_path: Path):
    """An empty list would train on nothing, or upscale nothing and report success."""
    (tmp_path / "file.png").touch()
    (tmp_path / "empty").mkdir()
    for name, complaint in (("file.png", "is a file"), ("missing", "does not exist"), ("empty", "none in")):
        with pytest.raises(ImageError, match=complaint) as caught:
            list_images(tmp_path / name)
        assert ".jpg" in caught.value.expected
        assert name in caught.value.got


def test_importing_minisrgan_does_not_import_pillow():
    """The core must be usable, and quick to import, without a picture library."""
    code = "import sys, minisrgan; sys.exit('PIL' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
