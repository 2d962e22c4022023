"""The first cell of every notebook, in a checkout, in Colab and in JupyterLite, as far as they can be played here."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import inspect
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("nbclient")

import build  # notebooks/build.py, found by conftest


class Machine:
    """A Python on which minisrgan is missing until something was installed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.installed: list[str] | None = None
        self.fails: Exception | None = None
        self.real = importlib.util.find_spec
        monkeypatch.chdir(folder)
        monkeypatch.setattr(sys, "path", [*sys.path])
        monkeypatch.setattr(importlib.util, "find_spec", self.find_spec)
        monkeypatch.setattr(subprocess, "run", self.pip)
        monkeypatch.setitem(sys.modules, "piplite", SimpleNamespace(install=self.piplite))

    def find_spec(self, name: str) -> Any:
        return None if name == "minisrgan" and self.installed is None else self.real(name)

    def pip(self, command: list[str], **options: Any) -> None:
        assert command[:5] == [sys.executable, "-m", "pip", "install", "-q"]
        assert options["check"]
        if self.fails:
            raise self.fails
        self.installed = command[5:]

    async def piplite(self, packages: list[str]) -> None:
        if self.fails:
            raise self.fails
        self.installed = packages

    def run(self, source: str = "") -> None:
        """Run the cell, in which await may stand as it may in IPython."""
        text = build.FIRST.replace("INSTALL", source)
        code = compile(text, "the first cell", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        made = eval(code, {})
        if inspect.iscoroutine(made):
            asyncio.run(made)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(monkeypatch, tmp_path)


def test_finds_a_checkout_in_the_folders_above(machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The usual case must install nothing that is there."""
    (tmp_path / "minisrgan").mkdir()
    (tmp_path / "minisrgan/__init__.py").touch()
    machine.installed = []
    machine.run()
    assert machine.installed == []
    assert sys.path[-2:] == [str(tmp_path), f"{tmp_path}/notebooks"]
    assert "computes on the CPU" in capsys.readouterr().out


@pytest.mark.parametrize("platform", ["linux", "emscripten"])
def test_installs_what_source_says(machine: Machine, monkeypatch: pytest.MonkeyPatch, platform: str):
    """Colab has pip, JupyterLite has piplite."""
    monkeypatch.setattr(sys, "platform", platform)
    machine.run("https://example.org/minisrgan.whl")
    assert machine.installed == ["https://example.org/minisrgan.whl", "matplotlib", "scikit-image"]


def test_finds_the_course_of_an_editable_install(machine: Machine, monkeypatch: pytest.MonkeyPatch):
    """A class's notebooks lie anywhere, and the package in a checkout elsewhere: nothing above the notebook is one."""
    machine.installed, hidden = [], {"course", "checks"}
    monkeypatch.setattr(sys, "path", [p for p in sys.path if not p.endswith("notebooks")])
    for name in hidden:
        monkeypatch.delitem(sys.modules, name, raising=False)
    machine.run()
    assert "course" in sys.modules


@pytest.mark.parametrize("platform", ["linux", "emscripten"])
def test_asks_for_the_source(machine: Machine, monkeypatch: pytest.MonkeyPatch, platform: str):
    """A bare name could be anybody's package, so there is no default."""
    monkeypatch.setattr(sys, "platform", platform)
    with pytest.raises(RuntimeError, match=r"^minisrgan is not installed: write its folder or address into `source`"):
        machine.run()
    assert machine.installed is None


@pytest.mark.parametrize(
    ("platform", "fails", "told"),
    [
        (
            "linux",
            subprocess.CalledProcessError(1, "pip", stderr="WARNING: x\nERROR: not found: git+x\nERROR: y\n[notice]"),
            "git+x matplotlib scikit-image could not be installed. Is its folder or address in `source` above? "
            "ERROR: not found: git+x",
        ),
        ("linux", FileNotFoundError("no pip"), "FileNotFoundError: no pip"),
        (
            "emscripten",
            ValueError("Can't find a pure Python wheel\nfor git+x"),
            "Is the address of its wheel in `source` above? ValueError: Can't find a pure Python wheel",
        ),
    ],
)
def test_says_in_one_line_why_nothing_was_installed(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, platform: str, fails: Exception, told: str
):
    """What pip writes goes to the terminal of the server, which a student never sees."""
    monkeypatch.setattr(sys, "platform", platform)
    machine.fails = fails
    with pytest.raises(RuntimeError) as caught:
        machine.run("git+x")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
