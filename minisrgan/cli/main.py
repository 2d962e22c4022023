"""The command `minisrgan`: parses the command line, runs a command, and reports errors without a traceback."""

from __future__ import annotations

import argparse
import io
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from minisrgan import __version__
from minisrgan.errors import ConfigError, ImageWarning, MinisrganError
from minisrgan.images.photo import READING

from . import compare, demo, doctor, evaluate, explain, gradcheck, profile, runs, summary, train, upscale, weights

EXIT_ERROR, EXIT_INTERRUPTED = 2, 130


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="minisrgan",
        description="SRGAN from scratch on NumPy and CuPy: train it, and upscale photographs four times.",
        epilog="Try `minisrgan demo` first. `minisrgan COMMAND --help` explains each command.",
    )
    parser.add_argument("--version", action="version", version=f"minisrgan {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    using, looking = (demo, train, runs, upscale, evaluate, compare, weights), (summary, gradcheck, explain, profile)
    for command in (*using, *looking, doctor):
        command.add_parser(commands)
    return parser


@contextmanager
def _short_warnings() -> Iterator[None]:
    """Print warnings about pictures, ours and Pillow's, as one line each with the file's name, and none twice."""

    @cache  # a training reads its photos again and again
    def tell(line: str) -> None:
        print(f"warning: {line}", file=sys.stderr)

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        ours = issubclass(category, ImageWarning) or not hasattr(READING, "path")
        tell(str(message) if ours else f"{READING.path}: {message}")

    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=ImageWarning)
        warnings.filterwarnings("always", module="PIL")
        warnings.showwarning = show
        yield


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; return 0, 2 after an error, 3 if some files failed, 130 after Ctrl-C, 143 after SIGTERM."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names may contain characters that this terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    args = build_parser().parse_args(argv)
    try:
        with _short_warnings():
            return int(args.run(args) or 0)
    except MinisrganError as error:
        print(error.layout(width=100), file=sys.stderr)
        return EXIT_ERROR
    except OSError as error:  # a path that cannot be written, a full disk
        fix = "check the path, its permissions and the space left"
        told = ConfigError("the file system", expected="a file that can be opened", got=str(error), fix=fix)
        print(told.layout(width=100), file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt as error:
        print(f"\n{error}" if str(error) else "\ninterrupted", file=sys.stderr)
        return getattr(error, "status", EXIT_INTERRUPTED)
