"""ruff and mypy, as a contributor would run them."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[1]


def run(tool: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a tool of this environment in the project's folder; skip where it is not installed."""
    if importlib.util.find_spec(tool) is None:
        pytest.skip(f"{tool} is not installed: pip install 'minisrgan[test]'")
    command = [sys.executable, "-m", tool, *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)


def test_ruff_is_content():
    """Unused names, shadowed loops, mutable defaults, missing docstrings: each a small lie to the reader."""
    result = run("ruff", "check", "--no-cache", "minisrgan", "tests")
    assert result.returncode == 0, result.stdout + result.stderr


def test_mypy_is_content():
    """A type in a signature that is not checked is a comment, and comments grow old."""
    result = run("mypy")
    assert result.returncode == 0, result.stdout + result.stderr
