"""The line under the results: how many of the faults were caught."""

from __future__ import annotations

import pytest

SUITE = [f"mutants/test_mutants.py::test_a_{what}_is_caught[" for what in ("fault", "wrong_gradient", "wrong_sign")]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print it where the suite has run."""
    caught, missed = (
        sum(any(name in report.nodeid for name in SUITE) for report in terminalreporter.getreports(outcome))
        for outcome in ("passed", "failed")
    )
    if caught + missed:
        terminalreporter.write_line(f"mutants killed: {caught} of {caught + missed}")
