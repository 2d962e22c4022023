"""Tell a student whether an exercise is right and, where it is not, what probably happened.

    check("3.1", my_function)        # the number of the notebook and of the exercise

What the right answer is, on which inputs it is tried, and which wrong answers are known stands in
``exercises/nNN.py``, a dictionary EXERCISES of number -> `Exercise`. A check compares shape, value and, where inputs
ask for one, gradient; a wrong answer is looked up among the known ones first, then among the common ones (a wrong sign,
a factor, a transposition), and else the first wrong element is shown. It never raises, so that the run goes on.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import import_module
from typing import Any

import numpy as np

from minisrgan import Tensor

_SIGNS = {"right": ("✓", "#0072B2"), "wrong": ("✗", "#D55E00"), "open": ("○", "#666666")}


@dataclass
class Exercise:
    """What a check knows of an exercise.

    right     the right function, or for an answer that is no function, the right value
    inputs    makes the arguments of one trial from a random generator; Tensors that require a gradient are checked for
              it. Two trials are made. Not used where the answer is a value.
    mistakes  what to say -> the function (or value) that makes this mistake
    names     what the results are called, in order
    rtol      error allowed, relative to the largest magnitude of the right answer
    """

    right: Any
    inputs: Callable[[np.random.Generator], Sequence[Any]] = lambda rng: ()
    mistakes: Mapping[str, Any] = field(default_factory=dict)
    names: Sequence[str] = ("the result",)
    rtol: float = 1e-4


@dataclass
class Verdict:
    """The answer of a check: "right", "wrong" or "open" (not done yet), and a sentence."""

    state: str
    text: str

    def __repr__(self) -> str:
        """Show it in one line."""
        return f"{_SIGNS[self.state][0]} {self.text}"

    def _repr_html_(self) -> str:
        sign, color = _SIGNS[self.state]
        style = f"border-left: 4px solid {color}; padding: 4px 10px; white-space: pre-wrap"
        return f'<div style="{style}"><b style="color: {color}">{sign}</b> {escape(self.text)}</div>'


class NotDone(Exception):
    """The stub is still in its place."""


def check(number: str, answer: Any) -> Verdict:
    """Check the answer to an exercise; see the module's text.

    number  of notebook and exercise, such as "3.1"
    answer  the student's function, or value
    """
    exercise = find(number)
    try:
        problem = _problem(exercise, answer)
    except NotDone:
        return Verdict("open", f"Exercise {number}: not done yet.")
    if problem:
        return Verdict("wrong", f"Exercise {number}: {problem}")
    checked = "shape, value and gradient" if _has_gradient(exercise) else "shape and value"
    return Verdict("right", f"Exercise {number} is right: {checked if callable(exercise.right) else 'the value'}.")


def find(number: str) -> Exercise:
    """Return the exercise of a number."""
    notebook = number.split(".")[0]
    exercise: Exercise = import_module(f"exercises.n{int(notebook):02d}").EXERCISES[number]
    return exercise


def _has_gradient(exercise: Exercise) -> bool:
    given = exercise.inputs(np.random.default_rng(0))
    return any(isinstance(x, Tensor) and x.requires_grad for x in given)


def _problem(exercise: Exercise, answer: Any) -> str:
    """Return what is wrong, or nothing."""
    if not callable(exercise.right):
        return _compare(exercise, answer, _results, exercise.names)
    if answer is ...:
        raise NotDone
    return _trial(exercise, answer, 0) or _trial(exercise, answer, 1)


def _trial(exercise: Exercise, answer: Any, seed: int) -> str:
    """Call the student's function, then the right one and the known mistakes, each with copies of the same inputs."""

    def values(function: Any) -> list[np.ndarray]:
        return _results(function(*exercise.inputs(np.random.default_rng(seed))))

    def gradients(function: Any) -> list[np.ndarray]:
        return _gradients(function, exercise.inputs(np.random.default_rng(seed)))

    problem = _attempt(answer, values) or _compare(exercise, answer, values, exercise.names)
    if problem or not _has_gradient(exercise):
        return problem
    names = [f"the gradient of input {position}" for position in range(len(gradients(exercise.right)))]
    problem = _attempt(answer, gradients) or _compare(exercise, answer, gradients, names)
    return f"the value is right; {problem}" if problem else ""


def _attempt(answer: Any, compute: Callable[[Any], Any]) -> str:
    """Call the student's function; say what it raised, and in which of its lines."""
    if not callable(answer):
        return f"give the function itself to check, not what it returns; this is {type(answer).__name__}."
    try:
        compute(answer)
    except (NotDone, NotImplementedError):
        raise NotDone from None
    except Exception as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "ipykernel" in f.filename and f.line]
        where = f" in the line: {frames[-1].line}" if frames else ""
        return f"your code raised {type(error).__name__}{where}\n{error}"
    return ""


def _results(value: Any) -> list[np.ndarray]:
    """Return results as a list of arrays; a stub returns ... or None."""
    values = value if isinstance(value, tuple | list) else [value]
    if any(v is ... or v is None for v in values):
        raise NotDone
    arrays = [np.asarray(v.numpy() if isinstance(v, Tensor) else v) for v in values]
    return [a.astype(float) if a.dtype.kind in "uib" else a for a in arrays]  # differences of bytes would wrap around


def _gradients(function: Any, given: Sequence[Any]) -> list[np.ndarray]:
    """Return the gradient of each input that asks for one, for a random gradient of the result."""
    y = function(*given)
    if not isinstance(y, Tensor):
        raise TypeError(f"expected a Tensor, which gradients can flow through; got {type(y).__name__}")
    seed = np.random.default_rng(9).standard_normal(y.shape).astype(y.dtype)
    if y.requires_grad:
        y.backward(Tensor(seed))
    asked = [x for x in given if isinstance(x, Tensor) and x.requires_grad]
    return [np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in asked]


def _compare(exercise: Exercise, answer: Any, compute: Callable[[Any], list[np.ndarray]], names: Sequence[str]) -> str:
    """Say what is wrong with what is computed from an answer: a known mistake, or what it looks like."""
    got, right = compute(answer), compute(exercise.right)
    if _alike(got, right, exercise.rtol):
        return ""
    for told, mistake in exercise.mistakes.items():
        try:
            if _alike(got, compute(mistake), exercise.rtol):
                return told
        except Exception:  # a mistake need not work on every input
            continue
    if len(got) != len(right):
        return f"{len(right)} results are wanted ({', '.join(names)}), yours returns {len(got)}."
    wrong = [pair for pair in zip(names, got, right, strict=True) if not _alike([pair[1]], [pair[2]], exercise.rtol)]
    name, a, b = wrong[0]
    return f"{name} {_look(a, b, exercise.rtol)}"


def _alike(got: list[np.ndarray], right: list[np.ndarray], rtol: float) -> bool:
    if [a.shape for a in got] != [b.shape for b in right]:
        return False
    return all(bool(np.all(abs(a - b) <= _allowed(b, rtol))) for a, b in zip(got, right, strict=True))


def _allowed(right: np.ndarray, rtol: float) -> float:
    return rtol * (float(abs(right).max(initial=0)) or 1.0)


def _look(got: np.ndarray, right: np.ndarray, rtol: float) -> str:
    """Describe how one wrong array differs from the right one."""
    if got.dtype.kind not in "fiub":
        return f"should be numbers, yours is {got.dtype}."
    if got.shape != right.shape:
        turned = got.ndim == right.ndim and sorted(got.shape) == sorted(right.shape)
        same = " It has as many elements: are two axes exchanged?" if turned else ""
        return f"should have shape {right.shape}, yours has {got.shape}.{same}"
    if not np.isfinite(got).all():
        return f"should be finite, yours has {int((~np.isfinite(got)).sum())} NaN or infinite numbers."
    allowed = _allowed(right, rtol)
    for told, other in (("has the wrong sign everywhere.", -got), ("is the right one with its axes reversed.", got.T)):
        if other.shape == right.shape and bool(np.all(abs(other - right) <= allowed)):
            return told
    if not got.any():
        return "is 0 everywhere."
    factor = float((got * right).sum() / (right * right).sum()) if right.any() else 0.0
    if factor and bool(np.all(abs(got / factor - right) <= allowed)):
        return f"is {factor:.4g} times the right one everywhere."
    wrong = np.argwhere(abs(got - right) > allowed)
    at = tuple(int(i) for i in wrong[0])
    numbers = f"should be {right[at]:.6g}, yours is {got[at]:.6g}."
    if right.ndim == 0:
        return numbers
    return f"has the right shape, but {len(wrong)} of {right.size} elements are wrong; the first, {[*at]}, {numbers}"


if __name__ == "__main__":  # python -m checks FOLDER
    from grade import main

    raise SystemExit(main())
