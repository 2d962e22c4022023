"""What the tests of several commands need."""

from __future__ import annotations

from pathlib import Path

import pytest

from minisrgan.cli.main import main
from minisrgan.models import Generator
from minisrgan.weights import save_model


def command(*words: object) -> int:
    """Run a command line."""
    return main([str(word) for word in words])


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Return the file of a generator that gives what nearest gives."""
    save_model(tmp_path / "model.safetensors", Generator(4, channels=4, blocks=1).start_as_nearest())
    return tmp_path / "model.safetensors"
