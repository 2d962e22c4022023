"""Checks of arguments that are not arrays: switches, integers, numbers, random generators."""

import math
from typing import Any, TypeGuard

import numpy as np

from minisrgan.backend import as_number
from minisrgan.errors import ArgumentError

LARGEST = float(np.finfo(np.float32).max)


def require_flag(what: str, name: str, value: Any, fix: str = "write True or False") -> bool:
    """Return a switch as a bool; refuse all else, as Python takes "False" and a dtype for true."""
    if not isinstance(value, bool | np.bool_):
        raise ArgumentError(what, expected=f"{name} as True or False", got=f"{value!r:.60}", fix=fix)
    return bool(value)


def require_keepdims(op: str, value: Any) -> bool:
    """Return the switch keepdims as a bool; it is not the second of several axes."""
    return require_flag(op, "keepdims", value, f"several axes are one tuple: x.{op}((0, 1))")


def require_integer(op: str, name: str, value: Any, least: int, why: str = "") -> None:
    """Check that a value is an integer, and not less than ``least``; the error may say why."""
    if not is_integer(value) or value < least:
        whole = isinstance(value, float | np.floating) and value.is_integer() and value >= least
        fix = f"write it without a fraction: {int(value)}" if whole else "give one integer that is large enough"
        expected = f"{name} as an integer >= {least}{why and ': '}{why}"
        raise ArgumentError(op, expected=expected, got=f"{value!r:.60}", fix=fix)


def require_sizes(op: str, name: str, value: Any, least: int, count: int | None = None) -> tuple[int, ...]:
    """Check that all values, such as those of a shape, are integers >= least; return them as a tuple."""
    sizes = (value,) if is_integer(value) and count is None else value
    good = isinstance(sizes, tuple | list) and count in (None, len(sizes))
    if not good or any(not is_integer(n) or n < least for n in sizes):
        expected = f"{name} as a tuple of {'' if count is None else f'{count} '}integers >= {least}"
        fix = "write it as (2, 3), with integers that are large enough"
        raise ArgumentError(op, expected=expected, got=repr(value), fix=fix)
    return tuple(int(n) for n in sizes)


def require_pair(op: str, name: str, value: Any, least: int) -> tuple[int, ...]:
    """Return (rows, columns) from one integer for both, or from a pair; check that they are >= least."""
    if isinstance(value, tuple | list):
        return require_sizes(op, name, value, least, count=2)
    require_integer(op, name, value, least)
    return int(value), int(value)


def is_integer(value: Any) -> TypeGuard[int]:
    """Return whether a value is an integer of Python or NumPy; True and False are not."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def require_number(op: str, name: str, value: Any, switch: bool = True) -> int | float:
    """Check that a value is a number; return it as a Python number, which changes no dtype.

    switch  whether True and False are the numbers 1 and 0
    """
    number = as_number(value)
    if not isinstance(number, int | float) or (isinstance(number, bool) and not switch):
        fix = "give one number, the same for all elements"
        got = "bool" if isinstance(number, bool) else type(value).__name__
        raise ArgumentError(op, expected=f"{name} as a number", got=got, fix=fix)
    return number


def setting(
    what: str, name: str, value: Any, below: float = math.inf, positive: bool = False, closed: bool = False,
    least: float = 0.0,
) -> float:  # fmt: skip
    """Return a setting as a number >= least (> 0 if ``positive``) below a limit, or also at it if ``closed``."""
    number = float(require_number(what, name, value, switch=False))
    if not least <= number <= below or (positive and number == 0) or (number == below and not closed):
        limit = "" if below == math.inf else f" and {'<=' if closed else '<'} {below:g}"
        expected = f"{name} {'>' if positive else '>='} {least:g}{limit}, finite"
        raise ArgumentError(what, expected=expected, got=f"{number}", fix="its docstring names usual values")
    return number


def require_function(what: str, value: Any, fix: str = "pass it without calling it") -> None:
    """Check that a value can be called; a class is not meant where a function is expected."""
    if not callable(value) or isinstance(value, type):
        raise ArgumentError(what, expected="a function", got=f"{value!r:.60}", fix=fix)


def require_rng(what: str, rng: Any) -> Any:
    """Return a random generator, by default one of seed 0; refuse a plain seed and NumPy's older generators."""
    if rng is None:
        return np.random.default_rng(0)
    if not isinstance(rng, np.random.Generator):
        fix = f"give np.random.default_rng({rng if type(rng) is int and rng >= 0 else 0})"
        raise ArgumentError(what, expected="rng as a random generator of NumPy", got=f"{rng!r:.60}", fix=fix)
    return rng
