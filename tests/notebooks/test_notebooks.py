"""The notebooks run as a student and as a teacher would run them, say what they said before, and keep their measure."""

from __future__ import annotations

import ast
import re
from itertools import pairwise
from pathlib import Path
from statistics import median

import nbformat
import numpy as np
import pytest
from nbformat import NotebookNode

nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

import build  # noqa: E402  notebooks/build.py, found by conftest

from tests.notebooks import compare  # noqa: E402
from tests.notebooks.conftest import SECONDS  # noqa: E402

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = build.sources()
# Those that train take 10 to 30 seconds: slow, and run by `make test-notebooks`. Of the others, `make test` runs the
# solved form, which tests more: each solution must pass its check. The student's form differs from it only in the
# exercises, whose checks must answer that nothing is there yet; `make test` runs it for one notebook.
SLOW = {"07", "09", "10", "11"}
STUDENT = "02"
LONGEST, MEDIAN, TOGETHER = 120, 60, 900  # seconds

every_source = pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)


def forms() -> list[object]:
    """Every notebook in both forms, those that `make test` leaves out marked slow."""
    cases = [(source, solved) for source in SOURCES for solved in (True, False)]
    return [
        pytest.param(
            source,
            solved,
            id=f"{source.stem}-{'solved' if solved else 'student'}",
            marks=pytest.mark.slow if source.name[:2] in SLOW or not (solved or source.name[:2] == STUDENT) else (),
        )
        for source, solved in cases
    ]


def verdicts(notebook: nbformat.NotebookNode) -> list[str]:
    """List what the checks of a notebook answered, as text."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    texts = [output.data.get("text/plain", "") for output in outputs if "data" in output]
    return [text for text in texts if re.match(r"[✓✗○] Exercise", text)]


@pytest.mark.filterwarnings("default")  # of the client, which is not ours
@pytest.mark.parametrize(("source", "solved"), forms())
def test_notebooks_run(source: Path, solved: bool):
    """A cell that raises, a solution that its check refuses, an output nobody can get again: and trust is gone."""
    notebook = build.make(source, solved)
    seconds = build.execute(notebook, build.target(source, solved).parent)
    SECONDS[f"{source.stem} {'solved' if solved else 'student'}"] = seconds
    answers = verdicts(notebook)
    exercises = sum("exercise" in cell.tags for cell in build.read_cells(source))
    assert len(answers) == exercises
    assert [answer for answer in answers if not answer.startswith("✓" if solved else "○")] == []
    committed = nbformat.read(build.target(source, solved), as_version=4)
    assert compare.differences(committed, notebook) == []
    assert seconds < LONGEST


@every_source
@pytest.mark.parametrize("solved", [False, True], ids=["student", "solved"])
def test_notebooks_are_those_of_the_sources(source: Path, solved: bool):
    """A source mended without a build: the student reads the mistake that was corrected."""
    path = build.target(source, solved)
    assert path.exists(), "run python notebooks/build.py"
    committed = nbformat.read(path, as_version=4)
    made = build.make(source, solved)
    assert [(c.id, c.cell_type, c.source) for c in committed.cells] == [
        (c.id, c.cell_type, c.source) for c in made.cells
    ]
    code = [cell for cell in committed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1)), "not built by a run from the top"
    assert path.stat().st_size <= build.LARGEST


def test_no_notebook_is_left_over():
    """A renamed source leaves its notebook behind, and a reader who finds the old one."""
    found = {path for folder in (build.HERE, build.SOLUTIONS) for path in folder.glob("*.ipynb")}
    assert found == {build.target(source, solved) for source in SOURCES for solved in (False, True)}


# What a notebook is


def words_of(text: str) -> list[str]:
    """Count words of prose: no formulas, no code blocks, no tags."""
    for pattern in (r"```.*?```", r"\$\$.*?\$\$", r"\$[^$\n]*\$", r"<[^>]+>", r"`[^`]*`"):
        text = re.sub(pattern, " x ", text, flags=re.DOTALL)
    return re.findall(r"[A-Za-z][A-Za-z'-]*", text)


@every_source
def test_measure(source: Path):
    """Long cells are skipped, long texts are not read, and without exercises nothing is learned."""
    cells = [cell for cell in build.read_cells(source) if "solution" not in cell.tags]
    code = [cell.text for cell in cells if cell.kind == "code"]
    prose = [cell.text for cell in cells if cell.kind == "markdown"]
    lines = [sum(bool(line.strip()) for line in text.splitlines()) for text in code]
    assert 10 <= len(code) <= 15
    assert median(lines) <= 6
    assert max(lines) <= 16
    assert max(len(line) for text in code for line in text.splitlines()) <= 100, "longer ones are cut off on a page"
    assert 400 <= len(words_of("\n".join(prose))) <= 900
    assert 2 <= sum("exercise" in cell.tags for cell in cells) <= 4
    assert any("**Predict.**" in text for text in prose)
    assert any("<details>" in text for text in prose), "an answer to a prediction, folded"


@every_source
def test_beginning_and_end(source: Path):
    """A student wants to know what it is for and how long it takes, and where to go on reading."""
    cells = build.read_cells(source)
    number = int(source.name[:2])
    assert cells[0].text.startswith(f"# {number}. ")
    assert "**You will**" in cells[0].text
    assert re.search(r"\*\*Time:\*\* \d+ minutes", cells[0].text)
    assert re.search("^## Summary", cells[-1].text, re.MULTILINE)
    files = re.findall(r"`(\w+/[\w./]+)`", "\n".join(cell.text for cell in cells if cell.kind == "markdown"))
    assert [file for file in files if not (PROJECT / file).exists()] == []
    assert any(file in cells[-1].text for file in files)
    assert re.search(r"Ledig et al\. 2017, (sec|fig)\.", cells[-1].text)


@every_source
def test_figures_are_told_in_words(source: Path):
    """Who cannot see a figure, or does not know what to look for, needs it described; numbers must run on."""
    cells = nbformat.read(build.target(source, False), as_version=4).cells
    told = []
    for cell, below in zip(cells, [*cells[1:], None], strict=True):
        shown = [output.get("data", {}) for output in cell.get("outputs", [])]
        assert not [kind for data in shown for kind in data if kind.startswith("image/")], "no place for an alt text"
        pictures = [data["text/html"] for data in shown if data.get("text/html", "").startswith("<img ")]
        if pictures:
            assert below is not None
            match = re.match(r"\*\*Figure (\d+)\.\*\* (.{60,})", below.source.replace("\n", " "))
            assert match, f"no description below {cell.source!r}"
            told.append(int(match[1]))
            assert all(picture.startswith(f'<img alt="Figure {match[1]}. ') for picture in pictures)
    assert told == list(range(1, len(told) + 1))
    assert told


@every_source
def test_solutions_follow_their_exercises(source: Path):
    """A solution that lost its exercise never replaces a stub, and a student never sees it folded."""
    tags = [tag for cell in build.read_cells(source) for tag in cell.tags if tag in ("exercise", "solution")]
    assert tags == ["exercise", "solution"] * (len(tags) // 2)
    cells = build.read_cells(source)
    for cell, following in pairwise(cells):
        if "exercise" in cell.tags:
            assert "solution" in following.tags
            number = re.search(r'check\("([\d.]+)"', cell.text)
            assert number is not None
            assert number[1] in following.text
            assert int(number[1].split(".")[0]) == int(source.name[:2])


def expressions(code: str) -> set[str]:
    """List the expressions of some code that are long enough to be an answer."""
    found = set()
    for node in ast.walk(ast.parse(re.sub(r"^%.*", "", code, flags=re.MULTILINE))):
        if isinstance(node, ast.expr):
            parts = [n for n in ast.walk(node) if not isinstance(n, ast.expr_context | ast.operator)]
            found |= {ast.unparse(node)} if len(parts) >= 8 else set()
    return found


@every_source
def test_no_answer_stands_above_its_exercise(source: Path):
    """A student who has just run the answer in a cell above copies it, and learns nothing."""
    above: set[str] = set()
    for cell, below in pairwise(build.read_cells(source)):
        if "exercise" in cell.tags:
            assert expressions(below.text) & above == set()
        elif cell.kind == "code" and "solution" not in cell.tags:
            above |= expressions(cell.text)


# What compares them


def test_comparison_sees_what_changed():
    """A comparison that passes everything would pass a notebook of wrong numbers."""
    assert compare.texts_differ("PSNR 27.29 dB", "PSNR 27.30 dB") == ""
    assert compare.texts_differ("error 3e-10", "error 8e-11") == ""
    assert compare.texts_differ("PSNR 27.29 dB", "PSNR 27.49 dB") != ""
    assert compare.texts_differ("9 windows", "8 windows") != ""
    assert compare.texts_differ("loops 1.2 s", "loops 2.4 s", times=True) == ""
    assert compare.texts_differ("loops 1.2 s", "columns 1.2 s", times=True) != ""


def test_pictures_are_compared():
    """As above: a figure that lost its lines is another figure, one of another font is not."""
    from io import BytesIO

    from PIL import Image

    def png(array: np.ndarray) -> str:
        file = BytesIO()
        Image.fromarray(array).save(file, "PNG")
        return build.base64.b64encode(file.getvalue()).decode()

    grey, rng = np.full((100, 100, 3), 128, np.uint8), np.random.default_rng(0)
    noisy = (grey + rng.integers(0, 9, grey.shape)).astype(np.uint8)
    assert compare.pictures_differ(png(grey), png(noisy)) == ""
    assert compare.pictures_differ(png(grey), png(grey // 2)) != ""
    assert compare.pictures_differ(png(grey), png(grey[:50])) != ""

    def page(*pictures: str, note: str = "") -> NotebookNode:  # a cell that shows pictures within HTML
        html = note + "".join(f'<img src="data:image/png;base64,{picture}">' for picture in pictures)
        cell = build.v4.new_code_cell(outputs=[build.v4.new_output("display_data", {"text/html": html})])
        return build.v4.new_notebook(cells=[cell])

    assert compare.differences(page(png(grey)), page(png(noisy))) == []
    for other in (page(png(grey // 2)), page(png(grey), png(grey)), page(png(grey), note="9 dB")):
        assert compare.differences(page(png(grey)), other) != []


# After all others, whose times it looks at


@pytest.mark.slow
def test_no_lesson_is_spent_waiting():
    """Half of them may take a minute at most, all of them a quarter of an hour."""
    if len(SECONDS) < 2 * len(SOURCES):
        pytest.skip("not every notebook has run")
    assert median(SECONDS.values()) <= MEDIAN
    assert sum(SECONDS.values()) <= TOGETHER
