"""A notebook's outputs do not depend on how fast it ran."""

from __future__ import annotations

import pytest

nbformat = pytest.importorskip("nbformat")

from nbformat.v4 import new_output  # noqa: E402

from tests.notebooks.test_checks import build  # noqa: E402


def test_lines_that_came_one_by_one_are_one_output() -> None:
    """On a busy machine a loop of prints arrives in pieces, and a comparison by outputs fails for no reason."""
    figure = new_output("display_data", {"text/plain": "figure"})
    a, b, c, d = (new_output("stream", name="stdout", text=text) for text in ("a\n", "b\n", "c\n", "d\n"))
    whole = build.joined([a, b, figure, c, d])
    assert [output.get("text") for output in whole] == ["a\nb\n", None, "c\nd\n"]
