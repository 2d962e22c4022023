"""The benchmarks measure what they say, without PyTorch: the jobs, one worker, the conductor, the report."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import jobs, process, report, run
from minisrgan import Tensor, nn, no_grad
from minisrgan.models import VGG19, Discriminator, Generator

pytest.importorskip("matplotlib")
posix = pytest.mark.skipif(os.name != "posix", reason="needs signals")


# Jobs


def layers_of(model: nn.Module, side: int) -> set[tuple[Any, ...]]:
    """Run a model and note each layer that it calls."""
    found: set[tuple[Any, ...]] = set()

    def note(module: nn.Module, inputs: tuple[Any, ...], y: Tensor) -> None:
        x = inputs[0]
        kind = type(module).__name__.lower().removesuffix("2d")
        shape = module.weight.shape if isinstance(module, nn.Conv2d) else (0,)
        at = x.shape[1] if x.ndim == 4 else 0
        found.add((kind, x.shape[-1], y.shape[-1] if kind != "pixelshuffle" else 64, at, shape[0],
                   getattr(module, "stride", 1)))  # fmt: skip

    for _, module in model.named_modules():
        if not module.children() and not isinstance(module, nn.Flatten):
            module.register_forward_hook(note)
    with no_grad():
        model(Tensor(np.zeros((1, side, side, 3), np.float32)))
    return found


@pytest.mark.parametrize(
    ("walk", "make", "side"),
    [
        (jobs.generator_layers, Generator, 24),
        (jobs.discriminator_layers, Discriminator, 96),
        (jobs.vgg_layers, VGG19, 96),
    ],
)
def test_jobs_are_the_layers_of_the_networks(walk: Any, make: Any, side: int):
    """A layer that is left out, or measured at another size than in training, flatters or slanders."""
    listed = {(la.kind, la.inputs, la.outputs, la.side, la.kernel, la.stride) for la in walk()}
    assert listed == layers_of(make(), side)


def test_names_are_unique():
    """Two jobs of one name would be measured as one; the quick ones must be the same jobs."""
    names = [job.name for job in jobs.every()]
    assert len(names) == len(set(names)) > 50
    assert names == [job.name for job in jobs.every(quick=True)]


# A worker


def our_side(*command: str) -> process.Side:
    return process.Side(jobs.OURS, command or (sys.executable, "-m", "benchmarks.worker_minisrgan", "--quick"))


def is_stopped(pid: int) -> bool:
    """Tell whether a process comes to a stop within a second; True where /proc does not say."""
    stat = Path(f"/proc/{pid}/stat")
    for _ in range(100):
        if not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "T":
            return True
        time.sleep(0.01)
    return False


@posix
def test_a_worker_answers_and_sleeps():
    """A worker that stays awake spins its threads into the next one's measurement."""
    worker = process.Worker(our_side(), process.environment(1, pinned=False))
    try:
        assert worker.hello["threads"] == 1
        with pytest.raises(process.WorkerError, match="KeyError"):
            worker.ask({"do": "open", "job": "G conv 99x99"})
        opened = worker.ask({"do": "open", "job": "G prelu 64 @24"})
        assert opened["seconds"].keys() == {"forward", "backward"}
        assert all(np.isfinite(opened["magnitudes"]))
        sample = worker.ask({"do": "sample", "repeats": 3})
        assert all(0 < seconds < 1 for seconds in sample["seconds"].values())
        assert 10 < worker.ask({"do": "peak"})["peak_mb"] < 2000
        assert is_stopped(worker.process.pid)
    finally:
        worker.close()
    assert worker.process.returncode is not None


def test_a_worker_that_cannot_start_says_why():
    """Without the last line of its complaints nobody knows which package is missing."""
    with pytest.raises(process.WorkerError, match="No module named"):
        process.Worker(our_side(sys.executable, "-m", "benchmarks.nothing"), process.environment(1, pinned=False))


def test_environment(monkeypatch: pytest.MonkeyPatch):
    """A pin that stays halves NumPy's speed and leaves PyTorch's; unequal threads compare nothing."""
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    free, pinned = process.environment(3, pinned=False), process.environment(3, pinned=True)
    assert "OPENBLAS_CORETYPE" not in free
    assert pinned["OPENBLAS_CORETYPE"] == "Haswell"
    assert {free[name] for name in ("MINISRGAN_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")} == {"3"}


class Machine:
    """A worker that takes 0.1 s of processor time a sample, on a machine where others use some, too."""

    def __init__(self, others: list[float]) -> None:
        self.others, self.used, self.asked, self.now = others, 0.0, 0, 0.0

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        self.used += 0.1 + self.others[self.asked]
        self.now += 0.1
        self.asked += 1
        return {"seconds": {"step": float(self.asked)}, "cpu": 0.1}


@pytest.mark.parametrize(
    ("others", "asked", "kept"), [([0.0], 1, 1), ([0.5, 0.0], 2, 2), ([0.5, 0.3, 0.5], 3, 2)], ids=str
)
def test_a_disturbed_sample_is_repeated(others: list[float], asked: int, kept: int, monkeypatch: pytest.MonkeyPatch):
    """A backup that starts in the middle would be a property of the layer; the quietest attempt counts."""
    machine: Any = Machine(others)
    monkeypatch.setattr(process, "busy_seconds", lambda: machine.used)
    monkeypatch.setattr(process, "time", SimpleNamespace(perf_counter=lambda: machine.now, sleep=lambda seconds: None))
    sample = process.take_sample(machine, 1, quiet=0.05, patience=3)
    assert (machine.asked, sample.seconds["step"]) == (asked, kept)


# The conductor


@posix
def test_a_run_without_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Somebody without PyTorch still gets our times, and is told what is missing."""
    arguments = ["--quick", "--only", "^D linear 1024-1$", "--torch-python", "no/bin/python", "--threads", "1"]
    assert run.main([*arguments, "--out", str(tmp_path / "new" / "result")]) == 0
    out = capsys.readouterr().out
    assert "left out: torch, since no is not there" in out
    assert "| D linear 1024-1 |" in out
    result = json.loads((tmp_path / "new" / "result.json").read_text())
    assert len(result["jobs"][0]["samples"][jobs.OURS]["backward"]) == 2
    assert (tmp_path / "new" / "result.png").stat().st_size > 1000


def test_a_pattern_that_finds_nothing(capsys: pytest.CaptureFixture[str]):
    """The names must be in the answer."""
    assert run.main(["--only", "transformer"]) == 2
    assert "SRGAN step" in capsys.readouterr().err


# The report


def record(name: str, group: str, phases: tuple[str, ...], **samples: list[list[float]]) -> dict[str, Any]:
    """Make a record; sides are ours, torch, torch_last, or a peer by its name."""
    names = {"ours": jobs.OURS, "torch_last": jobs.TORCH_LAST}
    sides = {names.get(side, side): dict(zip(phases, values, strict=True)) for side, values in samples.items()}
    return {
        "name": name, "group": group, "phases": phases, "samples": sides, "errors": {}, "disagree": [],
        "others": {side: [0.0] for side in sides}, "peak_mb": {side: {"peak": 100.0} for side in sides},
    }  # fmt: skip


def canned() -> dict[str, Any]:
    """Make a result: a step in which channels-last is the better layout, a layer, a stack."""
    both = ("forward", "backward")
    return {
        "date": "2025-01-01", "machine": {"cpu": "CPU of this test", "cores": 2, "system": "Linux"}, "missing": {},
        "settings": {"threads": 2, "samples": 3, "quick": False, "quiet": 0.05},
        "sides": {jobs.OURS: {"version": "1", "numpy": "2", "python": "3", "threads": 2, "blas": ["openblas"],
                              "environment": {"OPENBLAS_CORETYPE": None}}},
        "jobs": [
            record("SRResNet step", "step", ("step",), ours=[[1.0, 2.0, 3.0]], torch=[[4.0, 4.0, 4.0]],
                   torch_last=[[2.0, 2.0, 2.0]]),
            record("G prelu", "layer", both, ours=[[1.0, 1.0], [3.0, 3.0]], torch=[[2.0, 2.0], [1.0, 1.0]]),
            record("residual stack", "stack", both, ours=[[1.0], [1.0]], mygrad=[[4.0], [4.0]]),
        ],
    }  # fmt: skip


def test_the_better_layout_counts():
    """Against the slower one, we would look twice as fast."""
    step, layer, stack = canned()["jobs"]
    assert report.rival(step) == jobs.TORCH_LAST
    assert report.ratio(step, jobs.TORCH_LAST) == (1.0, 0.75, 1.25)
    assert report.ratio(layer, jobs.TORCH, "forward")[0] == 0.5
    assert report.ratio(layer, jobs.TORCH)[0] == pytest.approx(4 / 3)
    assert report.rival(stack) is None


def test_ratios_are_formed_within_a_round():
    """The ratio of medians hides that both slowed down together, or only one did."""
    drifting = record("x", "step", ("step",), ours=[[1.0, 10.0, 100.0]], torch=[[2.0, 20.0, 200.0]])
    assert report.ratio(drifting, jobs.TORCH) == (0.5, 0.5, 0.5)


def test_tables():
    """A number in the wrong column is worse than none."""
    text = report.tables(canned())
    assert "| SRResNet step | 2.00        | 4.00      | 2.00            | 1.00 (0.75-1.25)" in text
    assert "100 / 100" in text
    assert "| G prelu | 1000.00 / 2000.00 | 0.50 (0.50-0.50) | 3000.00 / 1000.00 | 3.00 (3.00-3.00) |" in text
    assert "| mygrad    | 4000.0     | 4000.0      | 4.00 (4.00-4.00)" in text
    assert "To doubt" not in text
    assert "nan" not in text


def test_doubts():
    """Other work, a busy machine or a failure must not pass for a result."""
    assert report.disagree({jobs.OURS: [1.0, 2.0], "a": [1.0001, 2.0], "b": [1.0, 2.1], "c": [1.0]}) == ["b", "c"]
    result = canned()
    result["jobs"][0]["disagree"] = [jobs.TORCH]
    result["jobs"][1]["others"][jobs.OURS] = [0.0, 0.5]
    result["jobs"][2]["errors"] = {"dezero": "MemoryError"}
    text = report.tables(result)
    assert "SRResNet step, torch: other results than ours" in text
    assert "G prelu: others used over 5% of the machine in 1 of 3 samples" in text
    assert "residual stack, dezero: MemoryError" in text


def test_figure():
    """Without the line at 1 and the names nobody sees who is faster."""
    whole, layers = report.figure(canned()).axes
    assert [label.get_text() for label in whole.get_yticklabels()] == ["SRResNet step"]
    assert [label.get_text() for label in layers.get_yticklabels()] == ["G prelu"]
    assert layers.get_legend_handles_labels()[1] == ["forward", "backward"]
    assert any(list(line.get_xdata()) == [1, 1] for line in layers.lines)


def test_heading_names_machine_and_pins():
    """Figures without their machine are rumours."""
    result = canned()
    assert "CPU of this test" in report.heading(result)
    assert "free to choose" in report.heading(result)
    result["sides"][jobs.OURS]["environment"] = {"OPENBLAS_CORETYPE": "Haswell"}
    assert "OPENBLAS_CORETYPE=Haswell" in report.heading(result)
