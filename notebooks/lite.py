"""Prepare the course for JupyterLite, which runs Python in the browser: `make lite` does this and builds the site.

    python notebooks/lite.py FOLDER

Copies the notebooks, exercises and solutions into a folder, and puts before the first cell of each notebook one that
installs the wheel of minisrgan that lies in the site.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import nbformat
from nbformat import v4

HERE = Path(__file__).resolve().parent
INSTALL = """\
# In the browser: install minisrgan from this site, and what its figures and sample photographs need.
%pip install -q minisrgan matplotlib scikit-image"""


def prepare(target: Path) -> int:
    """Fill a folder, and return the number of notebooks in it."""
    shutil.rmtree(target, ignore_errors=True)
    skipped = shutil.ignore_patterns(
        "src", "answers.py", "build.py", "features.py", "lite.py", "mine.py", "pages.py", "release.py", "ruff.toml",
        "__pycache__", ".*",
    )  # fmt: skip
    shutil.copytree(HERE, target, ignore=skipped)
    notebooks = sorted(target.rglob("*.ipynb"))
    for path in notebooks:
        notebook = nbformat.read(path, as_version=4)
        cell = v4.new_code_cell(INSTALL)
        cell["id"] = "install-in-the-browser"
        notebook.cells.insert(0, cell)
        nbformat.write(notebook, path)
    return len(notebooks)


if __name__ == "__main__":
    sys.stdout.write(f"{prepare(Path(sys.argv[1]))} notebooks in {sys.argv[1]}\n")
