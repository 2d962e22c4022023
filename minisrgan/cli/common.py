"""Functions for several commands: help texts, paths as options, checks before files are replaced, errors, progress."""

import argparse
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from minisrgan.errors import FileError, ImageError, MinisrganError, plain, translated
from minisrgan.threads import progress_bar

EXIT_SOME_FAILED = 3
OF_ONE_FILE = (ImageError, FileError, OSError, MemoryError)  # errors of one file; the others are still processed
_BAR = "{desc} {percentage:3.0f}% |{bar:30}| {remaining} left"


def add_command(commands: Any, module: ModuleType) -> None:
    """Add a command, which is a module of this folder: its options by ``add_options``, and ``run``.

    Its help is the docstring of the module. The first paragraph is `minisrgan NAME`, a colon, and a line for the list
    of commands; the second describes the command; the third explains the options; the fourth is printed below them.
    """
    texts = (module.__doc__ or "").split("\n\n")  # python -OO keeps no docstrings
    line, description, options, epilog = [*texts, "", "", ""][:4]
    told = {"help": line.partition(": ")[2].rstrip("."), "description": description, "epilog": epilog}
    parser = commands.add_parser(module.__name__.rpartition(".")[2], **told)
    parser.set_defaults(run=module.run)
    module.add_options(parser)
    _explain(parser, options)


def _explain(parser: argparse.ArgumentParser, text: str) -> None:
    """Set the help of all options of a command from lines such as ``-o, --out FILE  the result``.

    Two spaces end the names and placeholders of an option; further lines of its explanation are indented.
    """
    found = {}
    for names, told in (entry.split("  ", 1) for entry in re.split(r"\n(?=\S)", text) if entry):
        name, *more = names.replace(",", "").split()
        found[name] = told, tuple(word for word in more if not word.startswith("-"))
    for action in (action for each in nested(parser) for action in each._actions if action.help is None and found):
        name = action.option_strings[0] if action.option_strings else str(action.metavar or action.dest)
        action.help, placeholders = found[name]
        if placeholders:
            action.metavar = placeholders if placeholders[1:] else placeholders[0]


def nested(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Yield a parser, and the parsers of its commands."""
    yield parser
    for action in parser._actions:
        for below in action.choices.values() if isinstance(action, argparse._SubParsersAction) else ():
            yield from nested(below)


def to_path(text: str) -> Path:
    """Convert a word to a path; refuse an empty word, which would mean the current folder."""
    if not text:
        raise argparse.ArgumentTypeError("a path, not an empty word; the current folder is .")
    return Path(text)


def require_new(file: Path | None, overwrite: bool, *inputs: Path | str | None) -> None:
    """Check, before long work, that a result can be written and does not replace a file.

    inputs  files that are read, and never replaced
    Errors  FileError for a file that exists, without `overwrite`, for a folder, and for one of the inputs; OSError if
            it cannot be created
    """
    if file is None:
        return
    if file.exists() and any(Path(given).exists() and file.samefile(given) for given in inputs if given):
        got, fix = f"{file}, which this command reads", "give another name"
        raise FileError("output", expected="a file other than the input", got=got, fix=fix)
    if file.is_dir():
        raise FileError("output", expected="a file to write", got=f"{file}, which is a folder", fix="give another name")
    if os.path.lexists(file) and not overwrite:
        got, fix = f"{file}, which is there", "give another name, or --overwrite"
        raise FileError("output", expected="a new file", got=got, fix=fix)
    require_folder(file.parent)


def require_folder(folder: Path) -> None:
    """Raise an OSError if this folder, or a file in it, cannot be created."""
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise NotADirectoryError(f"{there} is a file, not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"{there} is not open for writing")


class Escaped:
    """A stream that escapes all control characters except line breaks and tabs, as names and weights may contain any.

    names   regular expression -> text that is printed instead of what it matches
    """

    def __init__(self, stream: Any, names: Mapping[str, str]) -> None:
        self._stream, self._names = stream, names

    def write(self, text: str) -> int:
        """Write a text, with its control characters escaped, and with `names` replaced."""
        for pattern, name in self._names.items():
            text = re.sub(pattern, name, text)
        return int(self._stream.write(plain(text, "\n\r\t")))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def say(line: str) -> None:
    """Print a line that names files; line breaks in the names do not break it."""
    print(plain(line), flush=True)


def report(error: MinisrganError | OSError | MemoryError, args: argparse.Namespace, name: str = "") -> str:
    """Print an error in four short lines, after its traceback with --verbose; return it in one line.

    name  the file, if it is the error of one of several
    """
    if isinstance(error, BrokenPipeError):  # nobody reads our output: the program ends, and nothing is at fault
        raise error
    if args.verbose:
        traceback.print_exception(error)
    ours = error if isinstance(error, MinisrganError) else translated(error, args.command)
    if name:
        ours.inside(name)
    print(ours.layout(width=100), file=sys.stderr, flush=True)
    return f"{type(ours).__name__}: {' '.join(ours.got.split())}"


@contextmanager
def progress(name: str, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show the progress of a task on standard error: a bar on a terminal, and lines in a file or pipe.

    Yields a function to call with the amount that is done, and the total amount.
    """
    with progress_bar(desc=plain(name), bar_format=_BAR, leave=False, disable=quiet) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        yield show
