"""Explanations of a wrong result that need the right function, not only the right numbers.

A student's result is often the right one for other arguments (a bias of 0, two arguments exchanged), the right terms
with other factors, or computed from a part of an argument. As in ``diagnose.py`` an explanation must hold
in all trials.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from diagnose import Array, same
from minisrgan import Tensor

Results = Callable[[Any, Sequence[Any]], list[Any]]


def other_arguments(
    right: Results, trials: Sequence[tuple[Sequence[Any], Array]], index: int, names: Sequence[str], rtol: float
) -> str:
    """Say for which other arguments the results (arguments, result number `index`) would be right."""
    for expected, change in _changes(trials[0][0], names):
        told = False
        try:
            for given, got in trials:
                made = right(None, change([*given]))[index]
                if not same(got, made, rtol):
                    break
                told = told or not same(made, right(None, given)[index], rtol)
            else:
                if told:
                    return expected
        except Exception:  # not every change makes arguments that fit
            continue
    return ""


def _changes(given: Sequence[Any], names: Sequence[str]) -> Iterator[tuple[str, Callable[[list[Any]], list[Any]]]]:
    def at(k: int, change: Callable[[Any], Any]) -> Callable[[list[Any]], list[Any]]:
        return lambda args: [change(a) if i == k else a for i, a in enumerate(args)]

    for k, (name, value) in enumerate(zip(names, given, strict=False)):
        for m in range(k + 1, min(len(given), len(names))):
            yield f"`{name}` and `{names[m]}` are exchanged.", lambda args, k=k, m=m: _swap(args, k, m)
        if isinstance(value, np.ndarray | Tensor):
            shape = value.shape
            yield f"is the right one for `{name}` = 0: is it left out?", at(k, lambda a: a * 0.0)
            yield f"is the right one for `{name}` = 1: is it left out?", at(k, lambda a: a * 0.0 + 1.0)
            yield f"takes `{name}` with the wrong sign.", at(k, lambda a: -a)
            yield f"takes the square of `{name}`.", at(k, lambda a: a * a)
            if isinstance(value, np.ndarray):
                yield f"takes the absolute value of `{name}`.", at(k, np.abs)
                for axis in range(len(shape)):
                    yield f"takes `{name}` in reverse order along axis {axis}.", at(k, lambda a, x=axis: np.flip(a, x))
                if len(shape) > 1:
                    yield f"takes `{name}` with axes 0 and 1 exchanged.", at(k, lambda a: a.swapaxes(0, 1))
                    yield f"takes `{name}` turned by 180 degrees.", at(k, lambda a: a[::-1, ::-1])
        elif isinstance(value, int | float):
            for told, change in _numbers(name):
                yield told, at(k, change)


def _swap(args: list[Any], k: int, m: int) -> list[Any]:
    args[k], args[m] = args[m], args[k]
    return args


def _numbers(name: str) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    yield f"is the right one for `{name}` + 1: one too many.", lambda n: n + 1
    yield f"is the right one for `{name}` - 1: one too few.", lambda n: n - 1
    yield f"is the right one for `{name}` = 0.", lambda n: 0 * n
    yield f"is the right one for `{name}` = 1.", lambda n: 0 * n + 1
    yield f"takes 1 - `{name}` for `{name}`.", lambda n: 1 - n
    yield f"takes `{name}` with the wrong sign.", lambda n: -n
    yield f"takes 1 / `{name}` for `{name}`.", lambda n: 1 / n
    yield f"takes the square of `{name}`.", lambda n: n * n
    yield f"takes twice `{name}`.", lambda n: 2 * n
    yield f"takes half of `{name}`.", lambda n: n / 2


def factors(trials: Sequence[tuple[Mapping[str, Array], Array, Array]], rtol: float) -> str:
    """Write results as sums of terms: which of them is missing, has the wrong sign, or another factor?

    A trial is (name -> term, result, right result). The factors are one solution of linear equations, one for each
    element of each trial, and are told only if there are more equations than terms and all of them hold.
    """
    names = [*trials[0][0]]
    columns = [[np.broadcast_to(terms[n], right.shape).ravel() for n in names] for terms, _, right in trials]
    table = np.concatenate([np.stack(column, axis=1) for column in columns]).astype(float)
    if len(table) < len(names) + 2:
        return ""
    found = []
    for which in (1, 2):
        wanted = np.concatenate([np.ravel(trial[which]) for trial in trials]).astype(float)
        scale = np.abs(table).max(axis=0) + 1e-300
        solution, _, rank, _ = np.linalg.lstsq(table / scale, wanted, rcond=1e-10)
        if rank < len(names) or not np.isfinite(wanted).all():
            return ""
        if np.abs(table @ (solution / scale) - wanted).max() > 1e-6 * (np.abs(wanted).max() or 1.0):
            return ""
        found.append(solution / scale)
    told = [_factor(n, float(a), float(b)) for n, a, b in zip(names, *found, strict=True) if abs(a - b) > 1e-4]
    return " ".join(told if len(told) < 5 else [*told[:3], f"And {len(told) - 3} others."])


def _factor(name: str, got: float, right: float) -> str:
    if abs(got) < 1e-5:
        return f"The term {name} is missing."
    if abs(right) < 1e-5:
        return f"The term {name} does not belong there."
    if abs(got + right) < 1e-4:
        return f"The term {name} has the wrong sign."
    return f"The term {name} counts {got:.4g} times, not {right:.4g} times."


def overlooked(
    call: Callable[[Any, Sequence[Any]], list[Any]], right: Any, answer: Any, make: Any, names: Sequence[str]
) -> str:
    """Say of which argument an answer does not look at all elements, or where one element reaches too far.

    Each element is changed in turn: how many of them change the result at all, and how much of it one of them changes.
    """
    for k, name in enumerate(names):
        value = make()[k] if k < len(make()) else None
        if not isinstance(value, np.ndarray) or value.dtype.kind != "f" or not 1 < value.size <= 120:
            continue
        seen, reach = [], []
        for function in (answer, right):
            base, changed = call(function, make()), []
            for i in range(value.size):
                given = [*make()]
                given[k] = given[k].copy()
                given[k].flat[i] += 0.37
                pairs = zip(call(function, given), base, strict=True)
                changed.append(sum(int(np.sum(a != b)) for a, b in pairs))
            seen.append(np.count_nonzero(changed))
            reach.append(max(changed))
        if seen[0] < seen[1]:
            return (
                f"depends on too little. It looks at {seen[0]} of the {value.size} numbers of `{name}`; the right one "
                f"at {seen[1]}."
            )
        if reach[0] > reach[1]:
            return (
                f"mixes too much. One number of `{name}` changes {reach[0]} numbers of yours; in the right result "
                f"{reach[1]}. Is a sum, mean or largest value over too many of them in it?"
            )
    return ""
