"""What a class gets: notebooks without answers, with nbgrader's metadata, graded whatever comes back; pages; routes."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from itertools import pairwise
from pathlib import Path

import build
import nbformat
import pytest
from build import HERE, SOURCES, main, make, read_cells, sources  # notebooks/build.py, found by conftest

pytest.importorskip("nbclient")

import grade
import release

PROJECT = HERE.parent
ALL = sources()
every_source = pytest.mark.parametrize("source", ALL, ids=lambda path: path.stem)


def prose(source: Path) -> str:
    """Return the text of a notebook, without emphasis, on one line."""
    return " ".join(" ".join(c.text for c in read_cells(source) if c.kind == "markdown").replace("*", "").split())


# The set of a class


@every_source
def test_students_get_no_answers(source: Path):
    """A committed answer above which a question stands asks nothing."""
    notebook = release.make_release(source, False, "minisrgan", "")
    nbformat.validate(notebook)
    solutions = [cell.text for cell in read_cells(source) if "solution" in cell.tags]
    text = "\n".join(cell.source for cell in notebook.cells)
    assert all(not cell.get("outputs") for cell in notebook.cells)
    assert [solution for solution in solutions if solution in text] == []
    assert "The answer</summary>" not in text
    asked = prose(source).count("Predict.")
    assert [cell.source.startswith("guess(") for cell in notebook.cells].count(True) == asked > 0
    assert text.count("\nscore(") == len(solutions)
    for cell, below in zip(notebook.cells, notebook.cells[1:], strict=False):
        if cell.source.startswith("guess("):
            number = cell.source.split('"')[1]
            assert below.source.startswith(f"%%after {number}\n"), "what answers the question is not folded"


@every_source
def test_answers_are_folded(source: Path):
    """What stands in plain sight below its question is read before the guess; what touches the text below is missed."""
    texts = [cell.text for cell in read_cells(source) if cell.kind == "markdown"]
    for text, below in pairwise(texts):
        if "**Predict.**" in text:
            assert "The answer</summary>" in below or release._FIGURE.search(below), below
    glued = [re.search(r"</details>\n\n(?!#)(.+)", text) for text in texts]
    assert [found[1] for found in glued if found] == []


@every_source
def test_cells_carry_nbgraders_metadata(source: Path):
    """The rules of nbgrader's schema 3 (its own validator says the same, where it is installed)."""
    for solved in (False, True):
        told = [
            c.metadata.nbgrader for c in release.make_release(source, solved, "x", "").cells if "nbgrader" in c.metadata
        ]
        assert len({each.grade_id for each in told}) == len(told) > 0
        for each in told:
            assert re.fullmatch(r"[\w-]+", each.grade_id)
            assert set(each) - {"points"} == {
                "schema_version",
                "grade_id",
                "task",
                "cell_type",
                "solution",
                "grade",
                "locked",
            }
            assert each.schema_version == 3
            assert ("points" in each) == each.grade
            assert each.solution != each.locked, "a cell is the student's or the teacher's"


def test_both_figures_of_a_question_are_folded():
    """Question 5.c asks of two sizes of weights: the second figure answers it as well as the first."""
    notebook = release.make_release(SOURCES / "05_batchnorm.py", False, "x", "")
    texts = [cell.source for cell in notebook.cells]
    assert "%%after 5.c\ncompare(1 / 2)" in texts
    assert sum(text.startswith("<details><summary>Figure 5 in words") for text in texts) == 1


def test_solutions_stand_between_markers():
    """nbgrader replaces what is between them, and only that: signature and docstring stay."""
    stub = 'def f(x):\n    """Double x."""\n    return ...\n\n\ncheck("1.1", f)'
    solution = 'def f(x):\n    """Double x."""\n    y = x + x\n    return y\n\n\ncheck("1.1", f)'
    marked = release.marked(stub, solution)
    assert marked.replace("    ### BEGIN SOLUTION\n", "").replace("    ### END SOLUTION\n", "") == solution
    body = re.search(r"### BEGIN SOLUTION\n(.*)\n    ### END SOLUTION", marked, re.DOTALL)
    assert body is not None
    assert body[1] == "    y = x + x\n    return y"
    for source in ALL:
        for cell in read_cells(source):
            if "solution" in cell.tags:
                compile(cell.text, "solution", "exec")


def test_the_whole_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The command, its folders, and the badge, whose address is asked for and nowhere committed."""
    main(
        ["--release", str(tmp_path), "02", "--install", "git+x", "--colab", "https://github.com/o/r/blob/main/student"]
    )
    capsys.readouterr()
    student = nbformat.read(tmp_path / "student/02_autograd.ipynb", as_version=4)
    teacher = nbformat.read(tmp_path / "teacher/02_autograd.ipynb", as_version=4)
    assert "https://colab.research.google.com/github/o/r/blob/main/student/02_autograd.ipynb" in student.cells[0].source
    assert 'source = "git+x"' in student.cells[1].source
    assert [c.metadata.get("nbgrader") for c in student.cells] == [c.metadata.get("nbgrader") for c in teacher.cells]
    assert sum(bool(cell.get("outputs")) for cell in teacher.cells) > 5
    rubric = (tmp_path / "rubric.md").read_text("utf-8")
    assert rubric.count("**2.") == 2
    assert "keeps only their last digits" in rubric
    test: dict[str, object] = {}
    exec((tmp_path / "student/tests/02/q2_2.py").read_text("utf-8"), test)
    assert test["OK_FORMAT"] is True
    assert "colab" not in (HERE / "02_autograd.ipynb").read_text("utf-8")


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the client, which is not ours
def test_a_students_notebook_runs_before_anything_is_filled_in(monkeypatch: pytest.MonkeyPatch):
    """Run All on the first day: guesses and exercises are open, results are folded, nothing raises."""
    notebook = release.make_release(build.sources(["02"])[0], False, "minisrgan", "")
    build.execute(notebook, HERE)
    texts = [str(output.get("data", {})) for cell in notebook.cells for output in cell.get("outputs", [])]
    assert sum("Guess 2." in text for text in texts) == 2
    assert sum("folded until your guess" in text for text in texts) == 2
    assert sum("'text/plain': '0.0'" in text for text in texts) == 3


# What comes back


def returned(path: Path, cells: list[str]) -> None:
    """Write a notebook as a student's editor may: no more than its cells."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "source": cell} for cell in cells]}), encoding="utf-8")


@pytest.mark.slow
def test_grades_whatever_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """One student's endless loop must not cost the class its marks."""
    solved = [c.source for c in make(SOURCES / "03_convolution.py", True).cells if c.cell_type == "code"]
    returned(tmp_path / "ann/03_convolution.ipynb", [*solved, 'guess("3.a", "=edges, since neighbours differ")'])
    broken = [cell.replace("    kh, kw = weight.shape[:2]", "    while True: pass") for cell in solved]
    broken = [
        cell.replace("    kh, kw, channels", "    import os; os._exit(3)\n    kh, kw, channels") for cell in broken
    ]
    broken = [cell.replace("def weight_gradient(x", "def weight_gradient((x") for cell in broken]
    returned(tmp_path / "bob/03 (1).ipynb", broken[:-2])
    (tmp_path / "cyd.ipynb").write_text('{"cells": [', encoding="utf-8")
    grade.main([str(tmp_path), "--seconds", "5"])
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    found = {(row["file"][:3], row["exercise"]): row for row in rows}
    assert [found["ann", f"3.{n}"]["points"] for n in (1, 2, 3, 4)] == ["1.0"] * 4
    assert found["ann", "3.a"]["text"].startswith("'="), "a spreadsheet would take it for a formula"
    assert [found["bob", f"3.{n}"]["state"] for n in (1, 2, 3)] == ["time", "crash", "error"]
    assert found["cyd", ""]["state"] == "damaged"


def test_only_what_an_exercise_needs_is_run():
    """A training above it would be waited for, thirty times."""
    helper = "half += 1\ndef helper(v, x=1): return v / half"
    answer = "def f(v):\n    x = v\n    return helper(x)"
    cells = ["import numpy as np\nx = train_for_an_hour()", "half = 2", helper, answer, 'check("1.1", f)']
    parts, rows = grade.take_apart(cells)
    assert rows == []
    assert "train" not in parts[0].code
    names: dict[str, object] = {}
    exec(parts[0].code, names)
    assert names["f"](6) == 2  # type: ignore[operator]


def test_names_a_notebook_by_its_exercises():
    """Students rename files."""
    assert grade.notebook_of(Path("my work (2).ipynb"), {"5.1", "5.2", "5.a"}) == "05"
    assert grade.notebook_of(Path("05_batchnorm-ann.ipynb"), set()) == "05"
    assert grade.notebook_of(Path("thesis.ipynb"), set()) == ""


def test_the_package_brings_the_course():
    """A notebook that was opened alone finds what it imports, and what that imports, in the installed package."""
    project = (PROJECT / "pyproject.toml").read_text("utf-8")
    brought = re.findall(r'(?m)^"notebooks/(\w+)(?:\.py)?" = "minisrgan/course/\1(?:\.py)?"', project)
    texts, needed = [build.FIRST, *(source.read_text("utf-8") for source in ALL)], {"exercises", "grade"}
    while texts:
        names = set(re.findall(r"(?m)^\s*(?:from|import) (\w+)", texts.pop()))
        new = {name for name in names - needed if (HERE / f"{name}.py").exists()}
        needed |= new
        texts += [(HERE / f"{name}.py").read_text("utf-8") for name in new]
    assert set(brought) == needed


# Words and pages


def test_terms_of_the_glossary_are_used():
    """A term that no notebook uses is learned for nothing."""
    texts = {source.stem: prose(source).lower() for source in ALL}
    rows = re.findall(r"(?m)^\| ([\w -]+) \|[^|]*\|[^|]*\| (.*ipynb.*) \|$", (HERE / "glossary.md").read_text("utf-8"))
    terms = [term for term, _ in rows]
    assert terms == sorted(terms, key=str.lower)
    assert {"backpropagation", "probability", "distribution", "initialization", "cross-entropy", "mode collapse",
            "Wasserstein distance", "finite difference"} <= set(terms)  # fmt: skip
    for term, places in rows:
        for stem in re.findall(r"\((\w+)\.ipynb\)", places):
            assert term.lower() in texts[stem], f"{stem} does not say {term}"


def test_routes_respect_what_notebooks_require():
    """A route through 07 without 05 ends there."""
    rows = re.findall(r"(?m)^\| [\w ]+ \| (\d+½?) \| ([\d ]+) \|", (HERE / "README.md").read_text("utf-8"))
    assert len(rows) == 2
    required = {}
    for source in ALL:
        before = re.search(r"\*\*Before:\*\* notebooks? ([\d, toand]+)", read_cells(source)[0].text)
        spans = re.findall(r"(\d+)(?: to (\d+))?", before[1] if before else "")
        required[source.name[:2]] = {f"{n:02d}" for a, b in spans for n in range(int(a), int(b or a) + 1)}
    for _, route in rows:
        numbers = route.split()
        assert {"08", "10"} <= set(numbers)
        for place, number in enumerate(numbers):
            assert required[number] <= set(numbers[:place]), number


def test_formulas_of_pages_need_no_network():
    """Without one, MathJax does not come, and a page is full of dollar signs."""
    pytest.importorskip("latex2mathml")
    import pages

    count = 0
    for source in ALL:
        for cell in read_cells(source):
            if cell.kind == "markdown":
                page = pages.markdown(cell.text)
                count += page.count("<math")
                assert "$" not in re.sub(r"<code>.*?</code>|<pre>.*?</pre>|<math.*?</math>", "", page, flags=re.DOTALL)
                assert "\\" not in "".join(re.findall(r"<m[ion][^>]*>(.*?)<", page)), (
                    "a command that was not understood"
                )
    assert count > 100
    page = pages.page_of(nbformat.read(HERE / "02_autograd.ipynb", as_version=4), "2")
    assert "<script" not in page
    assert re.findall(r'(?:src|href)="https?://[^"]*"', page) == []


def test_figures_have_alternative_texts():
    """JupyterLab gives a picture no text of its own: who cannot see it hears nothing."""
    import course

    from minisrgan.show import lines_figure

    tag = course.picture(lines_figure({"a": ([0, 1], [0, 1]), "b": ([0, 1], [1, 0])}, "step", "PSNR"))
    assert tag.startswith('<img alt="A figure: PSNR against step, a, b." src="data:image/png;base64,')


def test_sliders_work_without_ipywidgets(monkeypatch: pytest.MonkeyPatch):
    """A page without a kernel, or a kernel without ipywidgets, has the figures of all values."""
    import course

    from minisrgan.show import lines_figure

    shown: list[str] = []
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.setattr(course, "_show", shown.append)
    course.slider(lambda a: lines_figure({"": ([0, 1], [0, a])}), "slope a", [0.0, 0.5, 1.0], 0.5)
    page = shown[0]
    assert page.count("data:image/webp;base64,") == 3
    assert "http" not in page
    assert "max=&quot;2&quot; value=&quot;1&quot;" in page


def test_a_part_that_is_right_gets_its_share(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """nbgrader reads the number that a locked cell returns; a result too many must not make a wrong answer whole."""
    import checks
    import course

    monkeypatch.setenv("MINISRGAN_MINE", str(tmp_path / "mine.py"))
    right = checks.find("3.3").right
    assert course.score("3.3", right) == 1.0
    assert course.score("3.3", lambda x, g, kh, kw: (right(x, g, kh, kw)[0], g.mean(axis=(0, 1)))) == 0.5
    assert course.score("3.3", lambda x, g, kh, kw: ...) == 0.0
    assert 0 < course.score("3.3", lambda x, g, kh, kw: (*right(x, g, kh, kw), g)) < 1


def test_guesses_come_first():
    """What is between the quotes counts, nbgrader's stub does not."""
    import course

    assert course.guess("3.a", "\n").state == "open"
    assert course.guess("3.a", "\n# YOUR CODE HERE\nraise NotImplementedError()\n").state == "open"
    assert course.guess("3.a", "edges").state == "right"
    stub = 'guess("3.a", """\n# YOUR CODE HERE\nraise NotImplementedError()\n""")'
    assert grade.take_apart([stub, 'guess("3.b", "edges")'])[1] == [("3.a", "guess", ""), ("3.b", "guess", "edges")]
