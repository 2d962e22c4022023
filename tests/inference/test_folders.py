"""Where results go, and when one that is there may be kept."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from minisrgan.errors import ImageError
from minisrgan.images.photo import Photo, read_photo
from minisrgan.inference.folders import RECORD, Record, _stem, find_jobs, require_fits


def picture(path: Path, level: int = 0) -> Path:
    """Write a picture of one pixel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", (1, 1), level).save(path, "PNG")
    return path


def write(record: Record, target: Path, source: Path, settings: dict[str, object]) -> None:
    """Write a result, as the command does."""
    with record.making(target, source, settings):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"result")


def test_no_two_names_of_a_folder_give_the_same_result() -> None:
    """Names of up to four parts, with dots wherever they can stand."""
    parts = ("a", ".", "_x4", ".png", ".jpg", ".PNG")
    names = {"".join(some) for length in range(1, 5) for some in itertools.product(parts, repeat=length)} - {".", ".."}
    for kind in (".png", ".jpg"):
        assert len({_stem(name, kind) for name in names}) == len(names)


def test_names_do_not_depend_on_what_else_is_there(tmp_path: Path) -> None:
    """With a.jpg added, a.png's result changed its name, and a.jpg was taken to be done."""
    out, places = tmp_path / "large", [tmp_path / "in" / name for name in ("a.png", "a.jpg", "a.jpg.png", "a", "b.JPG")]
    alone = {}
    for place in places:
        picture(place)
        alone |= find_jobs([place], out, "_x4")[0]
    together = find_jobs([tmp_path / "in"], out, "_x4")[0]
    assert together == alone
    assert len(set(together.values())) == len(places)
    assert find_jobs(reversed(places), out, "_x4")[0] == together
    assert find_jobs([*places, *places, tmp_path / "in/../in/a.png"], out, "_x4")[0] == alone


def test_equal_names_in_other_folders(tmp_path: Path) -> None:
    """Cameras number anew on each card: no IMG_0001.JPG is left out, in one go or one folder after another."""
    sources = [picture(tmp_path / folder / "sub/a.png", level) for level, folder in enumerate("xyz")]
    out = tmp_path / "large"
    at_once = find_jobs([source.parents[1] for source in sources], out, "_x4")[0]
    assert len(set(at_once.values())) == 3
    record = Record(out)
    for source in sources:
        target = find_jobs([source.parents[1]], out, "_x4")[0][source]
        assert target == at_once[source]
        assert not record.holds(target, source, {})
        write(record, target, source, {})
    for source in sources:
        assert Record(out).holds(find_jobs([source.parents[1]], out, "_x4")[0][source], source, {})


def test_both_folders_may_be_moved(tmp_path: Path) -> None:
    """A night's work must not be done again because a folder got another name."""
    source, target = picture(tmp_path / "old/photos/a.png"), tmp_path / "old/large/a_x4.png"
    write(Record(target.parent), target, source, {})
    (tmp_path / "old").rename(tmp_path / "new")
    out = tmp_path / "new/large"
    assert Record(out).holds(out / target.name, tmp_path / "new/photos/a.png", {})
    (tmp_path / "new/photos").rename(tmp_path / "elsewhere")  # the path has changed, the photograph has not
    assert list(find_jobs([tmp_path / "elsewhere"], out, "_x4")[0].values()) == [out / target.name]
    assert Record(out).holds(out / target.name, tmp_path / "elsewhere/a.png", {})


def test_only_what_was_made_from_this_in_this_way_is_kept(tmp_path: Path) -> None:
    """Everything else would be reported as done: another photograph, model or option, a file of unknown origin."""
    source, target = picture(tmp_path / "a.png"), tmp_path / "out/a_x4.png"
    settings = {"model": "m (12ab)", "tile": None}
    assert not Record(target.parent).holds(target, source, settings)
    write(Record(target.parent), target, source, settings)
    assert Record(target.parent).holds(target, source, settings)
    with pytest.raises(ImageError, match=r"made with model m \(12ab\), not n \(34cd\)"):
        Record(target.parent).holds(target, source, settings | {"model": "n (34cd)"})
    with pytest.raises(ImageError, match="ensemble None, not True"):
        Record(target.parent).holds(target, source, settings | {"ensemble": True})
    assert not Record(target.parent).holds(target, source, None)  # to be replaced
    picture(source, 9)
    with pytest.raises(ImageError, match="another photograph"):
        Record(target.parent).holds(target, source, settings)
    unknown = target.with_name("b_x4.png")
    unknown.touch()
    with pytest.raises(ImageError, match="no record"):
        Record(target.parent).holds(unknown, source, settings)


def test_a_stop_at_any_moment(tmp_path: Path) -> None:
    """Killed before it is written, a new result is made again; one that was to be replaced is not taken for the new."""
    source, target = picture(tmp_path / "a.png"), tmp_path / "out/a_x4.png"
    with pytest.raises(KeyboardInterrupt), Record(target.parent).making(target, source, {"a": 1}):
        raise KeyboardInterrupt
    assert not Record(target.parent).holds(target, source, {"a": 1})
    target.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), Record(target.parent).making(target, source, {"a": 2}):
        raise KeyboardInterrupt
    for settings in ({"a": 1}, {"a": 2}):
        with pytest.raises(ImageError, match="no record"):
            Record(target.parent).holds(target, source, settings)
    write(Record(target.parent), target, source, {"a": 2})
    assert Record(target.parent).holds(target, source, {"a": 2})


@pytest.mark.parametrize(
    "rest", ['{"result": "b', "[1]", '{"result": ["b"]}', "null", '{"result": "a_x4.png"}', "\udcff"]
)
def test_a_damaged_record(rest: str, tmp_path: Path) -> None:
    """A line that was cut off must cost no other line, and never end the command."""
    source, target = picture(tmp_path / "a.png"), tmp_path / "out/a_x4.png"
    write(Record(target.parent), target, source, {})
    with open(target.parent / RECORD, "a", encoding="utf-8", errors="surrogateescape") as file:
        file.write(f"\n{rest}")
    assert Record(target.parent).holds(target, source, {})
    other = picture(tmp_path / "b.png", 1)
    write(Record(target.parent), target.with_name("b_x4.png"), other, {})
    assert Record(target.parent).holds(target.with_name("b_x4.png"), other, {})
    lines = (target.parent / RECORD).read_bytes().split(b"\n")
    assert [json.loads(line)["source"] for line in (lines[1], lines[-1])] == ["../a.png", "../b.png"]


def test_brackets_and_stars_in_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A quoted pattern below such a folder found nothing, or what was in another one."""
    monkeypatch.chdir(tmp_path)
    names = ["holiday [2020]/1.png", "holiday 2/2.png", "[a]/[b]/x1.png", "why?/3.png", "whys/4.png", "5*/6.png",
             "57/8.png", "deep/[c]/in/9.png"]  # fmt: skip
    for name in names:
        picture(tmp_path / name)
    for word, found in {
        "holiday [2020]/*.png": [names[0]], "holiday [0-9]/*": [names[1]], "[a]/[b]/x[0-9].png": [names[2]],
        "why?/*.png": [names[3]], "5*/*": [names[5]], "5?/*": [names[5], names[6]], "deep/**/*.png": [names[7]],
        "*/[c]/**/*.png": [names[7]], "holiday [2020]/[1-3].*": [names[0]], "holiday [2020]": [names[0]],
    }.items():  # fmt: skip
        assert [source.as_posix() for source in find_jobs([word], Path("large"), "_x4")[0]] == found, word


def test_an_empty_word_is_not_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of the shell that was empty enlarged everything below the current folder."""
    monkeypatch.chdir(tmp_path)
    picture(tmp_path / "a.png")
    jobs, problems = find_jobs(["", "a.png"], Path("large"), "_x4")
    assert list(jobs) == [Path("a.png")]
    assert [problem.got for problem in problems] == ["an empty word"]


def test_names_of_ones_own(tmp_path: Path) -> None:
    """A template that gives two photographs one name loses neither."""
    sources = [picture(tmp_path / "in" / name) for name in ("a.png", "a.gif", "b.png")]
    jobs = find_jobs([tmp_path / "in"], tmp_path / "out", "_x4", name=lambda source: source.stem)[0]
    assert len(set(jobs.values())) == 3
    assert jobs[sources[2]] == tmp_path / "out/b.png"


@pytest.mark.parametrize(("kind", "side"), [(".webp", 16_383), (".jpg", 65_500), (".JPEG", 65_500)])
def test_limits_of_formats(kind: str, side: int, tmp_path: Path) -> None:
    """After an hour of computing it is too late to learn that the format holds no more."""
    flat = tmp_path / "flat.png"
    for scale, length in ((1, side), (1, side + 1), (2.5, side // 5 * 2 + 2)):
        Image.new("L", (1, length)).save(flat)
        photo, fits = read_photo(flat), scale * length <= side
        if fits:
            require_fits(Path("a" + kind), photo, scale)
            Image.new("L", (1, length)).save(tmp_path / ("a" + kind))
        else:
            with pytest.raises(ImageError, match=f"at most {side:,} pixels"):
                require_fits(Path("a" + kind), photo, scale)
        require_fits(Path("a.png"), photo, scale)
    wide = Photo(np.zeros((10, 65_500, 1), np.uint8))
    with pytest.raises(ImageError, match="offsets"):
        require_fits(Path("a.tif"), wide, 100)
