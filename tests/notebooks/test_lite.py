"""The course for the browser: what `make lite` prepares before JupyterLite builds the site."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"


def test_every_notebook_installs_minisrgan_first(tmp_path: Path) -> None:
    """A notebook that begins with an import of what is not installed yet is the first thing a student sees."""
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: pip install 'minisrgan[course]'")
    prepare = runpy.run_path(str(FOLDER / "lite.py"))["prepare"]
    site = tmp_path / "site"
    assert prepare(site) == len(list(FOLDER.rglob("*.ipynb"))) > 20
    for path in site.rglob("*.ipynb"):
        assert path.read_text("utf-8").count("%pip install -q minisrgan ") == 1
    notebook, original = (nbformat.read(folder / "solutions" / "03_convolution.ipynb", 4) for folder in (site, FOLDER))
    nbformat.validate(notebook)
    assert "%pip" in notebook.cells[0].source
    assert notebook.cells[1:] == original.cells
    assert {path.name for path in site.iterdir() if path.suffix != ".ipynb"} == {
        "README.md", "checks.py", "course.py", "diagnose.py", "exercises", "glossary.md", "grade.py", "keep.py",
        "own.py", "solutions", "variants.py", "written.py",
    }  # fmt: skip
