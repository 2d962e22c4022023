"""What a wrong array looks like, beside the right one: the kinds of mistakes that no list of an exercise has to name.

A kind is told only if it explains the results of all trials, which have other numbers and, mostly, other sizes: two
numbers always have a ratio, so a factor that only one trial shows says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass
class Pair:
    """A result and the right one, of one trial.

    given   name of an argument -> its array, for those that are arrays
    parts   name of a part of the result -> where it is
    """

    got: Array
    right: Array
    given: Mapping[str, Array] = field(default_factory=dict)
    parts: Mapping[str, Array] = field(default_factory=dict)


def allowed(right: Array, rtol: float) -> float:
    """Return the error allowed: relative to the largest finite magnitude of the right answer."""
    return rtol * (float(abs(right[np.isfinite(right)]).max(initial=0)) or 1.0)


def same(got: Array, right: Array, rtol: float) -> bool:
    """Say whether two arrays agree in shape and value."""
    if got.shape != right.shape or got.dtype.kind not in "fiub":
        return False
    with np.errstate(invalid="ignore"):
        # Differences of bytes would wrap around; infinite is not close to any other number.
        near = abs(got.astype(float) - right) <= allowed(right.astype(float), rtol)
        return bool(np.all(near | (got == right)))


def describe(pairs: Sequence[Pair], rtol: float) -> str:
    """Say how a result that is wrong in the first pair differs from the right one; the others test the explanation."""
    got, right = pairs[0].got, pairs[0].right
    if got.dtype.kind not in "fiub":
        if any(callable(v) for v in got.ravel()):
            return "is a function, not numbers: are the parentheses () missing, as in x.mean()?"
        return f"should be numbers, yours is {'text' if got.dtype.kind == 'U' else got.dtype}."
    if got.shape != right.shape:
        return _shape(pairs, rtol)
    if not np.isfinite(got).all():
        return _not_finite(got, right)
    if told := _whole(pairs, rtol):
        return told
    return _where(pairs, rtol)


def _all(pairs: Sequence[Pair], change: Callable[[Pair], Array | None], rtol: float) -> bool:
    """Say whether `change` makes every result right, or every right one equal to the result."""
    found = False
    for pair in pairs:
        try:
            made = change(pair)
        except Exception:  # a kind need not be possible for every shape
            return False
        if made is None or not same(np.asarray(pair.got), np.asarray(made), rtol):
            return False
        found = found or not same(pair.right, np.asarray(made), rtol)
    return found


# Shapes


def _shape(pairs: Sequence[Pair], rtol: float) -> str:
    got, right = pairs[0].got, pairs[0].right
    numbers = f"should have shape {right.shape}, yours has {got.shape}."
    for told, change in _reshaped(got, right):
        if _all(pairs, change, rtol):
            return f"{numbers} {told}"
    if told := _axes_left(pairs[0]):
        return f"{numbers} {told}"
    if got.ndim == right.ndim and sorted(got.shape) == sorted(right.shape):
        return f"{numbers} It has as many elements: are two axes exchanged?"
    if got.ndim > right.ndim:
        return f"{numbers} An axis is left over: is a sum or mean over it missing?"
    if got.ndim < right.ndim:
        return f"{numbers} An axis is missing: was it summed or averaged away?"
    return numbers


def _reshaped(got: Array, right: Array) -> Iterator[tuple[str, Callable[[Pair], Array | None]]]:
    """Yield what could have happened to the shape: the right result changed so should be yours."""
    if got.size == right.size:
        yield "The numbers are right: only the shape is not.", lambda p: p.right.reshape(p.got.shape)
        for order in permutations(range(right.ndim)) if right.ndim <= 5 else ():
            yield f"It is the right one with its axes in the order {order}.", lambda p, o=order: p.right.transpose(o)
    for count in range(1, right.ndim + 1):
        for axes in combinations(range(right.ndim), count):
            for word, reduce in (("summed", np.sum), ("averaged", np.mean)):
                for keep in (False, True):
                    yield (
                        f"It is the right one, {word} over {_axes(axes)} too.",
                        lambda p, a=axes, r=reduce, k=keep: r(p.right, axis=a, keepdims=k),
                    )
    for count in range(1, got.ndim + 1):
        for axes in combinations(range(got.ndim), count):
            for word, reduce in (("sum", np.sum), ("mean", np.mean)):
                yield (
                    f"The {word} over {_axes(axes)} is missing.",
                    lambda p, a=axes, r=reduce: p.got if same(r(p.got, axis=a), p.right, 1e-4) else None,
                )
    if got.ndim == right.ndim:
        smaller = tuple(slice(0, n) for n in got.shape)
        yield "The last rows or columns are missing; the others are right.", lambda p: p.right[smaller]
        yield (
            "It has rows or columns too many at the end; the others are right.",
            lambda p: p.got if same(p.got[tuple(map(slice, p.right.shape))], p.right, 1e-4) else None,
        )
        for cut in (1, 2):
            inner = tuple(
                slice(cut, n - cut) if n != m else slice(None) for n, m in zip(got.shape, right.shape, strict=True)
            )
            yield (
                f"It has a border of {cut} too many on each side; the inside is right.",
                lambda p, i=inner: p.got if same(p.got[i], p.right, 1e-4) else None,
            )


def _axes_left(pair: Pair) -> str:
    """Say which axes of an input are gone, and which should be."""
    for name, array in pair.given.items():
        gone = []
        for result in (pair.got, pair.right):
            some = combinations(range(array.ndim), max(array.ndim - result.ndim, 0))
            gone.append([a for a in some if tuple(np.delete(array.shape, a)) == result.shape])
        if len(gone[0]) == len(gone[1]) == 1 and gone[0][0] and gone[1][0]:
            return f"Yours is without {_axes(gone[0][0])} of `{name}`; {_axes(gone[1][0])} should go."
    return ""


def _axes(axes: Sequence[int]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"axes {tuple(axes)}"


# The whole array


def _whole(pairs: Sequence[Pair], rtol: float) -> str:
    """Find one change that turns every right result into yours."""
    right = pairs[0].right
    if all(not p.got.any() for p in pairs):
        return "is 0 everywhere."
    for told, change in _changed(right):
        if _all(pairs, change, rtol):
            return told
    if len(pairs) > 1 and all(p.got.shape == pairs[0].got.shape for p in pairs):
        constant = all(same(p.got, pairs[0].got, rtol) for p in pairs)
        if constant and not all(same(p.right, pairs[0].right, rtol) for p in pairs if p.right.shape == right.shape):
            return (
                "is the same for different inputs: does your function use its arguments, or something of the notebook?"
            )
    return _factor(pairs, rtol) or _offset(pairs, rtol) or _one_axis(pairs) or _other_order(pairs, rtol)


def _changed(right: Array) -> Iterator[tuple[str, Callable[[Pair], Array | None]]]:
    """Yield changes of the right result that keep its shape."""
    yield "has the wrong sign everywhere.", lambda p: -p.right
    yield "lacks the sign: it is the absolute value of the right one.", lambda p: abs(p.right)
    for axis in range(right.ndim):
        yield f"is the right one in reverse order along axis {axis}.", lambda p, a=axis: np.flip(p.right, a)
    if right.ndim > 1:
        yield "is the right one with axes 0 and 1 turned around (180 degrees).", lambda p: p.right[::-1, ::-1]
        for order in [*permutations(range(right.ndim))][1:] if right.ndim <= 5 else ():
            yield f"is the right one with its axes in the order {order}.", lambda p, o=order: p.right.transpose(o)
    for axis in range(right.ndim):
        for by, word in ((1, "late"), (-1, "early")):
            yield f"is one place too {word} along axis {axis}.", lambda p, a=axis, b=by: _moved(p, a, b)
    for cut in (np.floor, np.trunc):
        yield "is cut down to whole numbers, not rounded.", lambda p, c=cut: c(p.right)
    yield "is rounded to whole numbers.", lambda p: np.round(p.right)
    yield "is the square of the right one: take the root.", lambda p: p.right**2
    yield "is the square root of the right one.", lambda p: np.sqrt(p.right)
    yield "is upside down: it is 1 / (the right one).", lambda p: 1 / p.right
    yield "is the rest, 1 - (the right one).", lambda p: 1 - p.right
    yield "is the logarithm of the right one.", lambda p: np.log(p.right)
    yield "is the exponential of the right one.", lambda p: np.exp(p.right)
    for axis in range(right.ndim):
        yield (
            f"has the last one of axis {axis} everywhere: is it one array that was changed again and again?",
            lambda p, a=axis: np.broadcast_to(np.take(p.right, [-1], a), p.right.shape),
        )


def _moved(pair: Pair, axis: int, by: int) -> Array | None:
    """Compare where both exist: a place further is yours, whatever stands at the end."""
    n = pair.right.shape[axis]
    if n < 4:
        return None
    mine, other = (
        np.take(a, range(*r), axis)
        for a, r in ((pair.got, (max(by, 0), n + min(by, 0))), (pair.right, (max(-by, 0), n - max(by, 0))))
    )
    return pair.got if same(mine, other, 1e-4) else None


def _factor(pairs: Sequence[Pair], rtol: float) -> str:
    """Find a factor that is the same in all trials, or the same size of an input in each."""
    factors = []
    for p in pairs:
        if not p.right.any():
            if p.got.any():
                return ""
            continue
        factor = float((p.got * p.right).sum() / (p.right * p.right).sum())
        if not factor or not same(p.got / factor, p.right, rtol):
            return ""
        factors.append(factor)
    if len(factors) < 2:
        return ""
    if np.ptp(factors) <= 1e-4 * abs(factors[0]):
        return f"is {factors[0]:.4g} times the right one everywhere."
    return ""


def _offset(pairs: Sequence[Pair], rtol: float) -> str:
    offsets = [p.got - p.right for p in pairs]
    first = float(offsets[0].flat[0]) if offsets[0].size else 0.0
    if len(pairs) > 1 and abs(first) > 1e-3 and all(np.allclose(o, first, rtol=1e-4) for o in offsets):
        return f"is {abs(first):.4g} too {'large' if first > 0 else 'small'} everywhere."
    return ""


def _one_axis(pairs: Sequence[Pair]) -> str:
    """Find a factor and a shift for each index of the last axis, as a wrong mean or spread of a channel makes them."""
    shifted = True
    for p in pairs:
        n = p.right.shape[-1] if p.right.ndim > 1 else 0
        if n < 2 or p.right.size < 4 * n or p.got.shape != p.right.shape:
            return ""
        for got, right in zip(p.got.reshape(-1, n).T, p.right.reshape(-1, n).T, strict=True):
            if np.ptp(right) == 0:
                return ""
            factor, shift = np.polyfit(right, got, 1)
            if not np.allclose(factor * right + shift, got, rtol=1e-6, atol=1e-6 * abs(got).max()):
                return ""
            shifted = shifted and abs(factor - 1) < 1e-6
    if shifted:
        return (
            "is shifted, by another number in each channel: what is added for a channel (its mean, its bias) is wrong."
        )
    return "is stretched, by another factor in each channel: what scales a channel (its spread, its weight) is wrong."


def _other_order(pairs: Sequence[Pair], rtol: float) -> str:
    if pairs[0].right.size > 3 and all(same(np.sort(p.got, None), np.sort(p.right, None), rtol) for p in pairs):
        return "has all the right numbers, at other places: is the order of axes or elements wrong, or the choice?"
    return ""


# A part of the array


def _not_finite(got: Array, right: Array) -> str:
    bad = ~np.isfinite(got)
    kind = "NaN (0/0, or the root or logarithm of a negative number)" if np.isnan(got).any() else "infinite"
    return f"should be finite, yours has NaN or infinite numbers: {int(bad.sum())} of {bad.size} are {kind}."


def _where(pairs: Sequence[Pair], rtol: float) -> str:
    """Say where the wrong elements are."""
    got, right = pairs[0].got, pairs[0].right
    wrong = abs(got - right) > allowed(right, rtol)
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    numbers = f"should be {right[at]:.6g}, yours is {got[at]:.6g}."
    if right.ndim == 0:
        return numbers
    # A place that holds the wrong elements of one trial only may do so by chance.
    bad = [p for p in pairs if p.got.shape == p.right.shape and not same(p.got, p.right, rtol)]
    places = [[*_places(p, abs(p.got - p.right) > allowed(p.right, rtol))] for p in bad]
    place = next((f" {place}" for place in places[0] if all(place in others for others in places)), "")
    told = f"has the right shape, but {int(wrong.sum())} of {right.size} elements are wrong"
    return f"{told}; the first, {[*at]}, {numbers}{place}".rstrip()


def _places(pair: Pair, wrong: Array) -> Iterator[str]:
    """Yield the regions that hold all wrong elements, the one that says most first."""
    parts = {name: mask for name, mask in pair.parts.items() if mask.shape == wrong.shape}
    hit = [name for name, mask in parts.items() if (wrong & mask).any()]
    whole = [name for name in parts if name not in hit]
    if hit and whole:
        yield f"All of them lie {' or '.join(hit)}; {' and '.join(whole)} all is right."
    level = {name: array for name, array in pair.given.items() if array.shape == wrong.shape}
    for (name, array), (other, second) in combinations(level.items(), 2):
        for sign, mask in {"<": array < second, ">": array > second}.items():
            if wrong.sum() > 4 and not (wrong & ~mask).any() and (~mask).any():
                told = ": bytes wrap around, so convert them to float first" if array.dtype == np.uint8 else ""
                yield f"All of them lie where {name} {sign} {other}{told}."
    for name, array in level.items():
        if array.dtype == np.uint8:  # a byte is seldom 0
            continue
        signs = {"< 0": array < 0, "> 0": array > 0, "= 0": array == 0}
        hit = [sign for sign, mask in signs.items() if (wrong & mask).any()]
        if any(mask.any() for sign, mask in signs.items() if sign not in hit):
            yield f"All of them lie where {name} {' or '.join(hit)}."
    for axis, length in enumerate(wrong.shape):
        bad = np.flatnonzero(wrong.any(axis=tuple(i for i in range(wrong.ndim) if i != axis)))
        if 0 < len(bad) < length:
            there = (
                "the first" if [*bad] == [0] else "the last" if [*bad] == [length - 1] else f"{[int(i) for i in bad]}"
            )
            yield f"All of them lie at {there} of axis {axis}."
