"""Options without an effect, results in the place of what is read, and closed streams."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from minisrgan.images import write_image
from tests.cli.conftest import command


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """A photograph in a folder of its own."""
    file = tmp_path / "in" / "a.png"
    write_image(file, np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    return file


@pytest.mark.parametrize(
    "words",
    [
        ("compare", "PHOTO", "--out", "PHOTO"),
        ("inspect", "PHOTO", "--out", "PHOTO"),
        ("evaluate", "FOLDER", "--json", "PHOTO"),
    ],
)
def test_a_photograph_is_never_replaced(
    words: tuple[str, ...], photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """--overwrite is for earlier results: the photograph itself was lost, and what was drawn from it took its place."""
    before = photo.read_bytes()
    names = {"PHOTO": photo, "FOLDER": photo.parent}
    assert command(*(names.get(word, word) for word in words), "--overwrite") == 2
    assert "a file other than the input" in capsys.readouterr().err
    assert photo.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("summary generator --phi 2,2", "--phi"),
        ("summary vgg19 --channels 3 --blocks 2", "--blocks, --channels"),
        ("summary discriminator --scale 2", "--scale"),
        ("upscale PHOTO --model srgan --quality 50", "--format jpg or webp"),
        ("upscale PHOTO --model srgan --format webp --subsampling 420", "--format jpg"),
        ("inspect PHOTO --phi 2,2", "--network vgg19"),
        ("inspect PHOTO --loss-model d.safetensors", "a loss that has a model"),
        ("inspect PHOTO --loss mse --loss-model d.safetensors", "a loss that has a model"),
        ("explain prelu --svg graph.png", "ends in .svg"),
    ],
)
def test_an_option_without_effect_is_refused(
    words: str, expected: str, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever gives it believes that it did something."""
    assert command(*words.replace("PHOTO", str(photo)).split()) == 2
    assert expected in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_closed_stream_is_no_traceback(closed: str, photo: Path, tmp_path: Path) -> None:
    """A job of cron may have none of them: 'NoneType' object has no attribute 'flush'."""
    words = "upscale - --model srgan --out" if closed == "<&-" else "summary generator --blocks 1 --channels 4 --input"
    last = tmp_path / "out" if closed == "<&-" else "8x8"
    line = f'"{sys.executable}" -m minisrgan {words} "{last}" {closed}'
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.returncode == (3 if closed == "<&-" else 0)
