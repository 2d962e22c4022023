"""Every name of CuPy that the package uses is one that CuPy has."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minisrgan
from tests.gpu.standin import NAMES

PACKAGE = Path(minisrgan.__file__).parent
FILES = [path for path in PACKAGE.rglob("*.py") if path.parent.name not in ("reference", "show", "images", "data")]


def dotted(node: ast.expr) -> str | None:
    """Return the name that a chain of attributes spells behind a module of arrays: exp for xp.exp; "" for xp itself."""
    text = ast.unparse(node)
    called = isinstance(node, ast.Call) and ast.unparse(node.func) == "array_module"
    if called or text in ("xp", "cupy", "sys.modules['cupy']"):
        return ""
    before = dotted(node.value) if isinstance(node, ast.Attribute) else None
    return None if before is None else f"{before}.{node.attr}".removeprefix(".")  # type: ignore[attr-defined]


def names(source: str) -> Iterator[str]:
    """Walk over the names that a file takes from CuPy, or from NumPy and CuPy alike: the longest of each chain."""
    attributes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)]
    inner = {id(node.value) for node in attributes}
    yield from filter(None, (dotted(node) for node in attributes if id(node) not in inner))


def stored(name: str) -> bool:
    """Tell whether a name is in the list; the methods of a ufunc are listed once for all."""
    owner, _, method = name.rpartition(".")
    of_ufunc = owner in NAMES and isinstance(getattr(np, owner, None), np.ufunc)
    return name in NAMES or (of_ufunc and f"ufunc.{method}" in NAMES)


USED = sorted({name for path in FILES for name in names(path.read_text(encoding="utf-8"))})


@pytest.mark.parametrize("name", USED)
def test_cupy_has_the_name(name: str) -> None:
    """CuPy has most of NumPy's functions; what it has not ends a training on a GPU, and no test on a CPU."""
    assert stored(name), f"neither CuPy 13.0 nor 14.2 has {name}"


@pytest.mark.skipif(importlib.util.find_spec("cupy") is None, reason="CuPy is not installed")
@pytest.mark.parametrize("name", USED)
def test_the_installed_cupy_has_the_name(name: str) -> None:
    """A version between those of the list, or after them, may have dropped one."""
    value: Any = pytest.importorskip("cupy")
    for part in name.split("."):
        value = getattr(value, part)


def test_names_are_seen() -> None:
    """The tests above would pass too if they saw none."""
    assert {"exp", "matmul", "add.at"} <= {*USED}
    assert {"RawModule", "cuda.runtime.getDeviceCount"} <= {*USED}
    source = "xp.nditer(x)\narray_module(a).spam(b).copy()\nnp.exp\nxp.add.at(a, i, b)"
    assert sorted(names(source)) == ["add.at", "nditer", "spam"]
    assert [stored(name) for name in ("add.at", "nditer", "add.spam", "cuda.at")] == [True, False, False, False]
