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
    good = ((real > 0.95) & (fake < 0.05)).cumsum() >= window
    return int(np.argmax(good)) + 1 if good.any() else -1


def late(real: Array, fake: Array, window: int) -> int:
    found = won_after(real, fake, window)
    return found + 1 if found > 0 else found


def last_win(real: Array, fake: Array, window: int) -> int:
    row, found = 0, -1
    for step, good in enumerate((real > 0.95) & (fake < 0.05), 1):
        row = row + 1 if good else 0
        found = step if row >= window else found
    return found


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


def shares(answer: Any) -> str:
    """Say of which weights the first wrong row is made: rows of a unit matrix keep them apart."""
    decay, steps = 0.8, 4
    wrong, right = np.asarray(answer(np.eye(steps), decay)), averages(np.eye(steps), decay)
    row = next(i for i in range(steps) if not np.allclose(wrong[i], right[i]))
    sums = [" + ".join(f"{a:.3g} weights[{k}]" for k, a in enumerate(rows[row]) if a) or "0" for rows in (wrong, right)]
    return f"mixes other shares. With decay {decay} its row {row} is {sums[0]}; the right one is {sums[1]}."


EXERCISES = {
    "10.1": Exercise(
        clipped,
        lambda rng: ([rng.normal(size=(3, 4)), rng.normal(size=5)], float(rng.uniform(0.3, 0.8))),
        {
            "each gradient was clipped by itself, which turns the direction of the step: take one norm of all.": (
                lambda gradients, limit: [clipped([g], limit)[0] for g in gradients]
            ),
            "you clipped element by element, which turns the direction of the step: scale all by one factor.": (
                lambda gradients, limit: [np.clip(g, -limit / 2, limit / 2) for g in gradients]
            ),
            "you clipped element by element: scale all of them by one factor, which keeps the direction.": (
                lambda gradients, limit: [np.clip(g, -limit, limit) for g in gradients]
            ),
            "the norms of the gradients were added: the square of the whole norm is the sum of their squares.": (
                lambda gradients, limit: [g * min(1, limit / sum(norm_of([h]) for h in gradients)) for g in gradients]
            ),
            "that is the largest of the norms: one norm of all, as of one long vector.": lambda gradients, limit: [
                g * min(1, limit / max(norm_of([h]) for h in gradients)) for g in gradients
            ],
            "that is the norm of the first gradient alone: all of them are one vector.": lambda gradients, limit: [
                g * min(1, limit / norm_of(gradients[:1])) for g in gradients
            ],
            "that is the norm of the last gradient alone: add up the squares of all.": lambda gradients, limit: [
                g * min(1, limit / norm_of(gradients[-1:])) for g in gradients
            ],
            "that is the root of the mean square: a norm has the sum.": lambda gradients, limit: [
                g * min(1, limit * np.sqrt(sum(h.size for h in gradients)) / norm_of(gradients)) for g in gradients
            ],
            "the squares are to be summed, not averaged for each gradient.": lambda gradients, limit: [
                g * min(1, limit / np.sqrt(sum((h**2).mean() for h in gradients))) for g in gradients
            ],
            "that is the sum of magnitudes: the norm is the root of the sum of squares.": lambda gradients, limit: [
                g * min(1, limit / sum(np.abs(h).sum() for h in gradients)) for g in gradients
            ],
            "that is the largest magnitude, and not the norm.": lambda gradients, limit: [
                g * min(1, limit / max(np.abs(h).max() for h in gradients)) for g in gradients
            ],
            "the factor is limit / norm; yours is norm / limit.": lambda gradients, limit: [
                g * norm_of(gradients) / limit if norm_of(gradients) > limit else g for g in gradients
            ],
            "yours have the norm 1: they shall have the norm limit.": lambda gradients, limit: [
                g / norm_of(gradients) if norm_of(gradients) > limit else g for g in gradients
            ],
            "the smaller of 1 and limit / norm is the factor; yours is the larger.": lambda gradients, limit: [
                g * max(1, limit / norm_of(gradients)) for g in gradients
            ],
            "those are the gradients as they came: they are not scaled.": lambda gradients, limit: [*gradients],
            "gradients shorter than the limit stay as they are: the factor is at most 1.": lambda gradients, limit: [
                g * limit / norm_of(gradients) for g in gradients
            ],
            "the square root is missing: a norm is the root of the sum of squares.": lambda gradients, limit: [
                g * min(1, limit / norm_of(gradients) ** 2) for g in gradients
            ],
        },
        ["the first gradient", "the second gradient", "the third gradient"],
        cases={
            "with three gradients": lambda rng: ([rng.normal(size=n) for n in (2, 7, 4)], 1.5),
            "where the norm is below the limit": lambda rng: ([rng.normal(size=(3, 4)), rng.normal(size=5)], 30.0),
        },
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
            "one of the two is enough in yours: both must hold (and, not or).": lambda r, f, n: won_after(
                np.maximum(r, (f < 0.05) * 0.99), np.minimum(f, (r <= 0.95) * 0.99), n
            ),
            "0.95 and 0.05 themselves do not count: above, and below.": lambda r, f, n: won_after(
                r + 1e-9, f - 1e-9, n
            ),
            "yours answers one step late: the row is complete with its last step.": late,
            "yours asks for one step more than window.": lambda r, f, n: won_after(r, f, n + 1),
            "yours asks for one step less than window.": lambda r, f, n: won_after(r, f, n - 1),
            "that is the last time, not the first: stop as soon as the row is complete.": last_win,
            "the length of the whole is no answer: -1 where D never wins.": lambda r, f, n: (
                len(r) if won_after(r, f, n) < 0 else won_after(r, f, n)
            ),
            "where D never wins -1 is wanted.": lambda r, f, n: max(0, won_after(r, f, n)),
            "that is where the row begins; D has won when it is complete.": lambda r, f, n: won_after(r, f, n) - n + 1,
        },
        ["the number of steps"],
        cases={
            "where D never wins": lambda rng: (np.full(9, 0.97), np.full(9, 0.2), 3),
            "where D is sure of generated pictures only": lambda rng: (np.full(9, 0.8), np.full(9, 0.01), 3),
            "where D wins with the very last step": lambda rng: (np.r_[0.5, 0.5, [0.99] * 4], np.full(6, 0.01), 4),
            "where D wins at once": lambda rng: (np.full(8, 0.99), np.full(8, 0.02), 4),
            "where the last row of good steps is too short": lambda rng: (
                np.r_[[0.5] * 4, 0.99, 0.99],
                np.full(6, 0.01),
                3,
            ),
            "where D says exactly 0.95": lambda rng: (np.r_[[0.95] * 4, [0.99] * 4], np.full(8, 0.02), 4),
            "where D has good steps, but not in a row": lambda rng: (
                np.tile([0.99, 0.99, 0.5], 4),
                np.full(12, 0.01),
                3,
            ),
        },
    ),
    "10.3": Exercise(
        averages,
        lambda rng: (rng.normal(size=(6, 3)) + 2, float(rng.uniform(0.6, 0.9))),
        {
            "decay and 1 - decay are exchanged: it keeps decay of itself.": lambda w, decay: averages(w, 1 - decay),
            "it begins as weights[0], not as 0 or as (1 - decay) * weights[0].": lambda w, decay: averages(
                np.concatenate([0 * w[:1], w]), decay
            )[1:],
            "that is the plain mean of all steps, which never forgets the first ones.": running_mean,
            "yours mixes a step's weights with those of the step before: mix them with the average so far.": (
                lambda w, decay: np.concatenate([w[:1], decay * w[:-1] + (1 - decay) * w[1:]])
            ),
            "the average so far is not reduced: decay of it stays.": lambda w, decay: np.array(
                [w[0] + (1 - decay) * w[1 : i + 1].sum(axis=0) for i in range(len(w))]
            ),
            "every average is made from weights[0]: it has to go on from the average before.": (
                lambda w, decay: np.concatenate([w[:1], decay * w[0] + (1 - decay) * w[1:]])
            ),
            "each row takes in the weights of the step before: the first step was weights[0], the second weights[1].": (
                lambda w, decay: averages(np.concatenate([w[:1], w[:-1]]), decay)
            ),
            "the first row, weights[0] itself, is missing.": lambda w, decay: averages(w, decay)[1:],
            "weights[0] is in it twice: it begins there, and the first step after it is weights[1].": lambda w, decay: (
                np.concatenate([w[:1], averages(w, decay)])
            ),
            "it begins as weights[0]; yours begins as 0.": lambda w, decay: averages(w, decay, 0.0),
            "only the last average: return one row for each step.": lambda w, decay: averages(w, decay)[-1],
        },
        ["the averages"],
        tells=shares,
        cases={"for decay 0.95, ten steps": lambda rng: (rng.normal(size=(10, 2)), 0.95)},
    ),
}
