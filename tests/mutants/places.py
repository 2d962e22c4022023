"""Where a fault goes: a function of the package, and a pattern on its syntax tree.

where     the function, `PReLU.backward` or `max_pool2d`, in whichever file it stands. Where several have the name,
          put a room, file or class before it: `kernels.conv2d`. Functions inside it belong to it.
pattern   an expression, or one or more statements that follow one another. Layout, brackets and comments do not
          matter. A name that the function no longer has may be any of its local variables that the pattern does not
          mention, the same one throughout: renaming them moves no fault.
_1, _2    any expression, or as the body of a statement any statements; twice the same name, twice the same code
which     "2 of 3": the second of three places that fit. Any other number than was said is an error.
"""

from __future__ import annotations

import ast
import copy
import difflib
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import minisrgan

PACKAGE = Path(minisrgan.__file__).parent
ANYTHING = re.compile(r"_[1-9]")
UNSEEN = {"ctx", "kind", "type_comment"}  # fields of syntax trees that do not show how a piece of code reads


@dataclass(frozen=True)
class Place:
    """A function of the package."""

    path: Path
    dotted: str  # ops.activation.PReLU.backward
    node: ast.FunctionDef
    tree: ast.Module
    source: str

    @property
    def names(self) -> set[str]:
        """Every name that the function uses."""
        return {name for node in ast.walk(self.node) if (name := name_of(node))}

    def __str__(self) -> str:
        text = ast.get_source_segment(self.source, self.node, padded=True)
        return f"{self.path}:{self.node.lineno} {self.dotted}\n{text}"


@dataclass
class Match:
    """A piece of a tree that fits a pattern, `getattr(holder, name)[span]`, and what stands for the pattern's names."""

    place: Place
    holder: Any
    name: str
    span: slice | None = None
    code: dict[str, Any] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)

    def with_instead(self, new: Any) -> str:
        """Return the file's source with other code in this place."""
        there = getattr(self.holder, self.name)
        value = Filler(self).fill(new)
        if self.span is not None:
            parts = value if isinstance(value, list) else [value]
            value = [*there[: self.span.start], *parts, *there[self.span.stop :]]
        setattr(self.holder, self.name, value)
        try:
            return ast.unparse(self.place.tree)
        finally:
            setattr(self.holder, self.name, there)


class Filler(ast.NodeTransformer):
    """Put what a match has found into the names of a pattern's other side."""

    def __init__(self, match: Match) -> None:
        self.match = match

    def fill(self, new: Any) -> Any:
        """Return a filled copy."""
        if isinstance(new, list):
            return self.visit(ast.Module(copy.deepcopy(new), [])).body
        return self.visit(copy.deepcopy(new))

    def visit_Name(self, node: ast.Name) -> ast.AST:
        """Exchange one name."""
        node.id = self.match.renamed.get(node.id, node.id)
        return self.match.code.get(node.id, node)

    def visit_Expr(self, node: ast.Expr) -> Any:
        """Exchange a name that is a statement and stands for several."""
        value = self.visit(node.value)
        return value if isinstance(value, list) else ast.Expr(value)


def name_of(node: ast.AST) -> str | None:
    """Return the variable that a node reads, sets or takes."""
    return node.id if isinstance(node, ast.Name) else node.arg if isinstance(node, ast.arg) else None


def local_names(function: ast.FunctionDef) -> set[str]:
    """Return the names to which a function gives a value."""
    stored = (node for node in ast.walk(function) if not isinstance(getattr(node, "ctx", None), ast.Load))
    return {name for node in stored if (name := name_of(node))}


def parsed(code: str) -> list[ast.stmt] | ast.expr:
    """Parse a pattern."""
    body = ast.parse(textwrap.dedent(code).strip()).body
    return body[0].value if len(body) == 1 and isinstance(body[0], ast.Expr) else body


@cache
def functions(root: Path) -> list[Place]:
    """Return every function and method below a folder, those inside functions left out."""
    found = []
    for path in sorted(root.rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        tree = ast.parse(source)
        parts = [part for part in path.relative_to(root).with_suffix("").parts if part != "__init__"]

        def collect(node: ast.AST, parts: list[str]) -> None:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.FunctionDef):
                    found.append(Place(path, ".".join([*parts, child.name]), child, tree, source))  # noqa: B023
                else:
                    collect(child, [*parts, child.name] if isinstance(child, ast.ClassDef) else parts)

        collect(tree, parts)
    return found


def candidates(where: str, root: Path) -> list[Place]:
    """Return the functions that `where` may mean: the last part is their name, the others come before it in order."""
    *before, last = where.split(".")
    found = []
    for place in functions(root):
        *outer, name = place.dotted.split(".")
        rest = iter(outer)
        if name == last and all(part in rest for part in before):
            found.append(place)
    return found


def matches(place: Place, pattern: list[ast.stmt] | ast.expr) -> Iterator[Match]:
    """Walk over the places in a function's body that fit a pattern."""
    roots = pattern if isinstance(pattern, list) else [pattern]
    mentioned = {name for root in roots for node in ast.walk(root) if (name := name_of(node))}
    fits = Fit(place.names, local_names(place.node) - mentioned)
    body = ast.Module(place.node.body, [])
    for holder in ast.walk(body):
        holder = place.node if holder is body else holder
        for name, value in ast.iter_fields(holder):
            if holder is place.node and name != "body":
                continue  # a default value is none of the function's code
            if isinstance(value, list):
                size = len(roots) if value and isinstance(value[0], ast.stmt) else 1
                spans = (slice(i, i + size) for i in range(len(value) - size + 1))
                found = [Match(place, holder, name, span) for span in spans]
                yield from (m for m in found if fits(roots, value[m.span], m))
            elif isinstance(pattern, ast.expr):
                match = Match(place, holder, name)
                if fits(pattern, value, match):
                    yield match


def fitting(places: list[Place], pattern: list[ast.stmt] | ast.expr) -> list[Match]:
    """Return what fits in some functions, up to new names for local variables only where nothing fits as it is."""
    found = [match for place in places for match in matches(place, pattern)]
    return [match for match in found if not match.renamed] or found


@dataclass
class Fit:
    """The rules by which code fits a pattern."""

    names: set[str]  # that the function has
    free: set[str]  # its local variables that the pattern does not mention

    def __call__(self, pattern: Any, code: Any, match: Match) -> bool:
        """Compare, and note in the match what the pattern's names stand for."""
        if isinstance(pattern, list):
            if isinstance(code, list) and code and len(pattern) == 1 and isinstance(pattern[0], ast.Expr):
                anything = name_of(pattern[0].value)
                if anything and ANYTHING.fullmatch(anything):
                    return self.bound(anything, code, match)
            return (
                isinstance(code, list)
                and len(pattern) == len(code)
                and all(self(p, c, match) for p, c in zip(pattern, code, strict=True))
            )
        name = name_of(pattern)
        if name and ANYTHING.fullmatch(name):
            return isinstance(code, ast.expr) and self.bound(name, code, match)
        if type(pattern) is not type(code):
            return False
        if name:
            return self.same_variable(name, name_of(code), match)
        if not isinstance(pattern, ast.AST):
            return pattern == code
        fields = (f for f in pattern._fields if f not in UNSEEN)
        return all(self(getattr(pattern, f, None), getattr(code, f, None), match) for f in fields)

    def same_variable(self, name: str, actual: str, match: Match) -> bool:
        """Take a name for itself, or for another if the function has lost it."""
        if name in self.names:
            return name == actual
        if name not in match.renamed and actual in self.free and actual not in match.renamed.values():
            match.renamed[name] = actual
        return match.renamed.get(name) == actual

    def bound(self, name: str, code: Any, match: Match) -> bool:
        """Let `_1` stand for code, the second time for the same."""
        before = match.code.setdefault(name, code)
        parts = [value if isinstance(value, list) else [value] for value in (before, code)]
        return [ast.dump(part) for part in parts[0]] == [ast.dump(part) for part in parts[1]]


def both_parsed(old: str, new: str) -> Any:
    """Parse both sides of an edit: two expressions, or two lists of statements."""
    pattern, instead = parsed(old), parsed(new)
    if isinstance(pattern, ast.expr) and isinstance(instead, ast.expr):
        return pattern, instead
    return [code if isinstance(code, list) else [ast.Expr(code)] for code in (pattern, instead)]


def keeps_its_place(where: str, old: str, new: str, which: str, root: Path) -> bool:
    """Tell whether `edited` finds the place; quicker than its error, which says where else the pattern fits."""
    found = fitting(candidates(where, root), both_parsed(old, new)[0])
    return len(found) == int(which.rpartition(" ")[2])


@cache
def edited(where: str, old: str, new: str, which: str = "1 of 1", root: Path = PACKAGE) -> tuple[Path, str]:
    """Return the file in which a function stands, and its source with `new` where the pattern `old` was."""
    there = candidates(where, root)
    pattern, instead = both_parsed(old, new)
    found = fitting(there, pattern)
    number, total = map(int, which.split(" of "))
    if not there or len(found) != total:
        names = [place.dotted for place in functions(root)]
        similar = ", ".join(difflib.get_close_matches(where, names, 5, 0.3)) or "none"
        others = {m.place.dotted for place in functions(root) for m in matches(place, pattern) if not m.renamed}
        raise AssertionError(
            f"a fault has lost its place: in {where}, {old!r} fits {len(found)} times, not {total}\n"
            f"functions that it fits: {', '.join(sorted(others)[:5]) or 'none'}\n"
            f"functions of a similar name: {similar}\n"
            f"functions of this name: {len(there)}\n\n" + "\n\n".join(map(str, there))
        )
    match = found[number - 1]
    return match.place.path, match.with_instead(instead)


OTHER: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
}  # fmt: skip


@dataclass(frozen=True)
class Swap:
    """One sign of a function taken for another: + for -, * for /, > for >=, == for !=."""

    place: Place
    node: ast.BinOp | ast.Compare

    def __str__(self) -> str:
        return f"{self.place.dotted}: {ast.unparse(self.node)}, position {self.node.lineno}:{self.node.col_offset}"

    def source(self) -> str:
        """Return the file with the other sign."""
        if isinstance(self.node, ast.BinOp):
            return Match(self.place, self.node, "op").with_instead(OTHER[type(self.node.op)]())
        return Match(self.place, self.node, "ops").with_instead([OTHER[type(op)]() for op in self.node.ops])


def swaps(place: Place) -> Iterator[Swap]:
    """Walk over the signs of a function."""
    for node in ast.walk(ast.Module(place.node.body, [])):
        signs = [node.op] if isinstance(node, ast.BinOp) else node.ops if isinstance(node, ast.Compare) else []
        if signs and all(type(sign) in OTHER for sign in signs):
            yield Swap(place, node)
