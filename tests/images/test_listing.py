"""Which files of a folder count as images: their content decides, and what is left out is told."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from minisrgan.data import load_photos
from minisrgan.errors import ImageError
from minisrgan.images import list_images

NO_IMAGE = "no image in a format that is read here"


def save(path: Path, kind: str, side: int = 40) -> None:
    """Save a grey picture in one of Pillow's formats, whatever the name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (side, side), (128, 128, 128)).save(path, kind)


def test_formats_beyond_the_common_suffixes(tmp_path: Path) -> None:
    """These were skipped in silence, though each could be upscaled by its name."""
    kinds = {".jfif": "JPEG", ".jpe": "JPEG", ".gif": "GIF", ".jp2": "JPEG2000", ".ppm": "PPM", ".apng": "PNG",
             ".mpo": "MPO", ".dib": "BMP", ".pgm": "PPM", ".JPG~": "JPEG", ".bak": "WEBP", "": "PNG"}  # fmt: skip
    kinds |= {".avif": "AVIF"} if "AVIF" in Image.SAVE else {}
    for number, (suffix, kind) in enumerate(kinds.items()):
        save(tmp_path / f"{number}{suffix}", kind)
    skipped: dict[Path, str] = {}
    assert {path.suffix for path in list_images(tmp_path, skipped)} == set(kinds)
    assert not skipped
    assert len(load_photos(tmp_path, crop=16).photos) == len(kinds)  # a training takes the same ones


def test_what_is_no_image_is_told(tmp_path: Path) -> None:
    """Nothing is left out without a reason; a file that is called an image stays in, so that its damage is noticed."""
    files = {"notes.txt": b"notes", "clip.mp4": b"\0\0\0\x20ftypisom", "empty": b"", "page": b"%!PS-Adobe-3.0 EPSF-3.0",
             "drawing.svg": b"<svg/>", "broken.png": b"\x89PNG", "text.JPG": b"text"}  # fmt: skip
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for name in ("scan.nef", "scan.dng", "scan.tif", "scan"):  # raw files are TIFFs that begin with a thumbnail
        save(tmp_path / name, "TIFF")
    for name in (".thumb.png", ".cache/a.png"):
        save(tmp_path / name, "PNG")
    skipped: dict[Path, str] = {}
    assert [path.name for path in list_images(tmp_path, skipped)] == ["broken.png", "scan", "scan.tif", "text.JPG"]
    reasons = {path.name: why for path, why in skipped.items()}
    assert reasons.pop(".thumb.png") == reasons.pop(".cache") == "hidden"
    assert "camera raw" in reasons.pop("scan.nef")
    assert "camera raw" in reasons.pop("scan.dng")
    assert reasons == dict.fromkeys(("notes.txt", "clip.mp4", "empty", "page", "drawing.svg"), NO_IMAGE)
    found = load_photos(tmp_path, crop=16)
    assert len(found.photos) == 2
    assert found.skipped["notes.txt"] == NO_IMAGE
    assert {"broken.png", "text.JPG"} < set(found.skipped)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows lets only administrators make links")
def test_links(tmp_path: Path) -> None:
    """A linked folder was left out; one that leads in a circle would never come to an end."""
    folder = tmp_path / "photos"
    save(folder / "a.png", "PNG")
    save(tmp_path / "elsewhere/deep/b.png", "PNG")
    os.symlink(tmp_path / "elsewhere", folder / "linked")
    os.symlink(tmp_path / "elsewhere/deep/b.png", folder / "c.png")
    os.symlink("../photos", folder / "circle")
    os.symlink(folder, tmp_path / "elsewhere/back")  # a circle through two folders
    os.symlink("self.png", folder / "self.png")
    os.symlink("self.txt", folder / "self.txt")
    os.symlink("nowhere.png", folder / "broken.png")
    os.mkfifo(folder / "pipe.png")
    skipped: dict[Path, str] = {}
    found = [path.relative_to(folder).as_posix() for path in list_images(folder, skipped)]
    assert found == ["a.png", "broken.png", "c.png", "linked/deep/b.png", "self.png"]
    reasons = {path.relative_to(folder).as_posix(): why for path, why in skipped.items()}
    assert reasons["circle"] == reasons["linked/back"] == "a link to a folder that it lies in"
    assert reasons["pipe.png"] == "neither a file nor a folder"
    assert "symbolic links" in reasons["self.txt"]


def test_a_folder_without_images_says_what_is_in_it(tmp_path: Path) -> None:
    """`none` alone leaves one wondering why."""
    (tmp_path / "a.txt").touch()
    with pytest.raises(ImageError, match=r"(?s)none in .*a\.txt: no image in a format"):
        list_images(tmp_path)
