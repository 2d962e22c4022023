"""A fault has to keep its place while the code around it changes, and to say so when it has lost it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.mutants.faults import FAULTS
from tests.mutants.places import PACKAGE, edited, functions, keeps_its_place, local_names

PRELU = """
class PReLU:
    def backward(self, grad_y):
        x, slope = self.saved
        positive = mask(x > 0, x)  # 1 or 0
        grad_x = grad_y * (positive + slope * (1 - positive))
        for axis in self.axes:
            grad_x = sum_to(grad_x, axis)
        return grad_x, x - slope
"""
OTHER = """
def mask(x, positive):
    return x * positive

class ReLU:
    def backward(self, grad_y, positive=1 - 1):
        return grad_y * mask(x > 0, x)
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A package of two files in one room."""
    write(tmp_path, "ops/activation.py", PRELU)
    write(tmp_path, "ops/other.py", OTHER)
    return tmp_path


def write(root: Path, file: str, source: str) -> None:
    (root / file).parent.mkdir(exist_ok=True)
    (root / file).write_text(source, encoding="utf-8")
    functions.cache_clear()
    edited.cache_clear()


def change(root: Path, old: str, new: str, where: str = "PReLU.backward", which: str = "1 of 1") -> list[str]:
    """Make a fault, and return its file's name and the lines that are new there."""
    path, source = edited(where, old, new, which, root)
    before = ast.unparse(ast.parse(path.read_text(encoding="utf-8"))).splitlines()
    lines = [line.strip() for line in source.splitlines() if line not in before]
    return [path.relative_to(root).as_posix(), *lines]


RECORDED = ("positive + slope * (1 - positive)", "positive + slope")


def test_one_place_changes(house: Path):
    expected = ["ops/activation.py", "grad_x = grad_y * (positive + slope)"]
    assert change(house, *RECORDED) == expected
    assert change(house, *RECORDED) == expected  # the first time has left nothing behind


def test_a_function_may_move(house: Path):
    """To another file, and to another room if the fault names none."""
    (house / "ops/activation.py").unlink()
    write(house, "kernels/__init__.py", PRELU)
    assert change(house, *RECORDED) == ["kernels/__init__.py", "grad_x = grad_y * (positive + slope)"]
    with pytest.raises(AssertionError, match=r"functions that it fits: kernels\.PReLU\.backward"):
        change(house, *RECORDED, where="ops.PReLU.backward")


def test_local_variables_may_be_renamed(house: Path):
    write(house, "ops/activation.py", PRELU.replace("positive", "is_on").replace("slope", "a"))
    assert change(house, *RECORDED) == ["ops/activation.py", "grad_x = grad_y * (is_on + a)"]
    assert change(house, "x > 0", "x >= 0") == ["ops/activation.py", "is_on = mask(x >= 0, x)"]


def test_a_new_name_is_the_same_throughout(house: Path):
    """Else `a - a` would do for `slope - positive`, and a fault be made where it means something else."""
    write(house, "ops/activation.py", PRELU.replace("(1 - positive)", "(1 - slope)"))
    for old in ("first + slope * (1 - first)", "first + second * (1 - third)"):
        with pytest.raises(AssertionError, match="fits 0 times"):
            change(house, old, "0")


def test_what_the_function_still_calls_so_is_taken_for_nothing_else(house: Path):
    """A pattern that mentions two variables must not be found where they have changed places, or another stands."""
    for old in ("slope - x", "x - grad_x", "slope * (1 - slope)"):
        with pytest.raises(AssertionError, match="fits 0 times"):
            change(house, old, "0")


def test_only_local_variables_may_be_renamed(house: Path):
    """Another function is another meaning."""
    write(house, "ops/activation.py", PRELU.replace("sum_to", "mean_of"))
    with pytest.raises(AssertionError, match="fits 0 times"):
        change(house, "sum_to(grad_x, axis)", "grad_x")


def test_layout_comments_and_brackets_do_not_matter(house: Path):
    loose = PRELU.replace("positive + slope * (1 - positive)", "(positive  # half\n  + (slope * (1 -positive )))")
    assert loose != PRELU
    write(house, "ops/activation.py", loose)
    assert change(house, *RECORDED) == ["ops/activation.py", "grad_x = grad_y * (positive + slope)"]


def test_wildcards(house: Path):
    """Any expression, any body, and twice the same."""
    assert change(house, "mask(_1 > 0, _1)", "mask(_1 >= 0, _1)") == ["ops/activation.py", "positive = mask(x >= 0, x)"]
    with pytest.raises(AssertionError, match="fits 0 times"):
        change(house, "mask(_1 > _1, _2)", "0")
    assert change(house, "for axis in self.axes: _1", "for axis in self.axes[1:]: _1") == [
        "ops/activation.py",
        "for axis in self.axes[1:]:",
    ]


def test_statements(house: Path):
    """One for several, several for one, and a call that is a statement for something that is no expression."""
    assert change(house, "x, slope = _1; positive = _2", "slope, x = _1; positive = _2") == [
        "ops/activation.py",
        "slope, x = self.saved",
    ]
    assert change(house, "for axis in _1: _2", "pass") == ["ops/activation.py", "pass"]
    write(house, "ops/more.py", "def f(x):\n    x.add(1)\n    return x")
    assert change(house, "x.add(1)", "x[1] = 1; x = -x", "f") == ["ops/more.py", "x[1] = 1", "x = -x"]
    assert change(house, "return x", "return -x", "f") == ["ops/more.py", "return -x"]


def test_what_fits_twice_needs_to_be_counted(house: Path):
    """A second place that has come to fit is an error, and so is one that has gone."""
    with pytest.raises(AssertionError, match="fits 2 times, not 1"):
        change(house, "grad_x = _1", "grad_x = 0")
    assert change(house, "grad_x = _1", "grad_x = 0", which="1 of 2") == ["ops/activation.py", "grad_x = 0"]
    with pytest.raises(AssertionError, match="fits 2 times, not 3"):
        change(house, "grad_x = _1", "grad_x = 0", which="2 of 3")


def test_two_functions_of_one_name(house: Path):
    """The pattern tells them apart, or a room, file or class does."""
    assert change(house, "grad_y * mask(x > 0, x)", "grad_y", "backward") == ["ops/other.py", "return grad_y"]
    with pytest.raises(AssertionError, match="fits 2 times"):
        change(house, "x > 0", "x >= 0", "ops.backward")
    assert change(house, "x > 0", "x >= 0", "other.backward") == ["ops/other.py", "return grad_y * mask(x >= 0, x)"]


def test_default_values_are_not_the_function_s_code(house: Path):
    """They are computed once, where the function is made: exchanging its code changes nothing there."""
    with pytest.raises(AssertionError, match="fits 0 times"):
        change(house, "1 - 1", "2", "ReLU.backward")


def test_what_is_lost_is_shown(house: Path):
    """Whoever has moved the code needs the function as it is now, and who else has such code or such a name."""
    with pytest.raises(AssertionError) as lost:
        change(house, "return x - slope", "return x")
    assert f"{house / 'ops/activation.py'}:3 ops.activation.PReLU.backward" in str(lost.value)
    assert "    positive = mask(x > 0, x)  # 1 or 0" in str(lost.value)
    with pytest.raises(AssertionError, match=r"similar name: .*ops\.activation\.PReLU\.backward"):
        change(house, "x - slope", "x", "PReLU.backwards")


class Renamer(ast.NodeTransformer):
    """Rename every local variable of every function."""

    def __init__(self) -> None:
        self.locals: set[str] = set()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        outer, self.locals = self.locals, self.locals | local_names(node)
        self.generic_visit(node)
        self.locals = outer
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id += "_anew" * (node.id in self.locals)
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.arg += "_anew"
        return node


def test_faults_keep_their_places_through_a_rebuilding(tmp_path: Path):
    """The whole package, with every local variable renamed, laid out anew, and every file moved to another.

    Where that is too much, the fault says so; it never goes to another place unseen.
    """
    for path in PACKAGE.rglob("*.py"):
        file = path.relative_to(PACKAGE).with_stem("moved_" + path.stem)
        tree = Renamer().visit(ast.parse(path.read_text(encoding="utf-8")))
        (tmp_path / file).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / file).write_text(ast.unparse(tree), encoding="utf-8")
    lost = []
    for fault in FAULTS:
        what = fault.where, fault.old, fault.new, fault.which
        if not keeps_its_place(*what, tmp_path):  # where all have other names, a short pattern fits several places
            lost.append(fault)
            continue
        (path, source), (moved, renamed) = edited(*what), edited(*what, tmp_path)
        assert moved == tmp_path / path.relative_to(PACKAGE).with_stem("moved_" + path.stem)
        assert renamed.replace("_anew", "") == source
    assert len(lost) <= len(FAULTS) // 20, lost
