"""Exercises of notebook 10: clipping, when D has won, the average of the weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from checks import Exercise

Array = np.ndarray[Any, Any]


def norm_of(gradients: Sequence[Array]) -> float:
    return float(np.sqrt(sum((gradient**2).sum() for gradient in gradients)))


def clipped(gradients: Sequence[Array], limit: float) -> list[Array]:
    return [gradient * min(1, limit / norm_of(gradients)) for gradient in gradients]


def won_after(real: Array, fake: Array, window: int, first: int = 1) -> int:
    """Count the steps in a row; `first` is the number of the first step."""
    row = 0
    for step, good in enumerate((real > 0.95) & (fake < 0.05), first):
        row = row + 1 if good else 0
        if row == window:
            return step
    return -1


def means(real: Array, fake: Array, window: int) -> int:
    """Take the mean over the window instead of each step."""
    for step in range(window, len(real) + 1):
        if real[step - window : step].mean() > 0.95 and fake[step - window : step].mean() < 0.05:
            return step
    return -1


def in_all(real: Array, fake: Array, window: int) -> int:
    """Count all good steps, in a row or not."""
    good = ((real > 0.95) & (fake < 0.05)).cumsum()
    return int(np.argmax(good >= window)) + 1


def answers(rng: np.random.Generator) -> tuple[Array, Array, int]:
    """Draw answers of a D that doubts now and then, of one or the other, before it wins."""
    real, fake = np.full(24, 0.99), np.full(24, 0.01)
    real[[0, 1, 8]], real[5] = rng.uniform(0.5, 0.8, 3), 0.94
    fake[[9, 14]] = 0.3, 0.06
    return real, fake, 5 + int(rng.integers(2))


def averages(weights: Array, decay: float, start: float = 1.0) -> Array:
    rows = [weights[0] * start]
    for row in weights[1:]:
        rows.append(decay * rows[-1] + (1 - decay) * row)
    return np.array(rows)


def running_mean(weights: Array, decay: float) -> Array:
    total: Array = weights.cumsum(axis=0) / np.arange(1, len(weights) + 1)[:, None]
    return total


EXERCISES = {
    "10.1": Exercise(
        clipped,
        # The second trial is shorter than its limit.
        lambda rng: ([rng.normal(size=(3, 4)), rng.normal(size=5)], 2.0 if rng.random() > 0.5 else 30.0),
        {
            "each gradient was clipped by itself, which turns the direction of the step: take one norm of all.": (
                lambda gradients, limit: [clipped([g], limit)[0] for g in gradients]
            ),
            "you clipped element by element, which turns the direction of the step: scale all by one factor.": (
                lambda gradients, limit: [np.clip(g, -limit / 2, limit / 2) for g in gradients]
            ),
            "gradients shorter than the limit stay as they are: the factor is at most 1.": lambda gradients, limit: [
                g * limit / norm_of(gradients) for g in gradients
            ],
            "the square root is missing: a norm is the root of the sum of squares.": lambda gradients, limit: [
                g * min(1, limit / norm_of(gradients) ** 2) for g in gradients
            ],
        },
        ["the first gradient", "the second gradient"],
    ),
    "10.2": Exercise(
        won_after,
        answers,
        {
            "that is the position of the step, counted from 0; after it one step more has been taken.": (
                lambda r, f, n: won_after(r, f, n, first=0)
            ),
            "look at both: D must also be sure of generated pictures, below 0.05.": lambda r, f, n: won_after(
                r, 0 * f, n
            ),
            "look at both: D must also be sure of originals, above 0.95.": lambda r, f, n: won_after(0 * r + 1, f, n),
            "a mean over the window forgives a step of doubt: each of them has to hold.": means,
            "the steps must follow each other: count again from 0 after one that does not hold.": in_all,
            "that is where the row begins; D has won when it is complete.": lambda r, f, n: won_after(r, f, n) - n + 1,
        },
        ["the number of steps"],
    ),
    "10.3": Exercise(
        averages,
        lambda rng: (rng.normal(size=(6, 3)) + 2, float(rng.uniform(0.6, 0.9))),
        {
            "decay and 1 - decay are exchanged: it keeps decay of itself.": lambda w, decay: averages(w, 1 - decay),
            "it begins as weights[0], not as 0.": lambda w, decay: averages(np.concatenate([0 * w[:1], w]), decay)[1:],
            "that is the plain mean of all steps, which never forgets the first ones.": running_mean,
            "only the last average: return one row for each step.": lambda w, decay: averages(w, decay)[-1],
        },
        ["the averages"],
    ),
}
