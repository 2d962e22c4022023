"""Folders and names in `minisrgan upscale`, as a person types it: nothing is left out or falsified in silence."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minisrgan.cli.main import main
from minisrgan.images import read_image, write_image
from minisrgan.inference import upscale
from minisrgan.inference.folders import RECORD
from minisrgan.models import Generator
from minisrgan.weights import save_model
from tests.cli.test_upscale import ROOT, command, names
from tests.inference.test_upscale import noise, trained_looking


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with two small generators x4 the current one."""
    save_model(tmp_path / "g.safetensors", trained_looking())
    save_model(tmp_path / "h.safetensors", Generator(4, channels=6, blocks=2, rng=np.random.default_rng(3)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def last(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the last line of the output."""
    return capsys.readouterr().out.splitlines()[-1]


def test_a_photo_that_is_added_later(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """a.png done, a.jpg added, the same command again: a.jpg was never enlarged and reported as kept."""
    write_image("in/a.png", noise(3, 4))
    assert command("in", "--out", "large") == 0
    write_image("in/a.jpg", noise(4, 3))
    write_image("in/A.png", noise(5, 3))
    assert command("in", "--out", "large") == 0
    assert last(capsys) == "2 upscaled, 1 kept, 0 failed"
    sizes = {name: read_image(place / "large" / name).shape[:2] for name in names(place / "large")}
    assert sizes == {"a_x4.png": (12, 16), "a.jpg_x4.png": (16, 12), "A_x4.png": (20, 12)}
    np.testing.assert_array_equal(read_image("large/a_x4.png"), upscale(trained_looking(), noise(3, 4)))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--model", "h.safetensors"], "model g ("),
        (["--self-ensemble"], "self_ensemble None, not True"),
        (["--tile", "8", "--overlap", "0"], "overlap None, not 0"),
        (["--blend", "h.safetensors:0.5"], "blend None, not 0.5 of h"),
        (["--keep-metadata"], "keep_metadata None, not True"),
    ],
)
def test_another_way_to_make_it(words: list[str], told: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With another model or option the old result was reported as kept, as if it were the new one."""
    write_image("a.png", noise(3, 4))
    assert command("a.png", "--out", "large") == 0
    before = Path("large/a_x4.png").read_bytes()
    assert command("a.png", "--out", "large", *words) == 3
    assert told in " ".join(capsys.readouterr().err.split())
    assert Path("large/a_x4.png").read_bytes() == before
    assert command("a.png", "--out", "large", *words, "--overwrite") == 0
    assert command("a.png", "--out", "large", *words) == 0
    assert last(capsys) == "0 upscaled, 1 kept, 0 failed"
    assert command("a.png", "--out", "large", *words, "--memory", "2GB", "-v") == 0  # pixels do not depend on these
    assert last(capsys) == "0 upscaled, 1 kept, 0 failed"


def test_a_photo_that_was_replaced(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A retouched photograph under its old name and of its old size was reported as kept."""
    write_image("a.png", noise(3, 4))
    assert command("a.png", "--out", "large") == 0
    write_image("a.png", noise(3, 4)[::-1].copy())
    assert command("a.png", "--out", "large") == 3
    assert "made from another photograph" in " ".join(capsys.readouterr().err.split())
    assert command("a.png", "--out", "large", "--overwrite") == 0
    np.testing.assert_array_equal(read_image("large/a_x4.png"), upscale(trained_looking(), noise(3, 4)[::-1].copy()))


def test_a_file_of_unknown_origin(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What some other program has written is neither a result nor to be replaced; a folder of that name likewise."""
    write_image("a.png", noise(3, 4))
    write_image("b.png", noise(3, 4))
    Path("large/b_x4.png").mkdir(parents=True)
    Path("large/a_x4.png").write_bytes(b"a film")
    assert command("a.png", "b.png", "--out", "large") == 3
    said = " ".join(capsys.readouterr().err.split())
    assert "no record of what it was made from: by an earlier version, or another program" in said
    assert "--overwrite replaces it" in said
    assert Path("large/a_x4.png").read_bytes() == b"a film"
    assert command("a.png", "b.png", "--out", "large", "--overwrite") == 3  # a folder cannot be replaced
    captured = capsys.readouterr()
    assert "b_x4.png" in captured.err
    assert "1 upscaled, 0 kept, 1 failed" in captured.out


def test_what_is_skipped_is_told_and_counted(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder of 200 photos and 3 films says that 3 were skipped, and -v which."""
    Image.fromarray(noise(3, 4)).save(place / "a.gif")
    (place / "in").mkdir()
    (place / "a.gif").rename("in/a")
    for number in range(7):
        Path("in", f"{number}.txt").write_text("a caption")
    Path("in/.hidden.png").touch()
    assert command("in", "--out", "large") == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == "1 upscaled, 0 kept, 0 failed, 8 skipped"
    assert "skipped in/.hidden.png: hidden" in captured.err
    assert "skipped 7 files: no image in a format that is read here (in/0.txt, " in captured.err
    assert names(place / "large") == ["a._x4.png"]
    assert command("in", "--out", "large", "-v") == 0
    assert "skipped in/6.txt: no image" in capsys.readouterr().err


def test_results_in_the_folder_of_the_photos(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With --out . a second command, at another scale too, would enlarge the results of the first."""
    write_image("in/a.png", noise(3, 4))
    for scale in (4, 2):
        for upscaled in (1, 0):
            assert command("in", "--out", "in", "--scale", scale) == 0
            assert last(capsys).startswith(f"{upscaled} upscaled, {1 - upscaled} kept, 0 failed")
    assert names(place / "in") == ["a.png", "a_x2.png", "a_x4.png"]


def test_one_bad_name_ends_only_that_file(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name of 250 bytes has no room for _x4; nor have the others of its folder to pay for it."""
    long = "n" * 246 + ".jpg"
    for name in (f"in/{long}", "in/a.png", "in/z.png", "deep/sub/b.png"):
        write_image(name, noise(3, 4))
    os.symlink("self.png", "in/self.png")
    Path("large").mkdir()
    Path("large/sub").touch()  # where deep/sub should go
    assert command("in", "deep", "x" * 300, "x" * 300 + "*", "--out", "large") == 3
    captured = capsys.readouterr()
    assert captured.out.splitlines()[-1] == "2 upscaled, 0 kept, 5 failed"
    assert names(place / "large") == ["a_x4.png", "sub", "z_x4.png"]
    assert "Traceback" not in captured.err
    assert command("in", "--out", "large", "--name", "{scale}", "--dry-run") == 3  # only the link fails


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such names")
@pytest.mark.parametrize("given", ["a\n\x1b[2J", "b\r", "c\u202egnp", "d\x9b31m", "e\u2028"], ids=ascii)
def test_names_that_would_do_something_to_the_terminal(
    given: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line break in a name forges a line of ours, ESC clears the screen, others write from right to left."""
    write_image(f"in/{given}.png", noise(24, 24))
    for name, content in ((f"in/bad{given}.png", b"no image"), (f"in/{given}.txt", b"no image")):
        Path(name).write_bytes(content)
    assert command("in", "--out", "large", "-v") == 3
    assert main(["evaluate", "in"]) == 3
    assert command(f"missing{given}.png") == 3
    with pytest.raises(SystemExit):
        main([f"upscale{given}"])
    told = "".join(capsys.readouterr())
    assert not set(told) & set("\x1b\r\u202e\x9b\u2028")
    shown = repr(given)[1:-1]
    assert f"{shown}.png 24 x 24 -> large" in told
    assert f"in/bad{shown}.png" in told
    assert f"skipped in/{shown}.txt" in told
    assert [line for line in told.splitlines() if line.startswith(f"{shown} ")]  # the table


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no text are Linux's")
def test_names_that_the_terminal_cannot_show(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A name in Latin-1, one in Chinese on a terminal of Western Europe: the first ended the command."""
    photos = [b"caf\xe9.png", "\u6f22\u5b57.png".encode(), b"line\nbreak.png", b"a$^$b.png"]
    Path("in").mkdir()
    for name in photos:
        Image.fromarray(noise(20, 20)).save("in/a.png")
        os.rename(b"in/a.png", b"in/" + name)
    words = ("upscale", "in", "--model", "g.safetensors", "--out", "large")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MINISRGAN_THREADS": "1", "PYTHONIOENCODING": "cp1252"}
    done = subprocess.run([sys.executable, "-m", "minisrgan", *words], env=environment, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"4 upscaled, 0 kept, 0 failed" in done.stdout
    assert sorted(os.listdir(b"large")) == sorted([*(n[:-4] + b"_x4.png" for n in photos), RECORD.encode()])
    assert command("in", "--out", "large") == 0  # and where it is UTF-8
    captured = capsys.readouterr()
    assert (captured.out.splitlines()[-1], captured.err) == ("0 upscaled, 4 kept, 0 failed", "")


def test_what_is_wrong_with_out_is_noticed_before_the_work(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An --out that is a file, and a format that cannot hold the result, were noticed when the work was done."""
    monkeypatch.setattr("minisrgan.cli.upscale.upscale_photo", None)
    write_image("a.png", noise(3, 4))
    for out in ("a.png", "a.png/b"):
        assert command("a.png", "--out", out) == 2
        assert "FileError in upscale" in (told := " ".join(capsys.readouterr().err.split()))
        assert "a.png is a file, not a folder" in told
    write_image("long.png", noise(1, 4100))
    assert command("long.png", "--format", "webp") == 3
    assert "at most 16,383 pixels" in capsys.readouterr().err


def test_dry_run(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What 3,000 files would become is best known before."""
    for name in ("in/a.png", "in/deep/b.jpg"):
        write_image(name, noise(3, 4))
    assert command("in/a.png", "--out", "large") == 0
    monkeypatch.setattr("minisrgan.cli.upscale.upscale_photo", None)
    before = names(place)
    assert command("in", "--out", "large", "--dry-run") == 0
    told = capsys.readouterr().out
    assert "in/deep/b.jpg -> large/deep/b.jpg_x4.png" in told
    assert told.endswith("dry run: 1 upscaled, 1 kept, 0 failed\n")
    assert command("in", "--out", "none", "--dry-run") == 0
    assert names(place) == before
    assert not Path("none").exists()


def test_names_by_a_template(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names as others need them; what cannot be one is refused before anything is done."""
    write_image("in/a.png", noise(3, 4))
    names_of = {"{stem}_x{scale}": "a_x2", "{folder}-{name}-{model}": "in-a.png-g", "{suffix}": "png"}
    for template, name in names_of.items():
        assert command("in", "--out", "large", "--scale", 2, "--name", template) == 0
        assert f"large/{name}.png" in capsys.readouterr().out
    for template in ("{stme}", "{stem", "{}", "{0}", "a/{stem}", "", "..", "{stem.nothing}", "{stem!z}", "{scale:d}"):
        with pytest.raises(SystemExit):
            command("in", "--name", template)
        assert "names " in capsys.readouterr().err


def test_standard_input_and_output(
    place: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """A picture from a pipe into a pipe: every byte of the output belongs to it."""
    write_image("a.png", noise(3, 4))

    def run(*words: str, data: bytes = Path("a.png").read_bytes()) -> tuple[int, bytes, bytes]:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
        return command(*words), *capfdbinary.readouterr()

    status, out, err = run("-")
    Path("b.png").write_bytes(out)
    np.testing.assert_array_equal(read_image("b.png"), upscale(trained_looking(), noise(3, 4)))
    assert (status, b"1 upscaled" in err) == (0, True)
    assert b"standard input 4 x 3 -> standard output 16 x 12" in err
    status, out, err = run("a.png", "--out", "-", "-q", "--format", "bmp")
    assert (status, out[:2], err) == (0, b"BM", b"")
    assert run("-", "--out", "large")[0] == 0
    assert names(place / "large") == ["stdin_x4.png"]
    capfdbinary.readouterr()
    told = [run("-", "--out", "large", data=Path("h.safetensors").read_bytes()), run("-", "-v", data=b"no picture")]
    write_image("c.png", noise(4, 3))
    told += [run("-", "--out", "large", "--name", "stdin_x4", data=Path("c.png").read_bytes())]
    told += [run("-", "--dry-run"), run("-", "-q", "--quality", "9", "--format", "webp", data=b"\x89PNG\r\n\x1a\n")]
    assert [each[:2] for each in told[1:2]] == [(3, b"")]
    for each in told:
        assert b"standard input" in each[1] + each[2]
        assert b"minisrgan-pipe" not in each[1] + each[2]
    status, out, err = run("-", "a.png", "--out", "-")
    assert (status, out, b"one result" in err) == (2, b"", True)


def test_quiet(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Errors only, whichever side of the command -q stands on."""
    write_image("a.png", noise(3, 4))
    assert command("a.png", "-q") == 0
    assert main(["-q", "upscale", "missing.png", "--model", "g.safetensors"]) == 3
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("ImageError")


def test_progress_in_a_pipe(place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """An hour without a line in the log of a batch system looks like a program that hangs."""
    monkeypatch.setattr("minisrgan.threads.EVERY", 0)
    write_image("a.png", noise(40, 40))
    assert command("a.png", "--tile", "16") == 0
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) > 5
    assert all(line.startswith("1/1 a.png: ") and line.endswith(" left") for line in lines)
    assert lines[-1].startswith("1/1 a.png: 100%")
