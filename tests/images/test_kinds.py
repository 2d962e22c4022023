"""Odd but real kinds of files: what they hold arrives whole, is told to be left out, or is refused. No wrong pixels."""

from __future__ import annotations

import io
import itertools
import struct
import subprocess
import sys
import warnings
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from minisrgan.errors import ImageError, ImageWarning
from minisrgan.images import Photo, imresize, png, read_image, read_photo, write_photo
from minisrgan.images.decode import _depth
from tests.images.odd import Page, chunk, write_png, write_tiff

Array = np.ndarray

HEIGHT, WIDTH = 24, 40
ROWS, COLUMNS = np.mgrid[:HEIGHT, :WIDTH]
BYTES = np.dstack([COLUMNS * 6, ROWS * 10, (ROWS + COLUMNS) * 4, COLUMNS * 6 + 7]).astype(np.uint8)
WORDS = BYTES.astype(np.uint16) * 251 + np.arange(4, dtype=np.uint16)
COLOURS, ALPHA = BYTES[..., :3], BYTES[..., 3]
DEFLATE = (zlib.compress, 8)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
SHARED = Path(__file__).resolve().parents[3] / "shared/data/odd"
needs_samples = pytest.mark.skipif(not SHARED.is_dir(), reason="the samples of shared/data/odd are not here")


def assert_same(photo: Photo, pixels: Array, alpha: Array | None = None) -> None:
    """Fail where a photo is not exactly this."""
    assert (photo.pixels.dtype, photo.pixels.shape) == (pixels.dtype, pixels.shape)
    assert np.array_equal(photo.pixels, pixels)
    assert (photo.alpha is None) == (alpha is None)
    assert alpha is None or np.array_equal(photo.alpha, alpha)


def refusal(path: Path) -> str:
    """Return the error of reading a file, on one line."""
    with pytest.raises(ImageError) as caught:
        read_photo(path)
    assert path.name in caught.value.got
    return " ".join(str(caught.value).split())


# TIFF


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("apart", [False, True], ids=["mixed", "apart"])
@pytest.mark.parametrize("levels", [BYTES, WORDS], ids=["8", "16"])
def test_every_layout_of_a_tiff(tmp_path: Path, levels: Array, apart: bool, order: str):
    """Pillow makes stripes of planes of 16 bits, and of 16 bits with alpha it keeps 8 or reads nothing at all."""
    white = np.iinfo(levels.dtype).max
    for samples, (tile, pack, predictor) in itertools.product(
        (1, 2, 3, 4, 5), ((0, (bytes, 1), False), (16, (bytes, 1), False), (0, DEFLATE, True), (16, DEFLATE, True))
    ):
        planes = np.dstack([levels, levels[..., :1]])[..., :samples]
        colours = 3 if samples > 2 else 1
        for extra in ((2,), (0,)) if samples in (2, 4) else ((2, 0),) if samples == 5 else ((),):
            photometric = 2 if colours == 3 else 1
            one = Page(planes, photometric, apart, tile, predictor, extra, pack)
            photo = read_photo(write_tiff(tmp_path / "a.tif", one, order=order))
            assert_same(photo, planes[..., :colours], planes[..., colours] if 2 in extra else None)
    multiplied = np.dstack([np.full((4, 4, 3), white // 4), np.full((4, 4), white // 2)]).astype(levels.dtype)
    photo = read_photo(write_tiff(tmp_path / "a.tif", Page(multiplied, 2, apart, extra=(1,)), order=order))
    assert np.abs(photo.pixels.astype(int) - white // 2).max() <= 1 + (white == 255)
    single = Page(levels[..., :1], 1, apart, pack=DEFLATE)  # it does not matter what else it is said to be
    assert_same(read_photo(write_tiff(tmp_path / "a.tif", single, order=order)), levels[..., :1])
    for samples in (1, 2):  # of one plane said to be apart Pillow makes a negative
        negative = Page(white - levels[..., :samples], 0, apart, extra=(2,) * (samples - 1))
        alpha = white - levels[..., 1] if samples == 2 else None
        assert_same(read_photo(write_tiff(tmp_path / "a.tif", negative, order=order)), levels[..., :1], alpha)


@pytest.mark.parametrize("orientation", [1, 2, 3, 4, 5, 6, 7, 8])
def test_planes_the_right_way_up(tmp_path: Path, orientation: int):
    """Pillow turns the TIFFs that it reads; those that it does not read must be turned as well, and once."""
    mixed = read_photo(write_tiff(tmp_path / "a.tif", Page(COLOURS, tags={274: orientation})))
    apart = read_photo(write_tiff(tmp_path / "a.tif", Page(COLOURS, apart=True, tags={274: orientation})))
    assert_same(apart, mixed.pixels)
    assert (mixed.pixels.shape[0] == WIDTH) == (orientation > 4)


@pytest.mark.parametrize("apart", [False, True], ids=["mixed", "apart"])
def test_inks(tmp_path: Path, apart: bool):
    """CMYK is converted in 8 bits, which is said where there were 16."""
    inks = np.dstack([255 - COLOURS, 0 * ALPHA])
    assert_same(read_photo(write_tiff(tmp_path / "a.tif", Page(inks, 5, apart))), COLOURS)
    with pytest.warns(ImageWarning, match=r"a\.tif: of its 16 bits a channel 8 are read"):
        photo = read_photo(write_tiff(tmp_path / "a.tif", Page(inks.astype(np.uint16) * 257, 5, apart)))
    assert_same(photo, COLOURS)


def test_bits_as_text(tmp_path: Path):
    """A PBM has no largest level, for which it was refused."""
    path = tmp_path / "a.pbm"
    path.write_bytes(b"P1\n4 2\n1010\n0 1 0 1\n")
    assert read_photo(path).pixels[..., 0].tolist() == [[0, 255, 0, 255], [255, 0, 255, 0]]


def test_12_bits_of_grey(tmp_path: Path):
    """Taken for 16 bits they are 16 times too dark."""
    levels = COLUMNS * 104 + ROWS
    pairs = zip(levels[:, ::2].ravel().tolist(), levels[:, 1::2].ravel().tolist(), strict=True)
    packed = b"".join((a << 12 | b).to_bytes(3) for a, b in pairs)
    rows = np.frombuffer(packed, np.uint8).reshape(HEIGHT, -1, 1)
    path = write_tiff(tmp_path / "a.tif", Page(rows, 1, tags={256: WIDTH, 258: 12}))
    assert_same(read_photo(path), np.round(levels * (65535 / 4095)).astype(np.uint16)[..., None])


def test_kinds_that_are_not_read(tmp_path: Path):
    """Floats, signed levels and 32 bits have no white that a file names: refused, and by name."""
    for dtype, complaint in [
        (np.float32, "3 x 32 bits, photometric 2, compression 1, sample format (3, 3, 3)"),
        (np.uint32, "3 x 32 bits, photometric 2"),
        (np.int16, "3 x 16 bits, photometric 2, compression 1, sample format (2, 2, 2)"),
    ]:
        for apart in (False, True):
            assert complaint in refusal(write_tiff(tmp_path / "a.tif", Page(COLOURS.astype(dtype), apart=apart)))
    signed = write_tiff(tmp_path / "a.tif", Page(BYTES[..., :1].view(np.int8), 1))
    assert "sample format (2,) by its tags, but Pillow decodes 40 x 24 of L" in refusal(signed)
    jpeg = write_tiff(tmp_path / "a.tif", Page(WORDS[..., :3], pack=(bytes, 7)))
    assert "3 x 16 bits, photometric 2, compression 7" in refusal(jpeg)
    bits = np.packbits(ROWS % 3 == 0, axis=1)[..., None]
    assert "1 x 1 bits, photometric 0" in refusal(
        write_tiff(tmp_path / "a.tif", Page(bits, 0, True, tags={256: WIDTH, 258: 1}))
    )
    assert "3 x 8 bits, photometric 8" in refusal(write_tiff(tmp_path / "a.tif", Page(COLOURS, 8, apart=True)))
    Image.fromarray(ROWS % 3 == 0).save(tmp_path / "b.tif", compression="tiff_raw_16")
    assert "1 x 1 bits, photometric 1, compression 32771" in refusal(tmp_path / "b.tif")


def test_what_pillow_decodes_is_compared_with_the_tags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The next kind that Pillow misreads is not known yet: with fewer bits or planes than it has, it is refused."""
    monkeypatch.setattr("minisrgan.images.tiff.pillow_cannot", lambda tags: False)
    for name, planes in {"bits": WORDS[..., :3], "apart": WORDS}.items():
        said = refusal(write_tiff(tmp_path / f"{name}.tif", Page(planes, apart=name == "apart")))
        assert "x 16 bits" in said
        assert "but Pillow decodes 40 x 24 of RGB" in said


def test_pages(tmp_path: Path):
    """A scan of a book lost all pages but the first, and a file that begins with a thumbnail lost the photo."""
    thumbnail, mask, small = Page(COLOURS[::4, ::4], tags={254: 1}), Page(ALPHA[..., None], 1, tags={254: 4}), {255: 2}
    photos = Page(COLOURS), Page(WORDS, apart=True, extra=(2,)), Page(ALPHA[:9, :, None], 1)
    photo = read_photo(write_tiff(tmp_path / "a.tif", *photos))
    assert_same(photo, COLOURS)
    assert_same(photo.more[0], WORDS[..., :3], WORDS[..., 3])
    assert_same(photo.more[1], ALPHA[:9, :, None])
    old = Page(COLOURS[::2, ::2], tags=small)
    with pytest.warns(ImageWarning, match=r"a\.tif: 3 of its 5 pages, smaller copies or masks of others, left out"):
        photo = read_photo(write_tiff(tmp_path / "a.tif", thumbnail, *photos[:2], mask, old))
    assert_same(photo, COLOURS)
    assert len(photo.more) == 1
    assert_same(read_photo(write_tiff(tmp_path / "a.tif", thumbnail)), COLOURS[::4, ::4])  # all that there is
    with pytest.warns(ImageWarning, match="of its 3 pages only the first is taken"):
        assert np.array_equal(read_image(write_tiff(tmp_path / "a.tif", *photos)), COLOURS)


def test_raw_photographs_of_cameras(tmp_path: Path):
    """DNG, NEF and CR2 are TIFFs that show a thumbnail to whoever does not know them."""
    thumbnail = Page(COLOURS[::4, ::4], tags={254: 1, 330: 8})
    assert "raw photograph" in refusal(write_tiff(tmp_path / "a.dng", thumbnail))
    magic = np.frombuffer(b"CR\2", np.uint8).reshape(1, 1, 3)  # right behind the header
    assert "raw photograph" in refusal(write_tiff(tmp_path / "a.cr2", Page(magic)))


def test_a_tiff_whose_pages_go_round(tmp_path: Path):
    """A page that names itself as the next is read once."""
    path = write_tiff(tmp_path / "a.tif", Page(COLOURS))
    data = bytearray(path.read_bytes())
    start = int.from_bytes(data[4:8], "little")
    struct.pack_into("<L", data, start + 2 + 12 * int.from_bytes(data[start : start + 2], "little"), start)
    path.write_bytes(data)
    assert_same(read_photo(path), COLOURS)


def test_a_tiff_that_is_cut_off(tmp_path: Path):
    """What Pillow is given has a new directory at the end, which must not become pixels of the last plane."""
    path = write_tiff(tmp_path / "a.tif", Page(WORDS, apart=True, extra=(2,)))
    data, plane = path.read_bytes(), HEIGHT * WIDTH * 2
    last = struct.pack("<L", 8 + 3 * plane)
    assert data.count(last) == 1
    path.write_bytes(data.replace(last, struct.pack("<L", len(data) - plane)))
    read_photo(path)
    path.write_bytes(data.replace(last, struct.pack("<L", len(data) - plane + 1)))
    assert "cut off" in refusal(path)


# 16 bits


@pytest.mark.parametrize("laced", [False, True])
@pytest.mark.parametrize(("kind", "channels"), [(0, [3]), (2, [0, 1, 2]), (4, [1, 3]), (6, [0, 1, 2, 3])])
def test_16_bits_of_a_png(tmp_path: Path, kind: int, channels: list[int], laced: bool):
    """Pillow keeps the upper 8 of them, without a word."""
    planes = WORDS[..., channels]
    photo = read_photo(write_png(tmp_path / "a.png", planes, kind, laced=laced))
    transparent = kind in (4, 6)
    assert_same(photo, planes[..., :-1] if transparent else planes, planes[..., -1] if transparent else None)
    assert np.abs(read_image(tmp_path / "a.png").astype(int) - 128).max() <= 128  # in 8 bits, for training


def test_16_bits_with_one_colour_transparent(tmp_path: Path):
    """A level that differs in its lower 8 bits alone is another."""
    planes = WORDS[..., :3].copy()
    planes[5, 7] = planes[0, 0] ^ np.uint16(1)
    clear = chunk(b"tRNS", planes[0, 0].astype(">u2").tobytes())
    photo = read_photo(write_png(tmp_path / "a.png", planes, 2, before=clear))
    assert_same(photo, planes, np.where((planes == planes[0, 0]).all(axis=2), 0, 65535).astype(np.uint16))
    assert photo.alpha is not None
    assert photo.alpha[5, 7] == 65535


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("alpha", [None, WORDS[..., 3]], ids=["opaque", "alpha"])
@pytest.mark.parametrize("channels", [1, 3])
def test_16_bits_are_written(tmp_path: Path, channels: int, alpha: Array | None, suffix: str):
    """Pillow writes 16 bits of grey alone; another reader must find ours too."""
    photo = Photo(WORDS[..., :channels], alpha, SRGB if channels == 3 else None, info={"dpi": (300.0, 200.0)})
    write_photo(tmp_path / f"a{suffix}", photo)
    copy = read_photo(tmp_path / f"a{suffix}")
    assert_same(copy, WORDS[..., :channels], alpha)
    assert copy.icc_profile == photo.icc_profile
    assert np.allclose(copy.info["dpi"], (300, 200), atol=0.1)
    if suffix == ".png":
        with Image.open(tmp_path / "a.png") as image:
            image.load()
            assert image.size == (WIDTH, HEIGHT)
    else:
        read = pytest.importorskip("tifffile").imread(tmp_path / "a.tif")
        planes = WORDS[..., :channels] if alpha is None else np.dstack([WORDS[..., :channels], alpha])
        assert np.array_equal(read.reshape(HEIGHT, WIDTH, -1), planes)


def test_16_bits_elsewhere(tmp_path: Path):
    """PPM is what raw converters write, and what Pillow reads as 8 bits; JPEG 2000 and AVIF are said to lose them."""
    for white, name in [(65535, "a.ppm"), (1023, "b.ppm")]:
        levels = (WORDS[..., :3].astype(int) * white // 65535).astype(">u2")
        (tmp_path / name).write_bytes(b"P6\n# raw\n%d %d\n%d\n" % (WIDTH, HEIGHT, white) + levels.tobytes())
        assert_same(read_photo(tmp_path / name), np.round(levels * (65535 / white)).astype(np.uint16))
    (tmp_path / "cut.ppm").write_bytes((tmp_path / "a.ppm").read_bytes()[:-9])
    refusal(tmp_path / "cut.ppm")
    (tmp_path / "plain.ppm").write_bytes(b"P3 1 1 65535 65535 0 257")
    with pytest.warns(ImageWarning, match="of its 16 bits a channel 8 are read"):
        assert read_photo(tmp_path / "plain.ppm").pixels.tolist() == [[[255, 0, 1]]]



@pytest.mark.parametrize(("name", "place", "depth"), [("a.jp2", b"\xff\x4f\xff\x51", 42), ("a.avif", b"pixi", 9)])
def test_bits_that_pillow_does_not_read(tmp_path: Path, name: str, place: bytes, depth: int):
    """Pillow turns more bits into 8, here 12, and does not tell."""
    if Image.registered_extensions().get(Path(name).suffix) not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {name[2:]}")
    Image.fromarray(COLOURS).save(tmp_path / name)
    assert read_photo(tmp_path / name).pixels.shape == COLOURS.shape
    data = bytearray((tmp_path / name).read_bytes())
    data[data.index(place) + depth] = 12 - (name == "a.jp2")
    with Image.open(tmp_path / name) as image:
        assert _depth(image, bytes(data)) == 12
        assert _depth(image, (tmp_path / name).read_bytes()) == 8
    if name == "a.jp2":  # the AVIF would not be decoded
        (tmp_path / name).write_bytes(data)
        with pytest.warns(ImageWarning, match="of its 12 bits a channel 8 are read"):
            read_photo(tmp_path / name)


# Frames


def frames(alpha: bool) -> list[Array]:
    """Return four frames that differ."""
    return [np.roll(BYTES if alpha else COLOURS, 5 * number, axis=1) for number in range(4)]


@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("target", ["b.png", "b.webp", "b.tif"])
@pytest.mark.parametrize("source", ["a.png", "a.webp", "a.gif"])
def test_animations(tmp_path: Path, source: str, target: str, alpha: bool):
    """Only the first frame of an animation was enlarged, and nobody was told."""
    first, *rest = (Image.fromarray(frame) for frame in frames(alpha))
    options = {"lossless": True, "exact": True} if source == "a.webp" else {}
    times = [50, 60, 70, 80]
    first.save(tmp_path / source, save_all=True, append_images=rest, duration=times, loop=3, **options)
    photo = read_photo(tmp_path / source)
    found = [photo, *photo.more]
    assert [round(one.info["duration"]) for one in found] == times
    assert photo.info["loop"] == (4 if source == "a.gif" else 3)  # in a GIF, how often it is repeated
    if source != "a.gif":
        for one, frame in zip(found, frames(alpha), strict=True):
            assert_same(one, frame[..., :3], frame[..., 3] if alpha else None)
    if target == "b.tif":
        with pytest.warns(ImageWarning, match=r"b\.tif: the frames became pages"):
            write_photo(tmp_path / target, photo)
    else:
        write_photo(tmp_path / target, photo)
    copy = read_photo(tmp_path / target)
    assert len(copy.more) == 3
    for one, other in zip([copy, *copy.more], found, strict=True):
        if target == "b.webp":
            assert np.abs(one.pixels.astype(float) - other.pixels)[ALPHA > 99].mean() < 12
            assert round(one.info["duration"]) == round(other.info["duration"])
        else:
            assert np.array_equal(one.pixels, other.pixels)
    for lossy in (tmp_path / "c.jpg", tmp_path / "c.bmp"):
        with pytest.warns(ImageWarning, match="only the first of 4 frames; --format png and webp keep all"):
            write_photo(lossy, photo)
    with pytest.warns(ImageWarning, match="of its 4 pictures only the first is taken"):
        read_image(tmp_path / source)


def test_frames_of_different_channels(tmp_path: Path):
    """Grey beside colours, opaque beside transparent: a file has one kind of pixels."""
    info = {"duration": 40, "loop": 0}
    pictures = [
        Photo(ALPHA[..., None], None, info=info), Photo(COLOURS, None, info=info), Photo(COLOURS, ALPHA, info=info),
        Photo(WORDS[..., :1], WORDS[..., 1], info=info),
    ]  # fmt: skip
    with pytest.warns(ImageWarning, match="16 bits a channel are rounded to 8"):
        write_photo(tmp_path / "a.png", replace(pictures[0], more=tuple(pictures[1:])))
    photo = read_photo(tmp_path / "a.png")
    assert_same(photo, ALPHA[..., None].repeat(3, axis=2), np.full_like(ALPHA, 255))
    assert_same(photo.more[1], COLOURS, ALPHA)
    assert_same(photo.more[2], np.round(WORDS[..., :1] / 257).astype(np.uint8).repeat(3, axis=2),
                np.round(WORDS[..., 1] / 257).astype(np.uint8))  # fmt: skip


def test_pictures_beside_the_picture(tmp_path: Path):
    """The pages of a TIFF are no animation, and the second picture of a camera's MPO is a depth map or a preview."""
    photo = Photo(COLOURS, more=(Photo(ALPHA[..., None]),))
    for name in ("a.png", "a.webp", "a.jpg"):
        with pytest.warns(ImageWarning, match=rf"{name}: only the first of 2 pages; --format tif keeps all"):
            write_photo(tmp_path / name, photo)
    first, second = (Image.fromarray(frame) for frame in frames(False)[:2])
    first.save(tmp_path / "a.mpo", save_all=True, append_images=[second], quality=100)
    with pytest.warns(ImageWarning, match="of its 2 pictures only the first is taken"):
        assert np.abs(read_photo(tmp_path / "a.mpo").pixels.astype(int) - COLOURS).mean() < 3
    options = {"save_all": True, "duration": [60, 70], "default_image": True}
    first.save(tmp_path / "still.png", append_images=[second, first], **options)
    with pytest.warns(ImageWarning, match="its still picture"):
        photo = read_photo(tmp_path / "still.png")
    assert_same(photo, np.asarray(second))
    assert len(photo.more) == 1


# Formats, chunks and limits


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n%%EOF\n",
        b"\xc5\xd0\xd3\xc6" + struct.pack("<II", 30, 90) + bytes(18)
        + b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n",
        b"\xd7\xcd\xc6\x9a\0\0" + struct.pack("<hhhhH", 0, 0, 99, 99, 72) + bytes(6) + b"\1\0\t\0\0\3" + bytes(40),
        b"GRIB\0\0\0\1" + bytes(60),
        b"\x89HDF\r\n\x1a\n" + bytes(60),
        b"SIMPLE  =                    T" + b" " * 50,
        b"%PDF-1.4\n%%EOF",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        struct.pack("<BBBHHBHHHHBB", 0, 0, 2, 0, 0, 0, 0, 0, 8, 8, 24, 0) + bytes(192),
        b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0\x40\0\0\0\x16\0\0\0" + bytes(64),
    ],
    ids=["eps", "dos-eps", "wmf", "grib", "hdf5", "fits", "pdf", "svg", "tga", "ico"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["photo.jpg", "photo.tif", "photo.eps"])
def test_only_raster_formats_are_opened(
    tmp_path: Path, name: str, content: bytes, monkeypatch: pytest.MonkeyPatch
):
    """A photograph from a stranger that holds PostScript made Pillow start Ghostscript on it."""

    def run(*words: Any, **_: Any) -> None:
        raise AssertionError(f"a program is run: {words}")

    for starter in ("Popen", "run", "check_call", "check_output", "call"):
        monkeypatch.setattr(subprocess, starter, run)
    (tmp_path / name).write_bytes(content)
    assert "PNG, JPEG, TIFF" in refusal(tmp_path / name)


LONG = b"x" * 2_000_000
XMP = b"XML:com.adobe.xmp\0"
CHUNKS = {
    "long zTXt": (chunk(b"zTXt", b"k\0\0" + zlib.compress(LONG)), "text of more than 1 MB is left out"),
    "long tEXt": (chunk(b"tEXt", b"k\0" + LONG), "text of more than 1 MB is left out"),
    "long XMP": (chunk(b"iTXt", XMP + b"\1\0\0\0" + zlib.compress(LONG)), "text of more than 1 MB is left out"),
    "raw XMP": (chunk(b"iTXt", XMP + b"\0\0\0\0" + LONG), "text of more than 1 MB is left out"),
    "much text": (80 * chunk(b"zTXt", b"k\0\0" + zlib.compress(LONG[:900_000])), "text of more than 1 MB is left out"),
    "long profile": (chunk(b"iCCP", b"p\0\0" + zlib.compress(SRGB + LONG)), ""),
    "bad profile": (chunk(b"iCCP", b"p\0\0no profile"), "its colour profile is damaged and left out"),
    "short profile": (chunk(b"iCCP", b"p"), "its colour profile is damaged and left out"),
    "profile's checksum": (chunk(b"iCCP", b"p\0\0" + zlib.compress(SRGB), damaged=True), "its iCCP chunk is damaged"),
    "text's checksum": (chunk(b"tEXt", b"k\0text", damaged=True), "its tEXt chunk is damaged and left out"),
    "date's checksum": (chunk(b"tIME", bytes(7), damaged=True), "its tIME chunk is damaged and left out"),
    "EXIF's checksum": (chunk(b"eXIf", b"II*\0\x08\0\0\0" + bytes(6), damaged=True), "its eXIf chunk is damaged"),
    "private checksum": (chunk(b"prIv", b"abc", damaged=True), "its prIv chunk is damaged and left out"),
    "short gamma": (chunk(b"gAMA", b"\0"), "its gAMA chunk is damaged and left out"),
    "short resolution": (chunk(b"pHYs", bytes(5)), "its pHYs chunk is damaged and left out"),
    "short animation": (chunk(b"acTL", bytes(3)), "its acTL chunk is damaged and left out"),
}


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("name", CHUNKS)
def test_good_pixels_in_a_damaged_png(tmp_path: Path, name: str, place: str):
    """Text, profiles and dates are not the picture: it is read, with a warning."""
    extra, warning = CHUNKS[name]
    path = write_png(tmp_path / "a.png", COLOURS, 2, **{place: extra})
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        photo = read_photo(path)
    assert_same(photo, COLOURS)
    assert [str(line.message).startswith(f"{path}: {warning}") for line in told] == [True] * bool(warning)
    assert (photo.icc_profile == SRGB + LONG) == (name == "long profile")


def test_damaged_pixels_of_a_png(tmp_path: Path):
    """A wrong checksum of what the pixels depend on is another matter."""
    path = write_png(tmp_path / "a.png", COLOURS, 2)
    data = bytearray(path.read_bytes())
    data[29] ^= 1  # the header's
    path.write_bytes(data)
    refusal(path)


@pytest.mark.parametrize("laced", [False, True])
def test_pixels_of_a_png_that_end_early(tmp_path: Path, laced: bool):
    """A whole stream of too few rows: Pillow leaves the others black, or in the first colour of a palette."""
    palette = chunk(b"PLTE", bytes(768))
    for planes, kind in ((COLOURS, 2), (WORDS, 6), (WORDS[..., :1], 0), (BYTES[..., :1], 3)):
        path = write_png(tmp_path / "a.png", planes, kind, laced=laced, before=palette * (kind == 3))
        read_photo(path)
        data = path.read_bytes()
        start = data.index(b"IDAT") - 4
        end = start + 12 + int.from_bytes(data[start : start + 4])
        rows = zlib.decompress(data[start + 8 : end - 4])
        short = rows[:-1]
        path.write_bytes(data[:start] + chunk(b"IDAT", zlib.compress(short)) + data[end:])
        said = refusal(path)
        assert f"the pixels end after {len(short):,} of {len(rows):,} bytes" in said or "truncated" in said


def test_what_pillow_decodes_is_compared_with_the_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As of a TIFF: should a new Pillow read grey for colour, or another size, nobody would notice."""
    path = write_png(tmp_path / "a.png", COLOURS, 2)
    monkeypatch.setattr("minisrgan.images.decode._planes", lambda image, tell: (COLOURS[..., :1], None))
    assert "(24, 40, 3) levels by the header, but Pillow decodes (24, 40, 1)" in refusal(path)


def test_a_limit_for_all_pictures_of_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Pillow's own limit is below what x4 makes of a 12-megapixel photo, and looks at one page after the other."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    Image.fromarray(COLOURS).save(tmp_path / "a.webp")
    write_png(tmp_path / "a.png", COLOURS, 2)
    write_tiff(tmp_path / "a.tif", Page(COLOURS), Page(COLOURS))
    pixels = HEIGHT * WIDTH
    for name, count in {"a.webp": 1, "a.png": 1, "a.tif": 2}.items():
        read_photo(tmp_path / name, max_pixels=count * pixels)
        with pytest.raises(ImageError, match=rf"{name} with 0\.0 megapixels\n.*--max-megapixels"):
            read_photo(tmp_path / name, max_pixels=count * pixels - 1)
    assert Image.MAX_IMAGE_PIXELS == 10


# Colours and what else a file says


def p3_profile() -> bytes:
    """Return sRGB's profile with the red primary of Display P3: colours differ visibly, and it is easily made."""
    profile = bytearray(SRGB)
    for number in range(struct.unpack_from(">I", profile, 128)[0]):
        name, at, _ = struct.unpack_from(">4sII", profile, 132 + 12 * number)
        if name in (b"rXYZ", b"gXYZ"):
            values = (0.5151, 0.2412, -0.0011) if name == b"rXYZ" else (0.2919, 0.6922, 0.0419)
            struct.pack_into(">3i", profile, at + 8, *(round(65536 * value) for value in values))
    return bytes(profile)


def as_seen(photo: Photo) -> Array:
    """Return the colours in sRGB."""
    if photo.icc_profile is None:
        return photo.pixels.astype(float)
    source, srgb = ImageCms.ImageCmsProfile(io.BytesIO(photo.icc_profile)), ImageCms.createProfile("sRGB")
    shown = ImageCms.profileToProfile(Image.fromarray(photo.pixels), source, srgb)
    return np.asarray(shown).astype(float)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp", ".jpg", ".bmp"])
def test_colours_look_the_same(tmp_path: Path, suffix: str):
    """Without its profile, a photograph of today's phones looks 6.7 levels off on average."""
    smooth = imresize(COLOURS, 4)
    photo = Photo(smooth, icc_profile=p3_profile())
    assert np.abs(as_seen(photo) - smooth).mean() > 5
    write_photo(tmp_path / f"a{suffix}", photo, quality=100)
    copy = read_photo(tmp_path / f"a{suffix}")
    assert (copy.icc_profile is None) == (suffix == ".bmp")
    assert np.abs(as_seen(copy) - as_seen(photo)).mean() < (3 if suffix in (".webp", ".jpg") else 1)
    write_photo(tmp_path / f"a{suffix}", photo, strip_metadata=True, quality=100)
    assert read_photo(tmp_path / f"a{suffix}").icc_profile is None


def test_each_page_has_its_own_profile(tmp_path: Path):
    """Pillow gives what it was told of the first page to all that say nothing."""
    exif = Image.Exif()
    exif[0x013B] = "A. Artist"
    pages = Photo(COLOURS), Photo(ALPHA[..., None]), Photo(COLOURS, icc_profile=SRGB), Photo(WORDS[..., :3])
    info = {"dpi": (300.0, 300.0)}
    photo = Photo(COLOURS, None, p3_profile(), exif.tobytes(), info, pages)
    write_photo(tmp_path / "a.tif", photo, keep_metadata=True)
    copy = read_photo(tmp_path / "a.tif")
    assert [page.icc_profile for page in (copy, *copy.more)] == [p3_profile(), None, None, SRGB, None]
    assert [page.exif is None for page in (copy, *copy.more)] == [False, True, True, True, True]
    assert [page.info for page in (copy, *copy.more)] == [info, {}, {}, {}, {}]
    assert_same(copy.more[3], WORDS[..., :3])
    cicp = chunk(b"cICP", bytes([12, 13, 0, 1]))
    photo = read_photo(write_png(tmp_path / "a.png", COLOURS, 2, before=cicp))
    write_photo(tmp_path / "b.png", photo)
    assert cicp in (tmp_path / "b.png").read_bytes()
    with pytest.warns(ImageWarning, match="its cICP"):
        write_photo(tmp_path / "b.jpg", photo)


def test_gamma_is_kept_or_applied(tmp_path: Path):
    """A picture of linear light, shown as if it were not, is far too dark."""
    gamma = chunk(b"gAMA", struct.pack(">I", 100_000))
    photo = read_photo(write_png(tmp_path / "a.png", COLOURS, 2, before=gamma))
    write_photo(tmp_path / "b.png", photo)
    assert read_photo(tmp_path / "b.png").info["colour"] == {b"gAMA": struct.pack(">I", 100_000)}
    assert_same(read_photo(tmp_path / "b.png"), COLOURS)
    write_photo(tmp_path / "b.tif", photo)
    assert np.abs(read_photo(tmp_path / "b.tif").pixels - 255 * (COLOURS / 255) ** (1 / 2.2)).max() <= 0.5
    write_photo(tmp_path / "b.png", photo, strip_metadata=True)
    assert read_photo(tmp_path / "b.png").info == {}
    for before in (gamma + chunk(b"sRGB", b"\0"), chunk(b"gAMA", struct.pack(">I", 45455))):
        photo = read_photo(write_png(tmp_path / "a.png", COLOURS, 2, before=before))
        write_photo(tmp_path / "b.tif", photo)
        assert_same(read_photo(tmp_path / "b.tif"), COLOURS)
    deep = read_photo(write_png(tmp_path / "a.png", WORDS[..., :3], 2, before=gamma))
    write_photo(tmp_path / "b.tif", deep)
    assert np.abs(read_photo(tmp_path / "b.tif").pixels - 65535 * (WORDS[..., :3] / 65535) ** (1 / 2.2)).max() <= 0.5


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".bmp"])
def test_resolution_is_kept(tmp_path: Path, suffix: str):
    """A scan that forgets its 300 dpi is printed as large as a door; turned, it is as fine the other way round."""
    for name, turn in [("a.png", 1), ("a.jpg", 1), ("a.tif", 1), ("b.jpg", 6), ("b.png", 6)]:
        exif = Image.Exif()
        exif[0x0112] = turn
        Image.fromarray(COLOURS).save(tmp_path / name, dpi=(300, 150), exif=exif)
        write_photo(tmp_path / f"c{suffix}", read_photo(tmp_path / name))
        dpi = read_photo(tmp_path / f"c{suffix}").info["dpi"]
        assert np.allclose(dpi, (300, 150) if turn == 1 else (150, 300), atol=0.1)
    for name in ("d.png", "d.jpg", "d.tif", "d.gif"):
        Image.fromarray(COLOURS).save(tmp_path / name)
        assert "dpi" not in read_photo(tmp_path / name).info


def test_text_and_xmp_on_request(tmp_path: Path):
    """Captions and keywords are work that somebody did; an XMP that still says "turned" turns the picture again."""
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    Image.fromarray(COLOURS).save(tmp_path / "a.jpg", xmp=xmp, comment="Gr\u00fc\u00dfe".encode())
    photo = read_photo(tmp_path / "a.jpg")
    assert photo.info["text"] == {"Comment": "Gr\u00fc\u00dfe"}
    assert photo.pixels.shape == (WIDTH, HEIGHT, 3)
    for name in ("b.png", "b.jpg"):
        write_photo(tmp_path / name, photo, keep_metadata=True)
        copy = read_photo(tmp_path / name)
        assert copy.info["text"] == photo.info["text"]
        assert copy.info["xmp"].strip() == xmp.replace(b'"6"', b'"1"')
        assert copy.pixels.shape == photo.pixels.shape
        write_photo(tmp_path / name, photo)
        assert read_photo(tmp_path / name).info.keys().isdisjoint({"text", "xmp"})
    for name in ("b.tif", "b.webp"):
        with pytest.warns(ImageWarning, match="its text is left out"):
            write_photo(tmp_path / name, photo, keep_metadata=True)
        assert read_photo(tmp_path / name).info["xmp"] == xmp.replace(b'"6"', b'"1"')
    with pytest.warns(ImageWarning, match="its XMP is left out"):
        write_photo(tmp_path / "c.jpg", replace(photo, info={"xmp": b"x" * 70_000}), keep_metadata=True)
    text = {"Title": "A", "Comment": "\u4e2d"}
    write_photo(tmp_path / "d.png", Photo(COLOURS, info={"text": text}), keep_metadata=True)
    assert read_photo(tmp_path / "d.png").info["text"] == text


@pytest.mark.parametrize(("quality", "given", "kept"), [
    (95, "auto", (1, 1)), (94, "auto", (2, 2)), (50, "444", (1, 1)), (99, "422", (2, 1)), (100, "420", (2, 2)),
])  # fmt: skip
def test_subsampling(tmp_path: Path, quality: int, given: Any, kept: tuple[int, int]):
    """Quality 100 that keeps a quarter of the colours is wrong by 20 levels at a red edge."""
    path = tmp_path / "a.jpg"
    write_photo(path, Photo(COLOURS), quality=quality, subsampling=given)
    with Image.open(path) as image:
        assert image.layer[0][1:3] == kept  # how often brightness is sampled for one sample of colour
    checks = np.where(((ROWS + COLUMNS) % 2 == 0)[..., None], [255, 0, 0], [0, 0, 255]).astype(np.uint8)
    write_photo(path, Photo(checks), quality=100)
    assert np.abs(read_photo(path).pixels.astype(int) - checks).max() <= 4


def test_a_pool_of_threads_reads(tmp_path: Path):
    """Pillow's limit of size and Python's warnings belong to all threads: one must not change them under another."""
    code = f"""
import warnings
from concurrent.futures import ThreadPoolExecutor
from PIL import Image
from minisrgan.images import read_image
before, filters = Image.MAX_IMAGE_PIXELS, list(warnings.filters)
with ThreadPoolExecutor(8) as pool:
    shapes = set(pool.map(lambda _: read_image({str(tmp_path / "a.png")!r}).shape, range(200)))
assert shapes == {{({HEIGHT}, {WIDTH}, 3)}}, shapes
assert (Image.MAX_IMAGE_PIXELS, warnings.filters) == (before, filters)
"""
    write_png(tmp_path / "a.png", COLOURS, 2)
    subprocess.run([sys.executable, "-c", code], check=True)


# The samples themselves


@needs_samples
def test_the_samples():
    """Each is another program's file of one of the kinds above."""
    plain = None
    for name, (shape, dtype, pages, warning) in {
        "bigtext_pre.png": ((72, 72, 3), np.uint8, 1, "text of more than 1 MB"),
        "badcrc_iccp.png": ((72, 72, 3), np.uint8, 1, "iCCP chunk is damaged"),
        "thumb_first.tif": ((72, 72, 3), np.uint8, 1, "1 of its 2 pages"),
        "planar16_photo.tif": ((72, 72, 3), np.uint16, 1, ""),
        "planar16_rgba.tif": ((72, 72, 3), np.uint16, 1, ""),
        "rgba16_un.tif": ((72, 72, 3), np.uint16, 1, ""),
        "rgb16.png": ((64, 64, 3), np.uint16, 1, ""),
        "multi.tif": ((72, 72, 3), np.uint8, 3, ""),
        "anim.gif": ((72, 72, 3), np.uint8, 3, ""),
    }.items():
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            photo = read_photo(SHARED / name)
        assert (photo.pixels.shape, photo.pixels.dtype, 1 + len(photo.more)) == (shape, dtype, pages), name
        assert [warning in str(line.message) for line in told] == [True] * bool(warning), name
        if shape[0] == 72 and name != "anim.gif":
            levels = photo.pixels / (257 if dtype == np.uint16 else 1)
            plain = levels if plain is None else plain
            assert np.abs(levels - plain).max() <= 0.5, name  # all are made from one picture
    assert "PNG, JPEG, TIFF" in refusal(SHARED / "eps.png")


# Data that end early, under a header that promises more


def encoded(kind: str, image: Image.Image | None = None, **options: Any) -> bytes:
    """Return the bytes of a file that Pillow writes."""
    stream = io.BytesIO()
    (image or Image.fromarray(COLOURS)).save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_rows": 1}], ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_with_fewer_data_than_its_header_promises(tmp_path: Path, mode: str, options: dict[str, Any]):
    """libjpeg makes grey of what is missing. Cut off and closed again, or with a larger height."""
    data = encoded("JPEG", Image.fromarray(COLOURS).convert(mode), **options)
    (tmp_path / "a.jpg").write_bytes(data)
    read_photo(tmp_path / "a.jpg")
    height = data.index(b"\xff\xc2" if "progressive" in options else b"\xff\xc0") + 5
    taller = data[:height] + struct.pack(">H", HEIGHT + 9) + data[height + 2 :]
    for short in (taller, *(data[:-n] + b"\xff\xd9" for n in (4, 6, 20, len(data) // 5))):
        (tmp_path / "a.jpg").write_bytes(short)
        refusal(tmp_path / "a.jpg")


def test_a_jpeg_without_one_of_its_restart_intervals(tmp_path: Path):
    """What follows is not moved up: one stripe is grey."""
    data = encoded("JPEG", restart_marker_blocks=1)
    first, second = data.index(b"\xff\xd0"), data.index(b"\xff\xd1")
    (tmp_path / "a.jpg").write_bytes(data[:first] + data[second:])
    assert "parts of the data between restart markers are missing" in refusal(tmp_path / "a.jpg")


def test_a_jpeg_2000_without_one_of_its_tiles(tmp_path: Path):
    """OpenJPEG leaves it black."""
    data = encoded("JPEG2000", tile_size=(32, 32))
    (tmp_path / "a.jp2").write_bytes(data)
    read_photo(tmp_path / "a.jp2")
    (tmp_path / "a.jp2").write_bytes(data[: data.rindex(b"\xff\x90\0\x0a")] + b"\xff\xd9")
    assert "1 of 2 parts of its tiles are there" in refusal(tmp_path / "a.jp2")


def test_a_frame_that_ends_early(tmp_path: Path):
    """The first frame is whole."""
    data = encoded("PNG", save_all=True, append_images=[Image.fromarray(255 - COLOURS)])
    parts = [data[:8]]
    for name, body, _ in png.chunks(data):
        short = body[:4] + zlib.compress(zlib.decompress(body[4:])[:-1]) if name == b"fdAT" else body
        parts.append(chunk(name, short))
    (tmp_path / "a.png").write_bytes(b"".join(parts))
    assert "the pixels end after 2,903 of 2,904 bytes" in refusal(tmp_path / "a.png")


@pytest.mark.parametrize("kind", [b"IDAT", b"PLTE", b"IHDR"])
def test_the_checksum_of_all_that_a_png_needs(tmp_path: Path, kind: bytes):
    """Pillow does not look at the last one of the pixels."""
    data = bytearray(encoded("PNG", Image.fromarray(COLOURS).quantize(9)))
    data[data.index(kind) + 4 + int.from_bytes(data[data.index(kind) - 4 : data.index(kind)])] ^= 1
    (tmp_path / "a.png").write_bytes(data)
    assert "chunk is damaged" in refusal(tmp_path / "a.png")


def test_strips_of_a_tiff_that_are_missing_short_or_damaged(tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    """Pillow and libtiff return black, grey or worse; libtiff's own errors do not reach the terminal."""
    path, bits = tmp_path / "a.tif", np.packbits(ROWS % 3 == COLUMNS % 2, axis=1)[..., None]
    fax = bytearray(encoded("TIFF", Image.fromarray(COLOURS).convert("1"), compression="group4"))
    fax[16:24] = bytes(8)
    packed = bytearray(zlib.compress(COLOURS.tobytes()))
    packed[-40:-32] = bytes(8)
    cut = encoded("JPEG")[:-20] + b"\xff\xd9"
    for page, told in (
        (Page(COLOURS, tags={257: HEIGHT + 9}), "1 of 2 strips or tiles are there"),
        (Page(np.vstack([COLOURS, COLOURS]), pack=(lambda data: data[:2880], 1)), "has 2,880 bytes, which is too few"),
        (Page(WORDS, apart=True, tags={257: HEIGHT + 9}), "4 of 8 strips or tiles are there"),
        (Page(bits, 1, tags={256: WIDTH, 258: 1, 257: HEIGHT + 1}), "1 of 2 strips or tiles are there"),
        (Page(COLOURS, pack=(lambda _: bytes(packed), 8)), "decoder error|is damaged"),
        (Page(COLOURS, 6, pack=(lambda _: cut, 7), tags={530: 2}), "the data end before the picture does"),
        (Page(COLOURS, 6, pack=(lambda _: encoded("JPEG"), 7), tags={530: 2, 256: WIDTH + 3}), "is too small"),
        (bytes(fax), "Fax4Decode: Bad code word at line"),
    ):  # fmt: skip
        path.write_bytes(page) if isinstance(page, bytes) else write_tiff(path, page, Page(COLOURS))
        assert any(each in refusal(path) for each in told.split("|")), told
    assert capfd.readouterr() == ("", "")


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's own, which the commands show as one line
@pytest.mark.parametrize("share", [0.7, 0.95])
def test_a_tiff_without_the_end_of_its_tags(share: float, tmp_path: Path) -> None:
    """A KeyError of 256 does not say that a download broke off."""
    file = io.BytesIO()
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(file, "TIFF", compression="tiff_lzw")
    (tmp_path / "a.tif").write_bytes(file.getvalue()[: int(len(file.getvalue()) * share)])
    with pytest.raises(ImageError, match="directory of tags ends early"):
        read_image(tmp_path / "a.tif")
