"""What all commands have in common: errors, pipes, -q and -v, results that replace nothing."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from minisrgan.cli.common import nested
from minisrgan.cli.main import build_parser, main
from minisrgan.errors import OutOfMemoryError
from minisrgan.images import write_image
from tests.cli.conftest import command

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ["demo", "train", "runs", "upscale", "evaluate", "compare", "weights", "summary", "gradcheck", "explain",
            "profile", "doctor"]  # fmt: skip


def test_options_of_every_command() -> None:
    """-q and -v stand before or after the command; python -m minisrgan is the same program."""
    parser = build_parser()
    for words in (["-q", "summary", "generator"], ["summary", "-q", "generator"], ["summary", "generator", "--quiet"]):
        args = parser.parse_args(words)
        assert (args.quiet, args.verbose) == (True, False)
    assert parser.parse_args(["weights", "-v", "list"]).verbose
    assert parser.parse_args(["weights", "list", "-v"]).verbose
    done = subprocess.run([sys.executable, "-m", "minisrgan", "--version"], env=os.environ | {"PYTHONPATH": str(ROOT)},
                          capture_output=True, check=True)  # fmt: skip
    assert done.stdout.startswith(b"minisrgan ")


def test_help_of_every_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The help is the docstring of the command's file: one that lacks a paragraph would leave a command undescribed."""
    monkeypatch.setenv("COLUMNS", "200")
    listed = build_parser().format_help()
    for name in [*COMMANDS, "export", "inspect"]:
        line = next(line for line in listed.splitlines() if line.split()[:1] == [name])
        assert len(line.split()) > 4
        with pytest.raises(SystemExit):
            main([name, "--help"])
        usage, description, *_ = capsys.readouterr().out.split("\n\n")
        assert usage.startswith(f"usage: minisrgan {name} ")
        assert description[0].isupper()
        assert len(description) > 50


def test_help_of_every_option() -> None:
    """An option that the docstring does not explain, or a line of it about an option that is gone."""
    _, _, *rest = build_parser()._actions
    (commands,) = (action for action in rest if isinstance(action, argparse._SubParsersAction))
    for name, parser in commands.choices.items():
        actions = [action for each in nested(parser) for action in each._actions]
        assert all(action.help for action in actions), name
        known = {(action.option_strings or [action.metavar or action.dest])[0] for action in actions}
        table = [*import_module(f"minisrgan.cli.{name}").__doc__.split("\n\n"), ""][2]
        assert known - {"-h", "-q", "-v"} == set(re.findall(r"^(\S+?),? ", table, re.MULTILINE)), name


def test_help_without_docstrings(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -OO` keeps no docstrings; the commands work all the same."""
    monkeypatch.setattr("minisrgan.cli.upscale.__doc__", None)
    args = build_parser().parse_args(["upscale", "a.png", "--model", "srgan", "--quality", "9"])
    assert (args.images, args.quality) == (["a.png"], 9)


def test_quiet_and_verbose(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """-q leaves errors, -v adds where in the program they arose."""
    assert command("-q", "explain", "prelu") == 0
    assert capsys.readouterr() == ("", "")
    assert command("-q", "weights", "info", tmp_path / "none.npz") == 2
    assert capsys.readouterr().err.startswith("FileError in weights")
    assert command("-v", "weights", "info", tmp_path / "none.npz") == 2
    assert capsys.readouterr().err.startswith("Traceback")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("text", ["Unable to allocate 7.45 GiB for an array with shape (9, 9)", ""])
def test_too_little_memory(name: str, text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
                           ) -> None:  # fmt: skip
    """A traceback of thirty lines, and "MemoryError" without a number, help nobody."""

    def fail(args: object) -> None:
        raise MemoryError(text)

    words = {"train": ["--stage", "srgan", "--data", "a", "--out", "b"], "runs": ["a"], "summary": ["generator"],
             "upscale": ["a", "--model", "b"], "evaluate": ["a"], "compare": ["a", "--out", "b.png"],
             "weights": ["list"]}.get(name, [])  # fmt: skip
    monkeypatch.setattr(f"minisrgan.cli.{name}.{'_list' if name == 'weights' else 'run'}", fail)
    assert main([name, *words]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"OutOfMemoryError in {name}\n")
    assert (text or "an allocation that failed") in " ".join(told.split())
    if hasattr(os, "sysconf"):
        assert " GB are free" in " ".join(told.split())


def test_memory_that_one_photo_lacks(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch,
                                     capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    """The photo that is too large fails, and the others are done."""
    import minisrgan.cli.evaluate
    import minisrgan.cli.upscale

    def picky(function: object, error: type[BaseException]):
        def choose(first: object, second: object, *rest: object, **more: object):
            for it in (first, second):
                if getattr(getattr(it, "pixels", it), "shape", (0,))[0] == 64:
                    raise error("Unable to allocate 9. TiB") if error is MemoryError else error("a", "b", "9. TiB", "c")
            return function(first, second, *rest, **more)

        return choose

    for name, side in (("a", 48), ("b", 64), ("c", 48)):
        write_image(tmp_path / f"in/{name}.png", np.zeros((side, 48, 3), np.uint8))
    for number, error in enumerate((MemoryError, OutOfMemoryError)):
        with monkeypatch.context() as patch:
            patch.setattr("minisrgan.cli.upscale.photo_bands", picky(minisrgan.cli.upscale.photo_bands, error))
            patch.setattr("minisrgan.cli.evaluate.judge", picky(minisrgan.cli.evaluate.judge, error))
            out = tmp_path / f"out{number}"
            assert command("upscale", tmp_path / "in", "--model", model, "--out", out) == 3
            assert command("evaluate", tmp_path / "in") == 3
        captured = capsys.readouterr()
        assert "2 upscaled, 0 kept, 1 failed" in captured.out
        assert "1 failed, and are in no average: b" in captured.out
        assert captured.err.count("OutOfMemoryError in ") == captured.err.count("9. TiB") == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes that say they are closed")
@pytest.mark.parametrize("words", [["summary", "generator"], ["--help"]])
def test_a_pipe_that_is_closed(words: list[str]) -> None:
    """`minisrgan ... | head` is no error, and least of all one of the configuration."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([sys.executable, "-m", "minisrgan", *words], env=os.environ | {"PYTHONPATH": str(ROOT)},
                          stdout=writing, stderr=subprocess.PIPE)  # fmt: skip
    os.close(writing)
    assert done.returncode in (0, 141)  # argparse leaves it at 0 for --help
    assert done.stderr == b""


def test_a_pipe_that_is_closed_ends_the_work(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Taken for the failure of a photo, it would be reported for each of the 3,000 others."""
    for number in range(3):
        write_image(tmp_path / f"in/{number}.png", np.zeros((48, 48, 3), np.uint8))

    def closed(*args: object, **options: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    for name, words in (("upscale", ["--model", model, "--out", tmp_path / "out"]), ("evaluate", [])):
        with monkeypatch.context() as patch:
            patch.setattr(f"minisrgan.cli.{name}.print", closed, raising=False)
            patch.setattr("minisrgan.cli.evaluate.tqdm.write", closed)
            assert command(name, tmp_path / "in", *words) == 141
        assert capsys.readouterr().err == ""


def test_errors_of_files_are_told_as_such(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder that is a file is no mistake in a training's configuration."""
    (tmp_path / "file").touch()
    assert command("explain", "prelu", "--svg", tmp_path / "file/a.svg") == 2
    told = " ".join(capsys.readouterr().err.split())
    assert told.startswith("FileError in explain expected a file that can be opened got ")
    assert "file is a file, not a folder" in told


@pytest.mark.parametrize("words", [["explain", "prelu", "--svg"], ["profile", "upscale", "--steps", "1", "--plot"]])
def test_figures_replace_nothing(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped name of a figure must not cost a photograph."""
    photo = tmp_path / "photo.svg"
    photo.write_text("mine")
    assert command(*words, photo) == 2
    assert "photo.svg, which is there" in " ".join(capsys.readouterr().err.split())
    assert photo.read_text() == "mine"


def test_a_demo_deletes_only_what_a_demo_has_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`demo --out work` removed the folder work/training, whoever it belonged to."""
    (tmp_path / "training").mkdir()
    (tmp_path / "training/srgan.safetensors").write_text("a week's work")
    assert command("demo", "--out", tmp_path) == 2
    assert "FileError in demo" in capsys.readouterr().err
    assert (tmp_path / "training/srgan.safetensors").read_text() == "a week's work"


@pytest.mark.parametrize(
    "words",
    [["upscale", "a", "--model", ""], ["upscale", "a", "--model", "b", "--out", ""], ["evaluate", ""],
     ["compare", "", "--out", "a.png"], ["train", "--stage", "srgan", "--data", "", "--out", "a"],
     ["demo", "--out", ""], ["runs", ""], ["weights", "convert", "", "-o", "a"], ["evaluate", "a", "--lr", ""]],
)  # fmt: skip
def test_empty_words(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """"$FOLDER" with an empty variable means the current folder to pathlib, and to nobody else."""
    with pytest.raises(SystemExit):
        main(words)
    assert "not an empty word" in " ".join(capsys.readouterr().err.split())


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
def test_completion() -> None:
    """README's one-liner."""
    shtab = pytest.importorskip("shtab")
    assert "--overwrite" in shtab.complete(build_parser(), "bash")
