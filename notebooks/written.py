"""What can be seen of a student's function before its numbers: a stub, a missing return, what an error means.

Bytecode is read, not source, so that it works wherever the function was written: in a notebook, a file, or the browser.
"""

from __future__ import annotations

import dis
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from types import CodeType, FrameType
from typing import Any

# Instructions of a body that does nothing but return a constant: `...`, `pass`, `return ...`, `x = ...; return x`.
_IDLE = {"RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE", "STORE_FAST", "LOAD_FAST", "BUILD_TUPLE"}
_IDLE |= {"LOAD_FAST_LOAD_FAST", "STORE_FAST_STORE_FAST", "STORE_FAST_LOAD_FAST", "LOAD_FAST_BORROW", "LOAD_SMALL_INT"}
_IDLE |= {"UNPACK_SEQUENCE", "COPY", "LOAD_FAST_BORROW_LOAD_FAST_BORROW"}

# What an error message says -> what a student did. The first that is found in the message is told.
_HINTS = {
    r"bitwise_xor|for \^": "`^` is no power in Python, it compares bits: write `**`.",
    "multiply sequence": "A list times a number repeats the list: multiply each array in it, [g * a for g in list].",
    "ellipsis": "A `...` of the stub is left in that line, or a name that it uses is still `...`.",
    "truth value of a": (
        "`if`, `and` and `max(a, b)` need one True or False, and that is an array: use np.where(condition, a, b), "
        "np.maximum or a sum."
    ),
    "only size-1|only length-1|only 0-dimensional|must be real number, not ndarray": (
        "Functions of `math`, int() and float() take single numbers; np.sqrt, np.log10 and .astype take arrays."
    ),
    "matmul: Input operand|shapes .* not aligned": (
        "In a @ b the last axis of a must be as long as the last but one of b: print both shapes."
    ),
    "could not be broadcast|could not broadcast|do not broadcast|shape-mismatch": (
        "The shapes do not fit together: print them. Is an axis missing, summed too early, or not cut to size?"
    ),
    "cannot reshape|total size": "A reshape must keep the number of elements: print the shape before it.",
    "Cannot cast ufunc": "An array of whole numbers cannot be updated in place by floats: x = x - y, not x -= y.",
    "NoneType": "Something that you use is None: does a function that you call lack its `return`?",
    "method|builtin_function": "A method is used without being called: are the parentheses () missing?",
    "is not defined": "Is the name misspelled, or has a cell above not been run?",
    "cannot access local|referenced before": "On this path the name is used before anything was assigned to it.",
    "is not callable": "Something that is no function is called: is a * missing before a parenthesis?",
    "out of bounds|index out of range": "An index runs past the end: how many positions are there?",
    "is immutable|read-only|item assignment": "That cannot be changed in place: make a new array.",
}


def codes(answer: Any) -> list[CodeType]:
    """Return the bytecode of a function with what is defined inside of it; of an operation, of both its methods."""
    owner = getattr(answer, "__self__", None)
    functions = [answer]
    if inspect.isclass(owner):
        functions = [f for f in vars(owner).values() if inspect.isfunction(f)]
    found = [code for f in functions if isinstance(code := getattr(f, "__code__", None), CodeType)]
    for code in found:  # grows while it is read
        found.extend(inner for inner in code.co_consts if isinstance(inner, CodeType))
    return found


def does_nothing(answer: Any) -> bool:
    """Say whether a function only returns constants."""
    found = codes(answer)
    return bool(found) and all(i.opname in _IDLE for code in found for i in dis.get_instructions(code))


def calls(answer: Any, name: str) -> bool:
    """Say whether a function uses a name, such as print."""
    return any(name in code.co_names for code in codes(answer))


def takes_xor_for_power(answer: Any) -> bool:
    """Say whether a function uses `^`, which is a power in mathematics only."""
    return any(i.argrepr in ("^", "^=") for code in codes(answer) for i in dis.get_instructions(code))


def has_return(answer: Any) -> bool:
    """Say whether a function has a `return` with something behind it."""
    found = codes(answer)[:1]
    for code in found:
        before = None
        for now in dis.get_instructions(code):
            if now.opname == "RETURN_VALUE" and not (
                before and before.opname == "LOAD_CONST" and before.argval is None
            ):
                return True
            if now.opname == "RETURN_CONST" and now.argval is not None:
                return True
            before = now
    return not found


def unused(answer: Any) -> list[str]:
    """List the arguments that a function never uses."""
    found = codes(answer)
    if not found or inspect.isclass(getattr(answer, "__self__", None)):
        return []
    used = {
        name
        for code in found
        for i in dis.get_instructions(code)
        if not i.opname.startswith("STORE")
        for name in (i.argval if isinstance(i.argval, tuple) else (i.argval,))
        if isinstance(name, str)
    }
    code = found[0]
    return [name for name in code.co_varnames[: code.co_argcount] if name not in used]


def wrong_call(answer: Any, given: Sequence[Any]) -> str:
    """Say that a function does not take the arguments that the check gives it."""
    try:
        signature = inspect.signature(answer)
    except (TypeError, ValueError):
        return ""
    try:
        signature.bind(*given)
    except TypeError:
        return f"the check calls it with {len(given)} arguments, yours takes {signature}: keep those of the stub."
    return ""


def error_text(error: Exception) -> str:
    """Say what a function raised, in which of the student's lines, and what it means."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.line and re.search("ipykernel|<ipython-input|xpython", f.filename)]
    where = f" in the line: {own[-1].line}" if own else ""
    kind, message = type(error).__name__, str(error)
    hint = next((told for found, told in _HINTS.items() if re.search(found, message)), "")
    if isinstance(error, RecursionError):
        hint = "The function calls itself without end: the name of the stub is the one of your own function."
    return f"your code raised {kind}{where}\n{message}" + (f"\n{hint}" if hint else "")


def nothing_returned(answer: Any) -> str:
    """Say why a function that does something returns None."""
    if has_return(answer):
        return (
            "returned nothing (None): one of its ways ends without a `return`. Is an `else`, or the last line, missing?"
        )
    shown = " `print` shows a value, it does not hand it back." if calls(answer, "print") else ""
    return f"returned nothing (None): is the `return` missing?{shown}"


def steps(function: Callable[[], Any]) -> int:
    """Count the lines of Python that a call runs."""
    count = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function()
    finally:
        sys.settrace(before)
    return count


def names_of(answer: Any) -> Iterator[str]:
    """Yield the names of a function's arguments."""
    try:
        yield from inspect.signature(answer).parameters
    except (TypeError, ValueError):
        return
