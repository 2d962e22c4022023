"""The checks of the exercises: right answers pass, each known mistake is named, and nothing raises."""

from __future__ import annotations

import importlib
import re
from typing import Any

import numpy as np
import pytest

checks = importlib.import_module("checks")  # notebooks/checks.py, found by conftest
build = importlib.import_module("build")

from minisrgan import Tensor, ops  # noqa: E402
from tests.notebooks import wrong_five, wrong_four, wrong_one, wrong_three, wrong_two  # noqa: E402

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
        assert repr(checks.check("3.3", stub)) == "○ Exercise 3.3: not done yet."

    def unwritten(*given: Any) -> None:
        raise NotImplementedError

    assert checks.check("3.1", unwritten).state == "open"


def test_what_is_left_of_a_stub_is_named():
    """One `...` among three results, or a method that is not written: what is right should not be called not done."""

    def half(x: Any, grad_y: Any, kh: int, kw: int) -> Any:
        return checks.find("3.3").right(x, grad_y, kh, kw)[0], ...

    verdict = checks.check("3.3", half)
    assert (verdict.state, verdict.share) == ("open", 0.5)
    assert verdict.text == "Exercise 3.3: grad_weight is right. grad_bias is still `...`."
    both_wrong = checks.check("3.3", lambda x, g, kh, kw: (0 * g, ...))
    assert both_wrong.state == "wrong"
    assert "grad_weight is wrong" in both_wrong.text


def test_answers_of_students_are_refused_and_named():
    """What a check says is all that a student alone at night has; a wrong name costs an hour."""
    sets = (wrong_one, wrong_two, wrong_three, wrong_four, wrong_five)
    answers = [answer for each in sets for answer in each.WRONG]
    verdicts = [checks.check(number, answer) for number, _, answer in answers]
    assert [v.text for v in verdicts if v.state == "right"] == []
    said = [(pattern, v.text) for (_, pattern, _), v in zip(answers, verdicts, strict=True)]
    assert [pair for pair in said if not re.search(*pair, re.DOTALL)] == []
    assert sum(pattern != "" for pattern, _ in said) > 0.95 * len(said)
    # The only factor in them that is one: see 1.3, 0.5 and 4.2 in the sets.
    assert {v.text.split(":")[0] for v in verdicts if "times the right one" in v.text} <= {"Exercise 1.3"}


def test_a_factor_must_hold_in_all_trials():
    """Any two numbers have a ratio: only one that is the same for other inputs says something."""
    assert "times the right" not in checks.check("1.3", lambda a, b: float(np.mean(a)) / 7).text
    assert "3 times the right" in checks.check("12.4", lambda s, f: 3 / (1 - s + s / f)).text


def test_changes_in_place_and_unused_arguments_are_told():
    """The result is right, and the caller's array is spoilt; or an argument was forgotten."""

    def in_place(grad_y: Any) -> Any:
        grad_y -= grad_y.mean(axis=0)
        return grad_y

    assert "changes its input `grad_y` in place" in checks.check("2.3", in_place).text
    assert "`momentum` is never used" in checks.check("5.3", lambda m, v, x, momentum=0.1: (m * 2, v * x.mean())).text


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


@pytest.mark.parametrize(
    "strange", [[], {}, "text", np.array("a"), [1, [2, 3]], object(), np.float64, (None, 1, ...), True]
)
@pytest.mark.parametrize("number", ["0.1", "3.3", "8.3", "10.1", "10.2"])
def test_a_check_never_raises(number: str, strange: Any):
    """An error would stop the notebook at an exercise that the student wanted to skip."""
    assert checks.check(number, lambda *given: strange).state in ("wrong", "open")
    assert checks.check(number, lambda a, b, c, d=0: strange).state in ("wrong", "open")
