"""The page in JupyterLab: what a reader of a notebook clicks and reads, in a real browser."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest

from minisrgan import nn
from minisrgan.explain.record import record

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
ROOT = Path(__file__).resolve().parents[2]
CELL = """\
import numpy as np
from minisrgan import nn
from minisrgan.explain import inspect
net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, rng=np.random.default_rng(0)), nn.BatchNorm2d(4), nn.PReLU(4))
inspect(net, np.random.default_rng(1).random((1, 12, 12, 3)).astype(np.float32), loss=lambda y: (y * y).mean())"""


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[str]:
    """Serve a notebook with one cell, which was not run yet, and return its address."""
    nbformat = pytest.importorskip("nbformat", reason="nbformat is not installed: pip install 'minisrgan[course]'")
    pytest.importorskip("jupyterlab", reason="jupyterlab is not installed: pip install 'minisrgan[course]'")
    v4 = nbformat.v4
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    nbformat.write(v4.new_notebook(cells=[v4.new_code_cell(CELL)], metadata=kernel), tmp_path / "page.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    options = ("--no-browser", "--allow-root", "--ServerApp.token=", "--ServerApp.password=")
    where = ("--ip=127.0.0.1", f"--port={address.rpartition(':')[2]}", f"--ServerApp.root_dir={tmp_path}")
    with (tmp_path / "lab.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options, *where], cwd=tmp_path, stdout=log, stderr=log,
            env=os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(tmp_path)},
        )  # fmt: skip
    try:
        for _ in range(240):
            try:
                urlopen(f"{address}/api", timeout=5).close()
                break
            except OSError:
                time.sleep(0.5)
        yield f"{address}/lab/tree/page.ipynb"
    finally:
        server.terminate()
        server.wait()


@pytest.mark.slow
@pytest.mark.skipif(BROWSER is None, reason="needs chromium or chrome in the path")
def test_a_click_in_a_notebook(lab: str) -> None:
    """JupyterLab cleans HTML and frames it: a page that works from a file may be dead or cut off there."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install it")
    net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, rng=np.random.default_rng(0)), nn.BatchNorm2d(4), nn.PReLU(4))
    x = np.random.default_rng(1).random((1, 12, 12, 3)).astype(np.float32)
    _, conv, *_ = record(net, x, loss=lambda y: (y * y).mean())
    errors: list[str] = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1600, "height": 1100})
        tab.set_default_timeout(120_000)
        tab.on("pageerror", lambda error: errors.append(str(error)))
        tab.goto(lab, wait_until="commit")
        frame = tab.locator(".jp-OutputArea iframe[srcdoc]").first
        for _ in range(12):  # until the kernel is connected, keys run nothing
            tab.locator(".jp-Notebook .cm-content").first.click()
            tab.keyboard.press("Control+Enter")
            with suppress(playwright.TimeoutError):
                frame.wait_for(timeout=10_000)
                break
        page = frame.content_frame
        page.locator(".row", has_text="Conv2d").click()
        page.locator("#layer .picture canvas").click(position={"x": 60, "y": 60})
        for view, array in (("Values", conv.value), ("Gradients", conv.grad)):
            page.locator("#views button", has_text=view).click()
            title = page.locator("#explanation h2").inner_text()
            position = tuple(map(int, re.findall(r"\d+", title.partition("[")[2].partition("]")[0])))
            told = page.locator("#explanation .numbers").last.inner_text()
            assert array is not None
            for text in (title, told):
                assert float(text.split("=")[-1]) == pytest.approx(array[position], rel=5.1e-5, abs=1e-7), text
        tab.wait_for_timeout(500)
        browser.close()
    assert errors == []
