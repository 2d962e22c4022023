"""Odd kinds of files as a person meets them: in `upscale`, `evaluate`, `compare` and `train`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from minisrgan.cli.main import _short_warnings, main
from minisrgan.data import load_photos
from minisrgan.images import imresize, read_image, read_photo, write_image
from minisrgan.inference import upscale
from minisrgan.weights import save_model
from tests.images.odd import Page, chunk, write_png, write_tiff
from tests.inference.test_upscale import noise, trained_looking

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a generator x2 the current one."""
    save_model(tmp_path / "g.safetensors", trained_looking(2, blocks=1))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*words: object) -> int:
    """Run upscale with the generator."""
    return main(["upscale", "--model", "g.safetensors", "--out", "large", *map(str, words)])


def test_bits_planes_and_pages(place: Path) -> None:
    """Planes as stripes, 16 bits as 8, a thumbnail for the photo: each was an exit status of 0 with wrong pixels."""
    deep = noise(12, 16).astype(np.uint16) * 257 + 3
    small = Page(noise(3, 4), tags={254: 1})
    write_tiff(place / "a.tif", small, Page(deep, apart=True), Page(noise(12, 16)[..., :1], 1))
    assert command("a.tif", "--format", "tif") == 0
    photo, generator = read_photo("large/a_x2.tif"), trained_looking(2, blocks=1)
    np.testing.assert_array_equal(photo.pixels, upscale(generator, deep))
    np.testing.assert_array_equal(photo.more[0].pixels, upscale(generator, noise(12, 16)[..., :1]))
    assert command("a.tif") == 0
    np.testing.assert_array_equal(read_photo("large/a.tif_x2.png").pixels, upscale(generator, deep))


def test_what_is_left_out_is_said_in_a_line(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Silence is how the other pages were lost; Pillow's lines of code say nothing to a photographer."""
    write_tiff(place / "a.tif", Page(noise(8, 8).astype(np.uint16) * 257), Page(noise(8, 8)))
    write_png(place / "b.png", noise(8, 8), 2, before=chunk(b"tEXt", b"k\0text", damaged=True))
    beyond = b"II*\0\x08\0\0\0\1\0\x0f\1\2\0\xff\0\0\0\xff\xff\0\0\0\0\0\0"  # a name that lies behind the end
    Image.fromarray(noise(8, 8)).save("c.jpg", exif=b"Exif\0\0" + beyond)
    assert command("a.tif", "b.png", "c.jpg", "--format", "jpg") == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == [
        "warning: large/a.tif_x2.jpg: only the first of 2 pages; --format tif keeps all",
        "warning: large/a.tif_x2.jpg: its 16 bits a channel are rounded to 8",
        "warning: b.png: its tEXt chunk is damaged and left out",
    ]
    assert all(line.startswith("warning: c.jpg: ") for line in lines[3:])  # Pillow's, of the damaged EXIF
    assert lines[3:]


def test_the_limit_of_size(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The answer to a large photo was a line of Python."""
    write_image("a.png", noise(100, 150))
    assert command("a.png", "--max-megapixels", 0.0149) == 3
    assert "a.png with 0.0 megapixels fix --max-megapixels allows more" in " ".join(capsys.readouterr().err.split())
    assert command("a.png", "--max-megapixels", 0.015) == 0
    assert command("a.png", "--max-megapixels", "inf", "--overwrite") == 0
    for wrong in ("0", "-1", "nan", "many"):
        with pytest.raises(SystemExit):
            command("a.png", "--max-megapixels", wrong)
        assert "a number above 0" in capsys.readouterr().err


def test_metadata_and_subsampling(place: Path) -> None:
    """Each option must reach the file."""
    exif = Image.Exif()
    exif[0x013B] = "A. Artist"
    Image.fromarray(noise(20, 20)).save("a.jpg", exif=exif, icc_profile=SRGB, dpi=(300, 300), comment=b"hello")
    kept = {}
    for name, words in {"usual": [], "all": ["--keep-metadata"], "none": ["--strip-metadata"]}.items():
        assert command("a.jpg", "--overwrite", *words) == 0
        photo = read_photo("large/a.jpg_x2.png")
        kept[name] = [photo.icc_profile is not None, "dpi" in photo.info, photo.exif is not None, "text" in photo.info]
    assert kept == {"usual": [True, True, False, False], "all": [True] * 4, "none": [False] * 4}
    with pytest.raises(SystemExit):
        command("a.jpg", "--keep-metadata", "--strip-metadata")
    for words, expected in (([], (1, 1)), (["--quality", 90], (2, 2)), (["--subsampling", "422"], (2, 1))):
        assert command("a.jpg", "--overwrite", "--format", "jpg", *words) == 0
        with Image.open("large/a_x2.jpg") as image:
            assert image.layer[0][1:3] == expected


def test_hidden_colours_stay_hidden(place: Path) -> None:
    """Black under the transparent part of a drawing became a dark ring around it, of up to 88 levels."""
    disc = imresize(np.where(np.hypot(*(np.mgrid[:32, :32] - 16)) < 9, 255, 0).astype(np.uint8), 1)
    results = []
    for hidden in (0, 255):
        pixels = np.where(disc[..., None] > 0, np.uint8([250, 200, 20]), np.uint8(hidden))
        Image.fromarray(np.dstack([pixels, disc])).save("a.png")
        assert command("a.png", "--overwrite") == 0
        results.append(read_photo("large/a_x2.png"))
    black, white = results
    np.testing.assert_array_equal(black.alpha, white.alpha)
    np.testing.assert_array_equal(black.pixels, white.pixels)


def test_the_other_commands(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """PostScript is not run, planes are no stripes, and what is left out is said, whichever command reads."""
    picture = imresize(noise(10, 12), 8)
    for name in ("a.png", "b.png"):
        write_image(place / "photos" / name, picture)
    (place / "photos/c.jpg").write_bytes(POSTSCRIPT)
    assert list(load_photos("photos", 32).skipped) == ["c.jpg"]  # what train reads
    for command_words in (["compare", "photos/c.jpg", "--out", "page.html"], ["evaluate", "photos", "--scale", "2"]):
        assert main(command_words) in (2, 3)
        assert "c.jpg" in capsys.readouterr().err
    (place / "photos/c.jpg").unlink()
    write_tiff(place / "photos/b.png", Page(picture.astype(np.uint16) * 257, apart=True), Page(picture[::-1]))
    assert main(["evaluate", "photos", "--scale", "2"]) == 0
    told = capsys.readouterr()
    assert told.err.splitlines() == ["warning: photos/b.png: of its 2 pages only the first is taken"]
    rows = [line.split() for line in told.out.splitlines() if "bicubic" in line]
    numbers = [[word for word in row if word[:1].isdigit()][:3] for row in rows]
    assert numbers[0] == numbers[1]  # the same picture, in 8 bits and in planes of 16: PSNR and both SSIMs
    assert main(["compare", "photos/b.png", "--scale", "2", "--out", "page.html"]) == 0
    assert "of its 2 pages only the first is taken" in capsys.readouterr().err
    with _short_warnings():
        for _ in range(3):  # as training does
            read_image("photos/b.png")
    assert capsys.readouterr().err.count("only the first") == 1
