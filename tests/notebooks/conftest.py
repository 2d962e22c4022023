"""Make the notebooks' own modules importable, and end with a table of how long each notebook took."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "notebooks"))

SECONDS: dict[str, float] = {}  # form and name of a notebook -> how long it ran


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the times, and their sum."""
    if SECONDS:
        terminalreporter.section("seconds a notebook")
        for name, seconds in sorted(SECONDS.items()):
            terminalreporter.write_line(f"{name:<45} {seconds:6.1f}")
        terminalreporter.write_line(f"{'in all':<45} {sum(SECONDS.values()):6.1f}")
