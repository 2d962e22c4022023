"""minisrgan against PyTorch itself, on random shapes and settings, in float64. Skipped where torch is not installed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from minisrgan import models, ops
from tests.parity import ours
from tests.parity.cases import (
    ADAM,
    DIRECTIONS,
    LAYERS,
    LOSSES,
    NETWORKS,
    NO_COUNTERPART,
    STEPS,
    TOLERANCE,
    AdamCase,
    Case,
    ModelCase,
    batch_norm,
    convolution,
)
from tests.parity.measure import allowed, scale_of

torch = pytest.importorskip("torch", reason="torch is not installed: parity with PyTorch is checked by fixtures only")

from tests.fixtures import theirs  # noqa: E402 - it needs torch

Draw = Callable[..., Any]
Shape = tuple[int, ...]

random_cases = settings(
    max_examples=200, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """On arrays this small more threads only wait for one another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def agree(results: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray], case: Any) -> None:
    """Compare all arrays, each in relation to its largest magnitude."""
    assert results.keys() == expected.keys(), case
    for name, right in expected.items():
        assert results[name].shape == right.shape, (case, name)
        error = float(abs(results[name] - right).max(initial=0)) / scale_of(name, expected)
        assert error <= allowed(case, name, "float64"), (case, name, error)


# Random cases of every operation

SIZES = st.integers(1, 5)
SEEDS = st.integers(0, 2**32)


def shape(draw: Draw, least: int = 0, most: int = 4) -> Shape:
    return tuple(draw(st.lists(SIZES, min_size=least, max_size=most)))


def kind(draw: Draw, *kinds: str) -> str:
    return draw(st.sampled_from(kinds))


def one_input(*kinds: str, least: int = 0) -> Callable[[Draw, str], Case]:
    """Any shape, one of some kinds of numbers."""
    return lambda draw, op: Case(op, (shape(draw, least),), kinds=kind(draw, *kinds))


def part_of(draw: Draw, full: Shape) -> Shape:
    """A shape that broadcasts to another: leading axes missing, others of length 1."""
    kept = full[draw(st.integers(0, len(full))) :]
    return tuple(draw(st.sampled_from((1, n))) for n in kept)


def two_inputs(*kinds: str) -> Callable[[Draw, str], Case]:
    """Shapes that broadcast, or a number on one side."""

    def make(draw: Draw, op: str) -> Case:
        full = shape(draw)
        number = draw(st.sampled_from((0.5, 1.5, 1)))
        pairs = [(full, part_of(draw, full)), (part_of(draw, full), full), (full, number), (number, full)]
        return Case(op, draw(st.sampled_from(pairs)), kinds=kind(draw, *kinds))

    return make


def axes_of(draw: Draw, ndim: int) -> Any:
    """All axes, one, or some in any order and from either end."""
    if ndim == 0 or draw(st.booleans()):
        return None
    axes = draw(st.lists(st.integers(0, ndim - 1), min_size=1, max_size=ndim, unique=True))
    axes = tuple(axis - ndim * draw(st.booleans()) for axis in axes)
    return axes[0] if len(axes) == 1 and draw(st.booleans()) else axes


def reduction(*kinds: str) -> Callable[[Draw, str], Case]:
    def make(draw: Draw, op: str) -> Case:
        x = shape(draw)
        options = {"axis": axes_of(draw, len(x)), "keepdims": draw(st.booleans())}
        return Case(op, (x,), options, kind(draw, *kinds))

    return make


def broadcast(draw: Draw, op: str) -> Case:
    full = shape(draw)
    small = part_of(draw, full)
    return Case(op, (small,), {"shape": full}) if op == "broadcast_to" else Case(op, (full,), {"shape": small})


def reshape(draw: Draw, op: str) -> Case:
    x = shape(draw, 1)
    new = list(draw(st.permutations(x)))
    if draw(st.booleans()):
        new[draw(st.integers(0, len(new) - 1))] = -1
    elif len(new) > 1:
        new[:2] = [new[0] * new[1]]
    return Case(op, (x,), {"shape": tuple(new)})


def transpose(draw: Draw, op: str) -> Case:
    x = shape(draw, 1)
    axes = [axis - len(x) * draw(st.booleans()) for axis in draw(st.permutations(range(len(x))))]
    return Case(op, (x,), {"axes": tuple(axes)} if draw(st.booleans()) else {})


def index(draw: Draw, op: str) -> Case:
    """Integers, slices, one or two arrays of integers, an ellipsis, a new axis. PyTorch has no slices backwards."""
    x = shape(draw, 1)
    arrays = draw(st.integers(1, 3))  # the length of all arrays
    parts: list[Any] = []
    for n in x[: draw(st.integers(1, len(x)))]:
        what = draw(st.sampled_from(("integer", "slice", "slice", "array")))
        if what == "integer":
            parts.append(draw(st.integers(-n, n - 1)))
        elif what == "slice":
            start = draw(st.integers(0, n - 1))
            parts.append(slice(start, draw(st.integers(start, n + 1)), draw(st.integers(1, 2))))
        else:
            parts.append(np.array(draw(st.lists(st.integers(-n, n - 1), min_size=arrays, max_size=arrays))))
    if any(isinstance(part, np.ndarray) for part in parts):
        # NumPy counts an integer beside an array among the arrays, PyTorch does not: where the new axis goes differs.
        parts = [part if not isinstance(part, int) else slice(part % 2, None) for part in parts]
    elif draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), None)
    if draw(st.booleans()):
        parts.append(...)
    where = tuple(parts)
    if op == "getitem":
        return Case(op, (x,), {"index": where})
    return Case(op, (np.zeros(x)[where].shape,), {"index": where, "shape": x})


def pad(draw: Draw, op: str) -> Case:
    x = shape(draw, 1)
    return Case(op, (x,), {"widths": tuple((draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in x)})


def join(draw: Draw, op: str) -> Case:
    x, count = shape(draw, 1), draw(st.integers(1, 3))
    if op == "stack":
        return Case(op, [x] * count, {"axis": draw(st.integers(-len(x) - 1, len(x)))})
    axis = draw(st.integers(-len(x), len(x) - 1))
    at = axis % len(x)
    return Case(op, [(*x[:at], draw(SIZES), *x[at + 1 :]) for _ in range(count)], {"axis": axis})


def product(draw: Draw, op: str) -> Case:
    n, m, k = draw(SIZES), draw(SIZES), draw(SIZES)
    if op == "linear":
        lead = shape(draw, 1, 2)
        return Case(op, ((*lead, m), (m, k), *[(k,)] * draw(st.booleans())))
    lead = shape(draw, 0, 2)
    return Case(op, ((*part_of(draw, lead), n, m), (*part_of(draw, lead), m, k)))


def convolutions(draw: Draw, op: str) -> Case:
    kernel = tuple(draw(st.sampled_from((1, 2, 3, 3, 4, 9))) for _ in range(2))
    stride, padding = draw(st.integers(1, 3)), draw(st.integers(0, 4))
    x = (draw(st.integers(1, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 9)), draw(st.integers(1, 4)))
    assume(all(n + 2 * padding >= k for n, k in zip(x[1:3], kernel, strict=True)))
    bias = op != "conv2d_weight_gradient" and draw(st.booleans())
    return convolution(op, x, (*kernel, x[3], draw(st.integers(1, 5))), stride, padding, bias)


def norms(draw: Draw, op: str) -> Case:
    x = (draw(st.integers(4, 8)), *draw(st.sampled_from(((), (2, 1), (3, 4)))), draw(SIZES))
    return batch_norm(x, draw(st.booleans()), momentum=draw(st.floats(0, 1)), eps=draw(st.floats(1e-5, 1)))


def prelu(draw: Draw, op: str) -> Case:
    x = shape(draw, 2)
    return Case(op, (x, draw(st.sampled_from(((1,), x[-1:])))), kinds=kind(draw, "wide", "tied"))


def shuffle(draw: Draw, op: str) -> Case:
    n, h, w, c = shape(draw, 4)
    r = draw(st.integers(1, 3))
    return Case(op, ((n, h, w, c * r * r) if op == "pixel_shuffle" else (n, h * r, w * r, c),), {"factor": r})


def pool(draw: Draw, op: str) -> Case:
    n, h, w, c = shape(draw, 4)
    return Case(op, ((n, h, w, c),), {"size": draw(st.integers(1, min(h, w)))}, kind(draw, "wide", "tied"))


def distance(draw: Draw, op: str) -> Case:
    x = shape(draw)
    if op == "binary_cross_entropy_with_logits":
        # Not large: where it is sure of 0, PyTorch's z - ln s(z) loses its digits. Its ln s(-z) is in the losses below.
        return Case(op, (x, draw(st.sampled_from((x, 0.0, 0.9, 1.0)))))
    return Case(op, (x, x), kinds=kind(draw, "wide", "tied"))


def power(draw: Draw, op: str) -> Case:
    exponents, numbers = draw(st.sampled_from((((0, 1, 2, 3, 2.0), "wide"), ((0.5, -1, -1.5, 2.5), "positive"))))
    return Case(op, (shape(draw),), {"exponent": draw(st.sampled_from(exponents))}, numbers)


def clip(draw: Draw, op: str) -> Case:
    low = draw(st.sampled_from((-1.5, -1.0, 0.0)))
    options = {"low": low, "high": low + draw(st.sampled_from((0.5, 1.0)))}
    return Case(op, (shape(draw),), options, kind(draw, "wide", "tied"))


def leaky(draw: Draw, op: str) -> Case:
    return Case(op, (shape(draw),), {"negative_slope": draw(st.floats(0, 3))}, kind(draw, "wide", "tied"))


def logits(draw: Draw, op: str) -> Case:
    x = (draw(SIZES), 1)
    if op == "generator_loss":
        return Case(op, (x,), kinds=kind(draw, "wide", "large"))
    return Case(
        op, (x, (draw(SIZES), 1)), {"real_label": draw(st.sampled_from((1.0, 0.9, 0.5)))}, kind(draw, "wide", "large")
    )


def perceptual(draw: Draw, op: str) -> Case:
    """By pixels: VGG19 is too large to be run two hundred times, and is below."""
    images = (*shape(draw, 3, 3), 3)
    weights = {"adversarial_weight": draw(st.floats(1e-4, 1)), "tv_weight": draw(st.floats(1e-8, 1))}
    return Case(op, (images, images, (images[0], 1)), {"content": "mse", **weights})


RANDOM: dict[str, Callable[[Draw, str], Case]] = {
    **dict.fromkeys(("add", "subtract", "multiply"), two_inputs("wide")),
    "divide": two_inputs("positive"),
    "maximum": two_inputs("wide", "tied"),
    **dict.fromkeys(("negative", "exp", "sigmoid", "tanh"), one_input("wide")),
    "softplus": one_input("wide", "large"),
    **dict.fromkeys(("log", "sqrt"), one_input("positive")),
    **dict.fromkeys(("absolute", "relu"), one_input("wide", "tied")),
    "power": power,
    "clip": clip,
    "leaky_relu": leaky,
    "prelu": prelu,
    **dict.fromkeys(("sum", "mean", "variance"), reduction("wide")),
    "max": reduction("wide", "tied"),
    **dict.fromkeys(("broadcast_to", "sum_to"), broadcast),
    "reshape": reshape,
    "transpose": transpose,
    **dict.fromkeys(("getitem", "scatter"), index),
    "pad": pad,
    **dict.fromkeys(("concatenate", "stack"), join),
    **dict.fromkeys(("matmul", "linear"), product),
    **dict.fromkeys(DIRECTIONS, convolutions),
    "batch_norm": norms,
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle"), shuffle),
    "max_pool2d": pool,
    **dict.fromkeys(("mse", "l1", "binary_cross_entropy_with_logits"), distance),
    "total_variation": lambda draw, op: Case(op, (shape(draw, 4),), kinds=kind(draw, "wide", "tied")),
    **dict.fromkeys(("discriminator_loss", "generator_loss"), logits),
    "perceptual_loss": perceptual,
}


@pytest.mark.parametrize("op", RANDOM)
@random_cases
@given(data=st.data())
def test_random_case(op: str, data: st.DataObject):
    """A table holds the shapes that its author thought of."""
    case = RANDOM[op](data.draw, op)
    case.seed = data.draw(SEEDS)
    inputs = case.inputs()
    expected, cotangent = theirs.run(case, inputs)
    agree(ours.run(case, inputs, cotangent, "float64", data.draw(st.booleans())), expected, case)


def test_every_operation_has_random_cases():
    """An operation added later is compared here too, or says why not."""
    assert set(RANDOM) == (set(ops.__all__) - set(NO_COUNTERPART)) | {case.op for case in LOSSES}


@random_cases
@given(
    shapes=st.lists(st.lists(SIZES, max_size=3).map(tuple), min_size=1, max_size=3).map(tuple),
    lr=st.floats(1e-6, 1),
    betas=st.tuples(st.floats(0, 0.99), st.floats(0, 0.999)),
    eps=st.floats(1e-9, 1),
    seed=SEEDS,
)
def test_adam(shapes: tuple[Shape, ...], lr: float, betas: tuple[float, float], eps: float, seed: int):
    """Bias correction and eps are folded into two numbers, which must stay the formula for every beta and eps."""
    case = AdamCase(shapes, lr, betas, eps, steps=4, seed=seed)
    given_to, expected = theirs.run_adam(case)
    agree(ours.run_adam(case, given_to, "float64"), expected, case)


# Layers, networks and steps, with other weights than those in the fixtures


@pytest.mark.parametrize("seed", range(1, 6))
@pytest.mark.parametrize("case", [*LAYERS, *NETWORKS], ids=str)
def test_other_weights(case: ModelCase, seed: int):
    """One set of weights may hide what another shows."""
    case = dataclasses.replace(case, seed=seed)
    given_to, expected = theirs.run_model(case)
    agree(ours.run_model(case, given_to, "float64"), expected, case)


PAPER = (
    ModelCase("Generator", {"scale": 4, "channels": 64, "blocks": 16}, (2, 6, 5, 3)),
    ModelCase("Generator", {"scale": 8, "channels": 16, "blocks": 1}, (1, 3, 4, 3)),
    ModelCase("Discriminator", {"crop": 40, "channels": 64}, (2, 40, 40, 3)),
)


@pytest.mark.parametrize("case", PAPER, ids=str)
def test_networks_of_the_papers_width(case: ModelCase):
    """Kernels choose their blocks, and some day their algorithm, by size: small networks do not reach all of them."""
    given_to, expected = theirs.run_model(case)
    agree(ours.run_model(case, given_to, "float64"), expected, case)


@pytest.mark.parametrize("convention", models.vgg.CONVENTIONS)
def test_vgg_54(convention: str):
    """The fixtures go to phi 2,2; phi 5,4 passes four poolings and sixteen convolutions."""
    reference = theirs.VGG19(convention, (2, 2, 4, 4, 4)).double().requires_grad_(False)
    vgg = models.VGG19("5,4", convention).astype(np.float64)
    assert theirs.shapes(reference) == ours.shapes(vgg)
    state = {name: array.copy() for name, array in vgg.state_dict().items()}
    theirs.load(reference, state)
    case = ModelCase("VGG19", {}, (1, 36, 33, 3))
    x = theirs.tensor(case.input(0), requires_grad=True)
    y = theirs.through(reference, x)
    cotangent = case.cotangent(0, tuple(y.shape))
    y.backward(theirs.tensor(cotangent))
    our_x = ours.Tensor(case.input(0).astype(np.float64), requires_grad=True)
    our_y = vgg(our_x)
    our_y.backward(ours.Tensor(cotangent.astype(np.float64)))
    expected = {"y": y.detach().numpy(), "grad_x": x.grad.numpy()}
    agree({"y": our_y.data, "grad_x": our_x.grad.data}, expected, case)


@pytest.mark.parametrize("case", STEPS, ids=str)
def test_steps_now(case: Any):
    """Fixtures made by an old PyTorch would go on passing."""
    given_to, expected = theirs.run_steps(case)
    agree(ours.run_steps(case, given_to, "float64"), expected, case)


@pytest.mark.parametrize("case", ADAM, ids=str)
def test_adam_in_float32(case: AdamCase):
    """The same formula in the precision of training."""
    given_to, expected = theirs.run_adam(case)
    results = ours.run_adam(case, given_to, "float32")
    for name, right in expected.items():
        assert abs(results[name] - right).max() <= TOLERANCE["float32"] * scale_of(name, expected)
