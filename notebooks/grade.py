"""Grade a folder of student notebooks: ``python -m checks FOLDER`` (in this folder) writes a table, CSV, to stdout.

A row says the file, the notebook, the exercise, its state, its points, and what the check said:

    right, wrong, open   as the check answers; "open" is not done yet
    missing              the notebook has no such exercise any more
    error                a cell that the exercise needs cannot be read or run
    time, crash          it took longer than the limit; it ended Python
    damaged              the file is no notebook
    guess                an answer to a "Predict" question, for the rubric

Of a notebook only what an exercise needs is run: its own cell, and the statements above it that define names which it
uses, so no training is waited for. That is done in a process of its own, in an empty folder; a loop without end or a
crash costs one exercise its points, and the rest is graded in a new process. It is not a sandbox: students' code runs
with your rights, so grade where you would run it.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import csv
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, TextIO

HERE = Path(__file__).resolve().parent
LIMIT = 60.0  # seconds for one exercise
_LONGEST = 2000  # characters of a cell of the table
STUBS = ("", "# YOUR CODE HERE\nraise NotImplementedError()")  # guesses that are none; the second is nbgrader's


@dataclass
class Row:
    """A line of the table."""

    file: str
    notebook: str
    exercise: str
    state: str
    points: float | str = ""
    text: str = ""


@dataclass
class Part:
    """An exercise in a student's notebook: the code that it needs, and the expression that is checked."""

    number: str
    code: str
    answer: str


def main(arguments: Sequence[str] | None = None) -> int:
    """Grade what is asked for, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m checks", description="Grade a folder of student notebooks.")
    parser.add_argument("folder", type=Path, help="notebooks, or folders of notebooks, one of each student")
    parser.add_argument("--seconds", type=float, default=LIMIT, help=f"for one exercise; by default {LIMIT:g}")
    parser.add_argument("--out", type=Path, help="write the table into this file instead")
    options = parser.parse_args(arguments)
    if not options.folder.is_dir():
        parser.error(f"expected a folder of notebooks, got {options.folder}")
    paths = sorted(p for p in options.folder.rglob("*.ipynb") if ".ipynb_checkpoints" not in p.parts)
    if options.out is None:
        write(paths, options.folder, options.seconds, sys.stdout)
    else:
        with options.out.open("w", newline="", encoding="utf-8") as file:
            write(paths, options.folder, options.seconds, file)
    return 0


def write(paths: Sequence[Path], folder: Path, seconds: float, file: TextIO) -> None:
    """Write the rows of all notebooks, each as soon as it is known."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([field.name for field in fields(Row)])
    for path in paths:
        for row in grade(path, str(path.relative_to(folder)), seconds):
            writer.writerow([safe(value) for value in astuple(row)])
            file.flush()


def safe(value: Any) -> Any:
    """Keep a text short, and from being taken for a formula by a spreadsheet."""
    if not isinstance(value, str):
        return value
    text = value if len(value) <= _LONGEST else value[:_LONGEST] + " ..."
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def grade(path: Path, name: str, seconds: float = LIMIT) -> Iterator[Row]:
    """Return the rows of one notebook; nothing in it raises."""
    try:
        cells = code_cells(path)
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        yield Row(name, "", "", "damaged", 0, f"no notebook: {type(error).__name__}: {error}")
        return
    parts, rows = take_apart(cells)
    numbers = {part.number for part in parts} | {number for number, _, _ in rows}
    notebook = notebook_of(path, numbers)
    if not notebook:
        yield Row(name, "", "", "damaged", 0, "no exercise of the course, and no number at the beginning of its name")
        return
    found = {number: (state, text, 0.0) for number, state, text in rows}
    found |= run(parts, seconds)
    for number in sorted({*wanted(notebook), *found}, key=lambda n: (n[-1].isalpha(), len(n), n)):
        state, text, points = found.get(number, ("missing", "there is no check of this exercise", 0))
        yield Row(name, notebook, number, state, "" if state == "guess" else points, text)


def code_cells(path: Path) -> list[str]:
    """Return the text of each code cell. A file need not be valid to be read: students' editors write many kinds."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell["source"] for cell in cells if cell["cell_type"] == "code"]
    return [text if isinstance(text, str) else "".join(text) for text in code]


def notebook_of(path: Path, numbers: set[str]) -> str:
    """Say which notebook it is: by its exercises, else by its name, 03_convolution-alice.ipynb."""
    by_name = re.match(r"\d\d(?=\D)", path.name)
    by_exercise = sorted(number.split(".")[0] for number in numbers)
    number = by_exercise[len(by_exercise) // 2].zfill(2) if by_exercise else by_name[0] if by_name else ""
    return number if (HERE / f"exercises/n{number}.py").exists() else ""


def wanted(notebook: str) -> list[str]:
    """Return the numbers of a notebook's exercises."""
    from importlib import import_module

    return list(import_module(f"exercises.n{notebook}").EXERCISES)


def take_apart(cells: Sequence[str]) -> tuple[list[Part], list[tuple[str, str, str]]]:
    """Find the exercises, with the code that each needs; and rows for guesses and for what cannot be read."""
    parts: dict[str, Part] = {}
    rows: dict[str, tuple[str, str, str]] = {}
    above: list[ast.stmt] = []
    for text in cells:
        if "from course import DEVICE, begin" in text:  # the first cell, which finds what is here already
            continue
        text = re.sub(r"^\s*[%!].*$", "", text, flags=re.MULTILINE)
        try:
            body = ast.parse(text).body
        except (SyntaxError, ValueError, RecursionError) as error:
            for number in re.findall(r"\bcheck\(\s*[\"']([\d.]+)[\"']", text):
                rows[number] = (number, "error", f"{type(error).__name__}: {error}")
            continue
        for statement in body:
            for call in ast.walk(statement):
                if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and len(call.args) == 2):
                    continue
                number, answer = call.args
                if not (isinstance(number, ast.Constant) and isinstance(number.value, str)):
                    continue
                if call.func.id == "check":
                    code = ast.unparse(ast.Module(needed(above, answer), []))
                    parts[number.value] = Part(number.value, code, ast.unparse(answer))
                elif call.func.id == "guess" and isinstance(answer, ast.Constant):
                    text = str(answer.value).strip()
                    rows[number.value] = (number.value, "guess", "" if text in STUBS else text)
            above.append(statement)
    return list(parts.values()), [row for number, row in rows.items() if number not in parts]


def needed(above: Sequence[ast.stmt], answer: ast.expr) -> list[ast.stmt]:
    """Return the statements that an expression needs: those that bind its names, and what these need in turn."""
    names, kept = _used(answer), []
    for statement in reversed(above):
        if names & _bound(statement):
            names |= _used(statement)
            kept.append(statement)
    return kept[::-1]


def _used(node: ast.AST) -> set[str]:
    """Return the names that a piece of code takes from outside: not the arguments and variables of its functions."""
    names: set[str] = set()
    for child in ast.iter_child_nodes(node):
        names |= _used(child)
    if isinstance(node, ast.Name):
        names.add(node.id)
    elif isinstance(node, ast.FunctionDef | ast.Lambda):
        inside = [n for part in ast.iter_child_nodes(node) for n in ast.walk(part)]
        own = {n.arg for n in inside if isinstance(n, ast.arg)}
        own |= {n.id for n in inside if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        names -= own - {name for n in inside if isinstance(n, ast.Global) for name in n.names}
    return names


def _bound(statement: ast.stmt) -> set[str]:
    """Return the names that a statement binds or changes: x = .., x[0] = .., x += .., def x, import x, for x in .."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}
    found: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.alias):
            found.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name | ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            base: ast.expr = node
            while isinstance(base, ast.Attribute | ast.Subscript | ast.Starred):
                base = base.value
            found |= {base.id} if isinstance(base, ast.Name) else set()
    return found


def run(parts: Sequence[Part], seconds: float) -> dict[str, tuple[str, str, float]]:
    """Check exercises, in order, in a process that is begun anew after one that ended it."""
    found: dict[str, tuple[str, str, float]] = {}
    left = list(parts)
    while left:
        with tempfile.TemporaryDirectory() as folder:
            results = Path(folder, "results.jsonl")
            (Path(folder) / "work").mkdir()
            ended = _run_once(left, seconds, Path(folder, "work"), results)
            lines = results.read_text("utf-8", errors="replace").splitlines() if results.exists() else []
        for part, line in zip(left, lines, strict=False):
            found[part.number] = tuple(json.loads(line))
        left = left[len(lines) :]
        if left and ended:
            found[left.pop(0).number] = ended
    return found


def _run_once(parts: Sequence[Part], seconds: float, folder: Path, results: Path) -> tuple[str, str, float] | None:
    """Run a process for these exercises until it ends or one takes too long; say which, if it is not done."""
    told = json.dumps([[part.number, part.code, part.answer] for part in parts]).encode()
    command = [sys.executable, "-c", _CHILD, str(HERE), str(results)]
    environment = {**os.environ, "MPLBACKEND": "agg", "MINISRGAN_MINE": str(folder / "mine.py")}
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE), *sys.path])
    with tempfile.TemporaryFile() as given:
        given.write(told)
        given.seek(0)
        child = subprocess.Popen(
            command, cwd=folder, env=environment, stdin=given, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    done, waited = -1, 0.0
    while done < len(parts):
        before, done = done, len(results.read_bytes().splitlines()) if results.exists() else 0
        waited = 0.0 if done != before else waited + 0.05
        if waited > seconds + 30 * (done == 0):  # the first has to load the package as well
            _end(child)
            return "time", f"it was stopped after {seconds:g} seconds: a loop without end?", 0.0
        with contextlib.suppress(subprocess.TimeoutExpired):
            code = child.wait(0.05)
            return "crash", f"it ended Python, with the exit code {code}", 0.0
    _end(child)
    return None


def _end(child: subprocess.Popen[bytes]) -> None:
    """End a process, and those that it started."""
    with contextlib.suppress(OSError):
        os.killpg(child.pid, signal.SIGKILL) if hasattr(os, "killpg") else child.kill()
    child.wait()


_CHILD = """
import contextlib, json, sys
sys.path.insert(0, sys.argv[1])
parts = json.load(sys.stdin)
with contextlib.suppress(ImportError, ValueError, OSError):  # an array that grows for ever
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (16 << 30, 16 << 30))
from checks import check
with open(sys.argv[2], "w", encoding="utf-8") as results:
    for number, code, answer in parts:
        names = {"__name__": "student", "display": print}
        try:
            exec(compile(code, "the notebook", "exec"), names)
            verdict = check(number, eval(answer, names))
            told = [verdict.state, verdict.text, getattr(verdict, "share", float(verdict.state == "right"))]
        except NotImplementedError:
            told = ["open", f"Exercise {number}: not done yet.", 0.0]
        except KeyError as error:
            told = ["error", f"no exercise {error}" if number in str(error) else f"KeyError: {error}", 0.0]
        except Exception as error:
            told = ["error", f"{type(error).__name__}: {error}", 0.0]
        results.write(json.dumps(told) + chr(10))
        results.flush()
"""
