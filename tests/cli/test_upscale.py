"""`minisrgan upscale` as a person types it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minisrgan.cli.main import main
from minisrgan.images import imresize, read_image, write_image
from minisrgan.images.photo import Photo, read_photo, write_photo
from minisrgan.inference import upscale
from minisrgan.inference.folders import RECORD
from minisrgan.models import Discriminator, Generator
from minisrgan.weights import save_model
from tests.inference.test_upscale import assert_nearly_all_equal, noise, trained_looking

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with a generator x4 the current one."""
    save_model(tmp_path / "g.safetensors", trained_looking())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def command(*words: object) -> int:
    """Run the command with the generator."""
    return main(["upscale", "--model", "g.safetensors", *map(str, words)])


def names(folder: Path) -> list[str]:
    """List every file below a folder, hidden ones too; but not the record of what the results were made from."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != RECORD)
    return sorted(path.relative_to(folder).as_posix() for path in files)


def test_a_folder_with_bad_files(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One damaged photograph of a holiday must not stop the others, nor go unnoticed by a script."""
    for number in range(17):
        write_image(place / "photos" / f"day{number % 3}" / f"{number}.png", noise(6, 7))
    (place / "photos" / "empty.png").touch()
    (place / "photos" / "text.jpg").write_text("no image")
    whole = (place / "photos" / "day0" / "0.png").read_bytes()
    (place / "photos" / "day0" / "cut.png").write_bytes(whole[: len(whole) // 2])
    assert command("photos", "--out", "large") == 3
    told = capsys.readouterr()
    assert names(place / "large") == sorted(f"day{n % 3}/{n}_x4.png" for n in range(17))
    assert "17 upscaled, 0 kept, 3 failed" in told.out
    for bad in ("empty.png", "text.jpg", "cut.png"):
        assert bad in told.err
    np.testing.assert_array_equal(read_image(place / "large/day1/1_x4.png"), upscale(trained_looking(), noise(6, 7)))


def test_patterns_that_no_shell_has_expanded(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Windows' shell expands nothing, and quoted patterns arrive as they are; a name with brackets is a name."""
    for name in ("a1.png", "a2.jpg", "b1.png", "sub/a3.png", "[x].png", "x.png"):
        write_image(place / "in" / name, noise(3, 3))
    assert command("in/a*", "in/**/a3.png", "in/[x].png", "--out", "large") == 0
    assert names(place / "large") == ["[x]_x4.png", "a1_x4.png", "a2.jpg_x4.png", "a3_x4.png"]
    assert command("in/z*.png", "--out", "large") == 3
    assert "in/z*.png, which does not exist" in capsys.readouterr().err


def test_results_that_exist_are_kept(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second run over a folder must not redo a night's work, nor overwrite what was retouched by hand."""
    write_image(place / "one.png", noise(4, 5))
    assert command("one.png", "--out", "large") == 0
    (place / "large/one_x4.png").write_bytes(b"retouched")
    assert command("one.png", "--out", "large") == 0
    assert (place / "large/one_x4.png").read_bytes() == b"retouched"
    assert "0 upscaled, 1 kept, 0 failed" in capsys.readouterr().out
    assert command("one.png", "--out", "large", "--overwrite") == 0
    assert read_image(place / "large/one_x4.png").shape == (16, 20, 3)


def test_results_are_not_taken_for_photographs(place: Path) -> None:
    """The default folder lies in the current one: the second run would enlarge what the first has made, 16 times."""
    write_image(place / "one.png", noise(3, 3))
    for words in ([], ["--scale", "2"]):
        assert [command(".", *words), command(".", *words)] == [0, 0]
    results = ["upscaled/one_x2.png", "upscaled/one_x4.png"]
    assert [name for name in names(place) if name.endswith("png")] == ["one.png", *results]
    write_image(place / "photos" / "one.png", noise(3, 3))
    for _ in range(2):
        assert command("photos", "--out", "photos") == 0
    assert names(place / "photos") == ["one.png", "one_x4.png"]


def test_photos_of_one_name_do_not_overwrite_each_other(place: Path) -> None:
    """Cameras write a.jpg beside a.png, and number anew in every folder."""
    files = ["one.png", "one.jpg", "x/one.png", "y/one.png"]
    for name in files:
        write_image(place / name, noise(3, 3))
    assert command(*files, "one.png", "--out", "large") == 0
    found = names(place / "large")
    assert [name for name in found if "-" not in name] == ["one.jpg_x4.png", "one_x4.png"]
    assert len([name for name in found if re.fullmatch(r"one_x4-[0-9a-f]{8}\.png", name)]) == 2


def test_grey_transparency_and_16_bits(place: Path) -> None:
    """Scans are grey and have 16 bits, logos are transparent: as RGB bytes both lose what they were chosen for."""
    deep = noise(12, 14)[..., :1].astype(np.uint16) * 257
    write_photo("deep.png", Photo(deep))
    write_photo("grey.png", Photo(noise(12, 14)[..., :1]))
    write_photo("logo.png", Photo(noise(12, 14), noise(12, 14)[..., 0] | 1))  # fully transparent nowhere
    assert command("deep.png", "grey.png", "logo.png", "--out", "large") == 0
    generator = trained_looking()
    np.testing.assert_array_equal(read_photo("large/deep_x4.png").pixels, upscale(generator, deep))
    with Image.open("large/grey_x4.png") as grey:
        assert grey.mode == "L"
    logo = read_photo("large/logo_x4.png")
    np.testing.assert_array_equal(logo.alpha, imresize(noise(12, 14)[..., 0] | 1, 4))
    np.testing.assert_array_equal(logo.pixels, upscale(generator, noise(12, 14)))


def test_formats_quality_and_metadata(place: Path) -> None:
    """Each option must reach the file."""
    exif = Image.Exif()
    exif[0x013B] = "A. Artist"
    Image.fromarray(noise(20, 20)).save("a.jpg", exif=exif)
    Image.fromarray(noise(20, 20)).save("b.gif")
    assert command("a.jpg", "b.gif", "--format", "same", "--out", "same") == 0
    assert names(place / "same") == ["a_x4.jpg", "b.gif_x4.png"]
    with Image.open("same/a_x4.jpg") as image:
        assert not image.getexif()
    assert command("a.jpg", "--format", "jpg", "--quality", 20, "--keep-metadata", "--out", "small") == 0
    with Image.open("small/a_x4.jpg") as image:
        assert image.getexif()[0x013B] == "A. Artist"
    assert Path("small/a_x4.jpg").stat().st_size < Path("same/a_x4.jpg").stat().st_size / 2
    for kind in ("webp", "tif", "bmp"):
        assert command("a.jpg", "--format", kind, "--out", kind) == 0
        assert read_image(place / kind / f"a.jpg_x4.{kind}").shape == (80, 80, 3)


def test_options_of_the_network(place: Path) -> None:
    """An option that is read and forgotten looks as if it made no difference."""
    other = Generator(4, channels=6, blocks=2, rng=np.random.default_rng(3))
    save_model("other.safetensors", other)
    image = noise(40, 40)
    write_image("a.png", image)
    results = {}
    for name, words in {
        "plain": [], "tile": ["--tile", 17], "memory": ["--memory", "35 mb"], "none": ["--tile", 8, "--overlap", 0],
        "ensemble": ["--self-ensemble"], "blend": ["--blend", "other.safetensors:0.3"],
        "other": ["--blend", "other.safetensors:1"], "x2": ["--scale", 2],
    }.items():  # fmt: skip
        assert command("a.png", "--out", name, *words) == 0
        results[name] = read_image(place / name / names(place / name)[0])
    plain = upscale(trained_looking(), image)
    for name in ("plain", "tile", "memory"):
        assert_nearly_all_equal(results[name], plain)
    for name in ("none", "ensemble", "blend"):
        assert np.abs(results[name].astype(int) - plain).max() > 1
    np.testing.assert_array_equal(results["ensemble"], upscale(trained_looking(), image, ensemble=True))
    np.testing.assert_array_equal(results["other"], upscale(other, image))
    np.testing.assert_array_equal(results["x2"], imresize(plain, 0.5))


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (["--tile", "0"], 2, "tile >= 1"),
        (["--scale", "0.5"], 2, "a number from 1 on, not '0.5'"),
        (["--scale", "inf"], 2, "a number from 1 on, not 'inf'"),
        (["--scale", "nan"], 2, "a number from 1 on, not 'nan'"),
        (["--quality", "101", "--model", "missing.safetensors"], 2, "a quality from 1 to 100"),  # before any work
        (["--memory", "much"], 2, "a size such as 800MB or 1.5GB, not 'much'"),
        (["--memory", "10 kb"], 3, "ImageError in upscale, at a.png"),
        (["--blend", "h.safetensors"], 2, "a file and a ratio such as srresnet.safetensors:0.3"),
        (["--blend", "h.safetensors:0.5"], 2, "blocks.2."),
        (["--blend", "g.safetensors:3"], 2, "a ratio from 0 to 1"),
        (["--model", "d.safetensors"], 2, "d.safetensors"),
        (["--model", "missing.safetensors"], 2, "missing.safetensors"),
        (["--model", "a.png"], 2, "a.png"),
        (["--device", "tpu"], 2, "cpu, cuda or cuda:N"),
        (["nothing"], 3, "nothing"),
    ],
)
def test_wrong_words(words: list[str], status: int, told: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each mistake of the first evening: a message that names it, no traceback, the right exit status."""
    save_model("h.safetensors", trained_looking(blocks=3))
    save_model("d.safetensors", Discriminator(crop=16, channels=2))
    (place / "nothing").mkdir()
    write_image("a.png", noise(3, 3))
    with pytest.raises(SystemExit) as end:
        sys.exit(command("a.png", *words))
    assert end.value.code == status
    assert told in " ".join(capsys.readouterr().err.split())


def test_photographs_are_no_targets(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--overwrite` is for results: a photograph that was given was replaced by what was made from it."""
    write_image(place / "a.png", noise(3, 3))
    write_image(place / "b.png", noise(4, 3))
    for words in (["b.png", "a.png", "--name", "a"], ["a.png", "--name", "{stem}"]):
        before = [(place / name).read_bytes() for name in ("a.png", "b.png")]
        assert command(*words, "--out", ".", "--overwrite") == 3
        assert [(place / name).read_bytes() for name in ("a.png", "b.png")] == before
        assert "a.png, which is one of them" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT to send")
def test_ctrl_c_leaves_whole_files_only(place: Path) -> None:
    """A result cut off by Ctrl-C would be kept as done by the next run, and be found broken years later."""
    write_image(place / "photos" / "000.png", noise(90, 120))
    for number in range(1, 300):  # so many that a busy machine does not finish them before the signal is sent
        shutil.copy(place / "photos" / "000.png", place / "photos" / f"{number:03}.png")
    words = [sys.executable, "-m", "minisrgan.cli", "upscale", "photos", "--model", "g.safetensors", "--out", "large"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MINISRGAN_THREADS": "2"}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not len(list((place / "large").glob("*.png"))) >= 2 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    results = names(place / "large")
    assert 2 <= len(results) < 300
    assert f"{len(results)} upscaled, 0 kept, 0 failed, {300 - len(results)} not done" in out
    for name in results:
        assert read_image(place / "large" / name).shape == (360, 480, 3)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_a_terminal_is_told_the_time_left(place: Path) -> None:
    """An hour without a sign of life is ended by Ctrl-C; in a log file, the bar would be noise."""
    import fcntl
    import termios

    write_image("a.png", noise(150, 150))
    words = [sys.executable, "-m", "minisrgan.cli", "upscale", "a.png", "--model", "g.safetensors", "--self-ensemble"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MINISRGAN_THREADS": "1"}
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))  # a new one is 0 columns wide
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how Linux says that the other end was closed
            while part := os.read(ours, 1000):
                shown += part
    os.close(ours)
    assert process.returncode == 0
    assert b"1/1 a.png" in shown
    assert re.search(rb"[1-9]\d% \|.* \d\d:\d\d left", shown)
    write_image("b.png", noise(8, 8))
    words[words.index("a.png")] = "b.png"
    assert subprocess.run(words, env=environment, capture_output=True, check=True).stderr == b""
