"""`minisrgan gradcheck`: check every operation: formula, gradient, second derivative.

Compare every operation with a reference in plain loops, its gradient and second derivative with finite differences, and
all of them with stored results of PyTorch, if they are available. The exit status is 1 if one of them fails.

OP              operations to check (default: all)
--fixtures DIR  folder with operations.npz, PyTorch's results (default: tests/fixtures if it exists)
--markdown      print a page in Markdown: docs/correctness.md

example: minisrgan gradcheck conv2d prelu
"""

import argparse
import sys
from pathlib import Path

from minisrgan import ops
from minisrgan.cli.common import to_path
from minisrgan.show.correctness import check_operation, correctness_table, load_fixtures

FIXTURES = Path("tests", "fixtures")

INTRODUCTION = """# How every operation is known to be right

Written by `minisrgan gradcheck --markdown`; nothing here is typed by hand. Each operation is computed in float64 and
held against others that share no line with it. A number is the largest difference, relative to the largest magnitude.
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("ops", nargs="*", metavar="OP")
    parser.add_argument("--fixtures", type=to_path)
    parser.add_argument("--markdown", action="store_true")


def run(args: argparse.Namespace) -> int:
    """Check, print the table, and return 1 if an operation fails."""
    folder = args.fixtures or (FIXTURES if (FIXTURES / "operations.npz").is_file() else None)
    fixtures = None if folder is None else load_fixtures(folder)
    results = [check_operation(op, fixtures) for op in args.ops or ops.__all__]
    known = "✓✗".encode(sys.stdout.encoding or "ascii", errors="ignore")  # empty if the terminal lacks these characters
    marks = ("✓", "✗") if known else ("ok", "NO")
    if args.markdown:
        print(INTRODUCTION)
    print(correctness_table(results, args.markdown, marks))
    return int(any(result.problems for result in results))
