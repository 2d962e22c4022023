"""Where the tests find files that lie beside the project and never in it."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


def needs_shared(*parts: str) -> pytest.MarkDecorator:
    """Skip a test, naming the file, where one of these paths under ``../shared`` is missing."""
    missing = [part for part in parts if not (SHARED / part).exists()]
    return pytest.mark.skipif(bool(missing), reason=f"needs ../shared/{', ../shared/'.join(missing)}")
