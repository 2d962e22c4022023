"""Adam against a loop in float64, clipping, and schedules."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minisrgan import Tensor, nn, optim
from minisrgan.errors import ArgumentError, GradientError, NonFiniteError, WeightsError
from minisrgan.nn import Linear, Parameter, PReLU, Sequential


def adam_in_loops(
    start: np.ndarray, grads: list[np.ndarray], lr: float, beta1: float, beta2: float, eps: float
) -> np.ndarray:
    """Alg. 1 of Kingma and Ba, number by number."""
    result = start.astype(np.float64)
    for position in np.ndindex(start.shape):
        p, m, v = float(start[position]), 0.0, 0.0
        for t, grad in enumerate(grads, 1):
            g = float(grad[position])
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g * g
            p -= lr * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + eps)
        result[position] = p
    return result


def steps(parameter: Tensor, grads: list[np.ndarray], **options: Any) -> optim.Adam:
    """Let Adam follow given gradients."""
    optimizer = optim.Adam([parameter], **options)
    for grad in grads:
        parameter.grad = Tensor(grad)
        optimizer.step()
    return optimizer


@pytest.mark.parametrize("options", [{}, {"betas": (0.5, 0.9), "eps": 1e-2}])
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 1e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("size", [(3, 5), (70_000,)], ids=["small", "several blocks"])
def test_adam_against_a_loop(options: dict[str, Any], dtype: Any, rtol: float, size: tuple[int, ...]):
    """eps inside the root, or a correction left out, changes the first hundred steps and hides in the rest."""
    rng = np.random.default_rng(0)
    start = rng.standard_normal(size).astype(dtype)
    grads = [(rng.standard_normal(size) * 10.0 ** rng.integers(-4, 2)).astype(dtype) for _ in range(5)]
    parameter = Parameter(start.copy())
    steps(parameter, grads, lr=0.01, **options)
    beta1, beta2 = options.get("betas", (0.9, 0.999))
    part = slice(None) if start.ndim > 1 else slice(0, None, 997)
    expected = adam_in_loops(start[part], [g[part] for g in grads], 0.01, beta1, beta2, options.get("eps", 1e-8))
    np.testing.assert_allclose(parameter.numpy()[part], expected, rtol=rtol, atol=rtol)
    assert parameter.dtype == dtype


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_the_first_step_is_lr(size: float):
    """Without the corrections for starting at 0 it is lr * 0.1 / sqrt(0.001), three times as long."""
    parameter = Parameter([1.0, 1.0])
    steps(parameter, [np.array([size, -size], np.float32)], lr=0.25)
    np.testing.assert_allclose(parameter.numpy(), [0.75, 1.25], rtol=1e-4)


def test_a_parameter_without_gradient_is_left_alone():
    """A zero in its place would go on moving it by its running mean: a frozen layer drifts."""
    moving, frozen = Parameter([1.0]), Parameter([1.0])
    optimizer = optim.Adam([moving, frozen], lr=0.1)
    for parameter in (moving, frozen):
        parameter.grad = Tensor([1.0])
    optimizer.step()
    optimizer.zero_grad()
    assert moving.grad is frozen.grad is None
    before = frozen.item()
    moving.grad = Tensor([1.0])
    optimizer.step()
    assert frozen.item() == before
    assert moving.item() == pytest.approx(0.8, rel=1e-5)


def test_adam_changes_in_place_and_leaves_the_gradient():
    """A new array would leave the state_dict, and every view of the weights, behind."""
    parameter, grad = Parameter([1.0]), np.array([2.0], np.float32)
    array = parameter.data
    steps(parameter, [grad, grad], lr=0.1)
    assert parameter.data is array
    assert grad.tolist() == [2]


def test_adam_follows_a_transposed_parameter():
    """Flattening a transposed array copies it, and the copy would be trained: the weights never move."""
    rng = np.random.default_rng(0)
    start = rng.standard_normal((3, 2)).astype(np.float32)
    grads = [rng.standard_normal((3, 2)).astype(np.float32) for _ in range(3)]
    plain, turned = Parameter(start.copy()), Parameter(start.T.copy().T)
    steps(plain, grads, lr=0.1)
    steps(turned, grads, lr=0.1)
    np.testing.assert_array_equal(turned.numpy(), plain.numpy())


def test_lr_may_change_between_steps():
    """An optimizer that remembers its first lr ignores the schedule."""
    parameter = Parameter([1.0])
    optimizer = steps(parameter, [np.ones(1, np.float32)], lr=0.1)
    optimizer.lr = 0.0
    parameter.grad = Tensor([1.0])
    optimizer.step()
    assert parameter.item() == pytest.approx(0.9)


def test_adam_goes_on_where_it_was():
    """Without the count of steps, the corrections start over: the first steps after a resume are ten times too long."""
    rng = np.random.default_rng(0)
    grads = [rng.standard_normal(4).astype(np.float32) for _ in range(6)]
    whole, first = Parameter(np.ones(4, np.float32)), Parameter(np.ones(4, np.float32))
    steps(whole, grads, lr=0.1)
    saved = steps(first, grads[:3], lr=0.1)
    state = {name: array.copy() for name, array in saved.state_dict().items()}
    second = Parameter(first.numpy().copy())
    optimizer = optim.Adam([second], lr=0.1)
    optimizer.load_state_dict(state, saved.steps)
    for grad in grads[3:]:
        second.grad = Tensor(grad)
        optimizer.step()
    np.testing.assert_array_equal(second.numpy(), whole.numpy())
    with pytest.raises(WeightsError):
        optim.Adam([Parameter([1.0])], lr=0.1).load_state_dict(state, 3)
    with pytest.raises(WeightsError):
        optim.Adam([second, first], lr=0.1).load_state_dict(state, 3)


@pytest.mark.parametrize("cls", [optim.Adam, optim.SGD])
@pytest.mark.parametrize("lr", [-1e-4, math.nan, math.inf, None, "0.1", [0.1], np.array([0.1, 0.1])])
def test_learning_rates_that_make_no_sense(cls: type[optim.Optimizer], lr: Any):
    """A NaN learning rate turns every weight into NaN in one step, a negative one climbs."""
    with pytest.raises(ArgumentError, match="lr"):
        cls([Parameter([1.0])], lr=lr)
    p = Parameter([1.0])
    optimizer = cls([p], lr=0.1)
    optimizer.lr, p.grad = lr, Tensor([1.0])
    with pytest.raises(ArgumentError, match="lr"):
        optimizer.step()
    assert p.item() == 1


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p: optim.Adam(p, 0.1, betas=(1.0, 0.999)), r"(?s)betas\[0\] >= 0 and < 1.*got +1.0"),
        (lambda p: optim.Adam(p, 0.1, betas=(0.9, -0.1)), r"betas\[1\]"),
        (lambda p: optim.Adam(p, 0.1, betas=(math.nan, 0.9)), r"betas\[0\]"),
        (lambda p: optim.Adam(p, 0.1, betas=0.9), "pair of betas"),
        (lambda p: optim.Adam(p, 0.1, eps=0.0), "eps > 0"),
        (lambda p: optim.Adam(p, 0.1, eps=-1e-8), "eps > 0"),
        (lambda p: optim.Adam(p, 0.1, weight_decay=-0.1), "weight_decay >= 0"),
        (lambda p: optim.SGD(p, 0.1, momentum=1.0), "momentum >= 0 and < 1"),
        (lambda p: optim.SGD(p, 0.1, momentum=-0.5), "momentum"),
        (lambda p: optim.EMA(PReLU(1), 1.0), "decay"),
        (lambda p: optim.EMA(PReLU(1), math.nan), "decay"),
        (lambda p: optim.EMA(p, 0.9), "(?s)a module.*got +Parameter"),
        (lambda p: optim.clip_grad_norm(p, -1.0), "max_norm > 0"),
        (lambda p: optim.clip_grad_norm(p, math.nan), "max_norm > 0"),
        (lambda p: optim.clip_grad_norm(p, 0.0), "max_norm > 0"),
        (lambda p: optim.clip_grad_norm(p, "1"), "max_norm as a number"),
        (lambda p: optim.clip_grad_norm(p, None), "max_norm as a number"),
        (lambda p: optim.Adam(p, 0.1).load_state_dict(optim.Adam(p, 0.1).state_dict(), -5), "steps.* >= 0"),
        (lambda p: optim.Adam(p, 0.1).load_state_dict(optim.Adam(p, 0.1).state_dict(), [0.5]), "steps.*integers"),
        (lambda p: optim.Adam(p, 0.1).load_state_dict(optim.Adam(p, 0.1).state_dict(), None), "steps.*integers"),
        (lambda p: optim.piecewise((-1.0, 0.1), (10,)), r"values\[0\] >= 0"),
        (lambda p: optim.piecewise((1.0, "0.1"), (10,)), r"values\[1\] as a number"),
        (lambda p: optim.piecewise((1.0, 0.1), (0.5,)), "boundaries.*integers"),
        (lambda p: optim.piecewise("1e-4", ()), r"values\[0\] as a number"),
        (lambda p: optim.piecewise(1e-4, (10,)), "one value more than boundaries"),
        (lambda p: optim.piecewise((1.0, 0.1), (10,), warmup=-4), "warmup as an integer >= 0"),
        (lambda p: optim.piecewise((1.0, 0.1), (10,), warmup=0.5), "warmup as an integer >= 0"),
    ],
)
def test_settings_that_make_no_sense(make: Any, words: str):
    """A negative norm turns every gradient round; clipping to NaN clips nothing; momentum 1 never forgets."""
    with pytest.raises(ArgumentError, match=words):
        make(Parameter([1.0]))


WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "nothing": (lambda: [], "got +none"),
    "a generator that is used up": (lambda: (p for p in ()), "used only once"),
    "a result": (lambda: Parameter([1.0]) * 2.0, "the result of multiply"),
    "a result among parameters": (lambda: [Parameter([1.0]), Parameter([1.0]) * 2.0], "entry 1.*result of multiply"),
    "a tensor without a gradient": (lambda: [Tensor([1.0])], "gets no gradient"),
    "one twice": (lambda: [Parameter([1.0])] * 2, "a parameter twice"),
    "pairs with names": (lambda: Linear(1, 1, rng=np.random.default_rng(0)).named_parameters(), "named_parameters"),
    "a state": (lambda: Linear(1, 1, rng=np.random.default_rng(0)).state_dict(), "got +dict"),
    "arrays": (lambda: [np.ones(2, np.float32)], "ndarray as entry 0"),
    "an array": (lambda: np.ones(2, np.float32), "float32 as entry 0"),
    "groups": (lambda: [{"params": [Parameter([1.0])]}], "dict as entry 0"),
    "lists of lists": (lambda: [[Parameter([1.0])]], "list as entry 0"),
    "the method itself": (lambda: Linear(1, 1, rng=np.random.default_rng(0)).parameters, "got +method"),
    "a module without parameters": (lambda: Sequential(), "got +none"),
    "a class": (lambda: Linear, "got +type"),
    "None": (lambda: None, "got +NoneType"),
    "a name": (lambda: "weight", "got +str"),
}
TAKERS: dict[str, Callable[[Any], Any]] = {
    "Adam": lambda given: optim.Adam(given, lr=0.1),
    "SGD": lambda given: optim.SGD(given, lr=0.1),
    "clip_grad_norm": lambda given: optim.clip_grad_norm(given, 1.0),
    "grad_norm": optim.grad_norm,
}


@pytest.mark.parametrize("taker", TAKERS)
@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_no_parameter_is_refused(taker: str, wrong: str):
    """Walked over without a look, all of these train nothing or clip nothing, and say nothing."""
    make, words = WRONG[wrong]
    with pytest.raises(ArgumentError, match=f"(?s){taker}.*{words}"):
        TAKERS[taker](make())


def test_what_holds_parameters_is_taken():
    """A tensor alone was walked over number by number: Adam moved rows of it that nobody keeps."""
    w = Tensor([1.0, 1.0], requires_grad=True)
    net = Sequential(Linear(2, 2, rng=np.random.default_rng(0)), PReLU(1))
    for given, count in ((w, 1), ([w], 1), ((w,), 1), (net, 3), (net.parameters(), 3), (iter(net.parameters()), 3)):
        assert len(optim.Adam(given, lr=0.1).parameters) == count
    w.grad = Tensor([3.0, 4.0])
    optim.Adam(w, lr=0.1).step()
    np.testing.assert_allclose(w.numpy(), [0.9, 0.9], rtol=1e-5)
    assert optim.clip_grad_norm(w, 1.0) == 5
    np.testing.assert_allclose(w.grad.numpy(), [0.6, 0.8], rtol=1e-6)
    assert optim.grad_norm(net) == 0
    net.requires_grad_(False)
    assert len(optim.Adam(net, lr=0.1).parameters) == 3  # frozen now, thawed later


@pytest.mark.parametrize("grad", [np.ones(2, np.float32), Tensor([1.0]), Tensor(np.ones(2)), Tensor([[1.0, 1.0]]), 1.0])
def test_a_gradient_that_does_not_fit_is_refused(grad: Any):
    """Set by hand, a gradient of another shape is broadcast into every element."""
    p = Parameter([1.0, 1.0])
    p.grad = grad
    for cls in (optim.Adam, optim.SGD):
        with pytest.raises(GradientError, match=r"parameter 0, \(2,\), float32"):
            cls([p], lr=0.1).step()
    assert p.numpy().tolist() == [1, 1]


def test_adam_counts_for_each_parameter():
    """A layer that is thawed at step 10 takes a first step of half its length, if one count serves all."""
    early, late = Parameter([0.0]), Parameter([0.0])
    optimizer = optim.Adam([early, late], lr=0.1)
    for step in range(12):
        early.grad, late.grad = Tensor([1.0]), Tensor([1.0]) if step >= 9 else None
        optimizer.step()
        if step == 9:
            assert late.item() == pytest.approx(-0.1, rel=1e-5)
    assert (optimizer.counts, optimizer.steps) == ([12, 3], 12)
    assert late.item() == pytest.approx(-0.3, rel=1e-5)

    again = [Parameter(p.numpy().copy()) for p in (early, late)]
    resumed = optim.Adam(again, lr=0.1)
    resumed.load_state_dict({name: array.copy() for name, array in optimizer.state_dict().items()}, optimizer.counts)
    for o, pair in ((optimizer, (early, late)), (resumed, again)):
        for p in pair:
            p.grad = Tensor([-2.0])
        o.step()
    assert [p.item() for p in again] == [early.item(), late.item()]
    resumed.load_state_dict(optimizer.state_dict(), 7)  # saved by an older version: one count for all
    assert resumed.counts == [7, 7]
    with pytest.raises(ArgumentError, match=r"(?s)tuple of 2 integers.*\[1, 2, 3\]"):
        resumed.load_state_dict(optimizer.state_dict(), [1, 2, 3])


def test_weight_decay_is_decoupled():
    """Added to the gradient, the decay is divided by its size: large gradients would hardly decay at all."""
    for size in (1e-3, 1e3):
        p = Parameter([2.0])
        p.grad = Tensor([size])
        optim.Adam([p], lr=0.1, weight_decay=0.5).step()
        assert p.item() == pytest.approx(2 * (1 - 0.1 * 0.5) - 0.1, rel=1e-4)
    still, moving = Parameter([2.0]), Parameter([2.0])
    moving.grad = Tensor([1.0])
    optim.Adam([still, moving], lr=0.1, weight_decay=0.5).step()
    assert still.item() == 2


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sgd_against_a_loop(momentum: float, dtype: Any):
    """A momentum that scales the new gradient too, or forgets the old, trains, and more slowly."""
    rng = np.random.default_rng(0)
    start, grads = rng.standard_normal((3, 2)), rng.standard_normal((5, 3, 2)).astype(dtype)
    p, turned = Parameter(start.astype(dtype)), Parameter(start.T.astype(dtype).copy().T)
    for parameter in (p, turned):
        optimizer = optim.SGD(parameter, lr=0.1, momentum=momentum)
        for grad in grads:
            parameter.grad = Tensor(grad)
            optimizer.step()
    expected, velocity = start.astype(dtype).astype(float), np.zeros((3, 2))
    for grad in grads.astype(float):
        for at in np.ndindex(3, 2):
            velocity[at] = momentum * velocity[at] + grad[at]
            expected[at] -= 0.1 * velocity[at]
    np.testing.assert_allclose(p.numpy(), expected, rtol=1e-5)
    np.testing.assert_array_equal(turned.numpy(), p.numpy())
    assert p.dtype == dtype
    assert list(optimizer.state_dict()) == ["velocity.0"]


def test_the_ema_does_not_take_what_is_no_module():
    """A list of parameters has no state_dict, which the first update would say three calls deep."""
    with pytest.raises(ArgumentError, match=r"(?s)EMA.*a module.*got +list"):
        optim.EMA([Parameter([1.0])], 0.9)


def test_the_ema_of_a_network_that_has_grown():
    """A new layer has no average; a KeyError of its name does not say what to do."""
    net = Sequential(PReLU(1))
    average = optim.EMA(net, 0.9)
    net.append(PReLU(2))
    for change in (lambda: None, lambda: delattr(net, "1"), lambda: setattr(net, "0", PReLU(3))):
        steps = average.steps
        if change() is None and len(net) == 1 and net[0].weight.size == 1:
            average.update()
            continue
        with pytest.raises(ArgumentError, match=r"(?s)EMA.update.*such as [01].weight.*make a new EMA"):
            average.update()
        assert average.steps == steps


def test_steps_of_numpy_and_states_that_are_none():
    """A count that was read from an array is an np.int64; a path is not read here."""
    p = Parameter([1.0])
    optimizer = optim.Adam([p], lr=0.1)
    optimizer.load_state_dict(optimizer.state_dict(), np.int64(3))
    assert optimizer.counts == [3]
    optimizer.load_state_dict(optimizer.state_dict(), [np.int64(4)])
    assert optimizer.counts == [4]
    for wrong in ("adam.safetensors", [np.ones(1)], None, optimizer):
        with pytest.raises(WeightsError, match=r"(?s)Adam.load_state_dict.*a dict of arrays"):
            optimizer.load_state_dict(wrong, 3)  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match=r"(?s)2 arrays.*mean.0: list"):
        optimizer.load_state_dict({"mean.0": [0.0], "square.0": [0.0]}, 3)


def with_gradients(*grads: list[float] | None) -> list[Parameter]:
    """Parameters with these gradients."""
    parameters = []
    for grad in grads:
        parameter = Parameter(np.zeros(2 if grad is None else len(grad), np.float32))
        parameter.grad = None if grad is None else Tensor(grad)
        parameters.append(parameter)
    return parameters


def test_clipping_scales_all_gradients_by_one_factor():
    """Clipped one by one, they change direction, and not only length."""
    parameters = with_gradients([3.0, 0.0], None, [4.0, 12.0])
    assert optim.grad_norm(parameters) == 13
    assert optim.clip_grad_norm(iter(parameters), 6.5) == 13
    assert parameters[0].grad.numpy().tolist() == [1.5, 0]
    assert parameters[2].grad.numpy().tolist() == [2, 6]
    assert parameters[2].grad.dtype == np.float32
    assert optim.clip_grad_norm(parameters, 100.0) == 6.5
    assert parameters[0].grad.numpy().tolist() == [1.5, 0]  # a small gradient is not made larger


def test_norm_of_nothing():
    """The first step of a discriminator that has not been trained yet has no gradients at all."""
    assert optim.grad_norm(with_gradients(None)) == 0
    assert optim.clip_grad_norm(with_gradients(None), 1.0) == 0


def test_schedules():
    """A boundary that is off by one is harmless; one that is never reached trains at 1e-4 to the end."""
    assert [optim.piecewise((3e-4,), ())(step) for step in (0, 10**9)] == [3e-4, 3e-4]
    schedule = optim.piecewise((1.0, 0.5, 0.1), (10, 20))
    assert [schedule(step) for step in (0, 9, 10, 19, 20, 1000)] == [1, 1, 0.5, 0.5, 0.1, 0.1]
    warmed = optim.piecewise((1.0, 0.5), (2,), warmup=4)
    assert [warmed(step) for step in range(6)] == [0.25, 0.5, 0.375, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    ("values", "boundaries"), [((1.0,), (10,)), ((1.0, 0.5), ()), ((1.0, 0.5, 0.1), (20, 10)), ((1, 2, 3), (5, 5))]
)
def test_schedules_that_make_no_sense(values: tuple[float, ...], boundaries: tuple[int, ...]):
    """Boundaries in the wrong order skip a rate without a word."""
    with pytest.raises(ArgumentError, match="boundaries that rise"):
        optim.piecewise(values, boundaries)


@pytest.mark.parametrize("mistake", ["no backward", "zero_grad too late", "another network", "a new layer"])
def test_a_step_without_any_gradient_is_a_mistake(mistake: str):
    """Nothing would be learned, and nothing said so."""
    net = nn.Sequential(nn.Linear(2, 1), nn.Linear(1, 1))
    optimizer = optim.Adam(net, lr=0.1)
    if mistake == "another network":
        net = copy.deepcopy(net)
    if mistake == "a new layer":
        net[0], net[1] = nn.Linear(2, 1), nn.Linear(1, 1)
    if mistake != "no backward":
        net(Tensor([[1.0, 2.0]])).sum().backward()
    if mistake == "zero_grad too late":
        optimizer.zero_grad()
    with pytest.raises(GradientError, match=r"(?s)Adam.step.*none, for 4 parameters.*before backward"):
        optimizer.step()
    assert optimizer.steps == 0


def test_a_state_of_no_finite_floats_is_refused():
    """Running means of NaN would make every weight NaN at the first step; of text, they were read as numbers."""
    optimizer = optim.Adam([Parameter([1.0])], lr=0.1)
    for wrong in (np.array([np.nan]), np.array([1]), np.array([1j]), np.array(["0"]), np.array([1e300])):
        with pytest.raises(WeightsError, match=r"(?s)Adam.load_state_dict.*values of mean.0.*finite floats"):
            optimizer.load_state_dict({"mean.0": wrong, "square.0": np.zeros(1, np.float32)}, 3)
    assert optimizer.counts == [0]


def test_true_is_no_learning_rate_and_a_set_has_no_order():
    """True counts as 1. The order of a set changes from run to run, and with it what a saved state belongs to."""
    p, q = Parameter([1.0]), Parameter([2.0])
    for call in (
        lambda: optim.SGD([p], lr=True),
        lambda: optim.EMA(nn.PReLU(), True),
        lambda: optim.clip_grad_norm([p], True),
    ):
        with pytest.raises(ArgumentError, match=r"(?s)as a number.*bool"):
            call()
    with pytest.raises(ArgumentError, match=r"(?s)SGD.*set"):
        optim.SGD({p, q}, lr=0.1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 3e30], ids=str)
def test_gradients_without_a_finite_norm_are_not_clipped(bad: float):
    """The norm of 3e30 overflows: all gradients became 0, and the training stood still."""
    p, q = Parameter([1.0]), Parameter([1.0])
    p.grad, q.grad = Tensor([bad]), Tensor([3.0])
    with np.errstate(over="ignore"), pytest.raises(NonFiniteError, match=r"(?s)clip_grad_norm.*norm (nan|inf)"):
        optim.clip_grad_norm([p, q], 1.0)
    assert q.grad.item() == 3
    p.grad = np.ones(1, np.float32)  # type: ignore[assignment]
    for call in (lambda: optim.clip_grad_norm([p, q], 1.0), lambda: optim.grad_norm([p, q])):
        with pytest.raises(GradientError, match=r"(?s)a .grad like parameter 0.*ndarray"):
            call()
