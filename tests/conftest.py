"""How many examples hypothesis draws, and what the tests of several folders need."""

from __future__ import annotations

import pytest
from hypothesis import settings

# Chosen by --hypothesis-profile. The examples are the same in every run, and those of "quick" come first in "full".
settings.register_profile("quick", max_examples=40, derandomize=True, deadline=None, database=None)
settings.register_profile("full", settings.get_profile("quick"), max_examples=200)
settings.load_profile("quick")


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw nothing beside a training: for tests that look at something else, as drawing is most of their time."""
    monkeypatch.setattr("minisrgan.cli.train.draw_run", lambda folder, stage, originals: None)
