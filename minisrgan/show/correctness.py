"""A table of the checks of every operation: against plain loops, finite differences and PyTorch."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from minisrgan import ops, reference
from minisrgan.autograd import Tensor, gradcheck, gradgradcheck
from minisrgan.backend import Array
from minisrgan.errors import ConfigError, turned_into
from minisrgan.explain.summary import text_table
from minisrgan.reference.cases import CASES, Case, arguments

Fixtures: TypeAlias = Mapping[str, Array]

# Column: the error above which it fails, and how to read it.
COLUMNS = {
    "forward vs reference": (1e-12, "the result, against plain loops over the formula: 1e-16 is the last digit"),
    "gradient": (1e-6, "backward, against central differences, which keep 10 of 16 digits: 1e-11 to 1e-8"),
    "second derivative": (1e-6, "the gradient of the gradient, against differences of backward: 1e-12 to 1e-8"),
    "vs PyTorch": (1e-10, "result and gradients, against those that PyTorch computed in float64: 1e-16 to 1e-15"),
}


@dataclass
class Result:
    """The results of the checks of an operation.

    errors    for each column the largest difference, relative to the largest magnitude; inf if an error was raised
    problems  descriptions of the failures; an operation without any passes
    seconds   duration of the checks
    """

    op: str
    errors: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


def check_operation(op: str, fixtures: Fixtures | None = None) -> Result:
    """Check an operation on its cases in `minisrgan.reference.cases`; an exception counts as a failure.

    fixtures  the result of `load_fixtures`; without it there is no comparison with PyTorch
    Errors    ConfigError if there is no such operation.

    >>> result = check_operation("tanh")
    >>> result.problems, result.errors["gradient"] < 1e-8
    ([], True)
    """
    if op not in ops.__all__:
        names = ", ".join(ops.__all__)
        raise ConfigError("gradcheck", expected=f"operations: {names}", got=op, fix="give the names of some, or none")
    checks: dict[str, Callable[[Case], float]] = {
        "forward vs reference": _forward,
        "gradient": lambda case: max(gradcheck(*_as_function(case)).errors),
        "second derivative": lambda case: max(gradgradcheck(*_as_function(case)).errors),
    }
    if fixtures is not None:
        checks["vs PyTorch"] = lambda case: _pytorch(case, fixtures)
    start, result = time.perf_counter(), Result(op)
    if op not in CASES:
        result.problems.append(f"{op}: no case in minisrgan/reference/cases.py")
    for case in CASES.get(op, ()):
        for column, check in checks.items():
            try:
                error, problem = check(case), "another shape, or too far off"
            except Exception as raised:  # an exception in one operation must not prevent the checks of the others
                error, problem = np.inf, str(raised)
            result.errors[column] = max(error, result.errors.get(column, 0.0))
            if not error <= COLUMNS[column][0]:
                result.problems.append(f"{case.name}, {column}: {problem}")
    result.seconds = time.perf_counter() - start
    return result


def load_fixtures(folder: Path) -> Fixtures:
    """Read the results that PyTorch computed for the operations, ``operations.npz`` in a folder."""
    fix, kinds = "it lies in tests/fixtures of the source; leave --fixtures out to do without", (OSError, ValueError)
    missing = turned_into(ConfigError, "--fixtures", expected="operations.npz in it", fix=fix, of=kinds)
    with missing, np.load(folder / "operations.npz") as file:
        return dict(file)


def correctness_table(results: Sequence[Result], markdown: bool = False, marks: tuple[str, str] = ("✓", "✗")) -> str:
    """Format the results as a table, with the failures, an explanation, and the number of operations that pass.

    >>> print(correctness_table([Result("exp", {"gradient": 2e-10}, [], 0.01)]).splitlines()[2])
    exp        -                     ✓ 2e-10   -                  -           10 ms
    """
    table = [["operation", *COLUMNS, "time"]]
    for result in results:
        cells = [_cell(result.errors.get(column), limit, marks) for column, (limit, _) in COLUMNS.items()]
        table.append([result.op, *cells, f"{1000 * result.seconds:.0f} ms"])
    lines = text_table(table, markdown=markdown)
    lines += ["", *(problem for result in results for problem in result.problems)]
    bullet = "- " if markdown else ""
    lines += [f"{bullet}{column}: {meaning}; fails above {limit:g}" for column, (limit, meaning) in COLUMNS.items()]
    if any("vs PyTorch" not in result.errors for result in results):
        lines.append(f"{bullet}a dash: not checked, for want of PyTorch's results (--fixtures DIR)")
    return "\n".join([*lines, "", f"{sum(not r.problems for r in results)} of {len(results)} operations pass"])


def _cell(error: float | None, limit: float, marks: tuple[str, str]) -> str:
    if error is None:
        return "-"
    return f"{marks[not error <= limit]} {error:.0e}" if error else f"{marks[0]} 0"


def _call(case: Case, inputs: Sequence[Any]) -> Tensor:
    given, options = arguments(case.op, inputs, case.options)
    return getattr(ops, case.op)(*given, **options)  # type: ignore[no-any-return]


def _tensors(case: Case, inputs: Sequence[Array]) -> list[Any]:
    """Convert all inputs to tensors, except running statistics, which are arrays that batch_norm writes to."""
    kept = 3 if case.op == "batch_norm" else len(inputs)
    return [Tensor(x, requires_grad=True) for x in inputs[:kept]] + [x.copy() for x in inputs[kept:]]


def _as_function(case: Case) -> tuple[Callable[..., Tensor], list[Any]]:
    return lambda *inputs: _call(case, inputs), _tensors(case, case.inputs())


def _forward(case: Case) -> float:
    inputs = case.inputs()
    right = getattr(reference, case.op)(*inputs, **case.options)
    return _difference(_call(case, _tensors(case, inputs)).data, right[0] if case.op == "batch_norm" else right)


def _pytorch(case: Case, fixtures: Fixtures) -> float:
    """Compare the result and every gradient with the stored ones."""
    name = case.name
    given = [fixtures[f"{name}|given|{i}"].astype(np.float64) for i in range(len(case.shapes))]
    tensors = _tensors(case, given)
    y = _call(case, tensors)
    y.backward(Tensor(fixtures[f"{name}|given|cotangent"].astype(np.float64)))
    nothing = Tensor(np.empty(0))
    grads = {f"grad{i}": nothing if x.grad is None else x.grad for i, x in enumerate(tensors) if isinstance(x, Tensor)}
    ours = {"y": y} | grads
    return max(_difference(result.data, fixtures[f"{name}|expected|{key}"]) for key, result in ours.items())


def _difference(ours: Array, theirs: Array) -> float:
    """Return the largest difference, relative to the largest magnitude."""
    if ours.shape != theirs.shape:
        return np.inf
    return float(abs(ours - theirs).max(initial=0) / (abs(theirs).max(initial=0) or 1.0))
