"""A day with a GPU is short: what is to be run on it must run."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

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
    run.run("hangs", ["-c", "import time; print('begun', flush=True); time.sleep(600)"], 1.0, "begun")
    run.run("fails", ["-c", "raise SystemExit('no GPU here')"], 60, "no GPU")
    code = "import os; print('RESULT', os.environ.get('CUPY_TF32', '0'))"
    run.run("finds", ["-c", code], 60, "RESULT", CUPY_TF32="1")
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
    run.run("greedy", ["-c", "import time; time.sleep(600)"], 600, "")
    assert run.phases["greedy"]["well"] is False
    assert run.phases["greedy"]["seconds"] < 30


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "pass"])
def test_every_phase_can_fail(code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A phase whose process ends at once, with an error or without one, has proved nothing."""
    start = prove.Proof.start
    words = ["-S", "-c", code]
    monkeypatch.setattr(prove.Proof, "start", lambda run, _, stdout, stderr, **env: start(run, words, stdout, stderr))
    run = proof(tmp_path)
    assert run.all() == 1
    assert len(run.phases) == 15
    assert [name for name, phase in run.phases.items() if phase["well"]] == []


@pytest.mark.parametrize("equal", [True, False])
def test_a_training_that_resumes_into_another_is_noticed(
    equal: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two files that are there prove nothing; their arrays do."""
    start = prove.Proof.start

    def training(run: prove.Proof, words: list[str], stdout: int, stderr: int) -> Any:
        folder, killed = Path(words[words.index("--out") + 1], "checkpoints"), stdout == subprocess.DEVNULL
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "0.json").touch()
        value = 1.0 if equal or "whole" in str(folder) else 2.0
        save_file({"weight": np.array([value])}, folder / "srgan-00000006.safetensors")
        return start(run, ["-S", "-c", "import time; time.sleep(60)" if killed else "pass"], stdout, stderr)

    monkeypatch.setattr(prove.Proof, "start", training)
    run = proof(tmp_path)
    run.resume()
    assert run.phases["resumes to the last bit"]["well"] is equal
    assert run.phases["resumes to the last bit"]["found"]["killed"]


def test_an_answer_that_is_wrong_is_noticed() -> None:
    """A comparison that is printed, and looked at by nobody, is none."""
    near = {"median": 1e-6, "largest": 1e-4, "log": 1e-4}
    agree = {"cpu": near, "device": near, "repeats": True}
    assert proofs.amiss("agree", agree, small=False) == []
    assert proofs.amiss("tf32", agree, small=False) == []
    assert proofs.amiss("agree", agree | {"repeats": False}, small=False) == ["two runs differ"]
    for name in near:
        for value in (1e-2, float("nan")):
            assert proofs.amiss("agree", agree | {"device": near | {name: value}}, small=False) == [name]
    assert proofs.amiss("tf32", {"device": near | {"median": 0.1}}, small=False) == ["median"]
    layer = {"pays": True, "im2col": {"error": 1e-6, "us": 2.0}, "winograd": {"error": 1e-5, "us": 1.0}}
    assert proofs.amiss("winograd", {"64-64": layer}, small=False) == []
    for error in (0.0, 1e-3, float("nan")):
        wrong = {"64-64": layer | {"winograd": {"error": error, "us": 1.0}}}
        assert proofs.amiss("winograd", wrong, small=True) == ["64-64"]
    slow = layer | {"winograd": {"error": 1e-5, "us": 3.0}}
    assert proofs.amiss("winograd", {"64-64": slow, "3-64": slow | {"pays": False}}, small=False) == ["64-64 is slower"]
    assert proofs.amiss("captured", {"srgan graph": {"ms": 1.0, "loss": float("nan")}}, small=False) == ["srgan graph"]
    assert proofs.amiss("probe", {"copy": {"done_us": 1.0}, "sums": {"done_us": 0.0}}, small=False) == ["sums"]
    assert [bool(proofs.amiss("profile", {"left out": "torch"}, small)) for small in (False, True)] == [True, False]
    job = {"samples": {prove.OURS: {}, prove.TORCH: {}}, "errors": {}, "disagree": []}
    assert prove.measured({"jobs": [job]}, alone=False)
    for wrong in ({"samples": {prove.OURS: {}}}, {"errors": {prove.TORCH: "killed"}}, {"disagree": [prove.TORCH]}):
        assert not prove.measured({"jobs": [job, job | wrong]}, alone=False)
    assert not prove.measured({"jobs": []}, alone=True)


@pytest.mark.slow
def test_every_phase_runs_small_on_the_cpu(tmp_path: Path) -> None:
    """What has never run before the day does not run on it."""
    began = os.times().children_user
    assert prove.main(["--dry", "--out", str(tmp_path)]) == 0
    assert os.times().children_user - began < 120  # seconds of a processor: within 3 minutes even on a single core
    phases = json.loads((tmp_path / "report.json").read_text())
    assert [name for name, phase in phases.items() if not phase["well"]] == []
    assert phases["resumes to the last bit"]["found"]["arrays"] > 0
    assert (tmp_path / "srgan/srgan.safetensors").exists()
    assert (tmp_path / "gpu.md").read_text().count("\n") > 10
