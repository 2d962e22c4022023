"""A day with a GPU is short: what is to be run on it must run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from tests.gpu import proofs, prove


def proof(out: Path, minutes: float = 9.0) -> prove.Proof:
    options = {"minutes": minutes, "out": out, "dry": True, "data": None, "vgg": None, "init": None}
    return prove.Proof(argparse.Namespace(**options, torch_python="python"))


def test_a_step_agrees_with_one_of_float64() -> None:
    """A comparison that leaves out what differs always agrees."""
    found = proofs.agree("cpu", small=True)
    assert found["repeats"] is True
    for side in ("cpu", "device"):
        assert 0 < found[side]["median"] < 1e-5
        assert found[side]["largest"] < 1e-3
        assert found[side]["log"] < 1e-3
    log, arrays = proofs.one_step("cpu", small=True)
    wrong = {
        name: array * 1.01 if name == "grad generator.conv_last.weight" else array for name, array in arrays.items()
    }
    far = proofs.difference((log, wrong), (log, arrays))
    assert far["at"] == "grad generator.conv_last.weight"
    assert far["largest"] == pytest.approx(0.01, rel=1e-3)


def test_a_phase_that_hangs_or_fails_does_not_stop_the_next(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nine minutes are lost by the first phase that waits for something."""
    run = proof(tmp_path)
    run.run("hangs", ["-c", "import time; print('begun', flush=True); time.sleep(600)"], 1.0)
    run.run("fails", ["-c", "raise SystemExit('no GPU here')"], 60)
    run.run("finds", ["-c", "import os; print('RESULT', os.environ.get('CUPY_TF32', '0'))"], 60, CUPY_TF32="1")
    assert [phase["well"] for phase in run.phases.values()] == [False, False, True]
    assert run.phases["hangs"]["seconds"] < 30
    assert run.phases["fails"]["found"] == ["no GPU here"]
    assert json.loads((tmp_path / "report.json").read_text()) == run.phases
    assert run.phases["finds"]["found"] == 1
    assert "| fails | **no** |" in run.table()
    assert "begun" in (tmp_path / "log.txt").read_text()


def test_what_is_left_of_the_time_is_kept_for_the_training(tmp_path: Path) -> None:
    """A phase may not take what the training needs, however long its own limit is."""
    run = proof(tmp_path, minutes=1 / 30)
    run.run("greedy", ["-c", "import time; time.sleep(600)"], 600)
    assert run.phases["greedy"]["well"] is False
    assert run.phases["greedy"]["seconds"] < 30


@pytest.mark.slow
def test_every_phase_runs_small_on_the_cpu(tmp_path: Path) -> None:
    """What has never run before the day does not run on it."""
    assert prove.main(["--dry", "--minutes", "3", "--out", str(tmp_path)]) == 0
    phases = json.loads((tmp_path / "report.json").read_text())
    assert [name for name, phase in phases.items() if not phase["well"]] == []
    assert phases["resumes to the last bit"]["found"]["arrays"] > 0
    assert (tmp_path / "srgan/srgan.safetensors").exists()
    assert (tmp_path / "gpu.md").read_text().count("\n") > 10
