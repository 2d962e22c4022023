"""The tests are tested: every fault of `faults`, made in memory one at a time, has to be noticed.

A fault is made by compiling the edited file and exchanging the code of its functions, `f.__code__`. The functions stay
the same objects, so that everything that holds one, by an import or in a table, computes wrongly now; afterwards the
old code is put back. The tests are called as pytest calls them: the same functions, with all of their parameters.
"""

from __future__ import annotations

import contextvars
import importlib
import inspect
import itertools
import math
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any, TypeAlias

import pytest

from minisrgan import Tensor, ops
from minisrgan.autograd import Function
from minisrgan.errors import MinisrganError
from tests.mutants.faults import FAULTS, Fault
from tests.mutants.places import PACKAGE, Swap, edited, functions, swaps
from tests.ops import test_table

# How a test fails: by its own assertion, an error of ours, one of NumPy's where shapes no longer fit or memory must not
# be written, a number that overflows, or "DID NOT RAISE".
Errors: TypeAlias = tuple[type[BaseException], ...]
NOTICED: Errors = (AssertionError, MinisrganError, ValueError, RuntimeWarning, pytest.fail.Exception)


# Making a fault


def module_of(path: Path) -> ModuleType:
    """Return the module that a file of the package was imported as."""
    parts = [part for part in path.relative_to(PACKAGE).with_suffix("").parts if part != "__init__"]
    return importlib.import_module(".".join(["minisrgan", *parts]))


def codes(module: ModuleType, code: CodeType) -> Iterator[tuple[FunctionType, CodeType]]:
    """Pair every function and method of a module with its code in a newly compiled one."""
    for inner in code.co_consts:
        if not isinstance(inner, CodeType):
            continue
        found: Any = module
        for name in inner.co_qualname.split("."):
            found = vars(found).get(name)
        if isinstance(found, property):
            found = found.fget if inner.co_argcount == 1 else found.fset
        found = inspect.unwrap(getattr(found, "__func__", found))
        if isinstance(found, FunctionType):
            yield found, inner
        else:
            yield from codes(module, inner)  # a class


def made(fault: Fault) -> AbstractContextManager[None]:
    """Make a fault for a block."""
    return exchanged(*edited(fault.where, fault.old, fault.new, fault.which))


@contextmanager
def exchanged(path: Path, source: str) -> Iterator[None]:
    """Exchange the code of a file's functions for a block."""
    module, wrong = module_of(path), compile(source, str(path), "exec", dont_inherit=True)
    before = [(function, function.__code__) for function, _ in codes(module, wrong)]
    try:
        for function, code in codes(module, wrong):
            function.__code__ = code
        forget()
        yield
    finally:
        for function, code in before:
            function.__code__ = code
        forget()


def forget() -> None:
    """Drop what all threads keep from one call to the next, with what was made in it before a fault, or by one."""
    for name, module in list(sys.modules.items()):
        if name.startswith("minisrgan."):
            for key, value in list(vars(module).items()):
                if isinstance(value, threading.local):
                    setattr(module, key, threading.local())


# Asking the tests


@dataclass
class Case:
    """A test with one choice of its parameters."""

    test: Callable[..., None]
    parameters: dict[str, Any]

    def run(self) -> None:
        """Run it in a context of its own: a mode that a fault leaves switched on ends here."""
        wanted = inspect.signature(self.test).parameters.keys() - self.parameters.keys()
        assert wanted <= {"monkeypatch"}, f"{self.test.__name__} wants {wanted}, which nobody gives it here"
        with pytest.MonkeyPatch.context() as monkeypatch:
            more = {"monkeypatch": monkeypatch} if wanted else {}
            contextvars.copy_context().run(self.test, **self.parameters, **more)

    def notices(self, errors: Errors = NOTICED) -> bool:
        """Tell whether the test fails. Another error than a test's own means that the fault itself is badly made."""
        try:
            self.run()
        except errors:
            return True
        return False


def cases(test: Callable[..., None]) -> Iterator[Case]:
    """Walk over the parameters that pytest would run a test with."""
    choices = []
    for mark in getattr(test, "pytestmark", ()):
        if mark.name == "parametrize":
            names = [n.strip() for n in mark.args[0].split(",")] if isinstance(mark.args[0], str) else mark.args[0]
            choices.append([dict(zip(names, v if len(names) > 1 else [v], strict=True)) for v in mark.args[1]])
    for choice in itertools.product(*choices):
        yield Case(test, {name: value for part in choice for name, value in part.items()})


def asked(caught_by: str) -> Iterator[Case]:
    """Walk over the cases of a test, or those with the rows of one operation, or all questions to these rows."""
    module, _, name = caught_by.partition("::")
    if name:
        name, _, operation = name.rstrip("]").partition("[")
        questions = [getattr(importlib.import_module("tests." + module), name)]
    else:
        operation = caught_by
        questions = [test for name, test in vars(test_table).items() if name.startswith("test_")]
        notices_most = test_table.test_gradient_is_the_reference
        questions.sort(key=lambda test: test is not notices_most)
    for case in itertools.chain.from_iterable(map(cases, questions)):
        if not operation or ("row" in case.parameters and case.parameters["row"].name == operation):
            yield case


def first_to_notice(caught_by: str, errors: Errors = NOTICED) -> Case | None:
    """Return the first case that fails, None if all pass."""
    return next((case for case in asked(caught_by) if case.notices(errors)), None)


# The suite


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_is_caught(fault: Fault):
    """A test that passes with and without the mistake it is there for proves nothing."""
    with made(fault):
        case = first_to_notice(fault.caught_by)
    assert case is not None, f"{fault.caught_by} passes although {fault.name}"
    case.run()  # a test that always fails has noticed nothing


WRONG: dict[str, Callable[[Any], Any]] = {
    "zero": lambda gradient: gradient * 0.0,
    "times 1.001": lambda gradient: gradient * 1.001,
    "of the wrong sign": lambda gradient: -gradient,
}


def nodes() -> Iterator[tuple[type[Function], int]]:
    """Walk over every Function of `minisrgan.ops`, and each of its inputs that is an array."""
    for cls in Function.__subclasses__():
        if cls.__module__.startswith(ops.__name__):
            inputs = [p for p in inspect.signature(cls.forward).parameters.values() if p.kind is not p.KEYWORD_ONLY]
            arrays = [p for p in inputs if "Array" in str(p.annotation)]
            yield from ((cls, position) for position in range(len(arrays)) if arrays[position].name != "running")


def operation_of(node: type[Function]) -> str:
    """Return the name by which the table has an operation."""
    return "batch_norm" if node.name.startswith("batch_norm") else node.name.removeprefix("gradient_of_")


@pytest.mark.parametrize("how", WRONG)
@pytest.mark.parametrize(
    ("node", "position"), [pytest.param(cls, i, id=f"{cls.__name__} input {i}") for cls, i in nodes()]
)
def test_a_wrong_gradient_is_caught(node: type[Function], position: int, how: str):
    """Each gradient of each operation, made wrong in the three plainest ways; both backwards alike."""

    def spoiled(right: Callable[[Function, Any], Any]) -> Callable[[Function, Any], Any]:
        def backward(self: Function, grad_y: Any) -> Any:
            given = right(self, grad_y)
            parts = list(given) if isinstance(given, tuple) else [given]
            if position < len(parts) and parts[position] is not None:  # a bias need not be there
                parts[position] = WRONG[how](parts[position])
            return tuple(parts)

        return backward

    operation = operation_of(node)
    with pytest.MonkeyPatch.context() as patch:
        for method in ("backward", "backward_fused"):
            if getattr(node, method) is not None:
                patch.setattr(node, method, spoiled(getattr(node, method)))
        case = first_to_notice(operation)
    assert case is not None, f"the table passes although a gradient of {operation} is {how}"
    case.run()


def signs() -> Iterator[tuple[type[Function], Swap]]:
    """Walk over every sign in the backward methods of `minisrgan.ops`."""
    classes = {f"{cls.__module__}.{cls.__name__}".removeprefix("minisrgan."): cls for cls, _ in nodes()}
    for place in functions(PACKAGE):
        cls, _, method = place.dotted.rpartition(".")
        if cls in classes and method in ("backward", "backward_fused"):
            yield from ((classes[cls], swap) for swap in swaps(place))


@pytest.mark.parametrize(("node", "swap"), [pytest.param(cls, swap, id=str(swap)) for cls, swap in signs()])
def test_a_wrong_sign_is_caught(node: type[Function], swap: Swap):
    """Each sign of each backward made another one. Here a test may fail by any error: an axis that is not there."""
    with exchanged(swap.place.path, swap.source()):
        case = first_to_notice(operation_of(node), (*NOTICED, TypeError, LookupError))
    assert case is not None, f"the table passes although a sign of {operation_of(node)} is another one: {swap}"
    case.run()


def test_no_fault_is_left_behind():
    """The suite must not be what breaks the tests that run after it."""
    for path in {edited(fault.where, fault.old, fault.new, fault.which)[0] for fault in FAULTS}:
        module = module_of(path)
        fresh = compile(path.read_text(encoding="utf-8"), str(path), "exec", dont_inherit=True)
        assert [f.__qualname__ for f, code in codes(module, fresh) if f.__code__ != code] == []


def test_a_fault_reaches_those_who_imported_the_function():
    """Were the edited file a module beside the old one, whoever holds the old functions would compute on rightly."""
    imported, x = ops.tanh, Tensor([1.0])
    with made(Fault("", "Tanh.forward", "array_module(x).tanh(x)", "x * 0", "tanh")):
        assert imported(x).item() == 0
    assert imported(x).item() == pytest.approx(math.tanh(1))


def test_what_is_no_fault_survives():
    """A suite that counts everything as caught would print the same line."""
    fault = Fault("", "Tanh.backward", "grad_y * (1.0 - y * y)", "grad_y * (1.0 + y * -y)", "tanh")
    with made(fault):
        assert first_to_notice("tanh") is None
    assert len(list(asked("tanh"))) > 10


def test_there_are_enough_faults():
    """Two faults of one name are told apart by nobody, and a list that shrinks proves less."""
    assert len({fault.name for fault in FAULTS}) == len(FAULTS) >= 100
