"""`minisrgan evaluate` as a person types it: the table, the paper's rows, the files it writes."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from minisrgan.images import imresize, nearest, read_image, write_image
from minisrgan.inference.evaluate import Score
from minisrgan.models import Generator
from minisrgan.show.scores import ScoreTable
from minisrgan.weights import save_model
from tests.cli.conftest import command
from tests.paths import SHARED, needs_shared


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Return a folder with a colour photo, a flat one that every method gets right, and a grey one."""
    picture = imresize(np.random.default_rng(1).integers(0, 256, (8, 12, 3), dtype=np.uint8), 8)
    write_image(tmp_path / "photos/a_photo_with_quite_a_long_name_of_its_own_0042.png", picture)
    write_image(tmp_path / "photos/deep/flat.png", np.full((40, 40, 3), 128, np.uint8))
    write_image(tmp_path / "photos/grey.png", picture[..., 0].copy())
    return tmp_path / "photos"


@pytest.fixture(autouse=True)
def _nothing_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep VGG19 and NIQE's parameters that this machine may have out of the tables."""
    monkeypatch.setenv("MINISRGAN_CACHE", str(tmp_path / "cache"))


def parameters(path: Path) -> Path:
    """Write a file of NIQE's kind: the distance from 36 zeros."""
    path.parent.mkdir(exist_ok=True)
    np.savez(path, mu_pris_param=np.zeros((1, 36)), cov_pris_param=np.eye(36))
    return path


def cells(text: str, number: int = 0) -> list[list[str]]:
    """Split the lines of a table, up to the empty line below it, into photo, method and numbers."""
    table = text.split("\n\n")[number].splitlines()
    start = table[0].index("method")
    return [[line[:start].strip(), *line[start:].replace(" (paper)", "*").split()] for line in table[1:]]


def test_table(photos: Path, model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Columns out of line, averages of other rows, infinity as a number, a name that breaks the table."""
    assert command("evaluate", photos, "--model", model) == 0
    table, texture, told = capsys.readouterr().out.split("\n\n")
    for part in (table, texture):
        assert len({len(line) for line in part.splitlines()}) == 1
        assert max(map(len, part.splitlines())) <= 100
    lines = cells(table)
    assert [line[0] for line in lines[::3]] == ["a_photo_w..e_of_its_own_0042", "deep/flat", "grey", "average"]
    assert {line[0] for number, line in enumerate(lines) if number % 3} == {""}
    assert [line[1] for line in lines] == ["nearest", "bicubic", "model"] * 4
    assert [line[2] for line in lines[3:6]] == ["inf"] * 3
    assert lines[3][3:5] == ["1.0000", "1.0000"]
    assert lines[0][2:5] == lines[2][2:5] != lines[1][2:5]
    for column, decimals in ((3, 4), (4, 4)):
        for method in range(3):
            values = [float(line[column]) for line in lines[method::3]]
            assert values[-1] == pytest.approx(np.mean(values[:-1]), abs=10.0**-decimals)
    assert [line[2] for line in lines[9:]] == ["inf"] * 3
    assert "3 photos, x4, 4 border pixels cropped. Low resolution: made by bicubic, border replicate." in told
    assert "1 grey, taken as luminance" in told
    assert "(paper)" not in table + told


def test_table_of_texture(photos: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Columns exchanged, plain means of ratios, a mean over photos that have no value, dashes without a reason."""
    out = tmp_path / "scores.json"
    assert command("evaluate", photos, "--model", model, "--json", out) == 0
    text = capsys.readouterr().out
    header, lines = text.split("\n\n")[1].splitlines()[0].split(), cells(text, 1)
    keys = ("detail", "top_octave", "grid_4", "grid_2", "local_grid_4", "local_grid_2")
    assert header == ["photo", "method", "detail", "octave", "grid", "grid2", "local", "local2", "shift", "VGG", "NIQE"]
    assert [line[1] for line in lines] == ["nearest", "bicubic", "model", "original"] * 4
    scores = json.loads(out.read_text())
    rows = [row for image in (*scores["images"].values(), scores["average"]) for row in image.values()]
    for line, row in zip(lines, rows, strict=True):
        expected = ["-" if row[key] is None else pytest.approx(row[key], rel=1e-3, abs=0.006) for key in keys]
        assert [cell if cell == "-" else float(cell) for cell in line[2:8]] == expected
        shifts = [row[f"shift_{channel}"] for channel in ("red", "green", "blue")]
        assert abs(float(line[8])) == pytest.approx(max(map(abs, shifts)), abs=0.006)
        assert line[9:] == ["-", "-"]
    flat, grey = scores["images"]["deep/flat"], scores["images"]["grey"]
    assert {flat[method][key] for method in flat for key in keys} == {None}
    assert grey["original"]["detail"] == grey["original"]["top_octave"] == 1
    for key in keys:
        values = [image["bicubic"][key] for image in scores["images"].values() if image["bicubic"][key] is not None]
        assert len(values) == 2
        assert scores["average"]["bicubic"][key] == pytest.approx(np.sqrt(np.prod(values)))
    reasons = text.split("\n\n")[2]
    assert "VGG: no weights at hand; `minisrgan weights fetch vgg19`" in reasons
    assert "NIQE: no parameters at hand; `minisrgan weights fetch niqe`" in reasons
    assert "detail: without 1 photo, flat.\ngrid: without 1 photo, flat or below 64 pixels a side." in reasons


def test_names_give_way_to_columns(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two long names beside nine columns: lines of 120 characters wrap, and no column is below its heading."""
    long = tmp_path / "a_generator_with_a_name_longer_than_any.safetensors"
    save_model(long, Generator(4, channels=4, blocks=1).start_as_nearest())
    assert command("evaluate", photos, "--model", long) == 0
    fidelity, texture, _ = capsys.readouterr().out.split("\n\n")
    for table in (fidelity, texture):
        assert {len(line) for line in table.splitlines()} <= {99, 100}
        assert "flat" in table
        assert "than_any" in table


def test_niqe_where_it_is_at_hand(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the cache where it was fetched, and then small photos are left out and told; named, they count as failed."""
    write_image(photos / "large.png", np.random.default_rng(0).integers(0, 256, (96, 108, 3), dtype=np.uint8))
    parameters(tmp_path / "cache/niqe.npz")
    assert command("evaluate", photos, "--json", tmp_path / "a.json") == 0
    text = capsys.readouterr().out
    assert "NIQE: no" not in text
    assert "niqe: without 3 photos, flat or below 96 pixels a side." in text
    scores = json.loads((tmp_path / "a.json").read_text())
    original = scores["images"]["large"]["original"]["niqe"]
    assert original == scores["average"]["original"]["niqe"] > 0
    assert [line[-1] for line in cells(text, 1)[-3:]][-1] == f"{original:.2f}"
    assert command("evaluate", photos, "--niqe", tmp_path / "cache/niqe.npz") == 3
    captured = capsys.readouterr()
    assert f"{original:.2f}" in captured.out
    told = " ".join(captured.err.split())
    assert "ShapeError in niqe, at a_photo_with_quite_a_long_name_of_its_own_0042 expected at least 96 pixels" in told


def test_nan_is_printed() -> None:
    """A number that is none, formatted as a dash or as zero, would hide a broken model."""
    assert " nan " in ScoreTable(["a"], ["m"]).block("a", {"m": Score(float("nan"), 0.5, 0.5, 1.0, 1.0)})


@needs_shared("data/Set5")
def test_set5_beside_the_paper(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The numbers that tell a reader that this protocol is the paper's; a set that is not recognised shows none."""
    for folder in ("Set5", "Set5/HR"):  # published and own low-resolution files are the same
        assert command("evaluate", SHARED / "data" / folder, "--model", model) == 0
        text = capsys.readouterr().out
        average = {line[1]: line[2:5] for line in cells(text)[-10:]}
        assert average["nearest"] == average["model"] == ["26.258", "0.7539", "0.7380"]
        assert average["bicubic"] == ["28.430", "0.8201", "0.8111"]
        assert average["SRCNN*"] == ["30.07", "0.8627", "-"]
        assert average["SRGAN*"] == ["29.40", "0.8472", "-"]
        assert "Set5 recognised by its pixels" in text
        assert (f"files in {SHARED / 'data/Set5/LRx4'}" in text) == (folder == "Set5")
        line = next(line for line in text.splitlines() if "SRCNN" in line)
        assert line.index("30.07") == text.splitlines()[1].index("29.194")  # below the same point
    assert command("evaluate", SHARED / "data/Set5", "--border", "symmetric", "--json", tmp_path / "a.json") == 0
    assert "border symmetric" in capsys.readouterr().out
    bicubic = json.loads((tmp_path / "a.json").read_text())["average"]["bicubic"]["psnr"]
    assert bicubic == pytest.approx(28.43, abs=0.02)
    assert f"{bicubic:.3f}" != "28.430"


@pytest.mark.slow  # tests/inference/test_evaluate.py asks for the same averages, without the table
@needs_shared("data/Set14")
def test_set14_beside_the_paper(capsys: pytest.CaptureFixture[str]) -> None:
    """Set14 holds the grey photo and the sizes that are no multiple of 4 in their first form."""
    assert command("evaluate", SHARED / "data/Set14") == 0
    text = capsys.readouterr().out
    average = {line[1]: line[2:5] for line in cells(text)[-9:]}
    assert average["nearest"] == ["24.646", "0.7093", "0.6533"]
    assert average["bicubic"] == ["25.997", "0.7481", "0.7029"]
    assert average["DRCN*"] == ["28.02", "0.8074", "-"]
    assert "Set14 recognised by its pixels" in text


def test_a_set_that_is_named(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """BSD100 is known by its name alone; a wrong name for other pictures must not pass in silence."""
    assert command("evaluate", photos, "--set", "BSD100") == 0
    text = capsys.readouterr().out
    assert "27.58" in next(line for line in text.splitlines() if "SRResNet (paper)" in line)
    assert "BSD100 as told by --set" in text
    assert command("evaluate", photos, "--set", "Set5") == 0
    assert "Set5 as told by --set, not recognised" in capsys.readouterr().out
    assert command("evaluate", photos, "--set", "Set5", "--scale", 2) == 0
    text = capsys.readouterr().out
    assert "for x4 only" in text
    assert "DRCN" not in text


def test_files(photos: Path, model: Path, tmp_path: Path) -> None:
    """JSON that a strict reader refuses, pictures that overwrite each other, a figure without the original."""
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    assert command("evaluate", photos, "--model", model, "--json", out / "scores.json", "--save-images", out / "images",
                   "--figure", out / "strips.png") == 0  # fmt: skip

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    told = json.loads((out / "scores.json").read_text(), parse_constant=refuse)
    assert told["images"]["deep/flat"]["bicubic"]["psnr"] == "inf"
    assert (told["set"], told["scale"], told["grey"]) == (None, 4, "y")
    assert told["low_resolution"] == "made by bicubic, border replicate"
    mean = np.mean([image["model"]["ssim_wang"] for image in told["images"].values()])
    assert told["average"]["model"]["ssim_wang"] == pytest.approx(mean)
    written = sorted(path.relative_to(out / "images").as_posix() for path in (out / "images").rglob("*.png"))
    assert written == sorted(
        f"{method}/{name}.png" for method in ("nearest", "bicubic", "model") for name in told["images"]
    )
    picture = read_image(photos / "grey.png", keep_grey=True)
    low = imresize(picture, 1 / 4)
    assert np.array_equal(read_image(out / "images/nearest/grey.png", keep_grey=True), nearest(low, 4))
    assert read_image(out / "strips.png").shape[1] > 1500


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["nowhere"], "nowhere, which does not exist"),
        (["photos", "--lr", "nowhere"], "nowhere, which does not exist"),
        (["photos", "--lr", "photos/deep"], "none for"),
        (["photos", "--lr", "photos"], "96 x 64 in multiples of 4, 4 times smaller"),
        (["photos", "--model", "none.safetensors"], "none.safetensors, which does not exist"),
        (["photos", "--scale", "2", "--model", "model.safetensors"], "one scale"),
        (["photos", "--figure", "strips.jpg"], ".pdf, .png, .svg"),
        (["photos", "--scale", "8"], "at least 27 x 27 pixels"),
        (["photos", "--niqe", "none.npz"], "none.npz: [Errno 2] No such file"),
        (["photos", "--niqe", "model.safetensors"], "NIQE's parameters: an .npz with mu_pris_param"),
        (["photos", "--vgg", "none.npz"], "none.npz, which does not exist"),
        (["photos", "--vgg", "model.safetensors"], "model.safetensors, which holds Generator"),
    ],
)
def test_wrong_words(
    words: list[str], told: str, photos: Path, model: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """Each mistake in four lines that name it, before an hour of work where that can be."""
    write_image(photos / "small.png", np.zeros((24, 60), np.uint8))
    monkeypatch.chdir(photos.parent)
    assert command("evaluate", *words) == (3 if words[1:] in (["--lr", "photos"], ["--scale", "8"]) else 2)
    captured = capsys.readouterr()
    assert told in " ".join(captured.err.split())
    assert not {"--figure", "--vgg", "--niqe"}.intersection(words) or captured.out == ""


def test_border_beside_ready_files_is_a_contradiction(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One of the two would be ignored without a word."""
    with pytest.raises(SystemExit) as end:
        command("evaluate", photos, "--lr", photos, "--border", "symmetric")
    assert end.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


def test_photos_that_cannot_be_measured(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One bad or tiny photo ended the command: no average, no JSON, though an hour was spent on the others."""
    assert command("evaluate", photos, "--json", tmp_path / "good.json") == 0
    good = json.loads((tmp_path / "good.json").read_text())
    write_image(photos / "aa_tiny.png", np.zeros((5, 60, 3), np.uint8))
    whole = (photos / "grey.png").read_bytes()
    (photos / "ab_cut.png").write_bytes(whole[: len(whole) // 2])
    (photos / "page.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0")
    (photos / "notes.txt").write_text("notes")
    (photos / "self.png").symlink_to("self.png")
    capsys.readouterr()
    assert command("evaluate", photos, "--json", tmp_path / "bad.json") == 3
    captured = capsys.readouterr()
    bad = json.loads((tmp_path / "bad.json").read_text())
    assert bad["average"]["bicubic"]["psnr"] == good["average"]["bicubic"]["psnr"]
    assert list(bad["images"]) == list(good["images"])
    assert set(bad["failed"]) == {"aa_tiny", "ab_cut", "page", "self"}
    assert list(bad["skipped"]) == [str(photos / "notes.txt")]
    assert "4 failed, and are in no average: aa_tiny, ab_cut, page, self" in captured.out
    assert "ImageError in evaluate, at aa_tiny" in captured.err
    assert "notes.txt: no image" in captured.err
    for name in bad["images"]:
        (photos / f"{name}.png").unlink()
    assert command("evaluate", photos) == 3
    assert "none of 4 photos could be measured" in capsys.readouterr().out


def test_a_photo_without_its_low_file(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One file forgotten in LRx4 is that photo's failure."""
    write_image(tmp_path / "low/grey.png", imresize(read_image(photos / "grey.png"), 1 / 4))
    assert command("evaluate", photos, "--lr", tmp_path / "low", "--json", tmp_path / "a.json") == 3
    assert "none for" in " ".join(capsys.readouterr().err.split())
    scores = json.loads((tmp_path / "a.json").read_text())
    assert (list(scores["images"]), len(scores["failed"])) == (["grey"], 2)


@pytest.mark.skipif(sys.platform != "linux", reason="names that are no text are Linux's")
def test_names_of_all_kinds(tmp_path: Path) -> None:
    """Bytes that are no text, mathematics, a line break, 250 bytes: in tables, JSON and a figure."""
    pytest.importorskip("matplotlib")
    ramp = np.arange(0, 250, 10, dtype=np.uint8).reshape(1, 25).repeat(25, axis=0)
    for name in ("caf\udce9", "a$^$b", "line\nbreak", "n" * 250):
        write_image(tmp_path / f"in/{name}.png", ramp)
    words = ("--json", tmp_path / "a.json", "--figure", tmp_path / "a.png", "--save-images", tmp_path / "images")
    assert command("evaluate", tmp_path / "in", *words) == 0
    assert len(json.loads((tmp_path / "a.json").read_text())["images"]) == 4
    for out in ("page.html", "figure.png"):
        assert command("compare", tmp_path / "in/caf\udce9.png", "--scale", 2, "--out", tmp_path / out) == 0
    assert (tmp_path / "a.png").exists()


def test_nothing_is_overwritten(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """--json photo.jpg, or the scores of last night, were replaced without a word."""
    mine = tmp_path / "mine.json"
    mine.write_text("mine")
    (tmp_path / "mine.png").write_text("mine")
    monkeypatch.setattr("minisrgan.cli.evaluate.judge", None)  # refused before anything is measured
    figure = ["--figure", tmp_path / "mine.png"]
    for words in (["--json", mine], ["--json", mine / "a.json"], ["--json", photos], figure):
        assert command("evaluate", photos, *words) == 2
        assert "FileError" in capsys.readouterr().err
    assert mine.read_text() == (tmp_path / "mine.png").read_text() == "mine"
    monkeypatch.undo()
    monkeypatch.setenv("MINISRGAN_CACHE", str(tmp_path / "cache"))
    assert command("evaluate", photos, "--json", mine, "--overwrite") == 0
    assert json.loads(mine.read_text())["scale"] == 4
    (tmp_path / "images/nearest").mkdir(parents=True)
    (tmp_path / "images/nearest/grey.png").write_text("mine")
    assert command("evaluate", photos, "--save-images", tmp_path / "images") == 3
    assert "grey.png, which is there" in " ".join(capsys.readouterr().err.split())
    assert (tmp_path / "images/nearest/grey.png").read_text() == "mine"
    assert (tmp_path / "images/bicubic/deep/flat.png").exists()


@pytest.mark.parametrize("words", [["--save-images", "photos/out"], ["--save-images", "photos"],
                                   ["--save-images", "low/out"], ["--figure", "photos/deep/strips.png"],
                                   ["--save-images", "set/HR/out"], ["--save-images", "set/LRx4"]])  # fmt: skip
def test_no_images_among_the_photographs(
    words: list[str], photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They would be measured as photographs the next time, and change the averages without a word."""
    monkeypatch.chdir(photos.parent)
    (photos.parent / "set").mkdir()
    (photos.parent / "set/HR").symlink_to(photos)
    monkeypatch.setattr("minisrgan.cli.evaluate.judge", None)  # refused before anything is measured
    folder = "set" if words[1].startswith("set") else "photos"
    assert command("evaluate", folder, *(["--lr", "low"] if folder == "photos" else []), *words) == 2
    assert "a place outside" in " ".join(capsys.readouterr().err.split())


def test_images_beside_the_photographs_of_a_set(photos: Path, tmp_path: Path) -> None:
    """Only HR and LRx4 are measured; a drawing is no photograph."""
    pytest.importorskip("matplotlib")
    photos.rename(tmp_path / "HR")
    words = ("--save-images", tmp_path / "out", "--figure", tmp_path / "HR/strips.svg")
    assert command("evaluate", tmp_path, *words) == 0
    assert (tmp_path / "out/nearest/grey.png").exists()


def test_results_of_upscale_are_no_originals(
    photos: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Enlargements beside the photographs, as `upscale a --out a` leaves them, were measured as originals."""
    assert command("upscale", photos / "grey.png", "--model", model, "--out", photos) == 0
    assert command("upscale", photos / "grey.png", "--model", model, "--out", photos / "below") == 0
    assert command("evaluate", photos, "--json", tmp_path / "a.json") == 0
    told = json.loads((tmp_path / "a.json").read_text())
    assert sorted(told["images"]) == ["a_photo_with_quite_a_long_name_of_its_own_0042", "deep/flat", "grey"]
    results = [photos / "grey_x4.png", photos / "below/grey_x4.png"]
    assert {told["skipped"].get(str(path)) for path in results} == {"a result of minisrgan upscale"}
    assert f"skipped {results[0]}: a result of minisrgan upscale" in capsys.readouterr().err
    assert command("evaluate", photos / "below") == 2
    assert "only results of minisrgan upscale" in " ".join(capsys.readouterr().err.split())


def test_progress_in_a_pipe(photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A log must show that something goes on, and how long it will take."""
    monkeypatch.setattr("minisrgan.threads.EVERY", 0)
    assert command("evaluate", photos) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line[:13] for line in lines if ": 0%" not in line] == ["evaluate: 33%", "evaluate: 67%", "evaluate: 100"]
    assert command("evaluate", photos, "-q") == 0
    assert capsys.readouterr() == ("", "")
