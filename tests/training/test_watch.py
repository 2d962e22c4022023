"""Warnings in plain words: given when something is wrong for long, and not before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from minisrgan.errors import ConfigError
from minisrgan.training.log import Log, read_log
from minisrgan.training.watch import WINDOW, plain_words

HEALTHY: dict[str, Any] = {
    "grad_content": 1e-4, "grad_adversarial": 1e-6, "d_real": 0.8, "d_fake": 0.3, "outside": 0.01, "contrast": 0.95,
}  # fmt: skip
WRONG = {
    "grad_content": ({"grad_content": 0.0}, "gradient of content is 0"),
    "grad_adversarial": ({"grad_adversarial": 0.0}, "gradient of adversarial is 0"),
    "discriminator": ({"d_real": 0.99, "d_fake": 0.001}, "the discriminator has won"),
    "outside": ({"outside": 0.4}, "40% of the output"),
    "contrast": ({"contrast": 0.02}, "nearly uniform"),
}


@pytest.mark.parametrize("name", WRONG)
def test_each_trouble_is_told_once_it_lasts(name: str) -> None:
    """Told at the first odd step a warning is noise; told never, a night is lost."""
    change, words = WRONG[name]
    ill = HEALTHY | change
    assert list(plain_words([ill] * WINDOW)) == [name]
    assert words in plain_words([ill] * WINDOW)[name]
    assert plain_words([ill] * (WINDOW - 1)) == {}
    assert plain_words([HEALTHY, *[ill] * (WINDOW - 1)]) == {}


def test_a_healthy_training_is_left_in_peace() -> None:
    """Neither SRGAN nor SRResNet, whose records know nothing of D, gives a warning."""
    assert plain_words([HEALTHY] * WINDOW) == {}
    srresnet = {key: HEALTHY[key] for key in ("grad_content", "outside", "contrast")}
    assert plain_words([srresnet] * WINDOW) == {}


def test_one_player_alone_has_not_won() -> None:
    """D that takes everything for an original, or nothing, is not one that has won."""
    for d_real, d_fake in ((0.99, 0.99), (0.01, 0.01), (0.96, 0.06)):
        assert plain_words([HEALTHY | {"d_real": d_real, "d_fake": d_fake}] * WINDOW) == {}


def test_a_warning_is_repeated_after_a_thousand_steps(tmp_path: Path) -> None:
    """Once in a night it scrolls away; at every step it buries everything else."""
    with Log(tmp_path / "log.jsonl") as log:
        told = [step for step in range(1, 2101) if log.add(step, "srgan", HEALTHY | {"contrast": 0.0}, waited=0.0)]
    assert told == [WINDOW, WINDOW + 1000, WINDOW + 2000]
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "warnings" in line] == told
    assert lines[WINDOW - 1]["warnings"] == ["contrast"]
    assert all(line["memory_mb"] > 1 for line in lines)


def test_the_log_of_a_long_training_is_thinned_for_drawing(tmp_path: Path) -> None:
    """A million records take a minute to draw and show no more; a validation is rare, and none may be lost."""
    with Log(tmp_path / "log.jsonl") as log:
        for step in range(1, 5001):
            log.add(step, "srresnet", {"content": 1 / step} | ({"psnr": 20.0} if step % 777 == 0 else {}), waited=0.0)
        assert log.line() == "content 0.0002, 20.00 dB"
    records = read_log(tmp_path / "log.jsonl", most=100)
    assert [record["step"] for record in records if "psnr" in record] == list(range(777, 5000, 777))
    assert 100 <= len(records) <= 110


@pytest.mark.parametrize("text", ["{", "[1, 2]\n", "1\n", "\udcff"])
def test_what_is_no_log_is_named(text: str, tmp_path: Path) -> None:
    """A traceback out of the JSON decoder does not say which file."""
    (tmp_path / "log.jsonl").write_text(text, errors="surrogateescape")
    with pytest.raises(ConfigError, match=r"log\.jsonl"):
        read_log(tmp_path / "log.jsonl")
    with pytest.raises(ConfigError, match=r"missing\.jsonl"):
        read_log(tmp_path / "missing.jsonl")
