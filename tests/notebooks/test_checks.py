"""The checks of the exercises: right answers pass, each known mistake is named, and nothing raises."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

checks = importlib.import_module("checks")  # notebooks/checks.py, found by conftest
build = importlib.import_module("build")

from minisrgan import Tensor, ops  # noqa: E402

NUMBERS = [
    number
    for source in build.sources()
    for number in importlib.import_module(f"exercises.n{source.name[:2]}").EXERCISES
]


@pytest.mark.parametrize("number", NUMBERS)
def test_right_answers_pass(number: str):
    """A check that no answer passes teaches that the student is wrong."""
    assert checks.check(number, checks.find(number).right).state == "right"


@pytest.mark.parametrize("number", NUMBERS)
def test_known_mistakes_are_named(number: str):
    """A mistake that passes, or is taken for another, sends the student to look in the wrong place."""
    exercise = checks.find(number)
    assert exercise.mistakes, "think of the likely mistakes"
    for told, mistake in exercise.mistakes.items():
        verdict = checks.check(number, mistake)
        assert verdict.state == "wrong", told
        assert told in verdict.text


def test_stubs_are_not_done_yet():
    """A stub is not a mistake: an error in every exercise at the first run would frighten a student away."""
    for stub in (..., lambda *given: ..., lambda *given: None, lambda *given: (..., ...)):
        assert checks.check("3.3", stub).state == "open"

    def unwritten(*given: Any) -> None:
        raise NotImplementedError

    assert checks.check("3.1", unwritten).state == "open"


@pytest.fixture
def exercise(monkeypatch: pytest.MonkeyPatch) -> Any:
    """An exercise with a gradient: y = x * w for Tensors (2, 3) and (3,)."""

    def inputs(rng: np.random.Generator) -> list[Tensor]:
        return [Tensor(rng.normal(size=(2, 3)), True), Tensor(rng.normal(size=3), True)]

    made = checks.Exercise(lambda x, w: x * w, inputs, {"you added": lambda x, w: x + w})
    monkeypatch.setattr(checks, "find", lambda number: made)
    return made


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (lambda x, w: x + w, "you added"),
        (lambda x, w: -(x * w), "wrong sign"),
        (lambda x, w: 2.0 * x * w, "2 times the right one"),
        (lambda x, w: (x * w).transpose(), "should have shape (2, 3), yours has (3, 2)"),
        (lambda x, w: (x * w).sum(), "should have shape (2, 3), yours has ()"),
        (lambda x, w: x * 0.0, "0 everywhere"),
        (lambda x, w: x / 0.0, "NaN or infinite"),
        (lambda x, w: x * abs(w), "elements are wrong; the first, [0, "),
        (lambda x, w: x.no_such_thing, "raised AttributeError"),
        (lambda x, w: x * w.detach(), "the value is right; the gradient of input 1"),
        (lambda x, w: x.numpy() * w.numpy(), "expected a Tensor"),
        (Tensor([1.0]), "give the function itself"),
    ],
)
def test_common_mistakes_are_described(exercise: Any, answer: Any, told: str):
    """Where a mistake is not known, what it looks like must be said, and a wrong gradient must not pass."""
    with np.errstate(all="ignore"):
        verdict = checks.check("0.0", answer)
    assert verdict.state == "wrong"
    assert told in verdict.text


def test_gradients_are_checked(exercise: Any):
    """A verdict that says so must have looked."""
    assert "gradient" in checks.check("0.0", ops.multiply).text
    assert "gradient" not in checks.check("0.0", lambda x, w: x * w.detach()).text.split(";")[0]


def test_values_that_are_no_functions(monkeypatch: pytest.MonkeyPatch):
    """Some exercises ask for a number."""
    made = checks.Exercise(43.0, mistakes={"in gigabytes": 43e9}, rtol=0.02)
    monkeypatch.setattr(checks, "find", lambda number: made)
    assert [checks.check("0.0", answer).state for answer in (..., 42.8, 40)] == ["open", "right", "wrong"]
    assert "in gigabytes" in checks.check("0.0", 43e9).text
