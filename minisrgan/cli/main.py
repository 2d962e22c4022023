"""The command `minisrgan`: parses the command line, runs a command, and reports errors without a traceback."""

import argparse
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout, suppress
from functools import cache
from typing import Any, TextIO, cast

from minisrgan import __version__
from minisrgan.cli.common import Escaped, add_command, nested, report
from minisrgan.errors import ImageWarning, MinisrganError, plain
from minisrgan.images.photo import READING

from . import compare, demo, doctor, evaluate, explain, export, gradcheck, inspect, profile, runs  # isort: skip
from . import summary, train, upscale, weights  # isort: skip

EXIT_ERROR, EXIT_INTERRUPTED, EXIT_PIPE = 2, 130, 141  # 128 plus the number of the signal, as in shells


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="minisrgan",
        description="SRGAN from scratch on NumPy and CuPy: train it, and upscale photographs four times.",
        epilog="Try `minisrgan demo` first. `minisrgan COMMAND --help` explains each command.",
    )
    parser.add_argument("--version", action="version", version=f"minisrgan {__version__}")
    parser.set_defaults(quiet=False, verbose=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, dest="command")
    using = (demo, train, runs, upscale, evaluate, compare, weights, export)
    for command in (*using, summary, gradcheck, explain, inspect, profile, doctor):
        add_command(commands, command)
    off: dict[str, Any] = {"action": "store_true", "default": argparse.SUPPRESS}
    for each in nested(parser):  # so that -q and -v may be placed anywhere
        each.add_argument("-q", "--quiet", help="print errors and warnings only", **off)
        told = "also print the name of every skipped file, and the traceback of an error"
        each.add_argument("-v", "--verbose", help=told, **off)
    return parser


@contextmanager
def _short_warnings() -> Iterator[None]:
    """Print each warning about pictures, from us or from Pillow, only once, in one line with the name of the file."""

    @cache  # a training reads its photos again and again
    def tell(line: str) -> None:
        print(f"warning: {plain(line)}", file=sys.stderr)

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        ours = issubclass(category, ImageWarning) or not hasattr(READING, "path")
        tell(str(message) if ours else f"{READING.path}: {message}")

    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=ImageWarning)
        warnings.filterwarnings("always", module="PIL")
        warnings.showwarning = show
        yield


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status.

    It is 0 after success, 1 after a failed check, 2 after an error, 3 if some files failed, 130 after Ctrl-C, 143 after
    SIGTERM, and 141 if the output is no longer read, as after `| head`.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by the caller, as by >&-
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # file names may contain characters that this terminal cannot show
            stream.reconfigure(errors="backslashreplace")
    out, err = (cast(TextIO, Escaped(stream, {})) for stream in (sys.stdout, sys.stderr))
    try:
        try:
            with redirect_stdout(out), redirect_stderr(err):
                return _run(argv)
        finally:
            sys.stdout.flush()  # here, as nobody could catch an error when Python exits
    except BrokenPipeError:
        with suppress(OSError, ValueError):  # the remaining output is discarded
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE


def _run(argv: Sequence[str] | None) -> int:
    """Run a command, and report its errors."""
    args = build_parser().parse_args(argv)
    try:
        with _short_warnings(), ExitStack() as stack:
            if args.quiet:
                stack.enter_context(redirect_stdout(stack.enter_context(open(os.devnull, "w", encoding="utf-8"))))
            return int(args.run(args) or 0)
    except KeyboardInterrupt as error:
        print(f"\n{error}" if str(error) else "\ninterrupted", file=sys.stderr)
        return getattr(error, "status", EXIT_INTERRUPTED)
    except (MinisrganError, OSError, MemoryError) as error:
        report(error, args)
        return EXIT_ERROR
