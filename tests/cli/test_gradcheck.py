"""The table that a teacher projects on the wall: green for every operation, red for a broken one."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from minisrgan import Tensor, ops
from minisrgan.cli.main import main
from minisrgan.reference.cases import CASES
from minisrgan.show import correctness

PROJECT = Path(__file__).resolve().parents[2]
FIXTURES = PROJECT / "tests" / "fixtures"


def table(text: str) -> dict[str, str]:
    """The rows of the table by operation."""
    return {line.split()[0]: line for line in text.splitlines() if line.split()[:1] and line.split()[0] in ops.__all__}


def test_every_operation_has_a_case():
    """An operation without a case would stand in the table with nothing checked."""
    assert set(CASES) == set(ops.__all__)


def test_every_case_is_among_the_fixtures():
    """A case that PyTorch was never asked for raises an error in the command, and only there."""
    names = {key.split("|")[0] for key in correctness.load_fixtures(FIXTURES)}
    assert [case.name for cases in CASES.values() for case in cases if case.name not in names] == []


# One operation for each way to call it: one array, options, a list, a condition, running statistics, positive inputs.
OF_EACH_KIND = ["batch_norm", "conv2d_weight_gradient", "exp", "power", "stack", "sum_to", "where"]


@pytest.mark.parametrize("asked", [OF_EACH_KIND, pytest.param([], marks=pytest.mark.slow)], ids=["a few", "all"])
def test_all_is_green(asked: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """The whole point of the command: every operation, every column. What it asks, test_table asks of more rows."""
    monkeypatch.chdir(PROJECT)
    assert main(["gradcheck", *asked]) == 0
    out = capsys.readouterr().out
    rows = table(out)
    assert list(rows) == (asked or ops.__all__)
    assert all(row.count("✓") == 4 for row in rows.values())
    assert out.splitlines()[-1] == f"{len(rows)} of {len(rows)} operations pass"


def test_a_wrong_gradient_is_red(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """A command that always says yes looks the same on every other day."""

    def backward(self: ops.activation.Tanh, grad_y: Tensor) -> Tensor:
        (y,) = self.saved
        return grad_y * (1.0 - y)

    monkeypatch.setattr(ops.activation.Tanh, "backward", backward)
    assert main(["gradcheck", "--fixtures", str(FIXTURES), "tanh", "exp"]) == 1
    out = capsys.readouterr().out
    forward, *marks = re.findall("[✓✗]", table(out)["tanh"])
    assert forward == "✓"
    assert marks[0] == marks[2] == "✗"
    assert "✗" not in table(out)["exp"]
    assert "tanh-3x4, gradient: GradientError" in out
    assert out.splitlines()[-1] == "1 of 2 operations pass"


def test_a_wrong_formula_is_red(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """A wrong formula with a gradient that matches passes every gradient check."""
    monkeypatch.setattr(ops, "exp", lambda x: ops.sqrt(x * x + 1.0))
    assert main(["gradcheck", "--fixtures", str(FIXTURES), "exp"]) == 1
    assert re.findall("[✓✗]", table(capsys.readouterr().out)["exp"]) == ["✗", "✓", "✓", "✗"]


def test_another_shape_is_red(monkeypatch: pytest.MonkeyPatch):
    """(2, 3) and (1, 2, 3) broadcast, and their difference is 0."""
    monkeypatch.setattr(ops, "exp", lambda x: ops.activation.softplus(x)[None] * 0.0 + Tensor(np.exp(x.data)))
    assert "forward vs reference" in correctness.check_operation("exp").problems[0]


def test_an_operation_that_raises_is_red(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """One half-written operation must not hide the table of all the others."""
    monkeypatch.setattr(ops, "relu", lambda x: x.no_such_thing)
    assert main(["gradcheck", "relu", "exp"]) == 1
    out = capsys.readouterr().out
    assert "no_such_thing" in out
    assert "1 of 2 operations pass" in out


def test_an_operation_without_a_case_is_red(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """A new operation would be counted as passing, with nothing checked."""
    monkeypatch.setattr(ops, "__all__", [*ops.__all__, "cosine"])
    assert main(["gradcheck", "cosine"]) == 1
    assert "0 of 1 operations pass" in capsys.readouterr().out


def test_without_fixtures(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """An installed package has no tests beside it: the column is a dash with a note, not a failure and not a tick."""
    (tmp_path / "tests" / "fixtures").mkdir(parents=True)  # those of somebody else's project
    monkeypatch.chdir(tmp_path)
    assert main(["gradcheck", "exp"]) == 0
    out = capsys.readouterr().out
    assert table(out)["exp"].count("✓") == 3
    assert "a dash: not checked" in out


def test_what_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """A misspelt operation or folder must not pass as nothing to check."""
    assert main(["gradcheck", "conv3d"]) == 2
    assert main(["gradcheck", "exp", "--fixtures", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "conv2d" in error
    assert "operations.npz" in error


def test_a_terminal_without_unicode(monkeypatch: pytest.MonkeyPatch):
    """A tick that the console of Windows cannot print ends the command with a traceback."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", out)
    assert main(["gradcheck", "exp"]) == 0
    out.seek(0)
    assert "ok " in table(out.read())["exp"]


def test_the_page_is_up_to_date():
    """docs/correctness.md is written by the command; an operation added later is missing until it is run again."""
    page = (PROJECT / "docs" / "correctness.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("|")]
    assert [row[0].strip() for row in rows[2:]] == ops.__all__
    assert [cell.strip() for cell in rows[0]] == ["operation", *correctness.COLUMNS, "time"]
    assert "✗" not in page
    assert " - " not in "".join(map("".join, rows[2:]))
