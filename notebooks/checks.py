"""Tell a student whether an exercise is right and, where it is not, what probably happened.

    check("3.1", my_function)        # the number of the notebook and of the exercise

What the right answer is, on which inputs it is tried, and which wrong answers are known stands in
``exercises/nNN.py``, a dictionary EXERCISES of number -> `Exercise`. A check compares shape, value and, where inputs
ask for one, gradient, in several trials. A wrong answer is looked up among the known ones first; then the kinds of
``diagnose.py`` and ``written.py`` are tried: a missing return, a change in place, an argument that is not used, a sum
over one axis too many, one part that is wrong. What is right is said, too. A check never raises, so that the run goes
on. A right answer is kept in ``mine.py``, see ``keep.py``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib import import_module
from types import GeneratorType
from typing import Any

import numpy as np

import keep
import variants
import written
from diagnose import Array, Pair, describe, same
from minisrgan import Tensor

_SIGNS = {"right": ("✓", "#0072B2"), "wrong": ("✗", "#D55E00"), "open": ("○", "#666666")}
Inputs = Callable[[np.random.Generator], Sequence[Any]]


@dataclass
class Exercise:
    """What a check knows of an exercise.

    right     the right function, or for an answer that is no function, the right value
    inputs    makes the arguments of one trial from a random generator; Tensors that require a gradient are checked for
              it. Two trials are made. Not used where the answer is a value.
    mistakes  what to say -> the function (or value) that makes this mistake
    names     what the results are called, in order
    rtol      error allowed, relative to the largest magnitude of the right answer
    cases     more trials: "with stride 2", "where D never wins" -> its inputs
    parts     from the arguments, name -> mask of the part of the result: "where x < 0"
    terms     from the arguments, for each result: name -> a term of the sum that the result is
    also      one more look at an answer whose numbers are right; what is wrong with it, or nothing
    tells     what an answer computes whose numbers are wrong: "is x + conv1(x) in yours."
    examples  makes small arguments, the simplest first: the first that goes wrong is shown where nothing else is known
    """

    right: Any
    inputs: Inputs = lambda rng: ()
    mistakes: Mapping[str, Any] = field(default_factory=dict)
    names: Sequence[str] = ("the result",)
    rtol: float = 1e-4
    cases: Mapping[str, Inputs] = field(default_factory=dict)
    parts: Callable[..., Mapping[str, Array]] = lambda *given: {}
    terms: Callable[..., Sequence[Mapping[str, Array]]] = lambda *given: ()
    also: Callable[[Any], str] = lambda answer: ""
    tells: Callable[[Any], str] = lambda answer: ""
    examples: Callable[[], Sequence[Sequence[Any]]] = lambda: ()


@dataclass
class Verdict:
    """The answer of a check: "right", "wrong" or "open" (not done yet), a sentence, and the share that is right."""

    state: str
    text: str
    share: float = 0.0

    def __repr__(self) -> str:
        """Show it in one line."""
        return f"{_SIGNS[self.state][0]} {self.text}"

    def _repr_html_(self) -> str:
        sign, color = _SIGNS[self.state]
        style = f"border-left: 4px solid {color}; padding: 4px 10px; white-space: pre-wrap"
        return f'<div style="{style}"><b style="color: {color}">{sign}</b> {escape(self.text)}</div>'


class NotDone(Exception):
    """The stub is still in its place, or a part of it: the text says which."""


@dataclass
class Trial:
    """One call of the student's function: what it raised or lacks, or what it returned beside the right results."""

    case: str
    make: Callable[[], Sequence[Any]]
    given: Sequence[Any]
    right: list[Array]
    got: list[Any] = field(default_factory=list)
    problem: str = ""
    undone: bool = False  # raised NotImplementedError
    changed: list[str] = field(default_factory=list)  # arguments that were changed in place

    def fine(self, rtol: float) -> bool:
        """Say whether the results are right."""
        return not self.problem and len(self.got) == len(self.right) and all(map(_same(rtol), self.got, self.right))


def _same(rtol: float) -> Callable[[Any, Array], bool]:
    return lambda got, right: isinstance(got, np.ndarray) and _level(got, right) and same(got, right, rtol)


def _level(got: Array, right: Array) -> bool:
    """A photo of bytes is wanted as bytes."""
    return right.dtype != np.uint8 or got.dtype == np.uint8


def check(number: str, answer: Any, keep_it: bool = True) -> Verdict:
    """Check the answer to an exercise; see the module's text.

    number   of notebook and exercise, such as "3.1"
    answer   the student's function, or value
    keep_it  store a right answer that was written in a notebook in mine.py
    """
    exercise = find(number)
    try:
        problem, share = judge(exercise, answer)
    except NotDone as undone:
        return Verdict("open", f"Exercise {number}: {str(undone) or 'not done yet.'}", getattr(undone, "share", 0.0))
    if problem:
        return Verdict("wrong", f"Exercise {number}: {problem}", share)
    checked = "shape, value and gradient" if _has_gradient(exercise) else "shape and value"
    text = f"Exercise {number} is right: {checked if callable(exercise.right) else 'the value'}."
    kept = keep.keep(number, answer, right=lambda kept: not judge(exercise, kept)[0]) if keep_it else ""
    reached = import_module("own").reached(number, kept) if kept else ""  # own imports this module
    return Verdict("right", f"{text} {kept}\n{reached}".strip(), 1.0)


def find(number: str) -> Exercise:
    """Return the exercise of a number."""
    notebook = number.split(".")[0]
    exercise: Exercise = import_module(f"exercises.n{int(notebook):02d}").EXERCISES[number]
    return exercise


def judge(exercise: Exercise, answer: Any) -> tuple[str, float]:
    """Return what is wrong, or nothing; and the share of the trials and results that is right."""
    if answer is ... or answer is None:
        raise NotDone
    if not callable(exercise.right):
        return _judge_value(exercise, answer)
    if not callable(answer):
        return f"give the function itself to check, not what it returns; this is {type(answer).__name__}.", 0.0
    if told := written.wrong_call(answer, exercise.inputs(np.random.default_rng(0))):
        return told, 0.0
    with np.errstate(all="ignore"):  # a division by 0 shows in the result
        problem, share = _stage(exercise, answer, _results, exercise.names)
        if problem:
            return problem, share
        if _has_gradient(exercise):
            asked = [a for a in exercise.inputs(np.random.default_rng(0)) if isinstance(a, Tensor) and a.requires_grad]
            names = [f"the gradient of input {position}" for position in range(len(asked))]
            problem, share = _stage(exercise, answer, _gradients, names)
            if problem:
                return f"the value is right; {problem}", (1 + share) / 2
    return exercise.also(answer), 0.5


def _judge_value(exercise: Exercise, answer: Any) -> tuple[str, float]:
    got, right = (_numbers(v) for v in (answer, exercise.right))
    if _same(exercise.rtol)(got, right):
        return "", 1.0
    for expected, mistake in exercise.mistakes.items():
        if _same(exercise.rtol)(got, _numbers(mistake)):
            return expected, 0.0
    return f"{exercise.names[0]} {describe([Pair(got, right)], exercise.rtol)}", 0.0


def _has_gradient(exercise: Exercise) -> bool:
    given = exercise.inputs(np.random.default_rng(0))
    return any(isinstance(x, Tensor) and x.requires_grad for x in given)


# Trials


def _inputs(exercise: Exercise) -> list[tuple[str, Callable[[], Sequence[Any]]]]:
    """List the trials: case -> what makes its arguments anew, as often as it is called."""
    ordinary = [("", lambda seed=seed: exercise.inputs(np.random.default_rng(seed))) for seed in (0, 1)]
    return ordinary + [
        (case, lambda make=make: make(np.random.default_rng(2))) for case, make in exercise.cases.items()
    ]


def _stage(exercise: Exercise, answer: Any, compute: Any, names: Sequence[str]) -> tuple[str, float]:
    """Compare values, or gradients: what is wrong, and the share that is right."""
    trials = [_try(exercise, answer, compute, case, make) for case, make in _inputs(exercise)]
    fine = [trial.fine(exercise.rtol) for trial in trials]
    if all(fine):
        changed = next((t.changed for t in trials if t.changed), [])
        return (f"the result is right, but {_in_place(changed)}" if changed else ""), 0.5
    if compute is _gradients and all(t.undone for t in trials):
        undone = NotDone("the value is right; the gradient, `backward`, is not done yet.")
        undone.share = 0.5  # type: ignore[attr-defined]
        raise undone
    if all(t.undone for t in trials):
        raise NotDone
    shares = [sum(map(_same(exercise.rtol), t.got, t.right)) / max(len(t.got), len(t.right)) for t in trials]
    share = float(np.mean(shares))
    try:
        return _complaint(exercise, answer, compute, names, trials, fine), share
    except NotDone:
        raise
    except Exception as error:  # a result so strange that nothing can be said of it must not stop the notebook
        return f"{names[0]} is not right, and of a kind that was not expected ({type(error).__name__}).", share


def _try(exercise: Exercise, answer: Any, compute: Any, case: str, make: Callable[[], Sequence[Any]]) -> Trial:
    given, before = make(), make()
    trial = Trial(case, make, before, compute(exercise.right, make()))
    try:
        trial.got = compute(answer, given)
        if len(trial.right) == 1 and len(trial.got) > 1 and all(map(_is_array, trial.got)):
            trial.got = [_numbers(trial.got)]  # rows, or the numbers of a shape
    except NotImplementedError:
        trial.problem, trial.undone = "a part of it is not done yet.", True
    except Exception as error:
        trial.problem = written.error_text(error)
    pairs = zip([*written.names_of(exercise.right), *("input",) * len(before)], given, before, strict=False)
    trial.changed = [name for name, now, then in pairs if not _unchanged(now, then)]
    return trial


def _unchanged(now: Any, then: Any) -> bool:
    if isinstance(now, list | tuple):
        return len(now) == len(then) and all(map(_unchanged, now, then))
    now, then = (a.data if isinstance(a, Tensor) else a for a in (now, then))
    if not isinstance(now, np.ndarray) or not isinstance(then, np.ndarray):
        return type(now) is type(then)
    return np.array_equal(now, then, equal_nan=now.dtype.kind == then.dtype.kind == "f")


def _results(function: Any, given: Sequence[Any]) -> list[Any]:
    """Return the results as a list of arrays; what is still `...`, or None, stays."""
    value = function(*given)
    if isinstance(value, GeneratorType | map | zip | filter):
        raise TypeError("it returns a generator, which computes nothing yet: make a list or an array of it")
    return [
        v if v is ... or v is None else _numbers(v) for v in (value if isinstance(value, tuple | list) else [value])
    ]


def _numbers(value: Any) -> Array:
    try:
        return np.asarray(value.numpy() if isinstance(value, Tensor) else value)
    except ValueError:  # rows of different lengths
        return np.array(value, dtype=object)


def _gradients(function: Any, given: Sequence[Any]) -> list[Any]:
    """Return the gradient of each input that asks for one, for a random gradient of the result."""
    y = function(*given)
    if not isinstance(y, Tensor):
        raise TypeError(f"expected a Tensor, which gradients can flow through; got {type(y).__name__}")
    seed = np.random.default_rng(9).standard_normal(y.shape).astype(y.dtype)
    if y.requires_grad:
        y.backward(Tensor(seed))
    asked = [x for x in given if isinstance(x, Tensor) and x.requires_grad]
    return [np.zeros(x.shape) if x.grad is None else x.grad.numpy() for x in asked]


# What is wrong


def _in_place(changed: Sequence[str]) -> str:
    names = " and ".join(f"`{name}`" for name in changed)
    return f"it changes its input {names} in place (-=, *=, [...] =, .sort()), and so the caller's array: use a copy."


def _complaint(
    exercise: Exercise, answer: Any, compute: Any, names: Sequence[str], trials: list[Trial], fine: list[bool]
) -> str:
    """Say what is right, and what is wrong with the first trial that is not."""
    first = trials[fine.index(False)]
    names = names[: len(first.right)]
    credit = _credit_cases(trials, fine, first)
    if first.problem:
        return credit + first.problem
    if any(v is ... or v is None for v in first.got):
        return credit + _left(answer, names, first, exercise)
    if written.takes_xor_for_power(answer):
        return "`^` is no power in Python, it compares bits: write `**`."
    if not _unchanged(_try(exercise, answer, compute, first.case, first.make).got, first.got):
        return (
            "called again with the same inputs it returns another result: it remembers something between calls (a "
            "variable of the notebook, a list in the arguments), draws random numbers, or leaves np.empty unfilled."
        )
    spoilt = f"{_in_place(first.changed)[0].upper()}{_in_place(first.changed)[1:]}" if first.changed else ""
    if expected := _known(exercise, compute, trials):
        return f"{expected} {spoilt}".strip()
    if len(first.got) != len(first.right):
        return credit + _count(first, names)
    # Two mistakes at once: one of them may show alone in the ordinary case.
    alone = [] if first.case or first.right[0].size == 1 else [first]
    if alone and (expected := _known(exercise, compute, alone)):
        return credit + expected
    complaints, remarks = _each(exercise, answer, compute, names, trials, first), [spoilt] if spoilt else []
    if (idle := written.unused(answer)) and not {*idle} & {*written.unused(exercise.right)}:
        remarks.append(f"The argument {' and '.join(f'`{name}`' for name in idle)} is never used.")
    return credit + " ".join([complaints, *remarks])


def _credit_cases(trials: list[Trial], fine: list[bool], first: Trial) -> str:
    """Say in which cases the results are right, before what is wrong in the first other one."""
    cases = {trial.case or "in the ordinary case": True for trial in trials}
    for trial, right in zip(trials, fine, strict=True):
        cases[trial.case or "in the ordinary case"] &= right
    good = [case for case, right in cases.items() if right]
    return f"right {', '.join(good)}; wrong {first.case or 'in the ordinary case'}: " if good else ""


def _left(answer: Any, names: Sequence[str], trial: Trial, exercise: Exercise) -> str:
    """Name the results that are still `...`, or say why there is none."""
    if all(v is ... or v is None for v in trial.got):
        if written.does_nothing(answer) or all(v is ... for v in trial.got):
            raise NotDone
        return written.nothing_returned(answer)
    if len(trial.got) != len(trial.right):
        return _count(trial, names)
    right = [n for n, a, b in zip(names, trial.got, trial.right, strict=True) if _same(exercise.rtol)(a, b)]
    left = [n for n, v in zip(names, trial.got, strict=True) if v is ... or v is None]
    text = f"{_credit(right)}{' and '.join(left)} {'is' if len(left) == 1 else 'are'} still `...`."
    if len(right) + len(left) < len(names):
        return f"{text} And {next(n for n in names if n not in right + left)} is wrong."
    undone = NotDone(text)
    undone.share = len(right) / len(names)  # type: ignore[attr-defined]
    raise undone


def _credit(right: Sequence[str]) -> str:
    return f"{' and '.join(right)} {'is' if len(right) == 1 else 'are'} right. " if right else ""


def _count(trial: Trial, names: Sequence[str]) -> str:
    wanted = f"{len(trial.right)} results are wanted ({', '.join(names)}), yours returns {len(trial.got)}."
    shapes = [np.shape(v) for v in trial.got]
    return wanted if len(names) > 1 else f"one result is wanted, yours returns {len(trial.got)}, of shapes {shapes}."


def _known(exercise: Exercise, compute: Any, trials: Sequence[Trial], result: int | None = None) -> str:
    """Look for the mistake that returns in all these trials what the student's function does, or in one result."""
    for expected, mistake in exercise.mistakes.items():
        agrees = [_agrees(exercise, compute, mistake, trial, result) for trial in trials]
        if False not in agrees and True in agrees:
            return expected
    return ""


def _agrees(exercise: Exercise, compute: Any, mistake: Any, trial: Trial, result: int | None) -> bool | None:
    """Say whether a mistake returns what the student's function does; None where it tells nothing."""
    try:
        made = compute(mistake, trial.make())
    except Exception:  # a mistake need not work on every input
        return None
    if trial.problem or len(made) != len(trial.got):
        return False
    alike = _same(exercise.rtol)
    which = range(len(made)) if result is None or len(made) != len(trial.right) else (result,)
    if not all(alike(trial.got[i], made[i]) for i in which):
        return False
    if result is not None and not all(map(alike, made, trial.right)):  # a mistake in several results is not one of them
        others = [i for i in range(len(made)) if i not in which]
        if not all(alike(made[i], trial.right[i]) or alike(made[i], trial.got[i]) for i in others):
            return False
    told = len(made) != len(trial.right) or not all(alike(made[i], trial.right[i]) for i in which)
    return True if told else None


def _each(
    exercise: Exercise, answer: Any, compute: Any, names: Sequence[str], trials: list[Trial], first: Trial
) -> str:
    """Say which results are right, and what each other one looks like."""
    alike = _same(exercise.rtol)
    wrong = [i for i, (a, b) in enumerate(zip(first.got, first.right, strict=True)) if not alike(a, b)]
    if len(wrong) > 1 and _exchanged(first, exercise.rtol):
        return f"the results are exchanged: return them in the order {', '.join(names)}."
    clear = [t for t in trials if not t.problem and len(t.got) == len(t.right)]
    told = []
    for i in wrong:
        # What is known of one result among several begins with what is right beside it.
        if len(first.right) > 1 and (expected := _known(exercise, compute, clear, i)):
            told.append(f"{names[i]}: {re.sub(r'^[^.]* (is|are) right[.;] ', '', expected)}")
            continue
        if isinstance(first.got[i], np.ndarray) and same(first.got[i], first.right[i], exercise.rtol):
            told.append(f"{names[i]} has the right numbers, but should be uint8; yours is {first.got[i].dtype}.")
            continue
        pairs = [_pair(exercise, t, i) for t in [first, *(t for t in clear if t is not first)] if _is_array(t.got[i])]
        found = describe(pairs, exercise.rtol)
        vague = ("should be" in found or "each channel" in found) and first.got[i].shape == first.right[i].shape
        explained = _explained(exercise, answer, clear, i) if vague and compute is _results else ""
        if explained:
            found = explained if "each channel" in found else f"{explained} It {found}"
        if first.got[i].dtype.kind in "iu" and first.right[i].dtype.kind == "f":
            found += f" Yours holds whole numbers ({first.got[i].dtype}): a fraction is cut off when it is put there."
        told.append(f"{names[i]}{':' if found.startswith('`') else ''} {found}")
    credit = _credit([n for i, n in enumerate(names) if i not in wrong])
    if compute is _gradients:  # "the value is right; " stands before it
        return f"{' '.join(told)} {credit.capitalize()}".strip()
    return credit + " ".join(told)


def _explained(exercise: Exercise, answer: Any, trials: list[Trial], i: int) -> str:
    """Look for an explanation that needs the right function: its terms, its arguments, what it looks at."""
    more = [
        _try(exercise, answer, _results, "", lambda s=s: exercise.inputs(np.random.default_rng(s))) for s in range(3, 9)
    ]
    trials = [t for t in [*trials, *more] if not t.problem and len(t.got) == len(t.right) and _is_array(t.got[i])]
    trials = [t for t in trials if t.got[i].shape == t.right[i].shape and t.got[i].dtype.kind in "fiub"]
    if len(trials) < 2:
        return ""
    try:
        if told := exercise.tells(answer):
            return told
    except Exception:  # an answer that cannot take such arguments
        pass
    if all(_wraps(answer, trial, i) for trial in trials):
        return "is right for floats, and the arguments are bytes, which wrap around: 3 - 5 is 254. Convert them first."
    terms = [exercise.terms(*t.given) for t in trials]
    if terms[0] and (
        told := variants.factors([(t[i], x.got[i], x.right[i]) for t, x in zip(terms, trials, strict=True)], 0)
    ):
        return f"is a sum with other terms. {told}"
    names = [*written.names_of(exercise.right)]
    right = lambda _, given: _results(exercise.right, given)  # noqa: E731
    if told := variants.other_arguments(right, [(t.given, t.got[i]) for t in trials], i, names, exercise.rtol):
        return told
    try:
        told = variants.overlooked(_results, exercise.right, answer, trials[0].make, names)
        return told or _simplest(exercise, answer, i, names)
    except Exception:
        return ""


def _simplest(exercise: Exercise, answer: Any, i: int, names: Sequence[str]) -> str:
    """Show the simplest example that goes wrong."""
    for given, again in zip(exercise.examples(), exercise.examples(), strict=True):
        arguments = ", ".join(f"{name} = {_short(value)}" for name, value in zip(names, given, strict=False))
        right, got = _results(exercise.right, given)[i], _results(answer, again)[i]
        if not _same(exercise.rtol)(got, right):
            return (
                f"goes wrong in a small example: for {arguments} it should be {_short(right)}, yours is {_short(got)}."
            )
    return ""


def _short(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return repr(value)
    return " ".join(np.array2string(np.asarray(value), precision=4, separator=", ").split())


def _wraps(answer: Any, trial: Trial, i: int) -> bool:
    """Say whether a result becomes right when the arguments are floats instead of bytes."""
    bytes_ = [isinstance(a, np.ndarray) and a.dtype == np.uint8 for a in trial.given]
    if not any(bytes_):
        return False
    given = [a.astype(float) if byte else a for a, byte in zip(trial.make(), bytes_, strict=True)]
    got = _results(answer, given)[i]
    right = trial.right[i].astype(float)
    slack = 1 if trial.right[i].dtype == np.uint8 else 1e-4  # levels may be rounded in other ways
    return np.allclose(got, right, rtol=1e-4, atol=slack) and bool((abs(trial.got[i] - right) > slack).any())


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def _pair(exercise: Exercise, trial: Trial, i: int) -> Pair:
    def plain(array: Array) -> Array:
        return array.astype(float) if array.dtype.kind in "uib" else array  # differences of bytes would wrap around

    arrays = [a.numpy() if isinstance(a, Tensor) else a for a in trial.given]
    given = {n: a for n, a in zip(written.names_of(exercise.right), arrays, strict=False) if isinstance(a, np.ndarray)}
    parts = exercise.parts(*trial.given) if i == 0 else {}
    return Pair(plain(trial.got[i]), plain(trial.right[i]), given, parts)


def _exchanged(trial: Trial, rtol: float) -> bool:
    """Say whether the results are the right ones in another order."""
    left = list(trial.right)
    for got in trial.got:
        found = next((i for i, right in enumerate(left) if _same(rtol)(got, right)), None)
        if found is None:
            return False
        left.pop(found)
    return True


if __name__ == "__main__":  # python -m checks FOLDER
    from grade import main

    raise SystemExit(main())
