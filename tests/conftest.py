"""How many examples hypothesis draws: few with every `make test`, all with `make test-slow`."""

from __future__ import annotations

from hypothesis import settings

# Chosen by --hypothesis-profile. The examples are the same in every run, and those of "quick" come first in "full".
settings.register_profile("quick", max_examples=40, derandomize=True, deadline=None, database=None)
settings.register_profile("full", settings.get_profile("quick"), max_examples=200)
settings.load_profile("quick")
