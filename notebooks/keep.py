"""Keep the student's right answers in mine.py, and use them again.

    check("3.2", conv_im2col)              # a right answer is stored in mine.py, beside the notebook
    conv = use("3.2", fallback)            # in a later notebook: the student's function, or the fallback
    milestone("a layer", "3.2", "3.3")     # says what of a computation ran on the student's code

mine.py belongs to the student. A check touches only the block of its own exercise, which begins with a line
``# %% 3.2: ...``, and where the student has changed that block by hand and it is right, not even that one. Everything
else stays as it is. Two notebooks may store at the same moment: each waits for the other, and the file is replaced as
a whole. A block carries its imports and helpers, so that it runs alone; `use` runs it, and checks it again.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import linecache
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from minisrgan.images.files import replacing

HEADER = '"""My answers, kept by the checks of the course: each block below is one exercise. Change what you like."""\n'
_MARK = re.compile(r"^# %% (\d+\.\d+): (.*?)(?:  # kept: (\w+))?$")


class Unkept(Exception):
    """Why an answer cannot be stored."""


@dataclass
class Block:
    """A part of mine.py: an exercise's answer, or (number "") what the student has written around them.

    entry  the expression that is the answer, such as conv_im2col, or MyLeakyReLU.apply
    kept   a checksum of the code as the check wrote it, to see whether it was changed by hand
    """

    number: str
    entry: str
    code: str
    kept: str = ""

    def __str__(self) -> str:
        """Write it as it stands in the file."""
        mark = f"# %% {self.number}: {self.entry}{f'  # kept: {self.kept}' if self.kept else ''}\n"
        return (mark if self.number else "") + self.code

    @property
    def untouched(self) -> bool:
        """Say whether the code is as the check wrote it."""
        return self.kept == _checksum(self.code)

    def answer(self) -> Any:
        """Run the code, in a namespace of its own, and return the answer."""
        name = f"mine.py, exercise {self.number}"
        linecache.cache[name] = (len(self.code), None, self.code.splitlines(keepends=True), name)
        space: dict[str, Any] = {"__name__": "mine"}
        exec(compile(self.code, name, "exec"), space)  # the student's own code
        return eval(self.entry, space)


def where() -> Path | None:
    """Return the place of mine.py: the folder of the notebook, or what MINISRGAN_MINE says ("" for nowhere)."""
    place = os.environ.get("MINISRGAN_MINE", "mine.py")
    return Path(place).absolute() if place else None


def keep(number: str, answer: Any, right: Callable[[Any], bool]) -> str:
    """Store a right answer that was written in a notebook; say where, or why not. Elsewhere do nothing.

    right  checks an answer: what is stored has to be right without the notebook around it
    """
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    path = where()
    if (
        shell is None
        or path is None
        or getattr(answer, "__module__", "") not in ("__main__", "minisrgan.autograd.function")
    ):
        return ""
    try:
        return store(path, number, answer, right)
    except Unkept as why:
        return f"(Not kept in {path.name}: {why}.)"
    except OSError as why:
        return f"(Not kept: {path.name} cannot be written: {why.strerror or why}.)"


def store(path: Path, number: str, answer: Any, right: Callable[[Any], bool]) -> str:
    """Put an answer into a file; say what was done."""
    entry, code = written_down(answer)
    block = Block(number, entry, code, _checksum(code))
    if not _is_right(block, right):
        raise Unkept("alone, outside of this notebook, it does not pass; does it use a variable of the notebook?")
    name = entry.removesuffix(".apply") if re.fullmatch(r"[\w.]+", entry) else f"exercise {number}"
    with _locked(path):
        blocks = read(path)
        old = next((b for b in blocks if b.number == number), None)
        told = f"Kept in {path.name} as {name}."
        if old is None:
            blocks.append(block)
        elif _code(old.code) == _code(code):
            return f"It is in {path.name}."
        elif old.untouched:
            told = f"Kept in {path.name} as {name}, in place of your earlier answer."
            blocks[blocks.index(old)] = block
        elif _is_right(old, right):
            return f"{path.name} has a version that you changed by hand, which is right, too: it stays."
        else:
            aside = "".join(f"# {line}".rstrip() + "\n" for line in old.code.strip().splitlines())
            told = f"Kept in {path.name} as {name}. Your changes there were not right: they stand above as a comment."
            blocks[blocks.index(old) : blocks.index(old) + 1] = [Block("", "", aside + "\n\n"), block]
        with replacing(path) as temporary:
            temporary.write_text("".join(map(str, blocks)), encoding="utf-8")
    return told


def read(path: Path) -> list[Block]:
    """Cut a file into blocks; joined again they are the file."""
    blocks = [Block("", "", HEADER if not path.exists() else "")]
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else ():
        if match := _MARK.match(line.rstrip("\n")):
            if blocks[-1].number and not blocks[-1].code.endswith("\n"):
                blocks[-1].code += "\n"
            blocks.append(Block(match[1], match[2], "", match[3] or ""))
        elif line.startswith("# %%"):  # a cell of the student's own
            blocks.append(Block("", "", line))
        else:
            blocks[-1].code += line
    return blocks


@contextmanager
def _locked(path: Path, patience: float = 10.0) -> Iterator[None]:
    """Wait until no other notebook is storing; a lock older than that was left behind."""
    lock = path.with_name(f".{path.name}.lock")
    end = time.monotonic() + patience
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            break
        except FileExistsError:
            if time.monotonic() > end:
                lock.unlink(missing_ok=True)
            time.sleep(0.01)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _checksum(code: str) -> str:
    return sha256(code.strip().encode()).hexdigest()[:8]


def _code(text: str) -> str:
    """Return what code does, without its comments and layout."""
    try:
        return ast.dump(ast.parse(text))
    except SyntaxError:
        return text


def _is_right(block: Block, right: Callable[[Any], bool]) -> bool:
    try:
        return right(block.answer())
    except Exception:  # the student may have left it in any state
        return False


# Writing a function down, with what it needs


def written_down(answer: Any) -> tuple[str, str]:
    """Return an answer as an expression, and the code that defines what it names."""
    needs: dict[str, str] = {}  # a line, or a definition, in order
    owner = getattr(answer, "__self__", None)
    if inspect.isclass(owner):
        _define(owner, needs)
        entry = f"{owner.__name__}.{answer.__name__}"
    elif getattr(answer, "__name__", "") == "<lambda>":
        node = _node(answer, ast.Lambda)
        entry = ast.unparse(node)
        _add_names(node, answer.__globals__, needs)
    elif isinstance(answer, FunctionType):
        _define(answer, needs)
        entry = answer.__name__
    else:
        raise Unkept("it is no function that you wrote")
    lines = [line for line in needs.values() if line and "\n" not in line]
    bodies = [body for body in needs.values() if "\n" in body]
    imports = sorted(
        (line for line in lines if line.startswith(("import", "from"))), key=lambda line: line.startswith("from")
    )
    others = [line for line in lines if not line.startswith(("import", "from"))]
    head = "\n".join(imports) + ("\n\n" if imports and others else "") + "\n".join(others)
    return entry, "\n\n".join(
        part for part in (head, *(f"\n{body.strip()}" for body in bodies)) if part
    ).strip() + "\n\n\n"


def _define(thing: Any, needs: dict[str, str]) -> None:
    """Add the definition of a function or class, after those of what it uses."""
    if thing.__name__ in needs:
        return
    needs[thing.__name__] = ""  # for one that uses itself
    node = _node(thing, ast.ClassDef if inspect.isclass(thing) else ast.FunctionDef)
    function = (
        thing
        if isinstance(thing, FunctionType)
        else next(f for f in vars(thing).values() if isinstance(f, FunctionType))
    )
    _add_names(node, function.__globals__, needs)
    del needs[thing.__name__]
    needs[thing.__name__] = "\n" + ast.get_source_segment(_text(function), node) + "\n"  # type: ignore[operator]


def _text(function: FunctionType) -> str:
    return "".join(linecache.getlines(function.__code__.co_filename))


def _node(thing: Any, kind: type[ast.AST]) -> Any:
    """Find the definition of a function, class or lambda in the cell where it was written."""
    functions = [f for f in vars(thing).values() if isinstance(f, FunctionType)] if inspect.isclass(thing) else [thing]
    for function in functions[:1]:
        first = function.__code__.co_firstlineno
        for node in ast.walk(ast.parse(_text(function))):
            named = kind is ast.Lambda or getattr(node, "name", "") == thing.__name__
            if isinstance(node, kind) and named and node.lineno <= first <= (node.end_lineno or first):  # type: ignore[attr-defined]
                return node
    raise Unkept("its text cannot be found")


def _add_names(node: ast.AST, space: dict[str, Any], needs: dict[str, str]) -> None:
    """Add what defines the global names that a piece of code uses."""
    nodes = [*ast.walk(node)]
    own = {n.id for n in nodes if isinstance(n, ast.Name) and not isinstance(n.ctx, ast.Load)}
    own |= {n.arg for n in nodes if isinstance(n, ast.arg)}
    for name in dict.fromkeys(n.id for n in nodes if isinstance(n, ast.Name)):
        if name in own or name in needs or name not in space or (hasattr(builtins, name) and name not in space):
            continue
        value = space[name]
        module, real = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
        if isinstance(value, ModuleType):
            plain = value.__name__ == name
            needs[name] = f"import {name}" if plain else f"import {value.__name__} as {name}"
        elif isinstance(value, FunctionType | type) and module == "__main__":
            _define(value, needs)
        elif module and getattr(sys.modules.get(module), real, None) is value:
            needs[name] = f"from {module} import {real}" + (f" as {name}" if real != name else "")
        elif isinstance(value, bool | int | float | str | tuple):
            needs[name] = f"{name} = {value!r}"
        else:
            raise Unkept(f"it uses `{name}` of the notebook; take it as an argument, or define it inside")


# Using it again


def found(number: str) -> tuple[Any, str]:
    """Return a student's answer, or None and why there is none."""
    import checks  # which imports this module

    path = where()
    block = next((b for b in read(path) if b.number == number), None) if path and path.exists() else None
    if block is None:
        return None, "not in mine.py"
    try:
        answer = block.answer()
        if checks.judge(checks.find(number), answer)[0]:
            return None, "in mine.py, but not right any more"
    except checks.NotDone:
        return None, "in mine.py, but not done"
    except Exception as error:  # the student may have left it in any state
        return None, f"in mine.py, which raises {type(error).__name__}"
    return answer, block.entry if re.fullmatch(r"[\w.]+", block.entry) else "yours"


def use(number: str, fallback: Any) -> Any:
    """Return the student's answer to an exercise from mine.py, or, where there is no right one, the fallback."""
    answer, _ = found(number)
    return fallback if answer is None else answer


def milestone(what: str, *numbers: str) -> Any:
    """Say which of these exercises `what` ran on, and for which the package's own function stood in."""
    from checks import Verdict

    answers = {number: found(number) for number in numbers}
    mine = [f"{number} {name}" for number, (answer, name) in answers.items() if answer is not None]
    missing = [f"{number} ({why})" for number, (answer, why) in answers.items() if answer is None]
    if not mine:
        return Verdict("open", f"Milestone: {what}. This ran on the package's code; for yours: {', '.join(missing)}.")
    text = f"Milestone: {what}. This ran on your code: {', '.join(mine)}."
    if missing:
        return Verdict("open", f"{text} The package's stood in for {', '.join(missing)}.", len(mine) / len(numbers))
    return Verdict("right", text, 1.0)


__all__: Sequence[str] = ("keep", "milestone", "use")
