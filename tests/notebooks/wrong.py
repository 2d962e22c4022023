"""Wrong answers to the exercises, as students write them, in two sets; and what collects them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Wrong = tuple[str, str, Any]  # number of the exercise, a pattern that the verdict must match, the answer


def collector() -> tuple[Callable[[str, str], Callable[[Any], Any]], list[Wrong]]:
    """Make a decorator, and the list to which it adds answers."""
    collected: list[Wrong] = []

    def wrong(number: str, pattern: str) -> Callable[[Any], Any]:
        def add(answer: Any) -> Any:
            collected.append((number, pattern, answer))
            return answer

        return add

    return wrong, collected
