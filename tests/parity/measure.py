"""How far minisrgan is from PyTorch, by the fixtures: what the tests judge, and `python -m tests.parity` prints."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity import ours
from tests.parity.cases import (
    ADAM,
    LAYERS,
    LOSSES,
    NETWORKS,
    OPERATIONS,
    STEPS,
    TOLERANCE,
    AdamCase,
    Case,
    ModelCase,
    StepsCase,
)

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
FILES = {"operations": OPERATIONS, "losses": LOSSES, "models": (*LAYERS, *NETWORKS), "training": (*ADAM, *STEPS)}

Results = dict[str, np.ndarray]


@functools.cache
def fixture(file: str) -> dict[str, dict[str, Results]]:
    """Read a file of fixtures: for each case what is given and what is expected."""
    table: dict[str, dict[str, Results]] = {}
    with np.load(FIXTURES / f"{file}.npz", allow_pickle=False) as arrays:
        for key in arrays.files:
            if "|" in key:
                case, group, name = key.split("|")
                table.setdefault(case, {"given": {}, "expected": {}})[group][name] = arrays[key]
    return table


def torch_version(file: str) -> str:
    """Return the version of PyTorch that computed a file."""
    with np.load(FIXTURES / f"{file}.npz", allow_pickle=False) as arrays:
        return str(arrays["torch"])


def compute(file: str, case: Any, dtype: str, create_graph: bool = False) -> Results:
    """Have minisrgan compute a case from what the fixture gives."""
    given = fixture(file)[str(case)]["given"]
    if isinstance(case, Case):
        inputs = [given[str(i)] if isinstance(shape, tuple) else shape for i, shape in enumerate(case.shapes)]
        return ours.run(case, inputs, given["cotangent"], dtype, create_graph)
    if isinstance(case, ModelCase):
        return ours.run_model(case, given, dtype)
    return (ours.run_adam if isinstance(case, AdamCase) else ours.run_steps)(case, given, dtype)


def scale_of(name: str, expected: Mapping[str, np.ndarray]) -> float:
    """Return the largest magnitude, in which the others are known.

    A convolution's bias in front of a batch norm has gradient 0, as the batch norm takes every constant away; both
    sides compute rounding instead. Gradients of a bias, and Adam's means of them, are measured by those of the weight
    beside it if these are larger.
    """
    names = [name]
    beside = name.removesuffix("bias") + "weight"
    if name.endswith(".bias") and "state" not in name and beside in expected:
        names.append(beside)
    return max(float(abs(expected[n]).max(initial=0)) for n in names) or 1.0


def rounding_only(case: Any, expected: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Return, for weights after steps in float32 that only rounding moves, how far it can; empty for other cases.

    They are the biases in front of batch norms (see `scale_of`), and with them the running means behind. In float64
    rounding is so much smaller than Adam's eps that no allowance is needed.
    """
    if not isinstance(case, StepsCase):
        return {}
    free = {}
    for name, following in pairwise(expected):
        mean = following.removesuffix("weight") + "running_mean"
        if "/state/" in name and name.endswith(".bias") and mean in expected:
            free[name] = free[mean] = case.walk(int(name[0]))
    return free


def errors(case: Any, file: str, dtype: str, create_graph: bool = False) -> dict[str, float]:
    """Return the largest error of every array of a case, relative to its largest magnitude."""
    results, expected = compute(file, case, dtype, create_graph), fixture(file)[str(case)]["expected"]
    assert results.keys() == expected.keys()
    free = rounding_only(case, expected) if dtype == "float32" else {}
    found = {}
    for name, theirs in expected.items():
        assert results[name].dtype == dtype, name
        assert results[name].shape == theirs.shape, name
        error = float(abs(results[name] - theirs).max(initial=0))
        beyond = 0.0 if error < free.get(name, 0.0) else error - free.get(name, 0.0)  # NaN stays NaN
        found[name] = beyond / scale_of(name, expected)
    return found


def allowed(case: Any, name: str, dtype: str) -> float:
    """Return the tolerance of one array of a case.

    Adam's means after whole steps are gradients through three dozen layers, in which batch norms make large numbers
    cancel: PyTorch's own float32 is about 1e-5 from its float64 there, sometimes more. In float32 they get 1e-4; the
    weights that come of them, statistics and losses do not.
    """
    if isinstance(case, StepsCase) and dtype == "float32" and ("/mean/" in name or "/square/" in name):
        return 10 * TOLERANCE[dtype]
    return TOLERANCE[dtype]


@dataclass(frozen=True)
class Parity:
    """The largest errors of all cases of one operation, loss, layer or network, or of one part of a training."""

    file: str
    name: str
    cases: int
    float32: float
    float64: float


def row_of(case: Any) -> str:
    """Return the operation, loss, layer or network that a case is of; a training is a row of its own."""
    return case.op if isinstance(case, Case) else case.name if isinstance(case, ModelCase) else str(case)


def parity_errors() -> list[Parity]:
    """Measure everything in the fixtures, in both dtypes."""
    worst: dict[tuple[str, str], dict[str, list[float]]] = {}
    for file, table in FILES.items():
        for case in table:
            for dtype in TOLERANCE:
                for array, error in errors(case, file, dtype).items():
                    name = row_of(case) + (f" {array.split('/')[1]}" if isinstance(case, StepsCase) else "")
                    row = worst.setdefault((file, name), {dtype: [] for dtype in TOLERANCE})
                    row[dtype].append(error)
    counts = Counter((file, row_of(case)) for file, table in FILES.items() for case in table)
    return [
        Parity(file, name, counts[file, name.split(" ")[0]], max(row["float32"]), max(row["float64"]))
        for (file, name), row in worst.items()
    ]


def parity_table() -> str:
    """Return the errors as text."""
    lines = [f"{'largest error, relative to the largest magnitude':<53} cases  float32  float64"]
    lines += [f"{r.file:<11}{r.name:<42} {r.cases:>5} {r.float32:>8.0e} {r.float64:>8.0e}" for r in parity_errors()]
    return "\n".join(lines)


def size_of_fixtures() -> int:
    """Return the size of all files of fixtures in bytes."""
    return sum(path.stat().st_size for path in FIXTURES.glob("*.npz"))
