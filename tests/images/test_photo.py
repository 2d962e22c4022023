"""Photographs with all that their files hold: every mode, every turn, damage, 16 bits, transparency and metadata."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import struct
import threading
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from minisrgan.errors import ArgumentError, DTypeError, ImageError, ImageWarning, ShapeError
from minisrgan.images import Photo, decode, imresize, read_image, read_photo, write_photo
from minisrgan.images.files import FORMATS

Array = np.ndarray

RNG = np.random.default_rng(5)
COLOURS = RNG.integers(0, 256, (6, 9, 3), dtype=np.uint8)
GREY, ALPHA = COLOURS[..., 0], RNG.integers(0, 256, (6, 9), dtype=np.uint8)
INDICES = np.arange(54, dtype=np.uint8).reshape(6, 9) % 7
ENTRIES = np.array([20, 0, 255, 128, 255, 7, 255], np.uint8)  # alpha of seven palette entries
INKS = RNG.integers(0, 256, (6, 9, 4), dtype=np.uint8)
LEVELS = RNG.integers(0, 65536, (6, 9), dtype=np.uint16)
SMOOTH = imresize(RNG.integers(0, 256, (5, 6, 3), dtype=np.uint8), 8)  # a picture that JPEG and WebP keep nearly
SMOOTH_ALPHA = imresize(RNG.integers(0, 256, (5, 6), dtype=np.uint8), 8)

ORIENTATION, MAKER, EXIF_IFD, GPS_IFD, COMMENT, PIXEL_WIDTH = 0x0112, 0x010F, 0x8769, 0x8825, 0x9286, 0xA002
PROFILE = bytes(16) + b"RGB XYZ " + bytes(range(104))  # the header says which colours it describes


def turned(image: Array, orientation: int) -> Array:
    """Turn an image as the EXIF standard describes each of the eight orientations."""
    return {
        1: image,
        2: image[:, ::-1],
        3: image[::-1, ::-1],
        4: image[::-1],
        5: image.swapaxes(0, 1),
        6: np.rot90(image, -1),
        7: image[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(image),
    }[orientation]


def palette() -> Image.Image:
    """Return a picture of seven colours."""
    image = Image.fromarray(INDICES)
    image.putpalette(COLOURS[0, :7].tobytes())
    return image


def matching(pixels: Array, clear: Any) -> Array:
    """Return an alpha that is 0 where a pixel has the one colour that a PNG may declare transparent."""
    return np.where((pixels == clear).reshape(6, 9, -1).all(axis=2), 0, 255)


def png(depth: int, colour: int, rows: list[bytes], width: int, *, clear: bytes = b"", tail: bytes = b"") -> bytes:
    """Build a PNG by hand, for what Pillow cannot write."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0))]
    parts += [chunk(b"tRNS", clear)] if clear else []
    parts += [chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))]
    parts += [chunk(b"eXIf", tail)] if tail else []
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts) + chunk(b"IEND", b"")


# name -> picture, file, options of Pillow's, expected pixels, expected alpha
MODES: dict[str, tuple[Image.Image, str, dict[str, Any], Array, Array | None]] = {
    "1": (Image.fromarray(GREY > 99), "a.png", {}, (GREY > 99) * 255, None),
    "L": (Image.fromarray(GREY), "a.tif", {}, GREY, None),
    "L, one level clear": (Image.fromarray(GREY), "a.png", {"transparency": int(GREY[1, 2])}, GREY,
                           matching(GREY, GREY[1, 2])),
    "LA": (Image.fromarray(np.dstack([GREY, ALPHA])), "a.png", {}, GREY, ALPHA),
    "P": (palette(), "a.png", {}, COLOURS[0, INDICES], None),
    "P, one entry clear": (palette(), "a.png", {"transparency": 3}, COLOURS[0, INDICES], matching(INDICES, 3)),
    "P, alpha an entry": (palette(), "a.png", {"transparency": ENTRIES.tobytes()}, COLOURS[0, INDICES],
                          ENTRIES[INDICES]),
    "RGB": (Image.fromarray(COLOURS), "a.tif", {"compression": "tiff_lzw"}, COLOURS, None),
    "RGB, one colour clear": (Image.fromarray(COLOURS), "a.png", {"transparency": tuple(COLOURS[2, 3].tolist())},
                              COLOURS, matching(COLOURS, COLOURS[2, 3])),
    "RGBA": (Image.fromarray(np.dstack([COLOURS, ALPHA])), "a.webp", {"lossless": True, "exact": True}, COLOURS, ALPHA),
    "CMYK": (Image.frombytes("CMYK", (9, 6), INKS.tobytes()), "a.tif", {},
             np.round((255 - INKS[..., :3].astype(float)) * (255 - INKS[..., 3:].astype(float)) / 255), None),
    "16 bits": (Image.fromarray(LEVELS), "a.png", {}, LEVELS, None),
    "16 bits, memory-mapped": (Image.fromarray(LEVELS), "a.tif", {}, LEVELS, None),
    "16 bits in 32": (Image.fromarray(LEVELS.astype(np.int32)), "a.tif", {}, LEVELS, None),
    "JPEG": (Image.fromarray(SMOOTH), "a.jpg", {"quality": 100, "subsampling": 0}, SMOOTH, None),
}  # fmt: skip


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", MODES)
def test_every_mode_the_right_way_up(tmp_path: Path, mode: str, orientation: int):
    """Pixels turned and alpha not, a TIFF turned twice, a palette read as its indices, 16 bits saturated at 255."""
    image, name, options, pixels, alpha = MODES[mode]
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image.save(tmp_path / name, exif=exif, **options)
    photo = read_photo(tmp_path / name)
    expected = turned(np.atleast_3d(pixels), orientation)
    assert photo.pixels.shape == expected.shape
    assert photo.pixels.dtype == (np.uint16 if "16" in mode else np.uint8)
    tolerance = {"CMYK": 1, "JPEG": 4}.get(mode, 0)
    assert np.abs(photo.pixels.astype(float) - expected).max() <= tolerance
    assert (photo.alpha is None) == (alpha is None)
    if alpha is not None and photo.alpha is not None:
        assert photo.alpha.dtype == photo.pixels.dtype
        assert np.array_equal(photo.alpha, turned(alpha, orientation))
    for plane in (photo.pixels, photo.alpha):
        assert plane is None or (plane.flags.c_contiguous and plane.flags.writeable)
    assert photo.exif is None  # it held nothing but the orientation


def test_the_eight_orientations_differ():
    """On a symmetric picture the test above would prove little."""
    assert len({turned(COLOURS, n).tobytes() + bytes(turned(COLOURS, n).shape) for n in range(1, 9)}) == 8


def test_turns_by_late_exif_and_by_xmp(tmp_path: Path):
    """EXIF may lie behind the pixels of a PNG, and some programs write the turn as XMP alone."""
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    path = tmp_path / "late.png"
    path.write_bytes(png(8, 0, [b"\5\6"], 2, tail=exif.tobytes()[6:]))
    assert read_photo(path).pixels.tolist() == [[[5]], [[6]]]
    note = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description tiff:Orientation="8"/></rdf:RDF></x:xmpmeta>'
    Image.fromarray(SMOOTH).save(tmp_path / "xmp.jpg", xmp=note)
    assert read_photo(tmp_path / "xmp.jpg").pixels.shape == (48, 40, 3)


def test_clear_levels_of_few_and_many_bits(tmp_path: Path):
    """PNGs made small by optimisers store grey in 2 or 4 bits; the clear level must be stretched with the others."""
    cases = [
        (1, b"\x80", 2, b"\0\1", [255, 0], [0, 255]),
        (2, b"\x1b", 4, b"\0\1", [0, 85, 170, 255], [255, 0, 255, 255]),
        (4, b"\x5a", 2, b"\0\5", [85, 170], [0, 255]),
        (16, b"\5\6\5\7", 2, b"\5\6", [0x506, 0x507], [0, 65535]),
    ]
    for depth, row, width, clear, pixels, alpha in cases:
        path = tmp_path / f"{depth}.png"
        path.write_bytes(png(depth, 0, [row], width, clear=clear))
        photo = read_photo(path)
        assert photo.alpha is not None
        assert (photo.pixels.ravel().tolist(), photo.alpha.ravel().tolist()) == (pixels, alpha), depth


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_16_bits_with_white_as_zero(tmp_path: Path, compression: str | None):
    """Scanners write such TIFFs; Pillow inverts them in 8 bits but not in 16, and the picture is a negative."""
    stream = io.BytesIO()
    Image.fromarray(LEVELS).save(stream, "TIFF", compression=compression)
    black_is_zero = struct.pack("<HHIHH", 0x0106, 3, 1, 1, 0)
    assert stream.getvalue().count(black_is_zero) == 1
    path = tmp_path / "scan.tif"
    path.write_bytes(stream.getvalue().replace(black_is_zero, struct.pack("<HHIHH", 0x0106, 3, 1, 0, 0)))
    assert np.array_equal(read_photo(path).pixels[..., 0], 65535 - LEVELS)


@pytest.mark.parametrize("shape", [(4, 4, 1), (4, 4, 3)])
def test_colours_multiplied_by_alpha(tmp_path: Path, shape: tuple[int, ...]):
    """Some TIFFs store premultiplied colours; taken as they are, every soft edge turns dark."""
    alpha = np.full(shape[:2], 100, np.uint8)
    stored = np.dstack([np.full(shape, 50, np.uint8), alpha])
    stream = io.BytesIO()
    Image.fromarray(stored).save(stream, "TIFF")
    straight, multiplied = (struct.pack("<HHIHH", 0x0152, 3, 1, kind, 0) for kind in (2, 1))
    assert stream.getvalue().count(straight) == 1
    (tmp_path / "a.tif").write_bytes(stream.getvalue().replace(straight, multiplied))
    photo = read_photo(tmp_path / "a.tif")
    assert photo.pixels.shape == shape
    assert np.abs(photo.pixels.astype(int) - 128).max() <= 1  # 50 * 255 / 100 = 127.5
    assert np.array_equal(photo.alpha, alpha)


# Damaged files

WHOLE: dict[str, tuple[Image.Image, dict[str, Any]]] = {
    "baseline.jpg": (Image.fromarray(SMOOTH), {}),
    "progressive.jpg": (Image.fromarray(SMOOTH), {"progressive": True}),
    "rgb.png": (Image.fromarray(SMOOTH), {}),
    "palette.png": (Image.fromarray(SMOOTH).quantize(30), {"transparency": 3}),
    "deep.png": (Image.fromarray(SMOOTH[..., 0].astype(np.uint16) * 257), {}),
    "raw.tif": (Image.fromarray(SMOOTH), {}),
    "lzw.tif": (Image.fromarray(SMOOTH), {"compression": "tiff_lzw"}),
    "lossy.webp": (Image.fromarray(SMOOTH), {}),
    "alpha.webp": (Image.fromarray(np.dstack([SMOOTH, SMOOTH_ALPHA])), {"lossless": True}),
    "colours.bmp": (Image.fromarray(SMOOTH), {}),
}


def in_time(work: Callable[[], Any], seconds: float = 20) -> Any:
    """Do the work with warnings off, as a user has them, and fail if it hangs."""
    result: list[Any] = []

    def run() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                result.append(work())
            except Exception as error:
                result.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    assert result, f"hung for {seconds} s"
    return result[0]


@pytest.mark.parametrize("part", [0.01, 0.3, 0.6, 0.95, 0.999])
@pytest.mark.parametrize("name", WHOLE)
def test_truncated_files_are_refused(tmp_path: Path, name: str, part: float):
    """A download that broke off would be upscaled with its lower half grey, and nobody would look at it again."""
    image, options = WHOLE[name]
    image.save(tmp_path / name, **options)
    whole, data = read_photo(tmp_path / name), (tmp_path / name).read_bytes()
    path = tmp_path / f"cut_{name}"
    path.write_bytes(data[: int(len(data) * part)])
    got = in_time(lambda: read_photo(path))
    if isinstance(got, Photo):  # PNG has a few bytes behind its last pixel; they may be missing
        assert part > 0.95
        assert np.array_equal(got.pixels, whole.pixels)
        assert np.array_equal(got.alpha, whole.alpha)
    else:
        assert isinstance(got, ImageError), repr(got)
        assert path.name in got.got
        assert got.what == "read_photo"


def test_bombs_are_refused(tmp_path: Path):
    """A few hundred bytes that claim 3.6 gigapixels would take 11 GB of memory from whoever opens them."""
    path = tmp_path / "bomb.png"
    path.write_bytes(png(8, 2, [b""], 60000)[:16] + struct.pack(">II", 60000, 60000) + png(8, 2, [b""], 60000)[24:])
    header = bytearray(path.read_bytes())
    header[29:33] = struct.pack(">I", zlib.crc32(bytes(header[12:29])))
    path.write_bytes(header)
    with pytest.raises(ImageError, match=r"at most 300 mega.*\n.*bomb\.png with 3,600\.0 mega.*\n.*--max-mega"):
        read_photo(path)


def test_the_content_decides(tmp_path: Path):
    """A suffix proves nothing: what is no image is refused, and a photo under another format's name is read."""
    (tmp_path / "text.png").write_text("These are not the pixels you are looking for.\n" * 20)
    with zipfile.ZipFile(tmp_path / "zip.png", "w") as archive:
        archive.writestr("photo.png", png(8, 0, [b"\5"], 1))
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "zeros.webp").write_bytes(bytes(4000))
    (tmp_path / "header.jpg").write_bytes(b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + b"text" * 500)
    Image.fromarray(GREY.astype(np.float32)).save(tmp_path / "float.tif")
    for name in ("text.png", "zip.png", "empty.jpg", "zeros.webp", "header.jpg", "float.tif"):
        got = in_time(lambda name=name: read_photo(tmp_path / name))
        assert isinstance(got, ImageError), name
        assert name in got.got
        assert got.fix
    stream = io.BytesIO()
    Image.fromarray(SMOOTH).save(stream, "JPEG", quality=95)
    (tmp_path / "jpeg.png").write_bytes(stream.getvalue())
    assert read_photo(tmp_path / "jpeg.png").pixels.shape == SMOOTH.shape
    for missing in ("missing.png", ""):
        with pytest.raises(ImageError, match=r"read_photo\n(.*\n)+.*(does not exist|is a folder)"):
            read_photo(tmp_path / missing)


# Metadata


def camera_exif() -> Image.Exif:
    """Return EXIF as a camera writes it: a turn, who made it, when, where, and a size."""
    exif = Image.Exif()
    exif.update({MAKER: "Maker", ORIENTATION: 6})
    exif[EXIF_IFD] = {COMMENT: b"ASCII\0\0\0hello", PIXEL_WIDTH: 99}
    exif[GPS_IFD] = {1: "N", 2: (50.0, 3.0, 1.5)}
    return exif


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
@pytest.mark.parametrize("source", ["a.png", "a.jpg", "a.tif", "a.webp"])
def test_metadata_is_kept_on_request(tmp_path: Path, source: str, suffix: str):
    """A copied orientation turns the photo again, TIFF's own offsets damage the copy, and GPS must not leak unasked."""
    Image.fromarray(SMOOTH).save(tmp_path / source, exif=camera_exif().tobytes(), icc_profile=PROFILE)
    photo = read_photo(tmp_path / source)
    assert photo.pixels.shape == (48, 40, 3)
    assert photo.icc_profile == PROFILE
    read = Image.Exif()
    read.load(photo.exif or b"")
    assert set(read) == {MAKER, EXIF_IFD, GPS_IFD}
    assert read.get_ifd(EXIF_IFD) == {COMMENT: b"ASCII\0\0\0hello"}
    assert read.get_ifd(GPS_IFD) == {1: "N", 2: (50.0, 3.0, 1.5)}

    target = tmp_path / f"copy{suffix}"
    write_photo(target, photo, keep_metadata=True)
    copy = read_photo(target)
    assert (copy.exif, copy.icc_profile) == (photo.exif, PROFILE)
    assert copy.pixels.shape == (48, 40, 3)
    with Image.open(target) as image:
        assert ORIENTATION not in image.getexif()
    write_photo(target, photo)
    copy = read_photo(target)
    assert (copy.exif, copy.icc_profile) == (None, PROFILE)
    assert b"Maker" not in target.read_bytes()
    write_photo(target, photo, strip_metadata=True)
    copy = read_photo(target)
    assert (copy.exif, copy.icc_profile) == (None, None)
    assert PROFILE not in target.read_bytes()


def test_metadata_of_a_bmp(tmp_path: Path):
    """BMP holds none, which is no reason to refuse it, but one to say so."""
    photo = Photo(COLOURS, None, PROFILE, camera_exif().tobytes())
    with pytest.warns(ImageWarning) as told:
        write_photo(tmp_path / "a.bmp", photo, keep_metadata=True)
    assert {"EXIF" in str(line.message) for line in told} == {True, False}  # the other: this profile is none
    copy = read_photo(tmp_path / "a.bmp")
    assert np.array_equal(copy.pixels, COLOURS)
    assert (copy.exif, copy.icc_profile) == (None, None)


def test_profiles_stay_with_their_colours(tmp_path: Path):
    """A profile of inks or of grey, attached to RGB, makes viewers show wrong colours or refuse the file."""
    MODES["CMYK"][0].save(tmp_path / "inks.tif", icc_profile=PROFILE.replace(b"RGB ", b"CMYK"))
    with pytest.warns(ImageWarning, match="profile cannot be applied"):
        assert read_photo(tmp_path / "inks.tif").icc_profile is None
    grey_profile = PROFILE.replace(b"RGB ", b"GRAY")
    for pixels, profile, kept in [
        (COLOURS, PROFILE, True), (COLOURS, grey_profile, False), (GREY[..., None], PROFILE, False),
        (GREY[..., None], grey_profile, True), (COLOURS, b"unknown", True),
    ]:  # fmt: skip
        write_photo(tmp_path / "a.png", Photo(pixels, icc_profile=profile))
        assert read_photo(tmp_path / "a.png").icc_profile == (profile if kept else None)


@pytest.mark.parametrize(
    "garbage",
    [
        b"garbage!" * 5,
        b"II*\0\x08\0\0\0" + b"\xff" * 60,
        b"MM\0*\xff\xff\xff\xff",
        b"MM\0*\0\0\0\x08\0\1" + struct.pack(">HHI4s", 0x0128, 2, 3, b"hi\0\0") + bytes(4),  # a number as text
        b"MM\0*\0\0\0\x08\0\1" + struct.pack(">HHIi", 0x8769, 9, 1, -1) + bytes(4),  # a table before the start
    ],
    ids=["noise", "ones", "offset", "type", "table"],
)
def test_damaged_exif_does_not_cost_the_picture(tmp_path: Path, garbage: bytes):
    """Old editors leave broken EXIF in photos that every viewer shows."""
    path = tmp_path / "a.jpg"
    Image.fromarray(SMOOTH).save(path, exif=b"Exif\0\0" + garbage)
    photo = in_time(lambda: read_photo(path))
    assert isinstance(photo, Photo), str(photo)
    assert (photo.pixels.shape, photo.exif) == (SMOOTH.shape, None)


# Writing


@pytest.mark.parametrize("suffix", [*FORMATS, ".PNG"])
def test_every_format_reads_back(tmp_path: Path, suffix: str):
    """Alpha that multiplies the colours, black or forgotten under transparent pixels, grey that comes back as RGB."""
    path, name = tmp_path / "new" / f"a{suffix}", FORMATS[suffix.lower()]
    tolerance = {"JPEG": 3, "WEBP": 5}.get(name, 0)  # on average, of 255
    hidden = np.where(SMOOTH_ALPHA < 128, 0, SMOOTH_ALPHA)
    white = np.round(SMOOTH * (hidden / 255)[..., None] + 255 * (1 - hidden / 255)[..., None])
    for pixels, alpha in [(SMOOTH, None), (SMOOTH, hidden), (SMOOTH[..., :1], None), (SMOOTH[..., :1], hidden)]:
        write_photo(path, Photo(pixels, alpha))
        photo = read_photo(path)
        assert photo.pixels.shape[2] == (3 if name == "WEBP" else pixels.shape[2])
        keeps = name not in ("JPEG", "BMP")
        expected = pixels if alpha is None or keeps else white[..., : pixels.shape[2]]
        assert np.abs(photo.pixels.astype(float) - expected).mean() <= tolerance
        assert np.array_equal(photo.alpha, alpha if keeps else None)
        with Image.open(path) as image:
            assert image.format == name
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", FORMATS)
def test_16_bits_there_and_back(tmp_path: Path, suffix: str):
    """Pillow would cut 16 bits to 8 by saturating: nearly the whole photo turns white."""
    levels = np.sort(LEVELS.ravel()).reshape(6, 9, 1).repeat(8, axis=0).repeat(8, axis=1)
    keeps = suffix in (".png", ".tif", ".tiff")
    with contextlib.nullcontext() if keeps else pytest.warns(ImageWarning, match="rounded to 8"):
        write_photo(tmp_path / f"a{suffix}", Photo(levels))
    pixels = read_photo(tmp_path / f"a{suffix}").pixels
    if keeps:
        assert pixels.dtype == np.uint16
        assert np.array_equal(pixels, levels)
    else:
        assert pixels.dtype == np.uint8
        assert np.abs(pixels - np.round(levels / 257)).mean() <= (0 if suffix == ".bmp" else 5)
    assert np.array_equal(read_image(tmp_path / f"a{suffix}", keep_grey=True)[..., None], np.round(levels / 257)) or (
        suffix in (".jpg", ".jpeg", ".webp")
    )


def test_16_bits_over_white(tmp_path: Path):
    """Rounded before they are laid over white, they would be rounded twice."""
    alpha = np.linspace(0, 65535, 54).astype(np.uint16).reshape(6, 9)
    with pytest.warns(ImageWarning, match=r"a\.bmp: its 16 bits a channel are rounded to 8"):
        write_photo(tmp_path / "a.bmp", Photo(LEVELS[..., None], alpha))
    opacity = alpha / 65535
    white = np.round(LEVELS * opacity + 65535 * (1 - opacity))
    assert np.array_equal(read_photo(tmp_path / "a.bmp").pixels[..., 0], np.round(white / 257))


def test_white_paper_for_every_level_and_alpha(tmp_path: Path):
    """One wrong rounding or an overflow in one of 65,536 cases is a speck on somebody's photo."""
    level, alpha = np.meshgrid(np.arange(256), np.arange(256))
    write_photo(tmp_path / "a.bmp", Photo(level.astype(np.uint8)[..., None], alpha.astype(np.uint8)))
    expected = (2 * (level * alpha + 255 * (255 - alpha)) + 255) // (2 * 255)  # rounded, in whole numbers
    assert np.array_equal(read_photo(tmp_path / "a.bmp").pixels[..., 0], expected)


@pytest.mark.parametrize("suffix", [".jpg", ".webp"])
def test_quality_sets_the_size(tmp_path: Path, suffix: str):
    """An option that is read and then forgotten looks just like one that works."""
    sizes = []
    for quality in (1, 40, 75, 95, np.int64(100)):
        write_photo(tmp_path / f"a{suffix}", Photo(SMOOTH), quality=quality)
        sizes.append((tmp_path / f"a{suffix}").stat().st_size)
    assert sizes == sorted(set(sizes))
    write_photo(tmp_path / f"b{suffix}", Photo(SMOOTH))
    assert (tmp_path / f"b{suffix}").stat().st_size == sizes[3]


@pytest.mark.parametrize("quality", [0, 101, -1, 95.0, "95", None, float("nan")])
def test_refuses_senseless_qualities(tmp_path: Path, quality: Any):
    """Pillow takes 0 and -1 for other things than a student means by them."""
    with pytest.raises(ArgumentError, match=r"1 to 100"):
        write_photo(tmp_path / "a.jpg", Photo(COLOURS), quality=quality)
    assert list(tmp_path.iterdir()) == []


def test_interrupted_writing_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A full disk or Ctrl-C half-way through must not cost the picture that was there before."""
    path = tmp_path / "a.jpg"
    write_photo(path, Photo(SMOOTH))
    old = path.read_bytes()
    for error in (OSError("No space left on device"), KeyboardInterrupt()):

        def save(self: Image.Image, target: Path, *_: object, error: BaseException = error, **__: object) -> None:
            Path(target).write_bytes(b"half")
            raise error

        monkeypatch.setattr(Image.Image, "save", save)
        with pytest.raises(ImageError if isinstance(error, OSError) else KeyboardInterrupt) as caught:
            write_photo(path, Photo(SMOOTH[::-1]))
        if isinstance(caught.value, ImageError):
            assert (caught.value.what, "No space left" in caught.value.got) == ("write_photo", True)
        assert [file.name for file in tmp_path.iterdir()] == ["a.jpg"]
        assert path.read_bytes() == old


def test_refuses_what_cannot_be_written(tmp_path: Path):
    """Formats without an encoder here, photos larger than a format holds, and metadata that is none."""
    for name in ("a.xyz", "a", "a.gif"):
        with pytest.raises(ImageError, match=r"write_photo\n.*\.png"):
            write_photo(tmp_path / name, Photo(COLOURS))
    for name, photo in {
        "wide.webp": Photo(np.zeros((1, 16384, 3), np.uint8)),
        "exif.tif": Photo(COLOURS, exif=b"no EXIF"),
        "long.jpg": Photo(COLOURS, exif=b"Exif\0\0" + bytes(70000)),
    }.items():
        with pytest.raises(ImageError, match=name):
            write_photo(tmp_path / name, photo, keep_metadata=True)
    assert list(tmp_path.iterdir()) == []


def test_a_photo_is_checked_when_it_is_made():
    """Alpha of the size before upscaling, or of another depth, would fail far away, inside Pillow."""
    for pixels in (GREY, COLOURS[None], COLOURS[..., :2], COLOURS[:0]):
        with pytest.raises(ShapeError):
            Photo(pixels)
    for alpha in (ALPHA[1:], ALPHA[..., None], ALPHA.astype(np.uint16)):
        with pytest.raises(ShapeError, match="alpha"):
            Photo(COLOURS, alpha)
    for wrong in (COLOURS / 255, COLOURS.astype(np.int32), [[[0, 0, 0]]]):
        with pytest.raises(DTypeError):
            Photo(wrong)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_child_reads_although_a_thread_was_opening_a_file(tmp_path: Path):
    """A lock that another thread holds during a fork would never be released in the child."""
    write_photo(tmp_path / "a.png", Photo(COLOURS))
    held, go_on = threading.Event(), threading.Timer(0.1, lambda: None)

    def hold() -> None:
        with decode._OPENING:
            held.set()
            go_on.start()
            go_on.join()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    if not (child := os.fork()):
        signal.alarm(20)
        os._exit(read_photo(tmp_path / "a.png").pixels.shape != COLOURS.shape)
    assert os.waitpid(child, 0)[1] == 0
    thread.join()
