"""minisrgan where threads cannot be started and parts of the system are missing, as in a browser (Pyodide)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tqdm import tqdm

from minisrgan import threads
from minisrgan.data import load_photos
from minisrgan.images import read_image, write_image
from minisrgan.training.checkpoint import locked
from minisrgan.training.log import peak_memory

PROJECT = Path(__file__).resolve().parents[1]

# Python as it is there: no thread starts, modules for locks and for memory do not exist, and a warning is an error.
SANDBOX = """
import sys, threading, warnings

def start(self):
    raise RuntimeError("can't start new thread")

threading.Thread.start = start
sys.modules |= {name: None for name in ("fcntl", "resource", "_posixshmem", "_multiprocessing")}
warnings.simplefilter("error")

from minisrgan.cli.main import main

for words in (
    "train --stage srgan --from-scratch --preset tiny --data photos --out run --batch 2 --crop 32 --steps 2 "
    "--set channels=4 --set blocks=1",
    "upscale photos/0.png --model run/srgan.safetensors --out large",
    "gradcheck prelu pixel_shuffle",
    "explain residual",
    "summary generator",
):
    print("exit", words.split()[0], main(words.split()))
"""
COMMANDS = ("train", "upscale", "gradcheck", "explain", "summary")


@pytest.fixture
def sandbox(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Give this process what the script above gives its own."""

    def start(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    monkeypatch.setattr(tqdm, "monitor", None)
    monkeypatch.setattr(tqdm, "monitor_interval", 10)
    for name in ("fcntl", "resource"):
        monkeypatch.setitem(sys.modules, name, None)
    threads.can_start.cache_clear()
    yield
    threads.can_start.cache_clear()


@pytest.mark.usefixtures("sandbox")
def test_photos_are_read_without_threads(tmp_path: Path) -> None:
    """A pool that cannot start its threads raises at the first photo, or keeps what it was asked for ever."""
    picture = np.arange(8 * 9 * 3, dtype=np.uint8).reshape(8, 9, 3)
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name, picture)
    photos = load_photos(tmp_path, crop=8, memory=0).photos
    photos.fetch(["a.png", "b.png"])
    assert all(np.array_equal(photo, picture) for photo in photos.values())
    assert list(photos) == ["a.png", "b.png"]


@pytest.mark.usefixtures("sandbox")
def test_what_a_training_asks_of_the_system(tmp_path: Path) -> None:
    """Locks and memory are not told of; tqdm would warn that its own thread is missing, which is an error here."""
    with locked(tmp_path):
        assert (tmp_path / ".lock").read_text() == str(os.getpid())
    assert peak_memory() == 0
    assert list(threads.progress_bar([1, 2], disable=True)) == [1, 2]
    with threads.threads(3):
        assert threads.parallel(sum, [1, 2, 3]) == [1, 2, 3]


@pytest.mark.slow
def test_everything_works_without_threads_locks_and_the_memory_figure(tmp_path: Path) -> None:
    """A training that needs a thread to read photographs does not start where there are none: in a web page."""
    rng = np.random.default_rng(0)
    for number in range(3):
        write_image(tmp_path / f"photos/{number}.png", rng.integers(0, 256, (40, 48, 3), np.uint8))
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "MINISRGAN_THREADS": "3", "PYTHONIOENCODING": "utf-8"}
    command = [sys.executable, "-c", SANDBOX]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    results = [line for line in done.stdout.splitlines() if line.startswith("exit ")]
    assert results == [f"exit {word} 0" for word in COMMANDS], done.stderr
    assert "arning" not in done.stderr
    assert read_image(tmp_path / "large/0_x4.png").shape == (160, 192, 3)
