"""The command that looks at the machine, on machines of every kind."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from minisrgan import backend
from minisrgan.cli import doctor
from minisrgan.cli.main import main
from minisrgan.kernels.cuda import check, graph, launch
from tests.gpu import standin
from tests.gpu.cuda_in_c import needs_compiler


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure for a moment, of a smaller picture."""
    monkeypatch.setattr(doctor, "SECONDS", 0.01)
    monkeypatch.setattr(doctor, "SHAPES", ((1, 12, 12, 8), (3, 3, 8, 8)))


def machine(monkeypatch: pytest.MonkeyPatch, driver: int, packages: dict[str, str]) -> None:
    """Pretend to have a driver, and packages of CuPy."""
    monkeypatch.setattr(check, "driver_version", lambda: driver)
    monkeypatch.setattr(check, "packages", lambda: packages)


def shown(capsys: pytest.CaptureFixture[str], status: int) -> str:
    """Run the command and return what it prints."""
    assert main(["doctor"]) == status
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 120
    return text


def test_a_machine_without_a_gpu(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Most have none: a list of what they lack would send their owners shopping."""
    machine(monkeypatch, 0, {})
    monkeypatch.setattr(check.Path, "glob", lambda *inputs: iter(()))
    text = shown(capsys, 0)
    assert f"NumPy {np.__version__}" in text
    assert f"{backend.thread_count()} threads" in text
    assert "GFLOP/s" in text
    assert text.endswith("All is well.\n")


@pytest.mark.parametrize(
    ("driver", "packages", "fix"),
    [
        (12040, {}, 'pip install "minisrgan[cuda12]"'),
        (13000, {}, 'pip install "minisrgan[cuda13]"'),
        (13000, {"cupy-cuda12x": "13.6.0", "cupy-cuda13x": "13.6.0"}, "pip uninstall -y cupy-cuda12x cupy-cuda13x && "),
        (12040, {"cupy-cuda13x": "14.2.0"}, "pip uninstall -y cupy-cuda13x && pip install"),
        (12040, {"cupy-cuda12x": "12.3.0"}, "pip install --upgrade cupy-cuda12x"),
    ],
)
def test_what_is_missing(
    driver: int, packages: dict[str, str], fix: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """The packages for two versions of CUDA overwrite one another's files, and one for a newer CUDA never starts."""
    machine(monkeypatch, driver, packages)
    monkeypatch.setitem(sys.modules, "cupy", None)
    text = shown(capsys, 1)
    assert f"to mend it:   {fix}" in text
    assert f"runs CUDA up to {driver // 1000}.{driver % 1000 // 10}" in text
    assert "to mend, from the top down" in text


def test_a_card_without_a_driver(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """It looks like a machine without a card, to every library."""
    machine(monkeypatch, 0, {})
    card = types.SimpleNamespace(read_text=lambda: "0x10de\n")
    monkeypatch.setattr(check.Path, "glob", lambda *inputs: iter([card]))
    assert "ubuntu-drivers" in shown(capsys, 1)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Pretend to have a GPU, computing with the stand-in."""
    machine(monkeypatch, 12080, {"cupy-cuda12x": "13.6.0"})
    with standin.installed() as cupy:
        cupy.cuda.get_local_runtime_version = lambda: 12080
        cupy.cuda.nvrtc = types.SimpleNamespace(getVersion=lambda: (12, 8))
        cupy.cuda.get_cublas_handle = lambda: 1
        monkeypatch.setattr(launch, "compile_all", lambda: None)
        yield cupy


@needs_compiler
def test_a_gpu(gpu: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """A GPU that computes wrongly trains all night."""
    text = shown(capsys, 0)
    for fact in ("Stand-in, 9.0, 3.0 of 4.0 GB free", "NVRTC 12.8", "cuda:0 computes", "float32, differs from"):
        assert fact in text
    monkeypatch.setenv("CUPY_TF32", "1")
    assert "TF32, differs from the CPU" in shown(capsys, 0)
    for unreadable in ("", "true"):  # CuPy fails at its first product
        monkeypatch.setenv("CUPY_TF32", unreadable)
        assert "to mend it:   unset CUPY_TF32" in shown(capsys, 1)
    monkeypatch.delenv("CUPY_TF32")
    monkeypatch.setattr(graph, "_cublas", lambda: None)  # so that CuPy multiplies batches
    wrong = gpu.matmul
    gpu.matmul = lambda a, b, out: wrong(a * 1.01, b, out=out)
    assert "nvidia-smi -q" in shown(capsys, 1)


def test_libraries_that_do_not_load(gpu: Any, capsys: pytest.CaptureFixture[str]):
    """CuPy without CUDA's libraries can be imported, and fails at its first product."""

    def missing() -> None:
        raise ImportError("libcublas.so.12: cannot open shared object file\nmore")

    gpu.cuda.get_cublas_handle = missing
    text = shown(capsys, 1)
    assert "using CuPy      ImportError: libcublas.so.12: cannot open shared object file" in text
    assert 'to mend it:   pip install "minisrgan[cuda12]"' in text


def test_the_driver_and_the_packages_are_looked_for():
    """The tests above pretend; the functions that look must at least run here."""
    assert check.driver_version() >= 0
    assert all(name.startswith("cupy") for name in check.packages())
