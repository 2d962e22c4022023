"""The course for a class: ``python notebooks/build.py --release DIR`` writes

    DIR/student/   notebooks without outputs and solutions; a guess comes before what answers a "Predict" question
    DIR/teacher/   the same cells with solutions, answers and outputs: also what nbgrader takes as its source
    DIR/rubric.md  every "Predict" question with its answer, and how to mark the guesses

Cells carry nbgrader's metadata (schema 3): an exercise is a solution cell, the locked cell below it gives its points,
a guess is marked by hand. The teacher's solutions stand between nbgrader's markers, so that ``nbgrader
generate_assignment`` makes the student's cells from them; student/tests/NN/ holds the same points as tests for Otter.
"""

from __future__ import annotations

import re
import string
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode, v4

from build import Cell, first, notebook_of, plain, read_cells, target

POINTS = {"exercise": 1, "guess": 2}
_PREDICT = re.compile(r"\*\*Predict\.\*\*\s*(.+?)(?=\n\n|\Z)", re.DOTALL)
_ANSWER = re.compile(r"<details><summary>The answer</summary>\s*(.+?)\s*</details>\s*", re.DOTALL)
_FIGURE = re.compile(r"(?m)^\*\*(Figure \d+)\.\*\* .+?(?=\n\n|\Z)", re.DOTALL)
_SCALE = """\
# Rubric for the "Predict" questions

A guess is marked for its reason, not for being right: a wrong guess with a reason that can be tested teaches more than
a right one without.

| points | the guess |
|---|---|
| 2 | says what will be seen, so that the result can contradict it, and gives a reason from the notebook's terms |
| 1 | says what will be seen without a reason, or gives a reason that does not lead to it |
| 0 | is missing, repeats the question, or was written after the result (it quotes its numbers) |

Add the second point when a student comes back to a wrong guess and says where the reason failed.
"""


def release(sources: list[Path], folder: Path, install: str, colab: str) -> str:
    """Write the sets of a class; return a line about them."""
    rubric = [_SCALE]
    for name in ("student/tests", "teacher"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for source in sources:
        title = read_cells(source)[0].text.splitlines()[0]
        asked = questions(source)
        rubric.append(f"\n## {title.removeprefix('# ')}\n")
        rubric += [f"**{number}** {question}\n\n> {answer}\n" for number, (question, answer) in asked.items()]
        for solved, name in ((False, "student"), (True, "teacher")):
            notebook = make_release(source, solved, install, colab)
            (folder / name / f"{source.stem}.ipynb").write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")
        for number, answer in exercises(source).items():
            test = folder / "student/tests" / source.name[:2] / f"q{number.replace('.', '_')}.py"
            test.parent.mkdir(exist_ok=True)
            test.write_text(otter_test(number, answer), encoding="utf-8")
    (folder / "rubric.md").write_text("\n".join(rubric), encoding="utf-8")
    return f"{len(sources)} notebooks in {folder}/student and {folder}/teacher; {folder}/rubric.md"


def make_release(source: Path, solved: bool, install: str, colab: str) -> NotebookNode:
    """Make a notebook of the student's set, or of the teacher's, whose outputs are those of the committed one."""
    asked, outputs = questions(source), iter(outputs_of(source) if solved else ())
    nodes: list[NotebookNode] = []
    stub, waiting, numbers = Cell("code", ""), "", iter(asked)
    for cell in read_cells(source):
        if cell.kind == "markdown":
            text = _ANSWER.sub("", cell.text)
            if waiting:  # until other text comes: a question may have two figures
                waiting = "" if _FIGURE.sub("", text).strip() else waiting
                text = folded(text)
            for part in re.split(r"(?<=</details>)\n\n", text.strip()):  # else a fold and the text below it touch
                nodes += [v4.new_markdown_cell(part)] if part else []
            if _PREDICT.search(text):
                waiting = next(numbers)
                nodes.append(guess_cell(waiting, asked[waiting][1] if solved else ""))
        elif "exercise" in cell.tags:
            stub = cell
        elif "solution" in cell.tags:
            number, answer = checked(stub.text)
            text = marked(stub.text, cell.text) if solved else stub.text
            nodes.append(code_cell(text, f"exercise-{number}", solution=True, tags=["exercise"]))
            nodes[-1].outputs = next(outputs, [])
            nodes.append(code_cell(f'score("{number}", {answer})', f"score-{number}", grade=True, locked=True))
            nodes[-1].metadata.update(editable=False, deletable=False)
        else:
            hidden = waiting and "slider(" not in cell.text  # a slider that is folded would be a picture of one
            nodes.append(v4.new_code_cell(f"%%after {waiting}\n{cell.text}" if hidden else cell.text))
            nodes[-1].metadata.tags = cell.tags
            nodes[-1].outputs = next(outputs, [])
    if colab:
        address = colab.replace("https://github.com/", "https://colab.research.google.com/github/")
        nodes[0].source += f"\n\n[![Open in Colab]({_BADGE})]({address.rstrip('/')}/{source.stem}.ipynb)"
    nodes.insert(1, first(install))
    return notebook_of(nodes)


def questions(source: Path) -> dict[str, tuple[str, str]]:
    """Return the "Predict" questions of a notebook: number, such as 3.a -> the question and its answer.

    Where no answer is folded below, it is what the committed notebook prints or shows, and the text after it.
    """
    found: dict[str, tuple[str, str]] = {}
    letters, number, shown = iter(string.ascii_lowercase), "", ""
    for cell, output in zip(read_cells(source), printed(source), strict=True):
        if cell.kind == "markdown":
            answer = _ANSWER.search(cell.text)
            if number and not found[number][1]:
                figure = _FIGURE.search(cell.text)
                told = answer[1] if answer else shown + (figure[0] if figure else cell.text.split("\n\n")[0])
                found[number] = found[number][0], " ".join(told.split())
            question = _PREDICT.search(cell.text)
            if question:
                number = f"{int(source.name[:2])}.{next(letters)}"
                found[number], shown = (" ".join(question[1].split()), ""), ""
        else:
            shown += output
    return found


def outputs_of(source: Path) -> list[list[NotebookNode]]:
    """Return the outputs of the committed notebook, cell by cell of a source's code but for the stubs."""
    committed = nbformat.read(target(source, solved=True), as_version=4)
    code = [cell for cell in committed.cells if cell.cell_type == "code"][1:]
    runs = [cell.text for cell in read_cells(source) if cell.kind == "code" and "exercise" not in cell.tags]
    if [cell.source for cell in code] != runs:
        raise RuntimeError(f"solutions/{source.stem}.ipynb is older than its source: run python notebooks/build.py")
    return [cell.outputs for cell in code]


def printed(source: Path) -> list[str]:
    """Return what each cell of a source prints in the committed notebook."""
    texts = iter(["".join(output.get("text", "") for output in outputs) for outputs in outputs_of(source)])
    runs = [cell.kind == "code" and "exercise" not in cell.tags for cell in read_cells(source)]
    return [next(texts) if each else "" for each in runs]


def exercises(source: Path) -> dict[str, str]:
    """Return the exercises of a notebook: number -> what is checked."""
    return dict(checked(cell.text) for cell in read_cells(source) if "exercise" in cell.tags)


def checked(text: str) -> tuple[str, str]:
    """Return number and answer of a cell's ``check("3.1", answer)``."""
    match = re.search(r'^check\("([\d.]+)", (.+)\)$', text, re.MULTILINE)
    assert match is not None, f"no check in {text!r}"
    return match[1], match[2]


def folded(text: str) -> str:
    """Fold the caption of a figure, which says what a guess is asked for."""
    return _FIGURE.sub(lambda m: f"<details><summary>{m[1]} in words</summary>\n\n{m[0]}\n\n</details>", text)


def guess_cell(number: str, answer: str) -> NotebookNode:
    """Make the cell into which a guess is written."""
    inside = f"\n### BEGIN SOLUTION\n{plain(answer)}\n### END SOLUTION\n" if answer else "\n\n"
    return code_cell(f'guess("{number}", """{inside}""")', f"guess-{number}", solution=True, grade=True, tags=["guess"])


def marked(stub: str, solution: str) -> str:
    """Put nbgrader's markers around what the solution has and the stub lacks."""
    old, new = stub.splitlines(), solution.splitlines()
    limit = min(len(old), len(new))
    top = next((i for i in range(limit) if old[i] != new[i]), limit)
    end = next((i for i in range(limit - top) if old[-1 - i] != new[-1 - i]), limit - top)
    body = new[top : len(new) - end]
    indent = re.match(" *", next(line for line in body if line))[0]  # type: ignore[index]
    lines = [*new[:top], f"{indent}### BEGIN SOLUTION", *body, f"{indent}### END SOLUTION", *new[len(new) - end :]]
    return "\n".join(lines)


def code_cell(
    text: str, name: str, *, solution: bool = False, grade: bool = False, locked: bool = False, tags: Any = ()
) -> NotebookNode:
    """Make a code cell with nbgrader's metadata."""
    node = v4.new_code_cell(text)
    node.metadata.tags = list(tags)
    told = {"schema_version": 3, "grade_id": name.replace(".", "-"), "task": False, "cell_type": "code"}
    told |= {"solution": solution, "grade": grade, "locked": locked}
    if grade:
        told["points"] = POINTS["guess" if solution else "exercise"]
    node.metadata.nbgrader = told
    return node


def otter_test(number: str, answer: str) -> str:
    """Return the test of an exercise in Otter's format."""
    code = f">>> from course import score\n>>> score({number!r}, {answer})\n1.0"
    case = {"code": code, "hidden": False, "locked": False}
    suite = {"cases": [case], "scored": True, "setup": "", "teardown": "", "type": "doctest"}
    test = {"name": f"q{number.replace('.', '_')}", "points": POINTS["exercise"], "suites": [suite]}
    return f"OK_FORMAT = True\n\ntest = {test!r}\n"


_BADGE = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' width='112' height='22'%3E%3Crect width='112' "
    "height='22' rx='4' fill='%230072B2'/%3E%3Ctext x='56' y='15' font-family='sans-serif' font-size='12' fill='white' "
    "text-anchor='middle'%3EOpen in Colab%3C/text%3E%3C/svg%3E"
).replace(" ", "%20")
