"""A gradient check: does the result of `backward` agree with finite differences of the function?

For results y = f(x) and random numbers c, the derivative of L = sum(c * y) in a direction v is compared with

    dL/dv  =  sum c * (f(x + eps*v) - f(x - eps*v)) / (2*eps)  +  O(eps^2)

in float64, where rounding leaves about ten digits. The c are not all 1, because the outputs of batch norm add up to a
constant, so that with c = 1 a wrong gradient of 0 would pass. The directions are a random one and, for a small input,
each element. Errors are relative to the largest magnitude in the gradient: rounding affects all elements equally.

At a kink, such as that of relu at 0, the central difference is the average of two slopes and cannot be compared. The
check detects a kink by the difference between the slopes on the two sides of x: for a smooth function it is
proportional to eps, at a kink it is not. Then the check moves the inputs a little and starts again, a limited number of
times.
"""

from __future__ import annotations  # np.random in a signature takes 20 ms to load

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from minisrgan.autograd.arguments import require_rng
from minisrgan.autograd.engine import grad, propagate
from minisrgan.autograd.function import Function
from minisrgan.autograd.modes import enable_grad
from minisrgan.autograd.tensor import Tensor
from minisrgan.backend import Array, array_module
from minisrgan.errors import DTypeError, GradientError

Differentiable: TypeAlias = Callable[..., Any]  # the inputs -> a Tensor, or a tuple of them

_SMALL = 200  # an input with at most this many elements is checked element by element
_TRIES = 8


@dataclass(frozen=True)
class Report:
    """The measurements of a check that has passed.

    name    the function checked
    inputs  the inputs that require a gradient, as ``input 0 (x)``
    errors  for each of them the largest difference, relative to the largest magnitude in its gradient
    moves   how often the inputs had to be moved away from a kink
    """

    name: str
    inputs: tuple[str, ...]
    errors: tuple[float, ...]
    moves: int


def gradcheck(
    function: Differentiable, inputs: Sequence[Any], *, eps: float = 1e-6, rtol: float = 1e-6, atol: float = 1e-9,
    rng: np.random.Generator | None = None,
) -> Report:  # fmt: skip
    """Check a function's gradient by central differences, and that `backward_fused` agrees with `backward`.

    function  takes the inputs, returns a Tensor or a tuple of them
    inputs    float64 Tensors; the gradient of those that require one is checked. Others are passed on unchanged
    rtol      allowed error, relative to the largest magnitude in an input's gradient
    atol      additional allowed error, relative to the size of L, because differences of results are rounded
    Errors    DTypeError unless float64; GradientError that names input, element and both values.

    >>> from minisrgan import ops
    >>> x = Tensor(np.linspace(-1.0, 1.0, 5), requires_grad=True)
    >>> report = gradcheck(ops.tanh, [x])
    >>> report.inputs, report.errors[0] < 1e-8
    (('input 0 (x)',), True)
    """
    name, labels = _describe(function, len(inputs))
    return _Check("gradcheck", name, labels, function, require_rng("gradcheck", rng), eps, rtol, atol).run(inputs)


def gradgradcheck(function: Differentiable, inputs: Sequence[Any], **settings: Any) -> Report:
    """Check the gradient of the gradient: `gradcheck` of (x, grad_output) -> grad_x, with create_graph=True.

    Arguments and errors as `gradcheck`; the function returns one Tensor. The last input of the report is grad_output.

    >>> x = Tensor(np.array([1.0, 2.0]), requires_grad=True)
    >>> gradgradcheck(lambda x: x * x * x, [x]).inputs
    ('input 0 (x)', 'input 1 (grad_output)')
    """
    name, labels = _describe(function, len(inputs))
    rng = require_rng("gradgradcheck", settings.pop("rng", None))

    def gradients(*given: Any) -> tuple[Tensor, ...]:
        *xs, grad_output = given
        wanted = [x for x in xs if isinstance(x, Tensor) and x.requires_grad]
        return grad(function(*xs), wanted, grad_output, create_graph=True)

    given = [*inputs, Tensor(_normal(rng, function(*inputs).data), requires_grad=True)]
    labels = [*labels, f"input {len(inputs)} (grad_output)"]
    return _Check("gradgradcheck", name, labels, gradients, rng, **settings).run(given)


@dataclass
class _Check:
    """The settings of a check, and its current inputs, results y, and random weights c of sum(c * y)."""

    check: str
    name: str
    labels: Sequence[str]
    function: Differentiable
    rng: np.random.Generator
    eps: float = 1e-6
    rtol: float = 1e-6
    atol: float = 1e-9

    def run(self, inputs: Sequence[Any]) -> Report:
        """Check at the inputs or, if they are at a kink, near them."""
        tensors = {i: x for i, x in enumerate(inputs) if isinstance(x, Tensor)}
        checked = [i for i, x in tensors.items() if x.requires_grad]
        if not checked:
            raise self._refuse("an input that requires a gradient", "none", "set requires_grad=True")
        for i, x in tensors.items():
            if x.dtype != np.float64:
                fix = "use array.astype(np.float64): float32 has too few digits for differences"
                raise DTypeError(self.check, expected="float64 inputs", got=f"{self.labels[i]} {x.dtype}", fix=fix)
        self.inputs = list(inputs)
        for move in range(_TRIES):
            with enable_grad():
                errors = self._errors(checked)
            if errors is not None:
                return Report(self.name, tuple(self.labels[i] for i in checked), errors, move)
            for i, x in tensors.items():
                step = 1e-4 * 4**move * _normal(self.rng, x.data)
                self.inputs[i] = Tensor(self.inputs[i].data + step, x.requires_grad)
        smooth = f"inputs around which the function is smooth, {self.eps:g} to either side"
        raise self._refuse(smooth, f"a kink, or noise, in each of {_TRIES} places", "start away from kinks and ties")

    def _errors(self, checked: Sequence[int]) -> tuple[float, ...] | None:
        """Return each input's relative error, or None at a kink; raise GradientError if a gradient is wrong."""
        self.results = [y.data for y in self._compute()[1]]
        self.weights = [_normal(self.rng, y) for y in self.results]
        size = sum(float(((c * y) ** 2).sum()) for c, y in zip(self.weights, self.results, strict=True)) ** 0.5
        recorded, plain = self._gradients(create_graph=True), self._gradients(create_graph=False)
        errors = []
        for i in checked:
            steps = list(self._steps(recorded[i]))
            analytic = np.array([float((recorded[i] * step).sum()) for _, step in steps])
            numerical = np.array([self._slope(i, step, self.eps)[0] for _, step in steps])
            difference = np.nan_to_num(abs(analytic - numerical), nan=np.inf)
            largest = max(float(abs(recorded[i]).max(initial=0)), float(abs(numerical).max()))
            allowed = self.rtol * largest + self.atol * size
            worst = int(difference.argmax())
            place, step = steps[worst]
            if not difference[worst] <= allowed:
                if self._has_kink(i, step, difference[worst]):
                    return None
                raise self._wrong(i, place, "numerical", numerical[worst], "backward", analytic[worst], largest)
            between = abs(plain[i] - recorded[i])
            if not between.max(initial=0) <= 1e-5 * allowed:  # the same formula twice: only rounding may differ
                at = tuple(int(k) for k in np.unravel_index(int(between.argmax()), between.shape))
                both = float(recorded[i][at]), "backward_fused (create_graph=False)", float(plain[i][at])
                raise self._wrong(i, f"element {at}", "backward", *both, largest)
            errors.append(float(difference[worst]) / (largest or 1.0))
        return tuple(errors)

    def _compute(self, i: int = 0, step: Array | None = None) -> tuple[list[Any], tuple[Tensor, ...]]:
        """Return copies of the inputs, input i moved by a step, and the results of the function for them."""
        leaves = [Tensor(x.data.copy(), x.requires_grad) if isinstance(x, Tensor) else x for x in self.inputs]
        if step is not None:
            leaves[i].data += step
        y = self.function(*leaves)
        return leaves, y if isinstance(y, tuple) else (y,)

    def _gradients(self, create_graph: bool) -> dict[int, Array]:
        """Return dL/dx for every input that requires it; zeros if no path leads to the input."""
        leaves, results = self._compute()
        pairs = [(y, Tensor(c.copy())) for y, c in zip(results, self.weights, strict=True)]
        roots, seeds = zip(*(pair for pair in pairs if pair[0].requires_grad), strict=True)
        targets = {i: leaf for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and leaf.requires_grad}
        reached = propagate(roots, seeds, list(targets.values()), create_graph, retain_graph=True)
        found = {id(leaf): gradient.data for leaf, gradient, _ in reached}
        return {i: found.get(id(x), array_module(x.data).zeros_like(x.data)) for i, x in targets.items()}

    def _steps(self, like: Array) -> Iterator[tuple[str, Array]]:
        """Yield directions of length 1 with their names: a random one and, for a small input, each element."""
        step = _normal(self.rng, like)
        yield "a random direction", step / float((step * step).sum() or 1.0) ** 0.5
        for at in np.ndindex(like.shape) if like.size <= _SMALL else ():
            step = array_module(like).zeros_like(like)
            step[at] = 1.0
            yield f"element {at}", step

    def _slope(self, i: int, step: Array, eps: float) -> tuple[float, float]:
        """Return the slope of L along a step in input i, and how much it differs between the two sides."""
        (_, higher), (_, lower) = self._compute(i, eps * step), self._compute(i, -eps * step)
        slope = bend = 0.0
        for above, y, below, c in zip(higher, self.results, lower, self.weights, strict=True):
            slope += float((c * (above.data - below.data)).sum()) / (2 * eps)
            bend += float(abs(c * (above.data - 2 * y + below.data)).sum()) / eps
        return slope, bend

    def _has_kink(self, i: int, step: Array, error: float) -> bool:
        """Return whether a kink or a jump explains an error of the slope.

        At a kink the slopes of the two sides differ by more than the error, and the difference is not proportional to
        eps. At a jump the slope itself depends on eps.
        """
        slopes, bends = zip(*(self._slope(i, step, eps) for eps in (2 * self.eps, self.eps, self.eps / 2)), strict=True)
        in_proportion = all(1.5 * fine < coarse < 2.5 * fine for coarse, fine in pairwise(bends))
        return (bends[1] > error and not in_proportion) or abs(slopes[2] - slopes[1]) > error / 2

    def _wrong(self, i: int, place: str, by: str, right: float, of: str, wrong: float, largest: float) -> GradientError:
        off = abs(wrong - right) / (largest or 1.0)
        return self._refuse(
            f"for {self.labels[i]}, {place}: {right:.10g} ({by})",
            f"{wrong:.10g} from {of}; off by {off:.1e} of the largest",
            "compare backward with the formula, then the axes it sums over, then what it saved",
        )

    def _refuse(self, expected: str, got: str, fix: str) -> GradientError:
        return GradientError(f"{self.check} of {self.name}", expected=expected, got=got, fix=fix)


def _describe(function: Differentiable, count: int) -> tuple[str, list[str]]:
    """Return the function's name, and its inputs as ``input 0 (x)``."""
    name, described = getattr(function, "__name__", type(function).__name__), function
    owner = getattr(function, "__self__", None)
    if isinstance(owner, type) and issubclass(owner, Function):
        name, described = owner.name, owner.forward  # for PReLU.apply, describe PReLU.forward
    parameters = inspect.signature(described).parameters.values()
    names = [p.name for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD and p.name != "self"]
    return name, [f"input {i} ({names[i]})" if i < len(names) else f"input {i}" for i in range(count)]


def _normal(rng: np.random.Generator, like: Array) -> Array:
    """Draw normally distributed numbers of the shape and device of an array."""
    return array_module(like).asarray(rng.standard_normal(like.shape))
