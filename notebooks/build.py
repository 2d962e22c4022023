"""Make the notebooks from their sources: the student's form in this folder, the solved form in solutions/.

    python notebooks/build.py                # all of them
    python notebooks/build.py 03 05          # those whose names begin so
    python notebooks/build.py --no-run 03    # to look at the cells only: outputs are left empty
    python notebooks/build.py --release DIR  # for a class: see release.py
    python notebooks/build.py --html DIR     # as pages for a browser: see pages.py

A source, src/NN_name.py, is a Python file with ``# %%`` before each cell (the percent format, which editors know as
cells too). A cell tagged "exercise" holds the student's stub; the cell tagged "solution" that follows it takes its
place in the solved form, and stands folded below it in the student's. The text of a cell that begins with
``**Figure`` describes the picture above it, and becomes that picture's alternative text. Before the first code cell
comes one that is the same in all notebooks: `FIRST`.
"""

from __future__ import annotations

import argparse
import base64
import io
import os
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape, unescape
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode, v4
from PIL import Image

HERE = Path(__file__).resolve().parent
SOURCES, SOLUTIONS = HERE / "src", HERE / "solutions"
LARGEST = 1_000_000  # bytes of a notebook
INSTALL = ""  # what pip installs for a notebook that was opened alone; never a bare name, which anybody could publish
SECONDS = 120  # for one cell, on a busy machine


# A notebook may lie in a checkout, beside an installed minisrgan, or alone in Colab or JupyterLite.
FIRST = """\
# Run this first: it finds the course, or installs it, and says on which device it computes.
import subprocess
import sys
from importlib import invalidate_caches
from importlib.util import find_spec
from pathlib import Path

# where minisrgan is, if it must be installed: a folder, or an address such as git+https://...
source = "INSTALL"
for folder in (Path.cwd(), *Path.cwd().parents):
    if (folder / "minisrgan/__init__.py").exists():  # a checkout
        source = str(folder)
        sys.path += [source, f"{source}/notebooks"]
parts = ("minisrgan", "numpy", "PIL", "safetensors", "threadpoolctl", "tqdm", "matplotlib", "skimage")
if any(find_spec(part) is None for part in parts):
    if not source and find_spec("minisrgan") is None:
        raise RuntimeError("minisrgan is not installed: write its folder or address into `source` above")
    packages = [*filter(None, [source]), "matplotlib", "scikit-image"]
    try:
        if sys.platform == "emscripten":  # JupyterLite
            import piplite

            await piplite.install(packages)
        else:
            pip = [sys.executable, "-m", "pip", "install", "-q", *packages]
            subprocess.run(pip, check=True, capture_output=True, text=True)
    except Exception as error:
        said = (getattr(error, "stderr", "") or f"{type(error).__name__}: {error}").strip().splitlines()
        why = next((line for line in said if line.startswith("ERROR")), said[0])
        where = "its folder or address" if sys.platform != "emscripten" else "the address of its wheel"
        told = f"{' '.join(packages)} could not be installed. Is {where} in `source` above? {why}"
        raise RuntimeError(told) from None
    invalidate_caches()
if find_spec("course") is None:  # its files are a part of the installed package, or lie beside it in a checkout
    import minisrgan

    package = Path(minisrgan.__file__).parent
    sys.path += [str(package / "course"), str(package.parent / "notebooks")]
from course import DEVICE, begin, guess, score, slider

begin()"""


@dataclass
class Cell:
    """A cell of a source: "code" or "markdown", its text, and its tags."""

    kind: str
    text: str
    tags: list[str] = field(default_factory=list)


def sources(names: Sequence[str] = ()) -> list[Path]:
    """List the sources, or those whose names begin with one of `names`."""
    return [path for path in sorted(SOURCES.glob("*.py")) if not names or path.name.startswith(tuple(names))]


def target(source: Path, solved: bool) -> Path:
    """Say where the notebook of a source lies."""
    return (SOLUTIONS if solved else HERE) / f"{source.stem}.ipynb"


def read_cells(source: Path) -> list[Cell]:
    """Cut a source into its cells; the text before the first marker is a note to authors."""
    cells: list[Cell] = []
    for part in re.split(r"^# %%", source.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        head, _, text = part.partition("\n")
        if "[markdown]" in head:
            lines = [re.sub("^# ?", "", line) for line in text.strip("\n").splitlines()]
            cells.append(Cell("markdown", "\n".join(lines).strip()))
        else:
            tags = re.findall(r'"([\w-]+)"', head)
            cells.append(Cell("code", re.sub(r"^# (%\w)", r"\1", text, flags=re.MULTILINE).strip(), tags))
    return cells


def make(source: Path, solved: bool) -> NotebookNode:
    """Make a notebook without outputs."""
    cells: list[NotebookNode] = []
    for cell in read_cells(source):
        if cell.kind == "markdown":
            cells.append(v4.new_markdown_cell(cell.text))
        elif "solution" in cell.tags and not solved:
            fold = "<details><summary>A solution, when you have tried</summary>"
            cells.append(v4.new_markdown_cell(f"{fold}\n\n```python\n{cell.text}\n```\n\n</details>"))
            cells[-1].metadata.tags = ["solution"]
        elif not ("exercise" in cell.tags and solved):
            cells.append(v4.new_code_cell(cell.text))
            cells[-1].metadata.tags = cell.tags
            if "solution" in cell.tags:
                cells[-1].metadata.jupyter = {"source_hidden": True}
    cells.insert(1, first())
    return notebook_of(cells)


def first(install: str = INSTALL) -> NotebookNode:
    """Make the code cell that comes first; its output depends on the machine."""
    node = v4.new_code_cell(FIRST.replace("INSTALL", install))
    node.metadata.update(tags=["machine"], jupyter={"source_hidden": True})
    return node


def notebook_of(cells: list[NotebookNode]) -> NotebookNode:
    """Make a notebook of cells, and number them."""
    for number, node in enumerate(cells):
        node.id = f"cell-{number:02d}"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def execute(notebook: NotebookNode, folder: Path) -> float:
    """Run a notebook in a folder; return the seconds. An error in a cell, or a warning, stops the build."""
    start = time.perf_counter()
    resources = {"metadata": {"path": str(folder)}}
    with TemporaryDirectory() as mine:  # a student's begins without mine.py, a solved one with all answers in it
        place = Path(mine, "mine.py")
        if not any("exercise" in cell.metadata.get("tags", []) for cell in notebook.cells):
            import answers

            answers.write(place)
        client = NotebookClient(notebook, timeout=SECONDS, resources=resources, record_timing=False)
        # MINISRGAN_STATIC: sliders for a page without a kernel
        client.execute(env={**os.environ, "MINISRGAN_MINE": str(place), "MINISRGAN_STATIC": "1"})
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            if output.output_type == "error" or output.get("name") == "stderr":
                raise RuntimeError(f"cell {number} wrote to stderr:\n{output.get('text', '')}\n{cell.source}")
        if cell.get("outputs"):
            cell.outputs = joined(cell.outputs)
    notebook.metadata.language_info = {"name": "python"}  # without the version of this machine's Python
    return time.perf_counter() - start


def joined(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join what a cell has printed in several pieces: how many depends on how busy the machine is."""
    whole: list[NotebookNode] = []
    for output in outputs:
        if whole and output.output_type == whole[-1].output_type == "stream":
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole


_IMAGE = re.compile(r'<img alt="([^"]*)" src="data:image/([\w+]+);base64,([^"]*)">')


def finish(notebook: NotebookNode) -> None:
    """Give pictures their captions as alternative texts, and pack them as small as they go."""
    for cell, below in zip(notebook.cells, [*notebook.cells[1:], None], strict=True):
        for output in cell.get("outputs", []):
            match = _IMAGE.fullmatch(output.get("data", {}).get("text/html", ""))
            if match is None:
                continue
            alt, kind, data = match.groups()
            if below is not None and below.source.startswith("**Figure"):
                alt = escape(plain(below.source.split("\n\n")[0]))
            data = packed(data) if kind == "png" else data
            output.data["text/html"] = f'<img alt="{alt}" src="data:image/{kind};base64,{data}">'
            output.data["text/plain"] = unescape(alt)


def packed(data: str) -> str:
    """Pack a PNG, in base64, as small as it goes."""
    picture = Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")
    if picture.getcolors(256):  # no more colours than a palette holds, so nothing is lost
        picture = picture.convert("P", palette=Image.Palette.ADAPTIVE, colors=256)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def plain(markdown: str) -> str:
    """Take the signs of Markdown out of a text."""
    return re.sub(r"\s+", " ", re.sub(r"[*`$\\]", "", markdown)).strip()


def build(source: Path, solved: bool, run: bool = True) -> str:
    """Make, run and write a notebook; return a line for the table."""
    notebook, path, seconds = make(source, solved), target(source, solved), 0.0
    path.parent.mkdir(exist_ok=True)
    if run:
        seconds = execute(notebook, path.parent)
        finish(notebook)
    text = nbformat.writes(notebook)
    if len(text.encode()) > LARGEST:
        raise RuntimeError(
            f"{path.name} has {len(text.encode()):,} bytes, more than {LARGEST:,}: crop the photos that it shows"
        )
    path.write_text(text + "\n", encoding="utf-8")
    return f"{path.relative_to(HERE)!s:<45} {seconds:6.1f} s {len(text.encode()) / 1000:6.0f} KB"


def main(arguments: Sequence[str]) -> int:
    """Build what is asked for, and print a table of times."""
    parser = argparse.ArgumentParser(description="Make the notebooks from their sources.")
    parser.add_argument("names", nargs="*", help="beginnings of names, such as 03; by default all")
    parser.add_argument("--no-run", action="store_true", help="leave the outputs empty")
    parser.add_argument("--release", type=Path, metavar="DIR", help="write a class's set; see release.py")
    parser.add_argument("--html", type=Path, metavar="DIR", help="write pages that need no network, formulas included")
    parser.add_argument("--install", default=INSTALL, help="with --release: what a notebook opened alone installs")
    told = "with --release: where student/ lies, https://github.com/OWNER/REPOSITORY/blob/BRANCH/student, for a badge"
    parser.add_argument("--colab", default="", metavar="ADDRESS", help=f"{told} that opens a notebook in Colab")
    options = parser.parse_args(arguments)
    if options.colab and not re.fullmatch(r"https://github\.com/[^/]+/[^/]+/blob/.+", options.colab):
        parser.error(f"--colab: expected https://github.com/OWNER/REPOSITORY/blob/BRANCH/FOLDER, got {options.colab}")
    if options.release or options.html:
        if options.release:
            from release import release

            print(release(sources(options.names), options.release, options.install, options.colab))
        if options.html:
            from pages import write_pages

            print(write_pages(sources(options.names), options.html))
        return 0
    for source in sources(options.names):
        for solved in (False, True):
            print(build(source, solved, run=not options.no_run), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
