"""The command that shows a backward pass, and draws it."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from minisrgan.cli.explain import EXAMPLES
from minisrgan.cli.main import main


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example(example: str, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """An example that nobody runs breaks with the first layer that changes."""
    picture = tmp_path / "new" / "graph.svg"
    assert main(["explain", example, "--svg", str(picture)]) == 0
    out = capsys.readouterr().out
    expected = {"batchnorm": "batch_norm_training", "conv": "conv2d", "residual": "add", "generator": "pixel_shuffle"}
    assert expected.get(example, example) in out
    assert "leaf x " in out
    ET.parse(picture)


def test_the_default(capsys: pytest.CaptureFixture[str]):
    """Typed without a name, the command should show something small rather than complain."""
    assert main(["explain"]) == 0
    assert "prelu" in capsys.readouterr().out


def test_another_example_is_refused(capsys: pytest.CaptureFixture[str]):
    """The names that there are must be in the message."""
    with pytest.raises(SystemExit) as stopped:
        main(["explain", "transformer"])
    assert stopped.value.code == 2
    assert "residual" in capsys.readouterr().err
