"""What several commands share: their help, paths as options, results that must not replace anything, progress."""

from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from tqdm import tqdm

from minisrgan.errors import FileError, ImageError, MinisrganError, plain, translated
from minisrgan.threads import progress_bar

EXIT_SOME_FAILED = 3
OF_ONE_FILE = (ImageError, FileError, OSError, MemoryError)  # errors after which the other files are done all the same
_BAR = "{desc} {percentage:3.0f}% |{bar:30}| {remaining} left"


def add_command(commands: Any, file: str) -> argparse.ArgumentParser:
    """Add the command of a file of this folder, given by its ``__name__``; its docstring is the help.

    The first paragraph is `minisrgan NAME`, a colon, and a line for the list of commands; the second describes the
    command; a third, if there is one, stands below the options. The function ``run`` of the file runs it.
    """
    module, name = sys.modules[file], file.rpartition(".")[2]
    text = (module.__doc__ or "").split("\n\n")  # python -OO keeps no docstrings
    line, description, epilog = (" ".join(part.split()) for part in [*text, "", ""][:3])
    told = {"help": line.partition(": ")[2].rstrip("."), "description": description, "epilog": epilog}
    parser: argparse.ArgumentParser = commands.add_parser(name, **told)
    parser.set_defaults(run=module.run)
    return parser


def to_path(text: str) -> Path:
    """Read a path; an empty word, which would be the current folder, is none."""
    if not text:
        raise argparse.ArgumentTypeError("a path, not an empty word; the current folder is .")
    return Path(text)


def add_overwrite(parser: argparse.ArgumentParser, what: str) -> None:
    """Add the option that `require_new` asks for."""
    parser.add_argument("--overwrite", action="store_true", help=f"replace {what} if it exists")


def require_new(file: Path | None, overwrite: bool) -> None:
    """Refuse a result that could not be written, or that would replace a file, before long work rather than after it.

    Errors  FileError for a file that exists, without overwrite, and for a folder; OSError where none can be made
    """
    if file is None:
        return
    if file.is_dir():
        raise FileError("output", expected="a file to write", got=f"{file}, which is a folder", fix="give another name")
    if os.path.lexists(file) and not overwrite:
        got, fix = f"{file}, which is there", "give another name, or --overwrite"
        raise FileError("output", expected="a new file", got=got, fix=fix)
    require_folder(file.parent)


def require_folder(folder: Path) -> None:
    """Raise the OSError that making this folder, and a file in it, would raise."""
    there = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    if not there.is_dir():
        raise NotADirectoryError(f"{there} is a file, not a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"{there} is not open for writing")


class Escaped:
    """A stream that prints no control characters but those that end a line: names and weights of others hold any.

    names   regular expression -> what is printed in place of what it matches
    """

    def __init__(self, stream: Any, names: Mapping[str, str] = MappingProxyType({})) -> None:
        self._stream, self._names = stream, names

    def write(self, text: str) -> int:
        """Write a text, with escapes and names in it."""
        for pattern, name in self._names.items():
            text = re.sub(pattern, name, text)
        return int(self._stream.write(plain(text, "\n\r\t")))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def say(line: str, **options: Any) -> None:
    """Print a line that names files; line breaks in the names do not break it."""
    print(plain(line), flush=True, **options)


def report(error: MinisrganError | OSError | MemoryError, what: str, verbose: bool = False) -> MinisrganError:
    """Print an error in four short lines, with the lines of the program above them if asked for; return it as ours."""
    if verbose:
        traceback.print_exception(error)
    ours = error if isinstance(error, MinisrganError) else translated(error, what)
    print(ours.layout(width=100), file=sys.stderr, flush=True)
    return ours


def report_file(error: MinisrganError | OSError | MemoryError, name: str, args: argparse.Namespace) -> str:
    """Print what went wrong with one of several files, and return it in a line."""
    if isinstance(error, BrokenPipeError):  # nobody reads what we print: the end, not the failure of a file
        raise error
    ours = error if isinstance(error, MinisrganError) else translated(error, args.command)
    ours.inside(name)
    report(ours, args.command, args.verbose)
    return f"{type(ours).__name__}: {' '.join(ours.got.split())}"


class Progress:
    """Tell how far a piece of work is: a bar on a terminal, and in a file or pipe a line every ten seconds.

    Called with how much is done, and how much there is. Everything goes to standard error.

    name   what is worked on
    quiet  tell nothing
    """

    def __init__(self, name: str, quiet: bool = False) -> None:
        self.bar = progress_bar(desc=plain(name), bar_format=_BAR, leave=False, disable=quiet)

    def __call__(self, done: int, total: int) -> None:
        """Show it, where it is time to."""
        self.bar.total = total
        self.bar.update(done - self.bar.n)

    def print(self, line: str) -> None:
        """Print to standard output, above the bar."""
        tqdm.write(line)
        sys.stdout.flush()

    def __enter__(self) -> Progress:
        """Return it."""
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, traceback: TracebackType | None) -> None:
        """Remove the bar."""
        self.bar.close()
